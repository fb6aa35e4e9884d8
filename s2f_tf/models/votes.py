"""How much each moment of a waveform counts: silence has no vote."""

import math

import keras
from keras import ops

NOTHING = 1e-12  # power, far below the least step of 16 bits
_NO_VOTE_DB, _WHOLE_VOTE_DB = -35.0, -25.0  # below the loudest moment


def by_power(power: keras.KerasTensor, moment: int) -> keras.KerasTensor:
    """How much each frame counts, [B, frames, 1] in [0, 1], by its power alone, [B, frames, 1].

    A tenth of a second, which is `moment` frames, is heard as one, so that weak consonants beside a vowel count, and a
    click is not the loudest; but what is silent itself does not count beside anything.
    """
    loudness = ops.minimum(ops.average_pool(power, moment, 1, padding="same"), moment * power)
    ratio = loudness / (ops.max(loudness, axis=1, keepdims=True) + NOTHING)
    level = 10 / math.log(10) * ops.log(ratio + NOTHING)
    return ops.clip((level - _NO_VOTE_DB) / (_WHOLE_VOTE_DB - _NO_VOTE_DB), 0.0, 1.0)


def mean(weight: keras.KerasTensor, x: keras.KerasTensor) -> keras.KerasTensor:
    """The weighted mean over time, [B, 1, C], of [B, T, C]; nothing where all weights, [B, T, 1], are nothing."""
    return ops.sum(weight * x, axis=1, keepdims=True) / (ops.sum(weight, axis=1, keepdims=True) + 1e-6)
