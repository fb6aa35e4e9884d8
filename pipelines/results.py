"""What became of each video, kept aside until the corpus is whole, so that no work is done twice.

    <output>/.unfinished/
        items/0a7.jsonl               what there is to do, by the first digits of the speaker's place (see splits.py)
        videos/0a7/<place>-<name>.tfrecord   the clips of one video, as they will stand in a shard
        videos/0a7/<place>-<name>.json       what they are and what was dropped; its presence says that both are whole
        videos/0a7/<place>-<name>.tries      a byte for each process that began to read it, and did not end it
        shards/<shard>.json           what a shard in <output> was made of
        progress/                     see tally.py

Every file is written aside and renamed. A result is used again where the same software, settings and bytes would make
it: its key says so. The names of the files put results in the order of the corpus: by speaker, then by video.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from s2f_tf.aside import written_aside
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip

from . import sources, splits
from .extract import VERSION, Settings
from .reasons import Drop, Dropped
from .sources import Item

FOLDER = ".unfinished"

_DIGITS = 3  # of the place: 4096 folders
_FIRST_DIGITS = 2  # of it: 256 parts of the work, so that of some thousand stills some dozens are in one
_FRAME = 16  # bytes that a TFRecord adds to its data
_LOOK = 65_536  # bytes in three places of a file, by which it is told from another of its name and size
_HELD = 20_000  # rows in memory


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a video.

    Attributes:
        place: of its speaker, see `splits.place`.
        key: what it was made of.
        clips: id, bytes in the shard, and seconds of each clip.
        dropped, examples: how often each reason was met, and one example.
        path: of the records.
    """

    place: str
    key: str
    clips: list[tuple[str, int, float]]
    dropped: dict[str, int]
    examples: dict[str, str]
    path: str


def write_items(aside: str, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Writes down all there is to do, in place of what an earlier run wrote."""
    folder = os.path.join(aside, "items")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rows = iter(rows)
    while some := list(itertools.islice(rows, _HELD)):
        some.sort(key=lambda row: splits.place(row[0])[:_DIGITS])
        for bucket, of_bucket in itertools.groupby(some, key=lambda row: splits.place(row[0])[:_DIGITS]):
            with open(os.path.join(folder, f"{bucket}.jsonl"), "a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in of_bucket)


def buckets(aside: str) -> list[str]:
    """The names of the parts of what there is to do, in order."""
    return sorted(name.removesuffix(".jsonl") for name in os.listdir(os.path.join(aside, "items")))


def items(aside: str, source: str, bucket: str) -> list[Item]:
    """What there is to do in a part, in the order of the corpus."""
    by_speaker: dict[str, list[Mapping[str, Any]]] = {}
    with open(os.path.join(aside, "items", f"{bucket}.jsonl"), encoding="utf-8") as file:
        for speaker, row in map(json.loads, file):
            by_speaker.setdefault(speaker, []).append(row)
    found = [item for speaker in by_speaker for item in sources.items(source, by_speaker[speaker], speaker)]
    return sorted(found, key=_name)


def starts(aside: str) -> list[str]:
    """What the names of the parts start with, in order."""
    return sorted({name[:_FIRST_DIGITS] for name in buckets(aside)})


def batches(aside: str, source: str, start: str, size: int) -> Iterator[list[Item]]:
    """What is worked on together, up to `size` at once, of the parts whose names start so."""
    names = (name for name in buckets(aside) if name.startswith(start))
    found = (item for name in names for item in items(aside, source, name))
    while some := list(itertools.islice(found, size)):
        yield some


def keys(batch: Sequence[Item], settings: Settings) -> list[str]:
    """Says what the result of each is made of: of itself, and of what is worked on together with it."""
    alone = [key(item, settings) for item in batch]
    return [hashlib.sha256("".join([one, *alone]).encode()).hexdigest() for one in alone]


def key(item: Item, settings: Settings) -> str:
    """Says what a result is made of: two that have the same key have the same bytes."""
    made_of = [VERSION, dataclasses.astuple(settings), item.name, item.speaker, item.spans]
    made_of += [name for name, _ in item.stills + item.sounds]
    made_of += [_fingerprint(path) for path in item.paths]
    return hashlib.sha256(repr(made_of).encode()).hexdigest()


def read(aside: str, item: Item) -> Result:
    """What became of a video. Raises `FileNotFoundError` where it has not been done."""
    base = _base(aside, item)
    with open(f"{base}.json", encoding="utf-8") as file:
        found = json.load(file)
    return Result(splits.place(item.speaker), path=f"{base}.tfrecord", **found)


def is_done(aside: str, item: Item, key: str) -> bool:
    """Whether an earlier run, or another worker, has made the very result."""
    try:
        return read(aside, item).key == key
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def tried(aside: str, item: Item) -> Iterator[int]:
    """How many processes have begun what is done here, this one included, and did not come to its end."""
    path = f"{_base(aside, item)}.tries"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "ab") as file:
        file.write(b".")
        tries = file.tell()
    yield tries
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def write(aside: str, item: Item, key: str, found: Iterable[clip.Clip | Drop], audio_format: str) -> None:
    """Writes what became of a video while it comes."""
    base = _base(aside, item)
    os.makedirs(os.path.dirname(base), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{base}.json")  # of other files or settings: it would vouch for the new records
    clips, dropped = [], Dropped()
    with written_aside(f"{base}.tfrecord", shared=True) as path, tf.io.TFRecordWriter(path) as writer:
        for one in found:
            if isinstance(one, Drop):
                dropped.add(one.reason, one.where)
            else:
                record = clip.encode(one, audio_format)
                writer.write(record)
                clips.append((one.id, len(record) + _FRAME, len(one.waveform) / SAMPLE_RATE))
    with written_aside(f"{base}.json", shared=True) as path, open(path, "w", encoding="utf-8") as file:
        json.dump({"key": key, "clips": clips, "dropped": dropped.counts, "examples": dropped.examples}, file)


def _name(item: Item) -> str:
    return f"{splits.place(item.speaker)}-{splits.place(item.name)}"


def _base(aside: str, item: Item) -> str:
    name = _name(item)
    return os.path.join(aside, "videos", name[:_DIGITS], name)


def _fingerprint(path: str) -> tuple[int, str] | None:
    """A file's size and a hash of parts of it. None where it cannot be read, which will be found again."""
    try:
        with open(path, "rb") as file:
            size = os.path.getsize(path)
            parts = hashlib.sha256()
            for start in (0, size // 2, max(0, size - _LOOK)):
                file.seek(start)
                parts.update(file.read(_LOOK))
    except OSError:
        return None
    return size, parts.hexdigest()
