"""`python -m s2f_tf.export`: writes a trained run as the next version of a SavedModel for TensorFlow Serving."""

from absl import flags

from s2f_tf import command, saved_model
from s2f_tf.models import trained

_WORKDIR = flags.DEFINE_string("workdir", trained.SHIPPED, "trained run; by default the weights in the package")
_OUTPUT = flags.DEFINE_string("output", "models/s2f", "folder of the model's numbered versions")


def main() -> None:
    """Exports and says where to."""
    print(saved_model.export(_WORKDIR.value, _OUTPUT.value))


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
