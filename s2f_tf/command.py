"""What every command shares: quiet start, clear failure."""

import os
import sys
from collections.abc import Callable

# TensorFlow's C++ log tells of missing GPUs at every import, before any flag is read; what fails is raised in Python.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, logging

from s2f_tf.errors import UserError


def run(main: Callable[..., None], *, takes_arguments: bool = False) -> None:
    """Parses flags, runs `main`, and turns a `UserError`, or Ctrl-C, into one line on stderr and exit status 1.

    `main` is called with nothing, or, where it `takes_arguments`, with the list of what stands beside the flags.
    """

    def guarded(arguments: list[str]) -> None:
        if len(arguments) > 1 and not takes_arguments:
            raise app.UsageError(f"unexpected argument '{arguments[1]}': settings are given as --name=value")
        logging.set_verbosity(logging.WARNING)
        try:
            main(*[arguments[1:]] * takes_arguments)
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted")

    app.run(guarded)
