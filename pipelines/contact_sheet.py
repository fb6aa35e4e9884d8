"""Clips at a glance: the faces of each, its waveform below them, and who it is. Of one kind, what there is."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data.clip import Clip

_FACE = 72  # pixels
_FACES = 4  # that are shown of a clip
_WAVE = 36
_TEXT = 15
_GAP = 12
_WIDTH = 912  # three columns of faces with sound, or ten of single faces
_INK, _GREY, _WAVE_COLOUR, _PAPER = "#22313f", "#9aa5b1", "#2f6f9f", "#ffffff"


def draw(clips: Sequence[Clip]) -> bytes:
    """A PNG file with all of them, one or more, in rows."""
    sounds, faces = any(clip.waveform.size for clip in clips), any(clip.faces for clip in clips)
    width, wave_top = (_FACES if sounds else 1) * _FACE, _FACE if faces else 0
    text_top = wave_top + (_WAVE if sounds else 0)
    height, columns = text_top + _TEXT, _WIDTH // (width + _GAP)
    rows = -(-len(clips) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, clip in enumerate(clips):
        row, column = divmod(index, columns)
        left, top = _GAP + column * (width + _GAP), _GAP + row * (height + _GAP)
        for number, face in enumerate(clip.faces[: width // _FACE]):
            sheet.paste(_face(face), (left + number * _FACE, top))
        pen.text((left, top + text_top), _fitted(clip.speaker, font, width - 60 * sounds), _INK, font)
        if sounds:
            _waveform(pen, clip.waveform, left, top + wave_top, width)
            seconds = f"{len(clip.waveform) / SAMPLE_RATE:.1f} s"
            pen.text((left + width, top + text_top), seconds, _GREY, font, anchor="ra")
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _face(face: bytes) -> Image.Image:
    """The picture; grey where it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(face)) as image:
            return image.convert("RGB").resize((_FACE, _FACE), Image.Resampling.LANCZOS)
    except OSError:
        return Image.new("RGB", (_FACE, _FACE), _GREY)


def _waveform(pen: ImageDraw.ImageDraw, waveform: np.ndarray, left: int, top: int, width: int) -> None:
    """From the lowest to the highest sample of each column, the loudest as high as there is room."""
    ends = np.linspace(0, len(waveform), width + 1).astype(int)
    loudest = max(float(np.abs(waveform).max()), 1e-4)
    middle, reach = top + _WAVE / 2, (_WAVE / 2 - 2) / loudest
    for column in range(width):
        piece = waveform[ends[column] : max(ends[column] + 1, ends[column + 1])]
        high, low = middle - reach * float(piece.max()), middle - reach * float(piece.min())
        pen.line((left + column, high, left + column, low), _WAVE_COLOUR)


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text in one line, its end cut off where it is too long."""
    text = " ".join(text.split())
    while text and font.getlength(text) > width:
        text = text[:-2] + "…"
    return text
