"""Where in a sound somebody speaks, told by the pitch: simple, the same on every machine, and without a model to fetch.

Every 10 ms are looked at within 40 ms. They are voiced where they are louder than -50 dB of full scale and repeat
themselves, between 70 and 400 times a second, with a correlation above one half, from 80 to 2000 Hz: vowels do, at any
level of noise that leaves them to be heard; noise, hiss, rumble and clatter do not. An utterance is a run of voiced
moments with pauses of less than 0.8 s between them, and 0.2 s on either side. It holds a voice where at least a sixth
of it is voiced, and those moments are not all equally loud, as a hum or a whistle would be. Music can pass: a song is a
voice.

An utterance that grows longer than allowed is cut where its second half is quietest.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from s2f_tf.config import SAMPLE_RATE

from .reasons import Reason

HOP = SAMPLE_RATE // 100  # samples from one moment to the next

_WINDOW = 4 * HOP
_FFT = 2048  # at least twice the window, or the correlation would run into itself
_LAGS = slice(SAMPLE_RATE // 400, SAMPLE_RATE // 70)
_CORRELATION = 0.5
_LEVEL = 10 ** (-50 / 20)  # RMS
_SILENCE = 1e-3  # a sound that never gets louder than this share of full scale (-60 dB) holds nothing
_BLOCK = 100  # moments that are looked at together
_PAUSE = 80  # moments: a longer pause ends an utterance
_MARGIN = 20
_SHARE = 1 / 6
_LEAST_SPREAD = 1.5  # dB, between the loudness of voiced moments

# From 80 to 2000 Hz, with what is below 500 Hz made weaker: rumble is smooth, and so would be like what comes after it.
_HERTZ = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
_WEIGHTS = np.where((_HERTZ >= 80) & (_HERTZ < 2000), np.minimum(_HERTZ / 500, 1) ** 2, 0)
_HANN = np.hanning(_WINDOW).astype(np.float32)
_OF_WINDOW = np.fft.irfft(np.abs(np.fft.rfft(_HANN, _FFT)) ** 2)[: _LAGS.stop]
_OF_WINDOW /= _OF_WINDOW[0]


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A stretch in which somebody speaks.

    Attributes:
        start: its presentation time, in seconds.
        waveform: float32 [S], mono, 16 kHz.
    """

    start: float
    waveform: np.ndarray

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.waveform) / SAMPLE_RATE


@dataclasses.dataclass(frozen=True)
class Unusable:
    """A stretch of sound that gives no utterance: why, its presentation time, and how long it is."""

    reason: Reason
    start: float
    seconds: float


