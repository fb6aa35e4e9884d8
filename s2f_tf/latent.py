"""What a face is drawn from: c of a voice in pieces, and z from a seed, the same on every runtime, to the bit."""

import functools
import statistics
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

_LEVELS = 4096


def mean_embedding(pieces: Iterable[tuple[np.ndarray, float]]) -> np.ndarray:
    """The embedding of a voice, float32 [E], of unit length, from those of its pieces, float32 [E] each, and weights.

    See `audio.encode_voice`. That of one piece is left as it is, to the bit.
    """
    embeddings, weights = zip(*pieces, strict=True)
    if len(embeddings) == 1:
        return embeddings[0]
    mean = np.average(embeddings, axis=0, weights=weights)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


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
