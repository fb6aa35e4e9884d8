"""Runs commands as `python -m` does, in processes that have TensorFlow already: its import outlasts most commands."""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["s2f_tf.command", "keras", "matplotlib.pyplot"])  # the first quiets TensorFlow


def run(module, *flags, environment=None, timeout=300):
    """What a command said, and its exit status. Its environment has what is given beside this process's."""
    arguments = [module, *map(str, flags)]
    with tempfile.TemporaryDirectory() as folder:
        process = _CONTEXT.Process(target=_run, args=(arguments, os.getcwd(), environment or {}, folder))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout)
        said = [(pathlib.Path(folder) / name).read_text(errors="replace") for name in ("stdout", "stderr")]
    return subprocess.CompletedProcess(arguments, process.exitcode, *said)


def _run(arguments, folder, environment, output):
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(output, name), os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
