"""Pictures of what a generator does."""

import dataclasses
import itertools
import math
import os
from collections.abc import Sequence

import keras
import matplotlib
import numpy as np
import tensorflow as tf

from s2f_tf.aside import written_aside
from s2f_tf.config import Config
from s2f_tf.data import png, reader
from s2f_tf.errors import UserError
from s2f_tf.latent import z_from_seed


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Held-out speakers to look at.

    Attributes:
        faces: float32 [N, H, W, 3] in [-1, 1], a true face of each.
        waveforms: an utterance of each, float32 [S] at 16 kHz.
        voices: float32 [N, E], its embedding.
        z_size: of the generators that will draw them.
    """

    faces: np.ndarray
    waveforms: tuple[np.ndarray, ...]
    voices: np.ndarray
    z_size: int


def held_out_examples(
    speech_encoder: keras.Model, corpus: reader.Corpus, split: str, config: Config, count: int = 8
) -> HeldOut:
    """The first clip of each of the first `count` speakers of a split."""
    clips, seen = [], set()
    for clip in reader.clips(corpus, split, config.data.face_size):
        if clip.speaker not in seen:
            seen.add(clip.speaker)
            clips.append(clip)
        if len(clips) == count:
            break
    return HeldOut(
        faces=np.stack([clip.faces[0] for clip in clips]),
        waveforms=tuple(clip.waveform for clip in clips),
        voices=np.concatenate([speech_encoder(clip.waveform[None], training=False).numpy() for clip in clips]),
        z_size=config.generator.z_size,
    )


def draw_faces(generator: keras.Model, voices: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Every voice with every z. [N, E] and [M, Z] to float32 [N, M, H, W, 3] in [-1, 1]."""
    pairs = generator(np.tile(z, (len(voices), 1)), np.repeat(voices, len(z), axis=0), training=False)
    return tf.reshape(pairs, (len(voices), len(z), *pairs.shape[1:])).numpy()


def to_uint8(faces: np.ndarray) -> np.ndarray:
    """[-1, 1] to uint8 [0, 255], rounded to the nearest."""
    return np.clip(np.rint((faces + 1) * 127.5), 0, 255).astype(np.uint8)


def grid(faces: np.ndarray) -> np.ndarray:
    """Faces in rows and columns, uint8 [R, C, H, W, 3], as one picture, uint8 [R H, C W, 3]."""
    rows, columns, height, width, _ = faces.shape
    return faces.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)


def tile(faces: np.ndarray) -> np.ndarray:
    """A grid of faces, [R, C, H, W, 3] in [-1, 1], as one picture, uint8 [R H, C W, 3]."""
    return grid(to_uint8(faces))


def near_square(faces: np.ndarray) -> np.ndarray:
    """Faces, uint8 [N, H, W, 3], as one picture, as near to a square as it gets, wider than high; the rest is white."""
    columns = math.ceil(math.sqrt(len(faces)))
    rows = math.ceil(len(faces) / columns)
    white = np.full((rows * columns - len(faces), *faces.shape[1:]), 255, np.uint8)
    return grid(np.concatenate([faces, white]).reshape(rows, columns, *faces.shape[1:]))


def columns_after(seconds: Sequence[float]) -> str:
    """What the columns of a strip are, in words."""
    return f"columns: after {', '.join(f'{s:.4g}' for s in seconds)} s of sound"


def held_out_grid(generator: keras.Model, examples: HeldOut, faces: int = 6) -> np.ndarray:
    """A row for each speaker: the true face, then `faces` generated ones, the same z down each column. uint8."""
    z = z_from_seed(tf.range(faces, dtype=tf.int64), examples.z_size).numpy()
    generated = draw_faces(generator, examples.voices, z)
    return tile(np.concatenate([examples.faces[:, None], generated], axis=1))


def save_png(picture: np.ndarray, path: str) -> None:
    """Writes uint8 [H, W, 3] as a PNG that says it is synthetic, aside and then renamed.

    Raises `UserError` where it cannot be written.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with written_aside(path) as part, open(part, "wb") as file:
            file.write(png.encode_png(picture).numpy())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def held_out_picture(generator: keras.Model, examples: HeldOut, faces: int = 5) -> matplotlib.figure.Figure:
    """The picture that tells most: true faces of held-out speakers beside those drawn from their voices, with words."""
    grid = held_out_grid(generator, examples, faces)
    size = examples.faces.shape[1]
    with matplotlib.rc_context({"font.size": 11, "figure.facecolor": "white"}):
        figure = matplotlib.figure.Figure(figsize=(1.1 * (faces + 1) + 0.3, 1.1 * len(examples.faces) + 0.6), dpi=110)
        axes = figure.subplots(len(examples.faces), faces + 1, squeeze=False)
        for row, column in itertools.product(range(len(examples.faces)), range(faces + 1)):
            face = grid[row * size : (row + 1) * size, column * size : (column + 1) * size]
            axes[row, column].imshow(face, interpolation="lanczos")
            axes[row, column].set_axis_off()
        axes[0, 0].set_title("true face")
        axes[0, 1].set_title("drawn from the voice alone, one z a column", loc="left")
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.94, wspace=0.04, hspace=0.04)
        for row in range(len(examples.faces)):
            box = axes[row, 0].get_position()
            axes[row, 0].set_position([box.x0 - 0.005, box.y0, box.width, box.height])
    return figure
