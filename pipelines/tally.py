"""How far a job of many processes is: counts that they leave for whoever shows it."""

import json
import os
import re
import socket
import time
import uuid

from s2f_tf.aside import written_aside


class Tally:
    """What one worker, a process or a thread of one, has done, kept in a file of its own in `folder`, which all share.

    Any runner of Beam does without metrics, and few tell theirs while they run; a file is read everywhere.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._path = os.path.join(folder, f"{socket.gethostname()}-{os.getpid()}.{uuid.uuid4().hex}.json")
        self._done = {"videos": 0, "reused": 0}
        self.write()

    def add(self, videos: int, reused: int) -> None:
        """Counts so many videos, and `reused` more that an earlier run had done."""
        self._done["videos"] += videos
        self._done["reused"] += reused
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
