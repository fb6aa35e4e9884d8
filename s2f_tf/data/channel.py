"""What lies between a mouth and a file, drawn at random: pauses, rooms, noises, other voices, microphones and lines.

For a batch at a time: a hundred small operations for each clip would take longer than the work itself, and the other
voices of the batch are at hand. Rooms, noises and bands are products and sums of one spectrum, so that all of it takes
one transform there and one back. Sound is taken to go round: what a room adds to the beginning is of the end, as if the
talk had begun before.
"""

import math

import numpy as np
import tensorflow as tf

from s2f_tf.config import SAMPLE_RATE, DataConfig

_DRAWS = 24  # of each voice, beside those of its noise
_NOISE_RANGE_DB = 40.0  # noise is drawn from so far below `DataConfig.noise_db` up to it
_BABBLE_DB = -6.0  # other voices beside noise: as loud as the voice itself, nobody could tell which is meant
_ROOMS = 32  # the same in every run; each voice is in one of them
_SHORTEST_ROOM = 0.1  # seconds until its sound has fallen by 60 dB
_MOST_WET = 1.2  # the sound of a room, beside what comes straight
_RAMP_SECONDS = 0.01  # at either end of a pause
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 8000.0  # edges of a band that cuts nothing off
_FALL_DB = 80.0  # an octave, beyond the edges of a band
_MU = 255.0  # ITU-T G.711
_STEPS = 127.0  # of a mu-law code, on either side of zero


