"""How far a long job is: a line on stderr, and counts that worker processes leave for whoever prints it."""

import json
import os
import re
import socket
import sys
import time
import uuid

from s2f_tf.aside import written_aside


class Progress:
    """A line on stderr: how many are done, how fast, how long it will take.

    Args:
        total: how many there are.
        noun: what is counted, in the plural.
        before: how many were done by an earlier run.
    """

    def __init__(self, total: int, noun: str, before: int = 0) -> None:
        self.added = 0
        self._total, self._noun, self._before = total, noun, before
        self._start = self._shown = time.monotonic()
        self._every = 0.5 if sys.stderr.isatty() else 10.0

    def add(self, count: int = 1) -> None:
        """Counts so many more, and shows the line where the last one is old."""
        self.added += count
        if time.monotonic() - self._shown >= self._every:
            self._shown = time.monotonic()
            self._show()

    def update(self, videos: int, reused: int) -> None:
        """Sets how many are done: now, and by an earlier run."""
        self._before = reused
        self.add(videos - self.added)

    def close(self) -> None:
        """Shows the last line."""
        self._show()
        if sys.stderr.isatty():
            print(file=sys.stderr)

    def _show(self) -> None:
        done = self._before + self.added
        rate = self.added / max(time.monotonic() - self._start, 1e-3)
        left = f", {_duration((self._total - done) / rate)} left" if rate and done < self._total else ""
        line = f"{done:,} of {self._total:,} {self._noun}, {rate:.1f} a second{left}"
        terminal = sys.stderr.isatty()
        print(f"\r{line:<79}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


class Tally:
    """What one worker, a process or a thread of one, has done, kept in a file of its own in `folder`, which all share.

    Any runner of Beam does without metrics, and few tell theirs while they run; a file is read everywhere.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._path = os.path.join(folder, f"{socket.gethostname()}-{os.getpid()}.{uuid.uuid4().hex}.json")
        self._done = {"videos": 0, "reused": 0}
        self.write()

    def add(self, reused: bool) -> None:
        """Counts a video; `reused` where an earlier run had done it."""
        self._done["reused" if reused else "videos"] += 1
        if time.monotonic() - self._written > 0.3:
            self.write()

    def write(self) -> None:
        """Brings the file up to date."""
        with written_aside(self._path) as part, open(part, "w", encoding="utf-8") as file:
            json.dump(self._done, file)
        self._written = time.monotonic()


def processes(folder: str) -> list[int]:
    """The numbers of the workers' processes on this machine."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    here = re.compile(rf"{re.escape(socket.gethostname())}-(\d+)\.\w+\.json")
    return sorted({int(match[1]) for match in map(here.fullmatch, names) if match})


def tallied(folder: str) -> dict[str, int]:
    """What all workers have done: `videos` now, and `reused` from an earlier run."""
    total = {"videos": 0, "reused": 0}
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            if name.endswith(".json"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    for key, count in json.load(file).items():
                        total[key] += count
    return total
