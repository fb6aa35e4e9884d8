"""From the results of single videos to shards of about the same size.

The clips of a corpus stand in a row: by the place of their speaker, then by video, then by time. A split is a stretch
of that row, and so is a shard: of n shards of a split with B bytes, shard i holds the clips that begin at a byte from
i B / n up to (i + 1) B / n. So what a shard holds follows from how many bytes lie before it, and no step needs to know
all clips.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from s2f_tf.aside import written_aside
from s2f_tf.errors import UserError

from . import reasons, results, splits
from .reasons import Dropped
from .results import Result

BYTES = 100_000_000  # that a shard may hold

_AT_LEAST = 8  # shards of a split, where it has clips enough: several can be read, and written, at once
_CLIPS_IN_A_SMALL_SHARD = 16
_FEW = 16  # speakers of a part that are told: parts of a corpus of few speakers have fewer
_COPIED = 1 << 20


class CorpusTooSmallError(UserError):
    """So few speakers are left that a split would be without; the message says what was dropped."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard to be written.

    Attributes:
        split, index, count: which it is.
        low, high: the stretch of speakers, by their share, that the split has.
        parts: names of the parts of the corpus that it may lie in.
        start, stop: bytes from the first clip of the split in the first of these parts.
    """

    split: str
    index: int
    count: int
    low: float
    high: float
    parts: tuple[str, ...]
    start: int
    stop: int

    @property
    def name(self) -> str:
        """As a file is called."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}.tfrecord"


def summary(aside: str, source: str, part: str, low: float = 0.0, high: float = math.inf) -> dict[str, Any]:
    """What a part of the corpus holds, of the speakers from `low` up to `high`.

    Returns:
        `part`, `clips`, `bytes`, `seconds`, the count of `speakers` and up to 16 of their `places`, and `dropped` and
        `examples`.
    """
    found: dict[str, Any] = {"part": part, "clips": 0, "bytes": 0, "seconds": 0.0}
    places, dropped = set(), Dropped()
    for result in _results(aside, source, (part,), low, high):
        for _, size, seconds in result.clips:
            found["clips"] += 1
            found["bytes"] += size
            found["seconds"] += seconds
            places.add(result.place)
        dropped.merge(result.dropped, result.examples)
    few = sorted(places)[:_FEW]
    counts = {"dropped": dict(dropped.counts), "examples": dropped.examples}
    return found | {"speakers": len(places), "places": few} | counts


def plan(aside: str, source: str, summaries: Iterable[dict[str, Any]], shard_bytes: int) -> list[Shard]:
    """The shards of a corpus, from the summaries of all its parts. `corpus(aside)` tells then what they hold together.

    Where no split by speaker can be made there are none, and `corpus` says why: what a worker raises comes with the
    tracebacks of its runner.
    """
    summaries = sorted(summaries, key=lambda one: one["part"])
    dropped = Dropped()
    for one in summaries:
        dropped.merge(one["dropped"], one["examples"])
    count = sum(one["speakers"] for one in summaries)
    if count < splits.NEEDED:
        _describe(aside, dropped.described() | {"too_few": count})
        return []
    # Of so many speakers that some are not told, a split by hash leaves none without.
    shares = [splits.share(place) for one in summaries for place in one["places"]]
    ranges, split_by = splits.ranges(shares)
    described: dict[str, Any] = {"split_by": split_by, "clips": {}, "speakers": {}, "seconds": {}}
    shards = []
    for split, (low, high) in ranges.items():
        parts = [_within(aside, source, one, low, high) for one in summaries]
        parts = [one for one in parts if one["clips"]]
        described["clips"][split] = sum(one["clips"] for one in parts)
        described["speakers"][split] = sum(one["speakers"] for one in parts)
        described["seconds"][split] = round(sum(one["seconds"] for one in parts), 1)
        shards += _cut(split, low, high, parts, described["clips"][split], shard_bytes)
    _describe(aside, described | dropped.described() | {"shards": [shard.name for shard in shards]})
    return shards


