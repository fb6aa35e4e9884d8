"""`python -m s2f_tf.generate`: draws faces that could belong to a voice."""

import os
import sys

from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
import s2f_tf
from s2f_tf import pictures
from s2f_tf.errors import UserError

_VOICE = flags.DEFINE_string("voice", None, "sound file of a voice, half a second or longer", required=True)
_OUT = flags.DEFINE_string("out", "faces.png", "PNG file for the faces")
_FACES = flags.DEFINE_integer("faces", 6, "how many faces to draw", lower_bound=1, upper_bound=1024)
_SEED = flags.DEFINE_integer("seed", 1, "of the first face; each further face takes the next", lower_bound=0)
_SEPARATE = flags.DEFINE_boolean("separate", False, "write <out>-1.png, <out>-2.png, ... instead of one grid")
_STRIP = flags.DEFINE_boolean("strip", False, "draw how the faces come about: after 0.5, 1, 2, 4 ... s, one face a row")
_ANY_SOUND = flags.DEFINE_boolean("any_sound", False, "draw from a sound without a voice as well: hum, noise or music")
_WORKDIR = flags.DEFINE_string("workdir", None, "trained run; by default the weights in the package")


def main() -> None:
    """Draws faces from a voice and writes them."""
    stem, extension = os.path.splitext(_OUT.value)
    if extension.lower() != ".png":
        raise UserError(f"--out={_OUT.value} must end in .png")
    if _STRIP.value and _SEPARATE.value:
        raise UserError("--strip and --separate exclude each other")
    model, wanted = s2f_tf.load(_WORKDIR.value), (_VOICE.value, _FACES.value, _SEED.value, _ANY_SOUND.value)
    if _STRIP.value:
        faces, seconds = model.draw_growing(*wanted)
        files = {_OUT.value: pictures.grid(faces)}
        print(pictures.columns_after(seconds), file=sys.stderr)
    elif _SEPARATE.value:
        files = {f"{stem}-{i}{extension}": face for i, face in enumerate(model.draw(*wanted), 1)}
    else:
        files = {_OUT.value: pictures.near_square(model.draw(*wanted))}
    for path, picture in files.items():
        pictures.save_png(picture, path)
        print(path)


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
