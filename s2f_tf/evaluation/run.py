"""A trained run as evaluation asks it, and a split as it sees it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from s2f_tf import config as configuration
from s2f_tf.data import reader
from s2f_tf.evaluation.disentanglement import FactorReader
from s2f_tf.latent import z_from_seed
from s2f_tf.models import trained
from s2f_tf.progress import Progress

_BATCH = 64


class Run:
    """The networks of a trained run. Raises `WeightsError` and `ConfigError` where it is not whole.

    Attributes:
        workdir: where it is.
        config: its settings.
        generator: its G.
        speech_encoder: its S, as a network.
        hear: S as a function, float32 [B, S] to embeddings float32 [B, E] of unit length.
        see: F, faces float32 [B, H, W, 3] in [-1, 1] to embeddings of unit length.
        judge_hear: the judge's S.
    """

    def __init__(self, workdir: str) -> None:
        self.workdir = workdir
        self.config = configuration.load(workdir)
        networks = {name: trained.load_network(name, workdir) for name in trained.NETWORKS}
        self.generator, self.speech_encoder = networks["generator"], networks["speech_encoder"]
        size, judge = self.config.data.face_size, networks["judge_face_encoder"]
        self.hear, self.judge_hear = (
            graph(networks[name], [None]) for name in ("speech_encoder", "judge_speech_encoder")
        )
        self.see, self._features = (
            graph(network, [size, size, 3]) for network in (networks["face_encoder"], judge.body)
        )
        self._embed_features = graph(judge.embed_features, [judge.body.units])
        # As a graph: eagerly each seed takes milliseconds.
        self._z = tf.function(
            functools.partial(z_from_seed, size=self.generator.z_size),
            input_signature=[tf.TensorSpec([None], tf.int64)],
            autograph=False,
        )
        self._draw = graph(self.generator, [self.generator.z_size], [self.config.embedding_size])

    def z(self, seeds: np.ndarray) -> np.ndarray:
        """z of each seed, [B] to float32 [B, Z]."""
        return self._z(tf.constant(seeds, tf.int64)).numpy()

    def draw(self, z: np.ndarray, voices: np.ndarray) -> np.ndarray:
        """Faces, float32 [B, H, W, 3] in [-1, 1], from z [B, Z] and embedded voices [B, E], some at a time."""
        parts = (slice(start, start + _BATCH) for start in range(0, len(z), _BATCH))
        return np.concatenate([self._draw(z[rows], voices[rows]) for rows in parts])

    def judge_see(self, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The judge's embeddings [B, E] and features h(y) [B, D] of faces."""
        features = self._features(faces)
        return self._embed_features(features), features


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A split, clip by clip, as the networks see it.

    Attributes:
        ids: [N], the clips' names.
        speakers: [N].
        voices: float32 [N, E], whole utterances by S, of unit length.
        faces: float32 [N, E], first faces by F, of unit length.
        judge_voices: float32 [N, E], whole utterances by the judge.
        judge_faces: float32 [N, E], first faces by the judge.
        judge_features: float32 [N, D], h(y) of first faces by the judge.
        factors: true factors by name, float [N] each; empty unless the corpus is synthetic.
        readings: float64 [N, F], factors read from first faces; F is 0 without a reader.
        first: float32 [n, H, W, 3], the first faces of the first n clips.
    """

    ids: np.ndarray
    speakers: np.ndarray
    voices: np.ndarray
    faces: np.ndarray
    judge_voices: np.ndarray
    judge_faces: np.ndarray
    judge_features: np.ndarray
    factors: Mapping[str, np.ndarray]
    readings: np.ndarray
    first: np.ndarray


def embed(run: Run, corpus: reader.Corpus, split: str, factor_reader: FactorReader | None, keep: int) -> Embedded:
    """Reads a split once, clip by clip, keeps no more than `keep` faces, and shows how far it is.

    Raises `CorpusError` where no clip can be read.
    """
    columns: dict[str, list] = {field.name: [] for field in dataclasses.fields(Embedded) if field.name != "first"}
    first: list[np.ndarray] = []
    with Progress(len(corpus.split(split)), "clip", stage="hearing and seeing") as progress:
        for clip in reader.clips(corpus, split, run.config.data.face_size):
            waveform, face = clip.waveform[None], clip.faces[:1]
            judge_face, judge_features = run.judge_see(face)
            row = {
                "ids": clip.id,
                "speakers": clip.speaker,
                "voices": run.hear(waveform)[0],
                "faces": run.see(face)[0],
                "judge_voices": run.judge_hear(waveform)[0],
                "judge_faces": judge_face[0],
                "judge_features": judge_features[0],
                "factors": clip.factors,
                "readings": np.zeros(0) if factor_reader is None else factor_reader.read(face)[0],
            }
            first += [face[0]] if len(first) < keep else []
            for name, value in row.items():
                columns[name].append(value)
            progress.add()
    factors = columns.pop("factors")
    shared = sorted(set.intersection(*map(set, factors)))
    arrays = {name: np.array(values) for name, values in columns.items()}
    by_name = {name: np.array([of_clip[name] for of_clip in factors]) for name in shared}
    return Embedded(**arrays, factors=by_name, first=np.stack(first))


def graph(function: Callable, *shapes: Sequence[int | None]) -> Callable[..., np.ndarray]:
    """A network as one graph, which is many times quicker for a single clip than layer by layer.

    `shapes` are those of its float32 inputs, without the batch. They are given, or clips of many lengths would make
    many graphs.
    """
    signature = [tf.TensorSpec([None, *shape], tf.float32) for shape in shapes]
    compiled = tf.function(functools.partial(function, training=False), input_signature=signature, autograph=False)
    return lambda *inputs: compiled(*map(tf.constant, inputs)).numpy()
