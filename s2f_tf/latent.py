"""What a face is drawn from: c of a voice in pieces, and z from a seed, the same on every runtime, to the bit."""

import dataclasses
import functools
import statistics
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

_LEVELS = 4096


@dataclasses.dataclass(frozen=True)
class EmbeddingSoFar:
    """The embedding of a voice of which more and more pieces are heard, each once, in memory that does not grow.

    Attributes:
        embedding: float32 [E], of unit length; None before the first piece.
    """

    embedding: np.ndarray | None = None
    _sum: np.ndarray | float = 0.0

    def add(self, embedding: np.ndarray, weight: float) -> "EmbeddingSoFar":
        """With one piece more. The embedding of the first is left as it is, to the bit.

        Args:
            embedding: of the piece, float32 [E], of unit length.
            weight: how much it counts, above 0; see `audio.encode_voice`.
        """
        weighed = self._sum + np.float64(weight) * embedding
        if self.embedding is None:
            return EmbeddingSoFar(embedding, weighed)
        return EmbeddingSoFar((weighed / np.linalg.norm(weighed)).astype(np.float32), weighed)


def mean_embedding(pieces: Iterable[tuple[np.ndarray, float]]) -> np.ndarray:
    """The embedding of a voice, float32 [E], of unit length, from those of its pieces, of which there is at least one,
    and their weights: see `EmbeddingSoFar`."""
    so_far = EmbeddingSoFar()
    for embedding, weight in pieces:
        so_far = so_far.add(embedding, weight)
    return so_far.embedding


@functools.cache
def normal_quantiles() -> np.ndarray:
    """The 4096 equally likely values that an entry of z takes: N(0, 1) cut into 4096 equal shares. float32 [4096]."""
    normal = statistics.NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS)], np.float32)


def z_from_seed(seeds: tf.Tensor, size: int) -> tf.Tensor:
    """z for each seed, from N(0, I), whatever the others in the batch.

    Drawn as Philox integers that index a table, so that no runtime's logarithm or sine can change a face.

    Args:
        seeds: int64 [B], a tensor or an array.
        size: Z.

    Returns:
        float32 [B, Z].
    """

    def draw(seed: tf.Tensor) -> tf.Tensor:
        bits = tf.random.stateless_uniform(
            [size], tf.stack([seed, tf.zeros_like(seed)]), minval=None, maxval=None, dtype=tf.uint32, alg="philox"
        )
        return tf.cast(bits // tf.constant(2**32 // _LEVELS, tf.uint32), tf.int32)

    return tf.gather(normal_quantiles(), tf.map_fn(draw, seeds, fn_output_signature=tf.TensorSpec([size], tf.int32)))


def slerp(start: np.ndarray, end: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points on the great circle between two vectors, whose lengths go over into each other evenly.

    Args:
        start: float [E].
        end: float [E].
        shares: float [N], of the way from start to end.

    Returns:
        float32 [N, E].
    """
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    one, other = start / lengths[0], end / lengths[1]
    angle = np.arccos(np.clip(one @ other, -1.0, 1.0))
    if angle < 1e-6:
        weights = 1 - shares, shares
    else:
        weights = np.sin((1 - shares) * angle) / np.sin(angle), np.sin(shares * angle) / np.sin(angle)
    directions = np.outer(weights[0], one) + np.outer(weights[1], other)
    return (directions * np.outer((1 - shares) * lengths[0] + shares * lengths[1], np.ones(len(start)))).astype(
        np.float32
    )
