"""The sound of a video, in order and in pieces, on the clock of its pictures."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

import av
import numpy as np

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio

_JITTER = 0.04  # seconds by which stamps may be off: containers round them, some to 1/25 s
_LONGEST_FILLED = 1.0  # seconds of lost packets that silence stands in for
_STRETCH = 10 * SAMPLE_RATE  # samples that are mixed to mono alike
_FADE = SAMPLE_RATE // 50  # samples in which one mix goes over into the next
_RUN_UP = 1.0  # seconds that are decoded before what is wanted, since codecs lean on what came before


@dataclasses.dataclass(frozen=True)
class Track:
    """A sound track of a file: its number among all streams, and the presentation time at which it begins."""

    index: int
    start: float


def tracks(path: str) -> list[Track]:
    """The sound tracks of a file: first those that it marks as default, else in their order.

    Raises `FFmpegError` or `OSError` where the file cannot be opened.
    """
    default = av.stream.Disposition.default
    with _opened(path) as container:
        ordered = sorted(container.streams.audio, key=lambda stream: (not stream.disposition & default, stream.index))
        return [Track(stream.index, float((stream.start_time or 0) * stream.time_base)) for stream in ordered]


def pieces(
    path: str, track: Track, start: float | None = None, stop: float | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """The sound of a track between two presentation times in seconds; without them, all of it.

    Channels are mixed by `audio.channel_weights`, ten seconds at a time. A hole that lost packets leave is filled with
    silence, up to a second; behind a longer one the sound goes on at its later time. The first and last piece may reach
    beyond `start` and `stop`.

    Yields:
        The presentation time of the first sample, and float32 [n], mono, 16 kHz, some seconds of it.
    """
    with _opened(path) as container:
        if start is not None and start > _RUN_UP:
            with contextlib.suppress(av.error.FFmpegError):  # then all that is before is decoded
                container.seek(int((start - _RUN_UP) * av.time_base), backward=True)
        yield from _between(_frames(container, container.streams[track.index]), start, stop)


def _opened(path: str) -> av.container.InputContainer:
    # FFmpeg would take a path with a colon for an address.
    return av.open(f"file:{path}", metadata_errors="ignore")


def _between(
    frames: Iterable[av.AudioFrame], start: float | None, stop: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    run = None
    for frame in frames:
        time = run.clock if frame.pts is None and run else frame.time or 0.0
        if stop is not None and time >= stop:
            break
        if start is not None and time < start - _RUN_UP:
            continue
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if run and time < run.clock - _JITTER:
            continue  # heard already
        if run and (kind != run.kind or time > run.clock + _JITTER):
            yield from run.feed(None)
            if time - run.end <= _LONGEST_FILLED:
                yield run.end, np.zeros(max(0, round((time - run.end) * SAMPLE_RATE)), np.float32)
            run = None
        run = run or _Run(time, kind)
        yield from run.feed(frame)
    if run:
        yield from run.feed(None)


class _Run:
    """Sound without a hole, being resampled.

    Attributes:
        kind: format, layout and rate of its frames.
        clock: the time at which what was fed ends.
        end: the time at which what was got ends; some seconds earlier, until `feed(None)`.
    """

    def __init__(self, start: float, kind: tuple[str, str, int]) -> None:
        self.kind = kind
        self.clock = start
        self._start, self._samples = start, 0
        # Packed samples: PyAV's arrays of planar ones crash beyond seven channels.
        self._resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
        self._waiting: list[np.ndarray] = []  # channels, float32 [n, C], that are not mixed yet
        self._count = 0  # of their samples
        self._weights: np.ndarray | None = None  # of the stretch before

    @property
    def end(self) -> float:
        return self._start + self._samples / SAMPLE_RATE

    def feed(self, frame: av.AudioFrame | None) -> Iterator[tuple[float, np.ndarray]]:
        if frame is not None:
            self.clock += frame.samples / frame.sample_rate
        for resampled in self._resampler.resample(frame):
            self._waiting.append(audio.channels_of(resampled))
            self._count += resampled.samples
        if self._count and (frame is None or self._count >= _STRETCH):
            mono = self._mixed(np.nan_to_num(np.concatenate(self._waiting), nan=0.0, posinf=0.0, neginf=0.0))
            self._waiting, self._count = [], 0
            yield self.end, mono
            self._samples += len(mono)

    def _mixed(self, channels: np.ndarray) -> np.ndarray:
        weights = audio.channel_weights(channels)
        before, self._weights = weights if self._weights is None else self._weights, weights
        share = np.minimum(np.arange(1, len(channels) + 1, dtype=np.float32) / _FADE, 1)
        return (channels @ np.stack([before, weights], axis=1) * np.stack([1 - share, share], axis=1)).sum(axis=1)


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    # A damaged packet is lost, and what comes behind the damage in the file as far as FFmpeg finds it.
    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(stream):
            with contextlib.suppress(av.error.FFmpegError):
                yield from packet.decode()
