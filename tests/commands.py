"""Runs commands as `python -m` does, in processes that have TensorFlow and the library already: to import them outlasts
most commands. `test_packaging.py` runs every command where the library is not there yet."""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

_CONTEXT = multiprocessing.get_context("forkserver")
# The first quiets TensorFlow; the last imports most of the library, and computes nothing.
_CONTEXT.set_forkserver_preload(["s2f_tf.command", "keras", "matplotlib.pyplot", "s2f_tf.training.stages"])


class Command:
    """One that runs, in a process that can be signalled by its `pid`. Its environment has what is given beside this
    process's."""

    def __init__(self, module, *flags, environment=None):
        self.arguments = [module, *map(str, flags)]
        self._output = tempfile.TemporaryDirectory()
        target = (self.arguments, os.getcwd(), environment or {}, self._output.name)
        self._process = _CONTEXT.Process(target=_run, args=target)
        self._process.start()
        self.pid = self._process.pid

    def is_running(self):
        return self._process.exitcode is None

    def result(self, timeout=300):
        """What it said, and its exit status, once it has ended."""
        self._process.join(timeout)
        if self.is_running():
            self._process.kill()
            raise subprocess.TimeoutExpired(self.arguments, timeout)
        said = [(pathlib.Path(self._output.name) / name).read_text(errors="replace") for name in ("stdout", "stderr")]
        self._output.cleanup()
        return subprocess.CompletedProcess(self.arguments, self._process.exitcode, *said)


def run(module, *flags, environment=None):
    """What a command said, and its exit status."""
    return Command(module, *flags, environment=environment).result()


def _run(arguments, folder, environment, output):
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(output, name), os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
