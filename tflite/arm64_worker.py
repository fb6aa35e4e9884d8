"""What runs inside the emulator: answers `tflite/arm64.py` over pipes, with numpy and LiteRT alone.

A request is a line of JSON, the method and the shapes of its inputs, and then their float32 bytes; an answer is a line
of JSON, type and shape, and then the bytes.
"""

import json
import sys
from typing import Any, BinaryIO

import numpy as np

from .runtimes import LiteRT


def main(path: str) -> None:
    """Answers until the pipe is closed."""
    model = LiteRT(path)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    _say(answers, model.name)
    for line in iter(requests.readline, b""):
        method, shapes = json.loads(line)
        inputs = [np.frombuffer(requests.read(4 * int(np.prod(s))), np.float32).reshape(s) for s in shapes]
        output = getattr(model, method)(*inputs)
        _say(answers, [output.dtype.name, output.shape])
        answers.write(output.tobytes())
        answers.flush()


def _say(answers: BinaryIO, what: Any) -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
