"""`python -m s2f_tf.generate`: draws faces that could belong to a voice."""

import os

from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
import numpy as np
import tensorflow as tf

from s2f_tf.data import audio
from s2f_tf.errors import UserError
from s2f_tf.evaluation import figures
from s2f_tf.models import trained
from s2f_tf.saved_model import Signatures

_VOICE = flags.DEFINE_string("voice", None, "sound file of a voice, half a second or longer", required=True)
_OUT = flags.DEFINE_string("out", "faces.png", "PNG file for the faces")
_FACES = flags.DEFINE_integer("faces", 6, "how many faces to draw", lower_bound=1, upper_bound=1024)
_SEED = flags.DEFINE_integer("seed", 1, "of the first face; each further face takes the next", lower_bound=0)
_SEPARATE = flags.DEFINE_boolean("separate", False, "write <out>-1.png, <out>-2.png, ... instead of one grid")
_WORKDIR = flags.DEFINE_string("workdir", trained.SHIPPED, "trained run; by default the weights in the package")


def main() -> None:
    """Reads a voice, draws its faces by the graph that is exported, and writes them."""
    stem, extension = os.path.splitext(_OUT.value)
    if extension.lower() != ".png":
        raise UserError(f"--out={_OUT.value} must end in .png")
    wav = audio.read_voice(_VOICE.value)
    draw = Signatures(_WORKDIR.value).endpoints()["serving_default"]
    seeds = np.arange(_SEED.value, _SEED.value + _FACES.value)
    encoded = draw(tf.fill([len(seeds)], wav), tf.constant(seeds, tf.int64))["png_bytes"]
    faces = np.stack([tf.io.decode_png(face, channels=3).numpy() for face in encoded])
    if _SEPARATE.value:
        pictures = {f"{stem}-{i}{extension}": face for i, face in enumerate(faces, 1)}
    else:
        pictures = {_OUT.value: figures.near_square(faces)}
    for path, picture in pictures.items():
        try:
            figures.save_png(picture, path)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        print(path)


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
