"""Faces as an exported model takes them: found in photographs, turned upright and aligned, or aligned already."""

import dataclasses
import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from s2f_tf.data.face import MAX_SIDE
from s2f_tf.errors import UserError

if TYPE_CHECKING:
    from s2f_tf.face_detection import Face

Picture = str | os.PathLike | bytes | np.ndarray

_SIZE = 192  # pixels a side of the aligned faces, which a model makes as small as it needs them
_BEHIND = 1 / 9  # of the area of the largest face: a smaller one is somebody in the background


class PictureError(UserError):
    """A picture that cannot be used; the message names it and says what is wrong."""


@dataclasses.dataclass(frozen=True)
class AlignedFace:
    """A face in a photograph.

    Attributes:
        jpeg: the aligned face, a square of 192 pixels a side.
        box: left, top, width and height in the photograph, as shares of its width and height.
    """

    jpeg: bytes
    box: tuple[float, float, float, float]


def find(picture: Picture) -> list[AlignedFace]:
    """The faces in a photograph that stands on its feet, on one side or on its head, the largest first.

    As in the pipelines, large faces tell which side is up; only where there are none, small ones do, since where
    these are looked for more is mistaken for a face.

    Args:
        picture: path of a photograph of any of `photograph.FORMATS`, what is in such a file, or uint8 [H, W, 3].

    Raises:
        PictureError: where it is none, without its name.
        OSError: where there is no such file, or it must not be read.
        MissingExtraError: where the extra `pipelines`, which has the detector, is not installed.
    """
    from s2f_tf import command  # which quiets TensorFlow: not for those who call nothing of this

    with command.extra("pipelines"):
        from s2f_tf import face_detection, photograph

        detector = face_detection.shared_detector()
    look = photograph.LOOKED_AT
    try:
        pixels = _small(picture, look) if isinstance(picture, np.ndarray) else photograph.read(_opened(picture), look)
    except photograph.PhotographError as error:
        raise PictureError(str(error)) from None
    turns, (turned,), (found,) = detector.find_upright([pixels])
    if found:
        found += [face for face in detector.find([turned], look)[0] if not any(_is_one(face, large) for large in found)]
    else:
        turns, (turned,), (found,) = detector.find_upright([pixels], look)
    height, width = turned.shape[:2]
    aligned = []
    for face in found:
        left, top, wide, high = face.box
        box = left / width, top / height, wide / width, high / height
        for _ in range(turns):
            box = 1 - box[1] - box[3], box[0], box[3], box[2]
        aligned.append(AlignedFace(face_detection.encode(face_detection.align(turned, face, _SIZE)), box))
    return sorted(aligned, key=_area, reverse=True)


def encode_face(picture: Picture, aligned: bool = False, name: str = "the picture") -> bytes:
    """The face in a photograph of one person as an exported model takes it: aligned, a JPEG or PNG file.

    Args:
        picture: see `find`.
        aligned: whether the picture is an aligned face already, which is taken as it is: a square of up to `MAX_SIDE`
            pixels a side, of a JPEG or PNG file. This needs no detector.
        name: of a picture that is no file, for messages.

    Raises:
        PictureError: where it cannot be read, or has no face, or several. Beside a face, another of less than a ninth
            of its area does not count: it is in the background.
        MissingExtraError: as `find` does.
    """
    name = name if isinstance(picture, bytes | np.ndarray) else os.fspath(picture)
    try:
        if aligned:
            return _as_it_is(picture)
        found = find(picture)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
    except OSError as error:
        raise PictureError(f"{name} cannot be read: {error.strerror}") from error
    several = [face for face in found if _area(face) >= _BEHIND * _area(found[0])]
    if len(several) != 1:
        count = f"{len(several)} faces" if several else "no face"
        raise PictureError(f"{name} shows {count}: one is wanted, or aligned=True, which takes a picture as it is")
    return found[0].jpeg


def encode_faces(pictures: Sequence[Picture], aligned: bool = False) -> list[bytes]:
    """As `encode_face`, of each picture; those that are no files are named by their place, from 1 on."""
    return [encode_face(picture, aligned, f"picture {place}") for place, picture in enumerate(pictures, 1)]


def _is_one(found: "Face", large: "Face") -> bool:
    """Whether what was found is a large face again."""
    x, y = found.landmarks.mean(axis=0)
    left, top, width, height = large.box
    return left <= x <= left + width and top <= y <= top + height


def _area(face: AlignedFace) -> float:
    return face.box[2] * face.box[3]


def _opened(picture: str | os.PathLike | bytes) -> str | io.BytesIO:
    return io.BytesIO(picture) if isinstance(picture, bytes) else os.fspath(picture)


def _image(picture: np.ndarray) -> Image.Image:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise PictureError(f"{picture.dtype} {list(picture.shape)}: uint8 [H, W, 3] is wanted")
    return Image.fromarray(picture)


def _small(picture: np.ndarray, longest_side: int) -> np.ndarray:
    image = _image(picture)
    image.thumbnail((longest_side, longest_side))
    return np.asarray(image)


def _as_it_is(picture: Picture) -> bytes:
    """An aligned face as a file; of one that is a file, its bytes."""
    if isinstance(picture, np.ndarray):
        file = io.BytesIO()
        _image(picture).save(file, "PNG")
        encoded = file.getvalue()
    elif isinstance(picture, bytes):
        encoded = picture
    else:
        with open(picture, "rb") as file:
            encoded = file.read()
    try:
        with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if max(image.size) <= MAX_SIDE:
                image.load()
    except Exception as error:  # Pillow's decoders raise whatever comes
        raise PictureError("cannot be read as JPEG or PNG") from error
    if max(width, height) > MAX_SIDE:
        raise PictureError(f"{width} by {height} pixels: at most {MAX_SIDE} a side are allowed")
    if width != height:
        raise PictureError(f"{width} by {height} pixels: an aligned face is a square; without `aligned` one is found")
    return encoded
