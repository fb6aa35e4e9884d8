"""`python -m tflite.convert`: a trained run as TFLite models, each in one file, with `s2f.json` beside them."""

from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
from s2f_tf.config import MAX_SECONDS, MIN_SECONDS
from s2f_tf.models import trained

from . import conversion

_WORKDIR = flags.DEFINE_string("workdir", trained.SHIPPED, "trained run; by default the weights in the package")
_OUTPUT = flags.DEFINE_string("output", "out", "folder for the models and for s2f.json, which describes them")
_CORPUS = flags.DEFINE_string(
    "corpus", None, "folder of clips, which calibrate int8; by default some of the run's synthetic speakers, made anew"
)
_WINDOW = flags.DEFINE_float(
    "window_seconds",
    None,
    f"length of the window; by default {conversion.WINDOW_SECONDS:g}, or that of the training where it is longer",
    lower_bound=MIN_SECONDS,
    upper_bound=MAX_SECONDS,
)


def main() -> None:
    """Converts, and says what to."""
    conversion.convert(_WORKDIR.value, _OUTPUT.value, _CORPUS.value, _WINDOW.value)


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
