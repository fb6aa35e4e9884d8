"""A terminal that is recorded."""

import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios

import pytest


@pytest.fixture
def terminal(monkeypatch):
    """A function that makes this process's terminal so wide, and one that reads what is on it."""
    screen, stream = pty.openpty()
    os.set_blocking(screen, False)
    with open(stream, "w", encoding="utf-8") as file:

        def resize(columns):
            fcntl.ioctl(stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            monkeypatch.setattr(sys, "stderr", file)
            monkeypatch.setattr(sys, "stdout", file)

        def rows():
            written = b""
            with contextlib.suppress(BlockingIOError):
                while True:
                    written += os.read(screen, 4096)
            return shown(written.decode())

        yield resize, rows
    os.close(screen)


def shown(written):
    """What a terminal of any width shows of this, row by row, and how wide each was when it was written."""
    rows = []
    for line in written.replace("\r\n", "\n").removesuffix("\n").split("\n"):
        row, parts = "", line.split("\r")
        for part in parts:
            row = part + row[len(part) :]
        rows.append((row.rstrip(), max(map(len, parts))))
    return rows
