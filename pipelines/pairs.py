"""Clips out of a folder a speaker: stills that show the face, and sound files of the voice.

    people/
        anna/1.jpg  anna/2.heic  anna/interview.m4a
        ben/photos/a.jpeg  ben/sound/0001.wav  ben/sound/0002.flac

This is how VoxCeleb with VGGFace, and many corpora, come. The first folder below the input is the speaker; files may
lie in deeper folders, and folders may be links. Each sound file becomes a clip with up to `faces_per_clip` faces; a
sound longer than `max_seconds` becomes several. The faces of a speaker, in a random order that is always the same, are
dealt out in turn, so that all are used before any is used again. Stills alone and sounds alone are read by the same
functions: each still is a clip without a sound, and each sound a clip without faces.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from s2f_tf import face_detection, photograph
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio, clip

from . import follow, quality
from .extract import Settings
from .reasons import Drop, Reason
from .sources import Item

TOGETHER = 48  # stills that are looked at together

_LOOKED_AT = 1280  # pixels of the longer side: what is larger is made so small first
_BLANK = 8  # of 256 levels: a picture that spans no more shows nothing


def extract(item: Item, settings: Settings, detector: face_detection.Detector | None) -> Iterator[clip.Clip | Drop]:
    """The clips of a speaker, in order, and what is left out; damaged files raise nothing.

    Where the settings say that stills are taken as they are, their middle squares are the faces, and no detector is
    wanted.
    """
    found: list[bytes] = []
    stills = iter(item.stills)
    while some := list(itertools.islice(stills, TOGETHER)):
        seen = faces([read(path, settings) for _, path in some], settings, detector)
        for (name, _), face in zip(some, seen, strict=True):
            if isinstance(face, Reason):
                yield Drop(face, name)
            else:
                found.append(face)
    if not item.sounds:
        yield Drop(Reason.NO_SOUND, item.name)
        return
    if not found:
        yield Drop(Reason.NO_STILL, item.name)
        return
    dealt = 0
    for name, path in item.sounds:
        for voice in voices(name, path, item.speaker, settings.max_seconds):
            if isinstance(voice, clip.Clip):
                count = min(settings.faces_per_clip, len(found))
                hand = tuple(found[(dealt + i) % len(found)] for i in range(count))
                dealt += count
                voice = dataclasses.replace(voice, faces=hand)
            yield voice


def stills(
    items: Sequence[Item],
    pictures: Sequence[np.ndarray | Reason],
    settings: Settings,
    detector: face_detection.Detector | None,
) -> Iterator[clip.Clip | Drop]:
    """Of each still what became of it, a clip without a sound; `pictures` are what `read` made of them."""
    for item, face in zip(items, faces(pictures, settings, detector), strict=True):
        if isinstance(face, Reason):
            yield Drop(face, item.name)
        else:
            yield clip.Clip(item.name, item.speaker, np.zeros(0, np.float32), (face,))


def read(path: str, settings: Settings) -> np.ndarray | Reason:
    """A still as uint8 [H, W, 3], or why it cannot be used."""
    try:
        picture = photograph.read(path, max(_LOOKED_AT, settings.face_size))
    except (photograph.PhotographError, OSError):
        return Reason.UNDECODABLE
    return Reason.BLANK if np.ptp(picture) <= _BLANK else picture


def faces(
    stills: Sequence[np.ndarray | Reason], settings: Settings, detector: face_detection.Detector | None
) -> list[bytes | Reason]:
    """The face in each still, as a JPEG file of `face_size` pixels a side, or why there is none.

    They are looked at together, which the last bits of landmarks depend on: the same stills give the same bytes.
    """
    pictures = [still for still in stills if not isinstance(still, Reason)]
    if settings.align:
        looked_at = detector.find_each_upright(pictures)
        found = (_face(picture, seen, settings.face_size) for picture, seen in looked_at)
    else:
        found = (_middle(picture, settings.face_size) for picture in pictures)
    crops = (still if isinstance(still, Reason) else next(found) for still in stills)
    return [crop if isinstance(crop, Reason) else face_detection.encode(crop) for crop in crops]


def voices(name: str, path: str, speaker: str, max_seconds: float) -> Iterator[clip.Clip | Drop]:
    """The clips of a sound file, without faces, or why there are none. A longer one is cut into equal pieces."""
    try:
        waveform = audio.read_sound(path)
    except audio.SilentError:
        yield Drop(Reason.SILENT, name)
    except audio.TooShortError:
        yield Drop(Reason.TOO_SHORT, name)
    except audio.SoundError:
        yield Drop(Reason.UNDECODABLE, name)
    else:
        count = -(-len(waveform) // int(max_seconds * SAMPLE_RATE))
        for number, piece in enumerate(np.array_split(audio.raised(waveform), count)):
            yield clip.Clip(name if count == 1 else f"{name}#{number}", speaker, piece, faces=())


def _face(picture: np.ndarray, found: Sequence[face_detection.Face], size: int) -> np.ndarray | Reason:
    followed = follow.follow([found], None, max(picture.shape[:2]))
    if isinstance(followed, Reason):
        return followed
    # A head turned away as it may be: of a video there are other pictures, of a still there is none.
    return quality.crop(picture, followed[0], size, most_turned=np.inf)


def _middle(picture: np.ndarray, size: int) -> np.ndarray | Reason:
    side = min(picture.shape[:2])
    if quality.MOST_STRETCHED * side < size:
        return Reason.FACE_TOO_SMALL
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