def voiced(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which moments are voiced, bool [n], and how loud they are, RMS, float32 [n].

    Args:
        waveform: float32 [(n + 3) * HOP], of any n.
    """
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _WINDOW)[::HOP]
    frames = (frames - frames.mean(axis=1, keepdims=True)).astype(np.float32)
    level = np.sqrt(np.mean(frames**2, axis=1))
    power = np.abs(np.fft.rfft(frames * _HANN, _FFT)) ** 2 * _WEIGHTS
    correlation = np.fft.irfft(power)[:, : _LAGS.stop]
    periodic = correlation[:, _LAGS] / (np.maximum(correlation[:, :1], 1e-12) * _OF_WINDOW[_LAGS])
    return (level > _LEVEL) & (periodic.max(axis=1) > _CORRELATION), level


class Listener:
    """Cuts a sound into utterances while it comes in, in memory that does not grow with its length.

    Attributes:
        heard: seconds of sound that came in.
        unusable: utterances that hold no voice or are too short.
    """

    def __init__(self, min_seconds: float, max_seconds: float) -> None:
        self.heard = 0.0
        self.unusable: list[Unusable] = []
        self._silent = True
        self._least, self._most = round(min_seconds * 100), round(max_seconds * 100)
        self._begin(0.0)

    @property
    def verdict(self) -> Reason:
        """Why a sound in which no utterance began has none."""
        return Reason.NO_SOUND if not self.heard else Reason.SILENT if self._silent else Reason.NO_VOICE

    def utterances(
        self, pieces: Iterable[tuple[float, np.ndarray]], start: float | None = None, stop: float | None = None
    ) -> Iterator[Utterance]:
        """The utterances in a sound, between `start` and `stop` seconds. See `sound.pieces` for what comes in."""
        expected = None
        for time, piece in pieces:
            if start is not None and time < start:
                skipped = min(len(piece), round((start - time) * SAMPLE_RATE))
                time, piece = time + skipped / SAMPLE_RATE, piece[skipped:]
            if stop is not None:
                piece = piece[: max(0, round((stop - time) * SAMPLE_RATE))]
            if not len(piece):
                continue
            if expected is None or abs(time - expected) > 1e-3:
                yield from self._end()
                self._begin(time)
            expected = time + len(piece) / SAMPLE_RATE
            yield from self._hear(piece)
        yield from self._end()

    def _begin(self, time: float) -> None:
        self._time = time  # of the first sample that is kept
        self._waveform = np.zeros(0, np.float32)  # what is kept
        self._coming: list[np.ndarray] = []  # and what comes behind it
        self._count = 0  # samples in `_coming`
        self._voiced: list[bool] = []  # of each moment kept that has been looked at
        self._level: list[float] = []
        self._last: int | None = None  # voiced moment of the utterance that has begun
        self._first = 0  # moment of it

    def _hear(self, piece: np.ndarray) -> Iterator[Utterance]:
        self.heard += len(piece) / SAMPLE_RATE
        self._silent = self._silent and float(np.abs(piece).max()) < _SILENCE
        self._coming.append(piece)
        self._count += len(piece)
        wanted = _BLOCK * HOP + _WINDOW - HOP
        while self._count + len(self._waveform) - len(self._voiced) * HOP >= wanted:
            self._waveform = np.concatenate([self._waveform, *self._coming])
            self._coming, self._count = [], 0
            yield from self._look(_BLOCK)

    def _end(self) -> Iterator[Utterance]:
        """What is left when no more comes."""
        self._waveform = np.concatenate([self._waveform, *self._coming])
        self._coming, self._count = [], 0
        length = len(self._waveform)
        moments = length // HOP - len(self._voiced)
        if moments > 0:
            self._waveform = np.concatenate([self._waveform, np.zeros(_WINDOW, np.float32)])
            yield from self._look(moments)
        if self._last is not None:
            yield from self._cut(min(self._last + _MARGIN, len(self._voiced)), rest=False)

    def _look(self, moments: int) -> Iterator[Utterance]:
        """Looks at so many moments more."""
        begin = len(self._voiced) * HOP
        voiced_, level = voiced(self._waveform[begin : begin + moments * HOP + _WINDOW - HOP])
        for is_voiced, loudness in zip(voiced_.tolist(), level.tolist(), strict=True):
            self._voiced.append(is_voiced)
            self._level.append(loudness)
            now = len(self._voiced) - 1
            if is_voiced:
                if self._last is None:
                    self._first = max(0, now - _MARGIN)
                self._last = now
            if self._last is not None and now - self._last >= _PAUSE:
                yield from self._cut(self._last + _MARGIN, rest=False)
            elif self._last is not None and now - self._first >= self._most:
                half = self._first + self._most // 2
                yield from self._cut(half + int(np.argmin(self._level[half:now])), rest=True)
        if self._last is None:
            self._forget(max(0, len(self._voiced) - _MARGIN))

    def _cut(self, stop: int, rest: bool) -> Iterator[Utterance]:
        """Ends the utterance before moment `stop`; the `rest` behind it may begin another."""
        first = self._first
        flags, level = np.array(self._voiced[first:stop]), np.array(self._level[first:stop])
        start, seconds = self._time + first / 100, (stop - first) / 100
        loudness = 20 * np.log10(level[flags] + 1e-9)
        if stop - first < self._least:
            self.unusable.append(Unusable(Reason.TOO_SHORT, start, seconds))
        elif flags.mean() < _SHARE or loudness.std() < _LEAST_SPREAD:
            self.unusable.append(Unusable(Reason.NO_VOICE, start, seconds))
        else:
            yield Utterance(start, self._waveform[first * HOP : stop * HOP].copy())
        self._forget(stop)
        later = np.flatnonzero(self._voiced) if rest else ()
        self._last = int(later[-1]) if len(later) else None
        self._first = max(0, int(later[0]) - _MARGIN) if len(later) else 0

    def _forget(self, moments: int) -> None:
        self._waveform = self._waveform[moments * HOP :]
        del self._voiced[:moments], self._level[:moments]
        self._time += moments / 100
        self._first -= moments
