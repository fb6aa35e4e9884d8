"""Voice, or hum, tone, noise and silence? Told by the pitch: simple, the same on every machine, without a model.

A moment is 40 ms long, and another begins every 10 ms. It is voiced where it repeats itself, 70 to 400 times a second,
with a correlation above 0.45, in the band from 80 to 2000 Hz: vowels do, also through a telephone and in noise as
loud as they are; noise, hiss, rumble and clatter do not. No threshold is in dBFS: what is more than 30 dB below the
loudest voiced moment does not count, and neither does what is all but wholly below the band.

A stretch is a run of voiced moments with pauses of less than 0.8 s between them, and 0.2 s on either side. It holds a
voice where at least a sixth of it is voiced, and what repeats itself gets louder and quieter there: a hum or a tone
does not. Music can pass, and so can bleeps: a song is a voice.
"""

import numpy as np

from s2f_tf.config import SAMPLE_RATE

HOP = SAMPLE_RATE // 100  # samples from one moment to the next
WINDOW = 4 * HOP
PAUSE = 80  # moments: a longer pause ends a stretch
MARGIN = 20  # moments

_LAGS = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 70)  # samples
_LOWEST, _HIGHEST = 80, 2000  # Hz, of the band
_STEP = SAMPLE_RATE / 1024  # Hz; its period is at least the window and the longest lag: no correlation runs into itself
_CORRELATION = 0.45
_IN_BAND = 10 ** (-45 / 20)  # the least level in the band, relative to that of all
_DEPTH = 10 ** (-30 / 20)  # the least level of a moment, relative to the loudest
_SHARE = 1 / 6
_LEAST = 10  # voiced moments
_SPREAD = 10 ** (3 / 20)  # the least ratio of levels, of the loudest tenth of a stretch to the quietest tenth
_BLOCK = 1000  # moments that are looked at together

_HANN = np.hanning(WINDOW)
_HERTZ = _STEP * np.arange(np.ceil(_LOWEST / _STEP), np.ceil(_HIGHEST / _STEP))
_WAVES = np.exp(-2j * np.pi / SAMPLE_RATE * np.outer(np.arange(WINDOW), _HERTZ)).astype(np.complex64)
_TO_SPECTRUM = np.concatenate([_WAVES.real, _WAVES.imag], axis=1)  # its real and its imaginary part
# What is below 500 Hz is made weaker: rumble is smooth, and so would be like what comes after it.
_WEIGHTS = 2 * _STEP / SAMPLE_RATE * np.minimum(_HERTZ / 500, 1) ** 2
_OF_WINDOW = np.array([_HANN[lag:] @ _HANN[: WINDOW - lag] for lag in (0, *_LAGS)])
_TO_CORRELATION = np.cos(2 * np.pi / SAMPLE_RATE * np.outer(_HERTZ, (0, *_LAGS))) * _WEIGHTS[:, None] / _OF_WINDOW
_TO_CORRELATION = _TO_CORRELATION.astype(np.float32)


def voiced(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which moments are voiced, bool [n], and how loud what repeats itself in them is, RMS in the band, float32 [n].

    Args:
        waveform: float [(n + 3) * HOP], of any n, 16 kHz.
    """
    windows = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW)[::HOP]
    blocks = [_voiced(windows[start : start + _BLOCK]) for start in range(0, len(windows), _BLOCK)]
    return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))


def near(voiced_: np.ndarray, level: np.ndarray, loudest: float) -> np.ndarray:
    """Which voiced moments are not far below the loudest one, bool [n].

    Args:
        voiced_: bool [n].
        level: float [n]; see `voiced`.
        loudest: the level of that one.
    """
    return voiced_ & (level > _DEPTH * loudest)


def holds_voice(voiced_: np.ndarray, level: np.ndarray) -> bool:
    """Whether somebody speaks in a stretch, margins and all, of which `voiced_`, bool [n], and `level`, float [n], are
    given: see `voiced`."""
    places = np.flatnonzero(voiced_)
    if len(places) < max(_LEAST, _SHARE * len(voiced_)):
        return False
    ordered = np.sort(level[places[0] : places[-1] + 1])
    return bool(ordered[9 * len(ordered) // 10] >= _SPREAD * ordered[len(ordered) // 10])


def voiced_seconds(waveform: np.ndarray) -> float:
    """How much voice a sound holds: seconds of voiced moments in stretches that hold a voice, 0 where there are none.

    It is the same at any level. Memory beside the sound's own is bounded.

    Args:
        waveform: float [S], 16 kHz.
    """
    moments = len(waveform) // HOP
    if not moments:
        return 0.0
    flags, level = voiced(np.append(waveform, np.zeros(WINDOW, waveform.dtype))[: (moments + 3) * HOP])
    flags = near(flags, level, level.max(initial=0.0, where=flags))
    places, count = np.flatnonzero(flags), 0
    for stretch in np.split(places, np.flatnonzero(np.diff(places) > PAUSE) + 1):
        if len(stretch):
            whole = slice(max(0, stretch[0] - MARGIN), stretch[-1] + MARGIN)
            count += len(stretch) * holds_voice(flags[whole], level[whole])
    return count * HOP / SAMPLE_RATE


def _voiced(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`voiced` of moments, float [n, WINDOW]."""
    windows = ((windows - windows.mean(axis=1, keepdims=True)) * _HANN).astype(np.float32)
    real, imaginary = np.split(windows @ _TO_SPECTRUM, 2, axis=1)
    correlation = (real**2 + imaginary**2) @ _TO_CORRELATION
    power, repeated = correlation[:, 0], correlation[:, 1:].max(axis=1)
    in_band = power > _IN_BAND**2 * np.sum(windows**2, axis=1) / _OF_WINDOW[0]
    return in_band & (repeated > _CORRELATION * power), np.sqrt(np.clip(repeated, 0, power))
