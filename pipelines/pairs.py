"""Clips out of a folder a speaker: stills that show the face, and sound files of the voice.

    people/
        anna/1.jpg  anna/2.heic  anna/interview.m4a
        ben/photos/a.jpeg  ben/sound/0001.wav  ben/sound/0002.flac

This is how VoxCeleb with VGGFace, and many corpora, come. The first folder below the input is the speaker; files may
lie in deeper folders, and folders may be links. Each sound file becomes a clip with up to `faces_per_clip` faces; a
sound longer than `max_seconds` becomes several. The faces of a speaker, in a random order that is always the same, are
dealt out in turn, so that all are used before any is used again.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from s2f_tf import face_detection, photograph
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio, clip

from . import follow, quality
from .extract import Settings
from .reasons import Drop, Reason
from .sources import Item

_BLANK = 8  # of 256 levels: a picture that spans no more shows nothing


def extract(item: Item, settings: Settings, detector: face_detection.Detector | None) -> Iterator[clip.Clip | Drop]:
    """The clips of a speaker, in order, and what is left out; damaged files raise nothing.

    Where the settings say that stills are taken as they are, their middle squares are the faces, and no detector is
    wanted.
    """
    found: list[bytes] = []
    for name, path in item.stills:
        face = _face(path, settings, detector)
        if isinstance(face, Reason):
            yield Drop(face, name)
        else:
            found.append(face_detection.encode(face))
    if not item.sounds:
        yield Drop(Reason.NO_SOUND, item.name)
        return
    if not found:
        yield Drop(Reason.NO_STILL, item.name)
        return
    dealt = 0
    for name, path in item.sounds:
        pieces = _pieces(path, settings.max_seconds)
        if isinstance(pieces, Reason):
            yield Drop(pieces, name)
            continue
        for number, waveform in enumerate(pieces):
            count = min(settings.faces_per_clip, len(found))
            hand = tuple(found[(dealt + i) % len(found)] for i in range(count))
            dealt += count
            id_ = name if len(pieces) == 1 else f"{name}#{number}"
            yield clip.Clip(id=id_, speaker=item.speaker, waveform=waveform, faces=hand)


def _face(path: str, settings: Settings, detector: face_detection.Detector | None) -> np.ndarray | Reason:
    """uint8 [face_size, face_size, 3], or why there is none."""
    try:
        picture = photograph.read(path, max(photograph.LOOKED_AT, settings.face_size))
    except (photograph.PhotographError, OSError):
        return Reason.UNDECODABLE
    if np.ptp(picture) <= _BLANK:
        return Reason.BLANK
    if not settings.align:
        return _middle(picture, settings.face_size)
    _, (picture,), found = detector.find_upright([picture])
    followed = follow.follow(found, None, max(picture.shape[:2]))
    if isinstance(followed, Reason):
        return followed
    # A head turned away as it may be: of a video there are other pictures, of a still there is none.
    return quality.crop(picture, followed[0], settings.face_size, most_turned=np.inf)


def _middle(picture: np.ndarray, size: int) -> np.ndarray | Reason:
    side = min(picture.shape[:2])
    if quality.MOST_STRETCHED * side < size:
        return Reason.FACE_TOO_SMALL
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)


def _pieces(path: str, max_seconds: float) -> list[np.ndarray] | Reason:
    """A sound in equal pieces of at most so many seconds, float32 [S] each, or why there are none."""
    try:
        waveform = audio.read_sound(path)
    except audio.SilentError:
        return Reason.SILENT
    except audio.TooShortError:
        return Reason.TOO_SHORT
    except audio.SoundError:
        return Reason.UNDECODABLE
    return np.array_split(audio.raised(waveform), -(-len(waveform) // int(max_seconds * SAMPLE_RATE)))
