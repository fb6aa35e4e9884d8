"""The model that is served where none is given: the weights in the package, exported once."""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tempfile

import s2f_tf
from s2f_tf.errors import UserError

_PACKAGE = pathlib.Path(s2f_tf.__file__).resolve().parent


def base_path() -> str:
    """The folder of its versions, below the user's cache. Raises `UserError` where it cannot be made."""
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "s2f_tf")
    folder = os.path.join(cache, f"demo-{_fingerprint()}")
    if os.path.isdir(folder):
        return folder
    print("Exporting the weights in the package, which takes some seconds, once", flush=True)
    try:
        os.makedirs(cache, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as aside:
            # In a process of its own, so that the server holds no Keras.
            command = [sys.executable, "-m", "s2f_tf.export", f"--output={aside}/demo"]
            result = subprocess.run(command, cwd=_PACKAGE.parent, capture_output=True, text=True)
            if result.returncode:
                raise UserError(f"the weights in the package cannot be exported: {result.stderr.strip()}")
            with contextlib.suppress(FileExistsError, NotADirectoryError):  # another server was quicker
                os.rename(os.path.join(aside, "demo"), folder)
    except OSError as error:
        if not os.path.isdir(folder):
            raise UserError(f"{cache} cannot be written to ({error.strerror}): set XDG_CACHE_HOME") from error
    return folder


def _fingerprint() -> str:
    """Of everything that an export depends on."""
    digest = hashlib.sha256(importlib.metadata.version("tensorflow").encode())
    for path in sorted([*_PACKAGE.rglob("*.py"), *_PACKAGE.glob("pretrained/**/*.*"), *_PACKAGE.glob("*.md")]):
        digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
