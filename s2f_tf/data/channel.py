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

NO_NOISE_DB = -120.0  # and below, `DataConfig.noise_db` is none
_DRAWS = 24  # of each voice
_NOISE_RANGE_DB = 40.0  # noise is drawn from so far below `DataConfig.noise_db` up to it
_NOISES = 2**14  # different ones, the same in every run
_CELL = 16  # frequencies that are copied at once
_BABBLE_DB = -6.0  # other voices beside noise: as loud as the voice itself, nobody could tell which is meant
_ROOMS = 32  # the same in every run; each voice is in one of them
_SHORTEST_ROOM = 0.1  # seconds until its sound has fallen by 60 dB
_MOST_WET = 1.2  # the sound of a room, beside what comes straight
_RAMP_SECONDS = 0.01  # at either end of a pause
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 8000.0  # edges of a band that cuts nothing off
_FALL_DB = 80.0  # an octave, beyond the edges of a band
_MU = 255.0  # ITU-T G.711
_STEPS = 127.0  # of a mu-law code, on either side of zero


def draws(seed: tf.Tensor) -> tf.Tensor:
    """Every random number that `augment` wants of one voice, float32 [D] in [0, 1).

    `seed` is int [2]; the same seed gives the same numbers.
    """
    return tf.random.stateless_uniform([_DRAWS], seed)


def augment(waveforms: tf.Tensor, draws: tf.Tensor, data: DataConfig) -> tf.Tensor:
    """The same voices as other rooms, microphones and lines bring them. What a setting turns off costs nothing.

    Each depends on its own draws alone, but for `babble`, which is what the voices before it in the batch say.

    Args:
        waveforms: float32 [B, S].
        draws: float32 [B, D], see `draws`.
        data: what there may be, from `gain_db` to `polarity`.

    Returns:
        float32 [B, S]. They may leave [-1, 1].
    """
    samples = waveforms.shape[1]
    drawn = iter(tf.unstack(draws[:, :, None], axis=1))

    def up_to(most: float) -> tf.Tensor:
        """Something that only a share of the voices meet, [B, 1]: to most of them, nothing."""
        return tf.where(next(drawn) < data.channel, most * next(drawn), 0.0)

    # All are taken, whatever is turned off, so that what is on stays as it is.
    pause, place = up_to(data.pause_seconds), next(drawn)
    fall, more, babbles, below = next(drawn), [next(drawn), next(drawn)], next(drawn), next(drawn)
    wet, room = up_to(_MOST_WET), next(drawn)
    low, high = up_to(1.0), up_to(1.0)
    tilt = (2.0 * next(drawn) - 1.0) * up_to(data.tilt_db)
    clipping, coded = up_to(data.clipping_db), next(drawn)
    gain, turned, white = next(drawn), next(drawn), next(drawn)

    power = tf.reduce_mean(tf.square(waveforms), axis=1, keepdims=True)
    if data.channel and data.pause_seconds:
        waveforms *= _pause(samples, pause, place)
    noisy = data.noise_db > NO_NOISE_DB
    if noisy or data.channel:
        spectrum = tf.signal.rfft(waveforms)
        octaves = np.log2(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE).clip(_LOWEST_HZ) / 1000).astype(np.float32)
        if noisy:
            loudness = _from_db(data.noise_db - _NOISE_RANGE_DB * below)
            noise = _noise(white, samples, -data.noise_fall_db * fall, octaves, tf.sqrt(power) * loudness)
            if data.babble:
                others = tf.where(babbles[:, 0] < data.babble)[:, 0]
                noise = _with_voices(noise, others, loudness, spectrum, power, [draw < 0.5 for draw in more])
        if data.channel and data.reverberation_seconds:
            rooms = _rooms(samples, data.reverberation_seconds)
            room = _rows(rooms.real, rooms.imag, tf.cast(_ROOMS * room[:, 0], tf.int32))
            spectrum += spectrum * room * _complex(wet)
        if noisy:
            spectrum += noise
        if data.channel:
            low = _octave(_LOWEST_HZ + low * (data.low_edge_hz - _LOWEST_HZ))
            high = _octave(_HIGHEST_HZ * (data.high_edge_hz / _HIGHEST_HZ) ** high)
            within = tf.minimum(tf.minimum(octaves - low, high - octaves), 0.0)
            spectrum *= _complex(_from_db(tilt * octaves + _FALL_DB * within))
        waveforms = tf.ensure_shape(tf.signal.irfft(spectrum, [samples]), [None, samples])

    gain = _from_db((2.0 * gain - 1.0) * data.gain_db)
    if data.polarity:
        gain = tf.where(turned < 0.5, gain, -gain)
    if data.channel and (data.clipping_db or data.mu_law):
        most = tf.reduce_max(tf.abs(waveforms), axis=1, keepdims=True) * _from_db(-clipping) + 1e-9
        waveforms = tf.clip_by_value(waveforms / most, -1.0, 1.0)
        if data.mu_law:
            waveforms = _coded(waveforms, tf.where(coded[:, 0] < data.channel / 2))
        gain *= most
    return gain * waveforms


