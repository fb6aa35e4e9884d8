"""Where in a sound somebody speaks: its stretches that hold a voice, by the rule of `s2f_tf.data.voice`.

What is far below the loudest voice so far does not count; what came before it was louder than anything then. An
utterance that grows longer than allowed is cut where its second half is quietest.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data.audio import SILENCE
from s2f_tf.data.voice import HOP, MARGIN, PAUSE, WINDOW, holds_voice, near, voiced

from .reasons import Reason

_BLOCK = 100  # moments that are looked at together


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
        self._loudest = 0.0  # level of a voiced moment so far
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
        self._silent = self._silent and float(np.abs(piece).max()) < SILENCE
        self._coming.append(piece)
        self._count += len(piece)
        wanted = _BLOCK * HOP + WINDOW - HOP
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
            self._waveform = np.concatenate([self._waveform, np.zeros(WINDOW, np.float32)])
            yield from self._look(moments)
        if self._last is not None:
            yield from self._cut(min(self._last + MARGIN, len(self._voiced)), rest=False)

    def _look(self, moments: int) -> Iterator[Utterance]:
        """Looks at so many moments more."""
        begin = len(self._voiced) * HOP
        flags, level = voiced(self._waveform[begin : begin + moments * HOP + WINDOW - HOP])
        self._loudest = level.max(initial=self._loudest, where=flags)
        flags = near(flags, level, self._loudest)
        for is_voiced, loudness in zip(flags.tolist(), level.tolist(), strict=True):
            self._voiced.append(is_voiced)
            self._level.append(loudness)
            now = len(self._voiced) - 1
            if is_voiced:
                if self._last is None:
                    self._first = max(0, now - MARGIN)
                self._last = now
            if self._last is not None and now - self._last >= PAUSE:
                yield from self._cut(self._last + MARGIN, rest=False)
            elif self._last is not None and now - self._first >= self._most:
                half = self._first + self._most // 2
                yield from self._cut(half + int(np.argmin(self._level[half:now])), rest=True)
        if self._last is None:
            self._forget(max(0, len(self._voiced) - MARGIN))

    def _cut(self, stop: int, rest: bool) -> Iterator[Utterance]:
        """Ends the utterance before moment `stop`; the `rest` behind it may begin another."""
        first = self._first
        flags, level = np.array(self._voiced[first:stop]), np.array(self._level[first:stop])
        start, seconds = self._time + first / 100, (stop - first) / 100
        if stop - first < self._least:
            self.unusable.append(Unusable(Reason.TOO_SHORT, start, seconds))
        elif self._silent:
            self.unusable.append(Unusable(Reason.SILENT, start, seconds))
        elif not holds_voice(flags, level):
            self.unusable.append(Unusable(Reason.NO_VOICE, start, seconds))
        else:
            yield Utterance(start, self._waveform[first * HOP : stop * HOP].copy())
        self._forget(stop)
        later = np.flatnonzero(self._voiced) if rest else ()
        self._last = int(later[-1]) if len(later) else None
        self._first = max(0, int(later[0]) - MARGIN) if len(later) else 0

    def _forget(self, moments: int) -> None:
        self._waveform = self._waveform[moments * HOP :]
        del self._voiced[:moments], self._level[:moments]
        self._time += moments / 100
        self._first -= moments