def draws(seed: tf.Tensor, samples: int) -> tf.Tensor:
    """Every random number that `augment` wants of one voice of so many samples, float32 [D] in [0, 1).

    `seed` is int [2]; the same seed gives the same numbers.
    """
    return tf.random.stateless_uniform([_DRAWS + 2 * (samples // 2 + 1)], seed)


def augment(waveforms: tf.Tensor, draws: tf.Tensor, data: DataConfig) -> tf.Tensor:
    """The same voices as other rooms, microphones and lines bring them.

    Each depends on its own draws alone, but for `babble`, which is what the voices before it in the batch say.

    Args:
        waveforms: float32 [B, S].
        draws: float32 [B, D], see `draws`.
        data: what there may be, from `gain_db` to `polarity`.

    Returns:
        float32 [B, S]. They may leave [-1, 1].
    """
    samples = waveforms.shape[1]
    single = iter(tf.unstack(draws[:, :_DRAWS, None], axis=1))

    def drawn() -> tf.Tensor:
        return next(single)

    def up_to(most: float) -> tf.Tensor:
        """Something that only a share of the voices meet, [B, 1]: to most of them, nothing."""
        return tf.where(drawn() < data.channel, most * drawn(), 0.0)

    power = tf.reduce_mean(tf.square(waveforms), axis=1, keepdims=True)
    waveforms *= _pause(samples, up_to(data.pause_seconds), drawn())
    spectrum = tf.signal.rfft(waveforms)
    octaves = np.log2(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE).clip(_LOWEST_HZ) / 1000).astype(np.float32)

    noise = _noise(2.0 * draws[:, _DRAWS:] - 1.0, samples, -data.noise_fall_db * drawn() * octaves)
    others = _others(spectrum / _complex(tf.sqrt(power) + 1e-6), [drawn() < 0.5 for _ in range(2)])
    noise = tf.where(drawn() < data.babble, others, noise)
    noise *= _complex(tf.sqrt(power) * _from_db(data.noise_db - _NOISE_RANGE_DB * drawn()))
    wet, room = up_to(_MOST_WET), tf.cast(_ROOMS * drawn()[:, 0], tf.int32)
    if data.reverberation_seconds:
        spectrum *= 1.0 + _complex(wet) * tf.gather(_rooms(samples, data.reverberation_seconds), room)
    spectrum += noise

    low = _LOWEST_HZ + up_to(1.0) * (data.low_edge_hz - _LOWEST_HZ)
    high = _HIGHEST_HZ * (data.high_edge_hz / _HIGHEST_HZ) ** up_to(1.0)
    beyond = tf.nn.relu(_octave(low) - octaves) + tf.nn.relu(octaves - _octave(high))
    slope = (2.0 * drawn() - 1.0) * up_to(data.tilt_db)
    spectrum *= _complex(_from_db(slope * octaves - _FALL_DB * beyond))
    waveforms = tf.ensure_shape(tf.signal.irfft(spectrum, [samples]), [None, samples])

    loudest = tf.reduce_max(tf.abs(waveforms), axis=1, keepdims=True)
    most = loudest * _from_db(-up_to(data.clipping_db))
    waveforms = tf.clip_by_value(waveforms, -most, most)
    if data.mu_law:
        waveforms = _coded(waveforms, drawn()[:, 0] < data.channel / 2, most)
    gain = _from_db((2.0 * drawn() - 1.0) * data.gain_db)
    if data.polarity:
        gain = tf.where(drawn() < 0.5, gain, -gain)
    return gain * waveforms


def _pause(samples: int, seconds: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """[B, S]: 1, but 0 in a pause, which may begin before the beginning and end behind the end."""
    length = seconds * SAMPLE_RATE
    start = place * (samples + length) - length
    middle = start + length / 2
    inside = length / 2 - tf.abs(tf.range(float(samples)) - middle)
    return 1.0 - tf.clip_by_value(inside / (_RAMP_SECONDS * SAMPLE_RATE), 0.0, 1.0)


def _noise(draws: tf.Tensor, samples: int, level: tf.Tensor) -> tf.Tensor:
    """The spectra, [B, F], of noise of power one, whose `level` in dB at each frequency is [B, F].

    `draws` are uniform in [-1, 1), [B, 2 F]: normal ones would be twice as dear, and a sum of thousands is normal.
    """
    amplitude = _from_db(level)
    total = tf.reduce_sum(tf.square(amplitude), axis=1, keepdims=True)
    amplitude *= samples * tf.math.rsqrt(total * 4 / 3)
    real, imaginary = tf.split(draws, 2, axis=1)
    return tf.complex(amplitude * real, amplitude * imaginary)


def _others(spectrum: tf.Tensor, more: list[tf.Tensor]) -> tf.Tensor:
    """The spectra, [B, F], of one to three other voices of the batch; `more` says whether a second and a third."""
    babble = tf.roll(spectrum, 1, axis=0)
    for by, there in enumerate(more, 2):
        babble += _complex(tf.cast(there, tf.float32)) * tf.roll(spectrum, by, axis=0)
    return _complex(_from_db(_BABBLE_DB)) * babble


def _rooms(samples: int, longest: float) -> np.ndarray:
    """The spectra, complex64 [rooms, F], of noise that dies away, of energy one, in rooms from small to large."""
    seconds = np.geomspace(_SHORTEST_ROOM, longest, _ROOMS)[:, None]
    decay = 10 ** (-3 * np.arange(samples) / SAMPLE_RATE / seconds)
    response = decay * np.random.default_rng(0).standard_normal(decay.shape)
    return np.fft.rfft(response / np.linalg.norm(response, axis=1, keepdims=True)).astype(np.complex64)


def _coded(waveforms: tf.Tensor, which: tf.Tensor, full_scale: tf.Tensor) -> tf.Tensor:
    """Some of the waveforms as eight bits of mu-law bring them."""
    chosen = tf.where(which)
    most = tf.gather_nd(full_scale, chosen) + 1e-9
    x = tf.gather_nd(waveforms, chosen) / most
    code = tf.round(tf.math.log1p(_MU * tf.abs(x)) * (_STEPS / math.log1p(_MU)))
    decoded = tf.sign(x) * tf.math.expm1(code * (math.log1p(_MU) / _STEPS)) / _MU
    return tf.tensor_scatter_nd_update(waveforms, chosen, most * decoded)


def _octave(hertz: tf.Tensor) -> tf.Tensor:
    """Octaves above 1000 Hz."""
    return tf.math.log(hertz / 1000) / math.log(2)


def _from_db(level: tf.Tensor | float) -> tf.Tensor:
    return tf.exp(level * (math.log(10) / 20))


def _complex(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.complex64)
