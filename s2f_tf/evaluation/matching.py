"""How well voices and faces of held-out speakers are matched.

The protocol. Every clip of the split is a query once in each direction: its whole utterance against faces, and its
first face against utterances. Negatives are clips of other speakers; a speaker's other clips are left out. K-way
accuracy is the probability that the own partner scores highest among K - 1 negatives drawn at random without
replacement: it follows exactly from how many of all negatives score higher, so nothing is drawn. Ties count as broken
at random. Intervals are the central 95 % of a bootstrap over speakers, since clips of one speaker are not independent.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from s2f_tf.config import Config
from s2f_tf.data import reader

WAYS = (2, 5, 10)
RANKS = (1, 5, 10)

_ROWS = 1024  # queries scored at a time, so that a large split needs no square matrix
_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A split, embedded.

    Attributes:
        voices: float32 [N, E] of unit length, of whole utterances.
        faces: float32 [N, E] of unit length, of each clip's first face.
        speakers: [N] names.
        factors: true factors by name, float [N] each; empty unless the corpus is synthetic.
    """

    voices: np.ndarray
    faces: np.ndarray
    speakers: np.ndarray
    factors: Mapping[str, np.ndarray]


def embed(
    speech_encoder: keras.Model, face_encoder: keras.Model, corpus: reader.Corpus, split: str, config: Config
) -> Embedded:
    """Embeds every clip of a split."""
    voices, faces, speakers, factors = [], [], [], []
    for clip in reader.clips(corpus, split, config.data.face_size):
        voices.append(speech_encoder(clip.waveform[None], training=False).numpy()[0])
        faces.append(face_encoder(clip.faces[:1], training=False).numpy()[0])
        speakers.append(clip.speaker)
        factors.append(clip.factors)
    shared = set.intersection(*(set(f) for f in factors))
    return Embedded(
        np.stack(voices),
        np.stack(faces),
        np.array(speakers),
        {name: np.array([f[name] for f in factors]) for name in sorted(shared)},
    )


def evaluate(queries: np.ndarray, gallery: np.ndarray, speakers: np.ndarray, seed: int = 0) -> dict[str, dict]:
    """Matching by cosine: query i belongs to gallery item i. See `score` for what comes out."""
    return score(lambda rows: queries[rows] @ gallery.T, speakers, seed)


def score(similarity: Callable[[slice], np.ndarray], speakers: np.ndarray, seed: int = 0) -> dict[str, dict]:
    """K-way accuracy and retrieval recall.

    Args:
        similarity: given a slice of queries, their similarities to the whole gallery, [rows, N].
        speakers: [N], of query and gallery item alike.
        seed: of the bootstrap.

    Returns:
        `accuracy_k2`, ..., `recall_at_1`, ...: each with `value`, `low`, `high` (a 95 % interval) and `chance`. What
        needs more negatives than a query has is left out.
    """
    above, tied, negatives = [], [], []
    for start in range(0, len(speakers), _ROWS):
        rows = slice(start, start + _ROWS)
        scores = similarity(rows)
        own = scores[np.arange(len(scores)), np.arange(start, start + len(scores))][:, None]
        other = speakers[rows, None] != speakers[None, :]
        above.append(((scores > own) & other).sum(axis=1))
        tied.append(((scores == own) & other).sum(axis=1))
        negatives.append(other.sum(axis=1))
    above, tied, negatives = (np.concatenate(x) for x in (above, tied, negatives))
    fewest = int(negatives.min())
    results = {}
    for ways in WAYS:
        if ways - 1 <= fewest:
            wins = np.array(
                [_win_probability(*query, ways) for query in zip(above, tied, negatives, strict=True)], np.float64
            )
            results[f"accuracy_k{ways}"] = interval(wins, speakers, seed) | {"chance": 1 / ways}
    for rank in RANKS:
        if rank <= fewest:
            found = np.clip((rank - above) / (tied + 1), 0.0, 1.0)
            chance = float(np.mean(rank / (negatives + 1)))
            results[f"recall_at_{rank}"] = interval(found, speakers, seed) | {"chance": chance}
    return results


def ceiling(embedded: Embedded, seed: int = 0) -> dict[str, dict] | None:
    """What the true factors allow: each utterance's own factors, matched with the speakers'. None unless synthetic.

    An utterance varies around its speaker, so even one who read every factor without error would mistake similar
    speakers.
    """
    names = [name for name in embedded.factors if f"voice/{name}" in embedded.factors]
    if not names:
        return None
    spoken = np.stack([embedded.factors[f"voice/{name}"] for name in names], axis=1)
    true = np.stack([embedded.factors[name] for name in names], axis=1)
    return score(lambda rows: -np.square(spoken[rows, None] - true[None]).sum(axis=-1), embedded.speakers, seed)


def interval(values: np.ndarray, speakers: np.ndarray, seed: int = 0) -> dict[str, float]:
    """The mean of [N] values, with the central 95 % of a bootstrap over speakers."""
    _, index = np.unique(speakers, return_inverse=True)
    sums, counts = np.bincount(index, weights=values), np.bincount(index)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(_RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def _win_probability(above: int, tied: int, negatives: int, ways: int) -> float:
    """That none of `ways - 1` negatives drawn from `negatives` beats the own partner, ties broken at random."""
    draws = math.comb(negatives, ways - 1)
    positions: Sequence[int] = range(above, above + tied + 1)
    return sum(math.comb(negatives - place, ways - 1) for place in positions) / (draws * len(positions))
