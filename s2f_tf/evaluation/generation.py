"""Whether generated faces go with the voices they were drawn from, by a judge that generation never saw.

The judge is a pair of speech and face encoder trained by matching from another seed. Two questions, each K-way among
held-out speakers with the protocol of `matching`: which of K generated faces was drawn from a voice
(`voice_to_generated`), and which of K true faces is that of the speaker from whose voice a face was drawn
(`generated_to_face`, both in the judge's embedding).
"""

import keras
import numpy as np
import tensorflow as tf

from s2f_tf.evaluation import matching
from s2f_tf.latent import z_from_seed

_BATCH = 64


def draw_one_each(generator: keras.Model, voices: np.ndarray, z_size: int, seed: int = 0) -> np.ndarray:
    """One face for each voice, each with a z of its own: float32 [N, E] to float32 [N, H, W, 3] in [-1, 1]."""
    z = z_from_seed(tf.range(seed, seed + len(voices), dtype=tf.int64), z_size).numpy()
    batches = (slice(start, start + _BATCH) for start in range(0, len(voices), _BATCH))
    return np.concatenate([generator(z[rows], voices[rows], training=False).numpy() for rows in batches])


def judge(
    judge_face_encoder: keras.Model, judged: matching.Embedded, generated: np.ndarray, seed: int = 0
) -> dict[str, dict[str, dict]]:
    """`voice_to_generated` and `generated_to_face`, each as `matching.score` returns it.

    Args:
        judge_face_encoder: the judge's.
        judged: the split, embedded by the judge.
        generated: float32 [N, H, W, 3], one face drawn from each clip's voice.
        seed: of the bootstrap.
    """
    batches = (slice(start, start + _BATCH) for start in range(0, len(generated), _BATCH))
    faces = np.concatenate([judge_face_encoder(generated[rows], training=False).numpy() for rows in batches])
    return {
        "voice_to_generated": matching.evaluate(judged.voices, faces, judged.speakers, seed),
        "generated_to_face": matching.evaluate(faces, judged.faces, judged.speakers, seed),
    }