def _pause(samples: int, seconds: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """[B, S]: 1, but 0 in a pause, which may begin before the beginning and end behind the end."""
    ramp = _RAMP_SECONDS * SAMPLE_RATE
    half = seconds * SAMPLE_RATE / 2
    middle = place * (samples + 2 * half) - half
    distance = tf.abs(np.arange(samples, dtype=np.float32) / ramp - middle / ramp)
    return tf.clip_by_value(distance + (1.0 - half / ramp), 0.0, 1.0)


def _noise(place: tf.Tensor, samples: int, slope: tf.Tensor, octaves: np.ndarray, loudness: tf.Tensor) -> tf.Tensor:
    """The spectra, [B, F], of noise of a `loudness`, [B, 1], which has a `slope` in dB an octave, [B, 1].

    `place`, [B, 1] in [0, 1), says from where in one long row of white noise each is cut.
    """
    amplitude = _from_db(slope * octaves)
    amplitude *= loudness * samples * tf.math.rsqrt(2.0 * tf.reduce_sum(tf.square(amplitude), axis=1, keepdims=True))
    cells = -(-len(octaves) // _CELL)
    real, imaginary = np.random.default_rng(0).standard_normal([2, _NOISES + cells, _CELL]) * 0.5**0.5
    white = _rows(real, imaginary, tf.cast(_NOISES * place, tf.int32) + tf.range(cells))
    return _complex(amplitude) * tf.reshape(white, [-1, cells * _CELL])[:, : len(octaves)]


def _with_voices(
    noise: tf.Tensor,
    rows: tf.Tensor,
    loudness: tf.Tensor,
    spectrum: tf.Tensor,
    power: tf.Tensor,
    more: list[tf.Tensor],
) -> tf.Tensor:
    """Noise, [B, F], whose `rows` are other voices of the batch instead, as loud as the voice itself times `loudness`.

    The one before, and where `more` says so, [B, 1] each, those before that.
    """
    level = _from_db(_BABBLE_DB) * tf.sqrt(power) * loudness
    total = 0.0
    for by, there in enumerate([tf.ones_like(more[0]), *more], 1):
        other = (rows - by) % tf.shape(spectrum, tf.int64)[0]
        share = tf.gather(level * tf.cast(there, tf.float32), rows) / (tf.sqrt(tf.gather(power, other)) + 1e-6)
        total += _complex(share) * tf.gather(spectrum, other)
    return tf.tensor_scatter_nd_update(noise, rows[:, None], total)


def _rooms(samples: int, longest: float) -> np.ndarray:
    """The spectra, complex128 [rooms, F], of noise that dies away, of energy one, in rooms from small to large."""
    seconds = np.geomspace(_SHORTEST_ROOM, longest, _ROOMS)[:, None]
    decay = 10 ** (-3 * np.arange(samples) / SAMPLE_RATE / seconds)
    response = decay * np.random.default_rng(0).standard_normal(decay.shape)
    return np.fft.rfft(response / np.linalg.norm(response, axis=1, keepdims=True))


def _rows(real: np.ndarray, imaginary: np.ndarray, rows: tf.Tensor) -> tf.Tensor:
    """Rows of a table, complex64. As two of floats, since complex constants come into a graph number by number."""
    return tf.complex(*(tf.gather(part.astype(np.float32), rows) for part in (real, imaginary)))


def _coded(waveforms: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Waveforms in [-1, 1], some of them, int64 [R, 1], as eight bits of mu-law bring them."""
    x = tf.gather_nd(waveforms, rows)
    # Steps are coarse, so log1p and expm1, which take longer, are no better.
    code = tf.round(tf.math.log(1.0 + _MU * tf.abs(x)) * (_STEPS / math.log1p(_MU)))
    decoded = tf.sign(x) * (tf.exp(code * (math.log1p(_MU) / _STEPS)) - 1.0) / _MU
    return tf.tensor_scatter_nd_update(waveforms, rows, decoded)


def _octave(hertz: tf.Tensor) -> tf.Tensor:
    """Octaves above 1000 Hz."""
    return tf.math.log(hertz / 1000) / math.log(2)


def _from_db(level: tf.Tensor | float) -> tf.Tensor:
    return tf.exp(level * (math.log(10) / 20))


def _complex(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.complex64)
