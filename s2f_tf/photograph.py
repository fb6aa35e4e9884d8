"""Photographs: files of still pictures, of whatever kind cameras and phones make, read as upright pixels."""

import contextlib
from typing import BinaryIO

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

from s2f_tf.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "TIFF", "BMP")  # as Pillow calls them
LOOKED_AT = 1280  # pixels of the longer side: what is larger is made so small before a face is looked for

_MAX_PIXELS = 50_000_000


class PhotographError(UserError):
    """A file that is no photograph; the message says what is wrong, and leaves its name to whoever knows it."""


def read(file: str | BinaryIO, longest_side: int) -> np.ndarray:
    """The pixels of a photograph: of an animated one, the first picture.

    It is turned upright as its camera says, made RGB from whatever colours it has, put on white where it is
    transparent, and from 16 bits a channel 8 are kept. The size is known before the pixels cost memory.

    Args:
        file: a path, or an open file.
        longest_side: a larger picture is made so small, in pixels.

    Returns:
        uint8 [H, W, 3].

    Raises:
        PhotographError: where it is of none of `FORMATS`, damaged, or larger than 50 million pixels.
        OSError: where there is no such file, or it must not be read.
    """
    if isinstance(file, str):
        with open(file, "rb") as opened:
            return read(opened, longest_side)
    pillow_heif.register_heif_opener()
    try:
        picture = Image.open(file, formats=FORMATS)
    except Exception:  # Pillow's decoders raise whatever comes
        raise PhotographError(f"not a photograph: {', '.join(FORMATS)} are allowed") from None
    width, height = picture.size
    if width * height > _MAX_PIXELS:
        raise PhotographError(f"photograph of {width} by {height} pixels: {_MAX_PIXELS // 10**6} million are allowed")
    format_ = picture.format
    try:
        with contextlib.suppress(AttributeError):  # formats but JPEG cannot be read at less than full size
            picture.draft(None, (longest_side, longest_side))
        picture = _rgb(ImageOps.exif_transpose(picture))
    except Exception as error:
        raise PhotographError(f"a damaged {format_} file: {error}") from None
    picture.thumbnail((longest_side, longest_side))
    return np.asarray(picture)


def is_one(path: str) -> bool:
    """Whether a file begins as a photograph does, whatever it is called."""
    pillow_heif.register_heif_opener()
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # Pillow's decoders raise whatever comes
        return False


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip to 8
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8))
    if picture.mode == "F":  # floats, from 0 to 1 if they are not levels
        values = np.nan_to_num(np.asarray(picture))
        levels = 255 * values if values.max() <= 1 else values
        picture = Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")
