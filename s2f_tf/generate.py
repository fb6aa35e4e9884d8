"""`python -m s2f_tf.generate`: draws faces that could belong to a voice."""

import math
import os

import numpy as np
from absl import flags

from s2f_tf import command
from s2f_tf.data import audio
from s2f_tf.errors import UserError
from s2f_tf.evaluation import figures
from s2f_tf.latent import z_from_seed
from s2f_tf.models import trained

_VOICE = flags.DEFINE_string("voice", None, "sound file of a voice, half a second or longer", required=True)
_OUT = flags.DEFINE_string("out", "faces.png", "PNG file for the faces")
_FACES = flags.DEFINE_integer("faces", 6, "how many faces to draw", lower_bound=1, upper_bound=1024)
_SEED = flags.DEFINE_integer("seed", 1, "of the first face; each further face takes the next", lower_bound=0)
_SEPARATE = flags.DEFINE_boolean("separate", False, "write <out>-1.png, <out>-2.png, ... instead of one grid")
_WORKDIR = flags.DEFINE_string("workdir", trained.SHIPPED, "trained run; by default the weights in the package")


def main() -> None:
    """Reads a voice, draws its faces and writes them."""
    stem, extension = os.path.splitext(_OUT.value)
    if extension.lower() != ".png":
        raise UserError(f"--out={_OUT.value} must end in .png")
    waveform = audio.read_sound(_VOICE.value)
    speech_encoder, generator = (trained.load_network(name, _WORKDIR.value) for name in ("speech_encoder", "generator"))
    z = z_from_seed(np.arange(_SEED.value, _SEED.value + _FACES.value), generator.z_size).numpy()
    voice = speech_encoder(waveform[None], training=False).numpy()
    faces = figures.draw_faces(generator, voice, z)[0]
    if _SEPARATE.value:
        pictures = {f"{stem}-{i}{extension}": figures.to_uint8(face) for i, face in enumerate(faces, 1)}
    else:
        pictures = {_OUT.value: _grid(faces)}
    for path, picture in pictures.items():
        try:
            figures.save_png(picture, path)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        print(path)


def _grid(faces: np.ndarray) -> np.ndarray:
    """As near to a square as it gets, wider than high; places left over are white."""
    columns = math.ceil(math.sqrt(len(faces)))
    rows = math.ceil(len(faces) / columns)
    white = np.ones((rows * columns - len(faces), *faces.shape[1:]), faces.dtype)
    return figures.tile(np.concatenate([faces, white]).reshape(rows, columns, *faces.shape[1:]))


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
