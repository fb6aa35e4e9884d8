"""Runs code as if something were not installed.

`python -m without NAME MODULE FLAGS...` runs a command without NAME; `python -m without NAME=MODULE ...` imports every
module, each without another, and prints the errors.
"""

import importlib
import runpy
import sys

from s2f_tf.errors import UserError


def _imported(pairs):
    for blocked, module in pairs:
        sys.modules[blocked] = None
        try:
            importlib.import_module(module)
        except UserError as error:
            assert isinstance(error, ImportError)
            print(error)


if __name__ == "__main__":
    blocked, *command = sys.argv[1:]
    if "=" in blocked:
        _imported(argument.split("=") for argument in sys.argv[1:])
    else:
        sys.modules[blocked] = None
        sys.argv = command
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