def corpus(aside: str) -> dict[str, Any]:
    """What all shards hold together, as the last `plan` found it, and their names as `shards`.

    Raises `CorpusTooSmallError` where it could not split the speakers.
    """
    with open(_corpus_path(aside), encoding="utf-8") as file:
        found = json.load(file)
    if "too_few" in found:
        raise CorpusTooSmallError(
            f"the input gives clips of {found['too_few']} speakers, and {splits.NEEDED} are needed: two to train, one "
            f"each to validate and to test. Dropped: {reasons.listed(found)}"
        )
    return found


def write(aside: str, source: str, output: str, shard: Shard) -> None:
    """Writes a shard, unless it is there already and made of the same."""
    runs = list(_runs(aside, source, shard))
    made_of = hashlib.sha256(repr([(result.key, start, size) for result, start, size in runs]).encode()).hexdigest()
    target, note = os.path.join(output, shard.name), os.path.join(aside, "shards", f"{shard.name}.json")
    if os.path.exists(target) and _read_note(note) == made_of:
        return
    os.makedirs(os.path.dirname(note), exist_ok=True)
    part = os.path.join(aside, "shards", shard.name)
    with written_aside(part, shared=True) as path, open(path, "wb") as file:
        for result, start, size in runs:
            _copy(result.path, start, size, file)
    os.replace(part, target)
    with written_aside(note, shared=True) as path, open(path, "w", encoding="utf-8") as file:
        json.dump(made_of, file)


def remove_others(output: str, names: Iterable[str]) -> None:
    """Removes shards of an earlier run, on other input, that these do not take the place of."""
    for name in set(os.listdir(output)) - set(names):
        if re.fullmatch(r"(train|validation|test)-\d{5}-of-\d{5}\.tfrecord", name):
            os.remove(os.path.join(output, name))


def _cut(
    split: str, low: float, high: float, parts: list[dict[str, Any]], clips: int, shard_bytes: int
) -> Iterator[Shard]:
    total = sum(one["bytes"] for one in parts)
    count = max(1, min(_AT_LEAST, clips // _CLIPS_IN_A_SMALL_SHARD), math.ceil(total / shard_bytes))
    for index in range(count):
        start, stop = index * total // count, (index + 1) * total // count
        before, first, names = 0, 0, []
        for one in parts:
            if before < stop and before + one["bytes"] > start:
                first = first if names else before
                names.append(one["part"])
            before += one["bytes"]
        yield Shard(split, index, count, low, high, tuple(names), start - first, stop - first)


def _within(aside: str, source: str, of_part: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """The summary of the part of a part that lies in a split."""
    lowest = splits.share(of_part["part"].ljust(16, "0"))
    highest = splits.share(of_part["part"].ljust(16, "f"))
    if low <= lowest and highest < high:
        return of_part
    if highest < low or lowest >= high:
        return of_part | {"clips": 0, "bytes": 0}
    return summary(aside, source, of_part["part"], low, high)


def _results(aside: str, source: str, parts: Iterable[str], low: float, high: float) -> Iterator[Result]:
    """The results of the videos of some parts, in order."""
    for part in parts:
        for item in results.items(aside, source, part):
            if low <= splits.share(splits.place(item.speaker)) < high:
                yield results.read(aside, item)


def _runs(aside: str, source: str, shard: Shard) -> Iterator[tuple[Result, int, int]]:
    """Of each result that has clips in a shard, the first byte in its file, and how many bytes there are."""
    at = 0
    for result in _results(aside, source, shard.parts, shard.low, shard.high):
        first, size, in_file = 0, 0, 0
        for _, length, _ in result.clips:
            if shard.start <= at < shard.stop:
                first = first if size else in_file
                size += length
            at += length
            in_file += length
        if size:
            yield result, first, size
        if at >= shard.stop:
            return


def _copy(path: str, start: int, size: int, target: Any) -> None:
    with open(path, "rb") as file:
        file.seek(start)
        while size:
            some = file.read(min(size, _COPIED))
            if not some:
                raise UserError(f"{path} is shorter than it was: remove it, and run the same command again")
            target.write(some)
            size -= len(some)


def _describe(aside: str, described: dict[str, Any]) -> None:
    with written_aside(_corpus_path(aside), shared=True) as path, open(path, "w", encoding="utf-8") as file:
        json.dump(described, file)


def _corpus_path(aside: str) -> str:
    return os.path.join(aside, "corpus.json")


def _read_note(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
