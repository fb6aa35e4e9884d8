"""`python -m s2f_tf.publish`: hands on a trained run: its config, its weights in half the size, and what made them."""

from absl import flags

from s2f_tf import command
from s2f_tf.models import trained

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "trained run")
_OUTPUT = flags.DEFINE_string("output", None, "folder to write; what it holds is replaced", required=True)
_COMMAND = flags.DEFINE_string("command", None, "the command that trained the run, to be kept beside it", required=True)


def main() -> None:
    """Publishes and says where to."""
    trained.publish(_WORKDIR.value, _OUTPUT.value, _COMMAND.value)
    print(_OUTPUT.value)


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
