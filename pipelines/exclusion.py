"""Speakers who are not to be in a corpus: taken out of one, and kept out.

`corpus.json` remembers them in `excluded`, by a hash of each: a list of names would itself say something about a
person. A hash hides a name from whoever reads the list. It does not from whoever guesses the name and hashes it, and
ids that are numbers can all be guessed.

Deletion first writes down who is to go, then replaces shards one at a time, each written aside and renamed, and
corrects the counts last. So at any moment each shard is as it was or as it shall be, and the same command completes
what was interrupted.
"""

import collections
import dataclasses
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from s2f_tf import text_file
from s2f_tf.aside import written_aside
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip
from s2f_tf.errors import UserError
from s2f_tf.progress import Progress

from . import holdings, results

_FILE = "@"
_PURPOSE = b"s2f_tf excluded speaker\0"  # so that it is no hash of the name that anything else makes
_INSTEAD = "of a speaker who is excluded"


class ExclusionError(UserError):
    """Speakers that cannot be excluded; the message says which and why. Nothing was changed."""


@dataclasses.dataclass(frozen=True)
class Excluded:
    """What a deletion did.

    Attributes:
        clips: by speaker, for those that were asked for, how many went.
        others: clips of speakers excluded before, whose deletion had been interrupted.
        damaged: records and broken ends of shards that went since nobody can tell whose they were.
        rewritten: shards.
        description: what `corpus.json` says now.
    """

    clips: dict[str, int]
    others: int
    damaged: int
    rewritten: int
    description: dict[str, Any]


def digest(speaker: str) -> str:
    """What is remembered of an excluded speaker, 64 hexadecimal digits."""
    return hashlib.sha256(_PURPOSE + speaker.encode()).hexdigest()


def read_speakers(values: Iterable[str]) -> frozenset[str]:
    """The speakers that a flag names: each value is one, or `@` and a file with one a line. UTF-8; empty lines are
    passed over. Raises `TextFileError` where a file cannot be read, `ExclusionError` where a value is empty."""
    speakers = set()
    for value in values:
        if not value.startswith(_FILE):
            speakers.add(value)
            continue
        with text_file.opened(value.removeprefix(_FILE)) as file:
            speakers.update(line for line in file.read().splitlines() if line)
    if "" in speakers:
        raise ExclusionError("a speaker without a name cannot be excluded: an id, or @ and a file of ids, is expected")
    return frozenset(speakers)


def remembered(folder: str) -> frozenset[str]:
    """The digests of who was excluded from the corpus in a folder; none where there is no corpus yet."""
    if not os.path.exists(os.path.join(folder, "corpus.json")):
        return frozenset()
    return _remembered(folder, clip.read_description(folder))


def delete(folder: str, speakers: Iterable[str]) -> Excluded:
    """Deletes every clip of some speakers from a corpus, and remembers that they are excluded.

    Only shards that hold them are rewritten, and shards with damage: of a damaged record nobody can tell whose it is.
    What the making of the corpus may have left behind goes, too. Memory grows with the number of speakers alone.
    Progress goes to stderr. Nothing must read or write the corpus meanwhile.

    Raises:
        CorpusError: where the folder is no corpus, or a shard is missing.
        ExclusionError: where the corpus has no such speaker, and nobody of that name was excluded from it before; and
            where something cannot be written.
    """
    speakers = frozenset(speakers)
    description = clip.read_description(folder)
    before = _remembered(folder, description)
    gone = before | {digest(speaker) for speaker in speakers}
    found = _scan(folder, description, gone, speakers)
    unknown = sorted(speaker for speaker in speakers if not found.clips[speaker] and digest(speaker) not in before)
    if unknown:
        raise ExclusionError(f"{folder} has no clip of speaker {', '.join(map(repr, unknown))}: nothing was changed")
    description["excluded"] = sorted(gone)
    if "examples" in description:
        description["examples"] = _without(description["examples"], speakers)
    try:
        clip.write_description(folder, description)
        _remove_leftovers(folder)
        for path in found.touched:
            _rewrite(path, gone, clip.kind(description))
        description |= found.kept
        clip.write_description(folder, description)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{folder}: not all clips are deleted yet ({error}). Run the same command again to complete it"
        ) from error
    return Excluded(
        clips={speaker: found.clips[speaker] for speaker in sorted(speakers)},
        others=found.clips[None],
        damaged=found.damaged,
        rewritten=len(found.touched),
        description=description,
    )


@dataclasses.dataclass
class _Found:
    """What is in the shards: clips of those who go (None: of those excluded before), and what `corpus.json` shall say
    of the others."""

    clips: collections.Counter[str | None]
    damaged: int
    touched: list[str]
    kept: dict[str, dict[str, Any]]


def _scan(folder: str, description: Mapping[str, Any], gone: frozenset[str], asked: frozenset[str]) -> _Found:
    found = _Found(collections.Counter(), 0, [], {"clips": {}, "speakers": {}, "seconds": {}})
    kind = clip.kind(description)
    with Progress(sum(description["clips"].values()), "clip") as progress:
        for split in clip.SPLITS:
            count, seconds, speakers = 0, 0.0, set()
            for path in clip.shards(folder, split):
                before = found.clips.total() + found.damaged
                for _, one in holdings.clips(path, kind):
                    progress.add()
                    if one is None:
                        found.damaged += 1
                    elif (hashed := digest(one.speaker)) in gone:
                        found.clips[one.speaker if one.speaker in asked else None] += 1
                    else:
                        count += 1
                        seconds += len(one.waveform) / SAMPLE_RATE
                        speakers.add(hashed[:16])
                found.damaged += holdings.ends_broken(path)
                if found.clips.total() + found.damaged > before:
                    found.touched.append(path)
            found.kept["clips"][split] = count
            found.kept["speakers"][split] = len(speakers)
            found.kept["seconds"][split] = round(seconds, 1)
    return found


def _rewrite(path: str, gone: frozenset[str], kind: clip.Kind) -> None:
    """Writes a shard again without some speakers. What stays is what was there, to the byte."""
    with written_aside(path, shared=True) as part, tf.io.TFRecordWriter(part) as writer:
        for record, one in holdings.records(path, kind):
            if one is not None and digest(one.speaker) not in gone:
                writer.write(record)


def _remove_leftovers(folder: str) -> None:
    """Removes what an interrupted command left aside: it may hold anybody."""
    shutil.rmtree(os.path.join(folder, results.FOLDER), ignore_errors=True)
    for name in os.listdir(folder):
        if re.fullmatch(r"[a-z]+-\d{5}-of-\d{5}\.tfrecord(\.[0-9a-f]+)?\.part", name):
            os.remove(os.path.join(folder, name))


def _remembered(folder: str, description: Mapping[str, Any]) -> frozenset[str]:
    digests = description.get("excluded", [])
    if not isinstance(digests, list) or not all(re.fullmatch("[0-9a-f]{64}", str(one)) for one in digests):
        raise clip.CorpusError(f"{folder}/corpus.json: field 'excluded' holds hashes of speakers, not {digests!r}")
    return frozenset(digests)


def _without(examples: Mapping[str, str], speakers: frozenset[str]) -> dict[str, str]:
    """Examples of what was dropped, but for those that name an excluded speaker."""
    names = re.compile("|".join(rf"(?<!\w){re.escape(speaker)}(?!\w)" for speaker in sorted(speakers)) or "(?!)")
    return {reason: _INSTEAD if names.search(example) else example for reason, example in examples.items()}
