"""How far a long job is, in one line on the standard error: the same line wherever something takes long."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Self


class Progress:
    """One line: how many are done, the time that is left, the time that one takes, and the numbers that matter.

    On a terminal the line is written over itself and is never wider: numbers that do not fit are left out. Elsewhere,
    as in a log, a new one comes every ten seconds if something was done. It is for `with`, and its end stays.

    Args:
        total: how many there are; None where that is not known before the end.
        noun: what is counted, in the singular.
        stage: where it is one of several, its name.
        before: how many an earlier run has done.
    """

    def __init__(self, total: int | None, noun: str, *, stage: str = "", before: int = 0) -> None:
        self._total, self._noun, self._stage = total, noun, stage
        self._before, self._done = before, before
        self._numbers: dict[str, float] = {}
        self._begun = self._shown = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first was done, which may take longer than others
        self._terminal = sys.stderr.isatty()
        self._told = before  # nothing is said before something is done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._total is None:
            self._total = self._done
        self._show(self._time_each(time.monotonic()))
        if self._terminal:
            print(file=sys.stderr, flush=True)

    def add(self, count: int = 1) -> None:
        """Counts one more, or so many."""
        self.update(self._done + count)

    def update(self, done: int, numbers: Mapping[str, float] | None = None, *, before: int | None = None) -> None:
        """Sets how many are done, and, if given, numbers, and how many of the done an earlier run did."""
        now = time.monotonic()
        self._done, self._before = done, self._before if before is None else before
        self._numbers |= numbers or {}
        if self._first is None and done > self._before:
            self._first = now, done - self._before
        if now - self._shown >= (0.2 if self._terminal else 10.0):
            self._shown = now
            self._show(self._time_each(now))

    def print(self, text: str) -> None:
        """Prints a line that stays, on the standard output."""
        if self._terminal:
            print(f"\r{'':{_columns() - 1}}\r", end="", file=sys.stderr, flush=True)
        print(text, flush=True)

    def _time_each(self, now: float) -> float | None:
        new = self._done - self._before
        if self._first and new > self._first[1]:
            return (now - self._first[0]) / (new - self._first[1])
        return (now - self._begun) / new if new else None

    def _show(self, each: float | None) -> None:
        of = "" if self._total is None else f" of {self._total:,}"
        parts = [f"{self._stage}: " * bool(self._stage) + f"{self._done:,}{of} {self._noun}s"]
        if each is not None:
            if self._total == self._done:
                parts.append(f"{duration(time.monotonic() - self._begun)} in all")
            elif self._total is not None:
                parts.append(f"{duration(each * (self._total - self._done))} left")
            parts.append(f"{_short(each)} a {self._noun}")
        parts += [f"{name} {_digits(value)}" for name, value in self._numbers.items()]
        if self._terminal:
            width = _columns() - 1  # some terminals begin a new line behind the last column
            while len(parts) > 1 and len(", ".join(parts)) > width:
                parts.pop()
            print(f"\r{', '.join(parts)[:width]:{width}}", end="", file=sys.stderr, flush=True)
        elif self._done != self._told:
            print(", ".join(parts), file=sys.stderr, flush=True)
        self._told = self._done


def duration(seconds: float) -> str:
    """So long, for a person."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours or minutes >= 10:
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _digits(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _columns() -> int:
    """Of the terminal as it is now; 80 where it does not tell."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
