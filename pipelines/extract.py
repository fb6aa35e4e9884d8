"""One video, to the clips in it: utterances, each with faces from its own interval of presentation time."""

import collections
import dataclasses
from collections.abc import Iterator

import av
import numpy as np

from s2f_tf import face_detection
from s2f_tf.data import audio, clip

from . import follow, quality, sound, utterances
from .reasons import Drop, Reason
from .sources import Item, Span
from .video import Pictures

VERSION = 5  # of what this file, `pairs` and those they use make of a file; raise it when that changes
MIN_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the clips are to be.

    Attributes:
        face_size: height and width of the faces in pixels.
        faces_per_clip: the most faces that one clip gets; twice as many pictures are looked at.
        max_seconds: longer utterances are cut; 2 s or more.
        audio_format: one of `config.AUDIO_FORMATS`.
        align: whether stills are looked through for a face, or are taken as they are.
    """

    face_size: int
    faces_per_clip: int
    max_seconds: float
    audio_format: str
    align: bool = True


def extract(item: Item, settings: Settings, detector: face_detection.Detector) -> Iterator[clip.Clip | Drop]:
    """The clips in a video, in order, and what is left out. Memory does not grow with its length.

    A damaged file gives what can be read of it, or a `Drop`; it raises nothing.
    """
    if item.path is None:
        yield Drop(Reason.NO_FILE, item.name)
        return
    try:
        with Pictures(item.path) as pictures:
            yield from _clips(item, pictures, settings, detector)
    except LookupError:
        yield Drop(Reason.NO_VIDEO, item.name)
    except (av.error.FFmpegError, OSError) as error:
        yield Drop(Reason.UNDECODABLE, f"{item.name}: {error.strerror or error}")


def _clips(
    item: Item, pictures: Pictures, settings: Settings, detector: face_detection.Detector
) -> Iterator[clip.Clip | Drop]:
    path = item.sound or item.path
    tracks = sound.tracks(path)
    if not tracks:
        yield Drop(Reason.NO_SOUND, item.name)
        return
    # A file beside the video has a clock of its own; both are taken to begin together.
    shift = pictures.start - tracks[0].start if item.sound else 0.0
    number = 0
    for span in item.spans or (Span(),):
        start, stop = (None if time is None else pictures.start - shift + time for time in (span.start, span.stop))
        for utterance in _utterances(path, tracks, start, stop, settings.max_seconds):
            begin = utterance.start + shift - pictures.start
            end = begin + utterance.seconds
            where = f"{item.name} at {begin:.1f}-{end:.1f} s"
            if isinstance(utterance, utterances.Unusable):
                yield Drop(utterance.reason, where)
                continue
            found = _faces(pictures, begin, end, span.point, settings, detector)
            if isinstance(found, Reason):
                yield Drop(found, where)
            else:
                id_ = f"{item.name}#{number}@{begin:.3f}"
                yield clip.Clip(id=id_, speaker=item.speaker, waveform=audio.raised(utterance.waveform), faces=found)
            number += 1


def _utterances(
    path: str, tracks: list[sound.Track], start: float | None, stop: float | None, max_seconds: float
) -> Iterator[utterances.Utterance | utterances.Unusable]:
    """What is said between two times, on the first track that has an utterance; what is unusable on it comes last."""
    first = None
    for track in tracks:
        listener = utterances.Listener(MIN_SECONDS, max_seconds)
        count = 0
        for utterance in listener.utterances(sound.pieces(path, track, start, stop), start, stop):
            count += 1
            yield utterance
        first = first or listener
        if count:
            yield from listener.unusable
            return
    begin = tracks[0].start if start is None else start
    yield from first.unusable or [utterances.Unusable(first.verdict, begin, first.heard)]


def _faces(
    pictures: Pictures,
    begin: float,
    end: float,
    point: tuple[float, float] | None,
    settings: Settings,
    detector: face_detection.Detector,
) -> tuple[bytes, ...] | Reason:
    """JPEG files of the face of who speaks between two times, as spread as can be; or why there are none."""
    looks = 2 * settings.faces_per_clip
    times = pictures.start + begin + (np.arange(looks) + 0.5) / looks * (end - begin)
    shown = [picture for _, picture in pictures.at(times)]
    if not shown:
        return Reason.NO_PICTURE
    shape = collections.Counter(picture.shape for picture in shown).most_common(1)[0][0]
    shown = [picture for picture in shown if picture.shape == shape]  # few files change it in their midst
    turns, shown, found = detector.find_upright(shown)
    for _ in range(turns if point else 0):
        point = point[1], 1 - point[0]
    height, width = shown[0].shape[:2]
    place = point and (point[0] * width, point[1] * height)
    followed = follow.follow(found, place, max(width, height))
    if isinstance(followed, Reason):
        return followed
    judged = [
        quality.crop(picture, face, settings.face_size) for picture, face in zip(shown, followed, strict=True) if face
    ]
    crops = [crop for crop in judged if not isinstance(crop, Reason)]
    if not crops:
        return collections.Counter(judged).most_common(1)[0][0]
    count = min(len(crops), settings.faces_per_clip)
    spread = np.round(np.linspace(0, len(crops) - 1, count)).astype(int)
    return tuple(face_detection.encode(crops[index]) for index in spread)
