"""Whether generated faces go with the voices they were drawn from. `docs/evaluation.md` has the protocol.

The judge is a pair of speech and face encoder trained by matching from another seed, which generation never saw.
"""

from collections.abc import Callable

import numpy as np

from s2f_tf.evaluation import matching
from s2f_tf.evaluation.statistics import Figure, Resampling, figure

_MOST_SPEAKERS = 1000  # of whom all pairs are correlated


def judge(
    voices: np.ndarray,
    faces: np.ndarray,
    generated: np.ndarray,
    speakers: np.ndarray,
    seed: int = 0,
    *,
    asked: Callable[[int], None] = lambda count: None,
) -> dict[str, dict[str, Figure]]:
    """Matching of generated faces.

    Which of K generated faces was drawn from a voice (`voice_to_generated`), and which of K true faces is that of the
    speaker from whose voice a face was drawn (`generated_to_face`), each as `matching.score` returns it.

    Args:
        voices: float32 [N, E], the clips' voices, embedded by the judge, as are the others.
        faces: float32 [N, E], the clips' first faces.
        generated: float32 [N, E], one face drawn from each clip's voice.
        speakers: [N].
        seed: of the bootstrap.
        asked: is told how many more queries, of which each clip is two, are done.
    """
    return {
        "voice_to_generated": matching.score(matching.cosine(voices, generated), speakers, seed=seed, asked=asked),
        "generated_to_face": matching.score(matching.cosine(generated, faces), speakers, seed=seed, asked=asked),
    }


def correlation(voices: np.ndarray, faces: np.ndarray, speakers: np.ndarray, seed: int = 0) -> Figure:
    """Pearson's correlation, over pairs of speakers, of the cosine of their voices with the cosine of their faces.

    Args:
        voices: float32 [N, E], of unit length. Each speaker's first clip counts, and the first 1,000 speakers by name.
        faces: float32 [N, E], of unit length.
        speakers: [N].
        seed: of the bootstrap. Pairs of a speaker with itself, which a resample holds, are left out.
    """
    _, first = np.unique(speakers, return_index=True)
    first = first[:_MOST_SPEAKERS]
    weights = Resampling(speakers[first], seed).weights
    of_voices, of_faces = (np.asarray(x[first] @ x[first].T, np.float64) for x in (voices, faces))
    others = 1.0 - np.eye(len(first))

    def over_pairs(values: np.ndarray) -> np.ndarray:
        return ((weights @ (values * others)) * weights).sum(axis=1)

    pairs = over_pairs(np.ones_like(others))
    pairs[pairs == 0] = np.nan  # a resample of few speakers may hold but one
    mean_voice, mean_face = over_pairs(of_voices) / pairs, over_pairs(of_faces) / pairs
    covariance = over_pairs(of_voices * of_faces) / pairs - mean_voice * mean_face
    variances = (over_pairs(of_voices**2) / pairs - mean_voice**2) * (over_pairs(of_faces**2) / pairs - mean_face**2)
    # Equal cosines, as of faces that are all the same, are uncorrelated with anything.
    return figure(np.where(variances <= 1e-14, 0.0, covariance / np.sqrt(np.maximum(variances, 1e-14))), 0.0)
