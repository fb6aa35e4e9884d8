"""LiteRT on the processor of phones: an arm64 Python under qemu, which `python -m tflite.arm64` sets up.

That takes Debian with its package qemu-user-static, and network once: Debian's arm64 packages and two wheels, 200 MB,
are unpacked below the user's cache. Nothing of the machine is changed. `python -m tflite.verify` uses it where it is.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

from s2f_tf import command
from s2f_tf.errors import UserError

from .runtimes import Runtime

_EMULATOR = "qemu-aarch64-static"
# A phone of 2018. Told nothing, the emulator has newer instructions for eight bits, too, and counts wrong: int8 matched
# no better than chance. With these, every variant computes what it does on x86-64.
_PROCESSOR = "cortex-a76"
_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
_WHEELS = ("ai-edge-litert==2.1.4", "numpy==2.2.6")  # LiteRT 2.3.0 crashes under this emulator
_PYTHON = "usr/bin/python3"  # Debian's own, whose version is that of what it leads to
_ROOT = pathlib.Path(__file__).resolve().parent.parent  # from which the worker imports this folder, and no other


class Arm64LiteRT(Runtime):
    """A TFLite model, run by the LiteRT of phones. See `runtimes.LiteRT`; `close` ends the emulator."""

    def __init__(self, path: str) -> None:
        self.size = os.path.getsize(path)
        folder = environment()
        if folder is None:
            raise UserError(
                f"no arm64 environment is there: `python -m {__package__}.arm64` sets it up where {_EMULATOR} is"
            )
        python = [_EMULATOR, "-cpu", _PROCESSOR, "-L", folder, os.path.join(folder, _PYTHON)]
        variables = {**os.environ, "PYTHONPATH": os.path.join(folder, "wheels")}
        self._process = subprocess.Popen(
            [*python, "-m", "tflite.arm64_worker", os.path.abspath(path)],
            cwd=_ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.name = json.loads(self._line()).replace("LiteRT", "LiteRT arm64")

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        return self._call("embed", waveform)

    def draw(self, embedding: np.ndarray, z: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        return self._call("draw", embedding, z)

    def close(self) -> None:
        """Ends the emulator."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _call(self, method: str, *inputs: np.ndarray) -> np.ndarray:
        pipe = self._process.stdin
        pipe.write(json.dumps([method, [array.shape for array in inputs]]).encode() + b"\n")
        for array in inputs:
            pipe.write(array.astype(np.float32).tobytes())
        pipe.flush()
        kind, shape = json.loads(self._line())
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        return np.frombuffer(self._process.stdout.read(size), kind).reshape(shape)

    def _line(self) -> bytes:
        line = self._process.stdout.readline()
        if not line:
            raise UserError(f"LiteRT under {_EMULATOR} ended with status {self._process.wait()}")
        return line


def environment() -> str | None:
    """Where the arm64 environment is, or None where it or the emulator is not."""
    folder = _folder()
    return folder if os.path.isdir(folder) and shutil.which(_EMULATOR) else None


def set_up() -> str:
    """Makes the environment, aside and then renamed, and returns its folder. Raises `UserError` where it cannot be."""
    folder = _folder()
    if os.path.isdir(folder):
        return folder
    for tool in (_EMULATOR, "apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UserError(f"{tool} is not here: on Debian, install qemu-user-static")
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as scratch:
        root = os.path.join(scratch, "root")
        for package in _download_packages(scratch):
            _run("dpkg-deb", "--extract", package, root)
        if not os.path.isdir(os.path.join(root, "lib")):  # which, from Debian 13 on, is in no package of these
            os.symlink("usr/lib", os.path.join(root, "lib"))
        # Where LiteRT cannot read how many cores there are, as in a chroot without /sys, it leaves XNNPACK out, and its
        # other kernels round eight bits otherwise. The emulator looks here before it looks at the machine.
        cores = pathlib.Path(root, "sys/devices/system/cpu")
        cores.mkdir(parents=True)
        for name in ("possible", "present"):
            cores.joinpath(name).write_text("0\n")
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
        platforms = ["--platform=manylinux_2_27_aarch64", "--platform=manylinux2014_aarch64"]
        version = os.readlink(os.path.join(root, _PYTHON)).removeprefix("python")
        _run(
            *pip, "--only-binary=:all:", *platforms, f"--python-version={version}", f"--target={root}/wheels", *_WHEELS
        )
        with contextlib.suppress(FileExistsError):
            os.rename(root, folder)
    return folder


def _folder() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "s2f_tf", "arm64-one-core-" + "-".join(wheel.replace("==", "-") for wheel in _WHEELS))


def _download_packages(scratch: str) -> list[str]:
    """Packages and what they need, by an apt whose state is its own, so that the machine's knows nothing of arm64."""
    state, cache = os.path.join(scratch, "state"), os.path.join(scratch, "cache")
    os.makedirs(os.path.join(state, "lists", "partial"))
    os.makedirs(os.path.join(cache, "archives", "partial"))
    pathlib.Path(state, "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::State": state,
        "Dir::State::status": os.path.join(state, "status"),
        "Dir::Cache": cache,
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in options.items())]
    _run(*apt, "update")
    _run(*apt, "install", "--yes", "--no-install-recommends", "--download-only", *_PACKAGES)
    return sorted(str(path) for path in pathlib.Path(cache, "archives").glob("*.deb"))


def _run(*arguments: str) -> None:
    result = subprocess.run(arguments, capture_output=True, text=True)
    if result.returncode:
        raise UserError(f"`{' '.join(arguments)}` failed: {result.stderr.strip() or result.stdout.strip()}")


def main() -> None:
    """Sets the environment up, where it is not yet."""
    print(set_up())


if __name__ == "__main__":
    command.run(main)
