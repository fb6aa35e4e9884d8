"""What every command shares: quiet start, clear failure."""

import contextlib
import os
import sys
import types
from collections.abc import Callable, Iterator

# TensorFlow's C++ log tells of missing GPUs at every import, before any flag is read; what fails is raised in Python.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

from s2f_tf.errors import UserError


class MissingExtraError(UserError, ImportError):
    """An extra that is not installed; the message says what to type."""


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the imports of what the extra `name` brings. Raises `MissingExtraError` where they fail.

    Where a command imports it at its top, before `run` could catch anything, the error is one line as well.
    """
    try:
        yield
    except ImportError as error:
        sys.excepthook = _say
        raise MissingExtraError(f"{error}: this takes the extra `{name}`: pip install 's2f_tf[{name}]'") from error


def _say(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    if isinstance(error, MissingExtraError):
        print(f"error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def run(main: Callable[..., None], *, takes_arguments: bool = False) -> None:
    """Parses flags, runs `main`, and turns a `UserError`, or Ctrl-C, into one line on stderr and exit status 1.

    `main` is called with nothing, or, where it `takes_arguments`, with the list of what stands beside the flags.
    """

    # Of a console script, `--help` would list nothing: the flags are those of a module, and the script is another.
    for flag in flags.FLAGS.get_key_flags_for_module(main.__module__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)

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
