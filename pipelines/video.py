"""The pictures of a video at given presentation times, upright, of square pixels, in RGB."""

import contextlib
from collections.abc import Iterator, Sequence

import av
import cv2
import numpy as np

LONGEST_SIDE = 1920  # pixels; larger pictures are made so small: faces in them are large enough

_SEEK_FROM = 4.0  # seconds ahead from which a seek is tried, rather than decoding all there is before
_LAST_SHOWN = 2.0  # seconds for which the last picture of all is to be seen
_RUN_UP = 10.0  # seconds that a second try to seek begins earlier


class Pictures:
    """An open video, to be used in a `with` statement. Reading goes forward: to look back costs a seek.

    Attributes:
        container: the file.
        start: presentation time at which the file begins, in seconds; that of the first picture where it is known.
        decoded: whether a picture could be read so far.

    Raises:
        FFmpegError, OSError: where the file cannot be opened.
        LookupError: where it holds no moving pictures.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.decoded = False
        self._open()
        self.start = float((self._stream.start_time or 0) * self._stream.time_base)

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def at(self, times: Sequence[float]) -> list[tuple[float, np.ndarray]]:
        """What is to be seen at these presentation times, in seconds, in order.

        A picture is to be seen from its own time until the next one's. Where there is none, before the first picture or
        in damaged parts, there is no entry; and where several times meet one picture, there is one.

        Returns:
            The presentation time of each picture, and uint8 [H, W, 3].
        """
        frames = (self._at(time) for time in times)
        found = {frame.time: frame for frame in frames if frame is not None}
        self.decoded = self.decoded or bool(found)
        return [(time, self._upright(frame)) for time, frame in found.items()]

    def _open(self) -> None:
        # FFmpeg would take a path with a colon for an address.
        self.container = av.open(f"file:{self._path}", metadata_errors="ignore")
        attached = av.stream.Disposition.attached_pic
        moving = [stream for stream in self.container.streams.video if not stream.disposition & attached]
        if not moving:
            self.container.close()
            raise LookupError(self._path)
        self._stream = moving[0]
        self._stream.codec_context.thread_count = 1  # each process keeps one core busy
        self._rewound()

    def _rewound(self) -> None:
        self._coming = _frames(self.container, self._stream)
        self._shown: av.VideoFrame | None = None
        self._next: av.VideoFrame | None = None

    def _at(self, time: float) -> av.VideoFrame | None:
        if time < self.start:
            return None
        here = self._shown.time if self._shown is not None else self.start
        if time < here or time > here + _SEEK_FROM:
            for earlier in (0.0, _RUN_UP):
                if self._seek(time - earlier):
                    break
            else:
                self.container.close()
                self._open()
        while self._next is None or self._next.time <= time:
            if self._next is not None:
                self._shown = self._next
            self._next = next(self._coming, None)
            if self._next is None:
                break
        if self._shown is None or self._shown.time > time:
            return None
        ended = self._next is None and time > self._shown.time + _LAST_SHOWN
        return None if ended else self._shown

    def _seek(self, time: float) -> bool:
        """Goes to a picture at `time` or before it; False where the file led elsewhere."""
        try:
            self.container.seek(int(time / self._stream.time_base), stream=self._stream, backward=True)
        except (av.error.FFmpegError, OverflowError):
            return False
        self._rewound()
        self._next = next(self._coming, None)
        return self._next is not None and self._next.time <= time

    def _upright(self, frame: av.VideoFrame) -> np.ndarray:
        aspect = float(self._stream.sample_aspect_ratio or 1)
        width, height = frame.width * max(aspect, 1.0), frame.height / min(aspect, 1.0)
        scale = min(1.0, LONGEST_SIDE / max(width, height))
        picture = frame.to_ndarray(format="rgb24")
        size = round(width * scale), round(height * scale)
        if size != (frame.width, frame.height):
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return _turned(picture, frame)


def _frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    # A damaged packet is lost, and what comes behind the damage in the file as far as FFmpeg finds it.
    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(stream):
            with contextlib.suppress(av.error.FFmpegError):
                for frame in packet.decode():
                    if frame.pts is None:
                        frame.pts = frame.dts
                    if frame.pts is not None and not frame.is_corrupt:
                        yield frame


def _turned(picture: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Applies the display matrix, by which phones say how they were held: quarter turns and mirrors."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    # Where a pixel is shown: x' = a x + c y, y' = b x + d y.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
    if abs(int(b)) > abs(int(a)):
        picture = picture.transpose(1, 0, 2)
        a, d = c, b
    return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
