"""What a corpus really holds: every record is read once, and memory does not grow with the corpus."""

import collections
import dataclasses
import io
import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip, reader
from s2f_tf.data.clip import Clip, Kind
from s2f_tf.progress import Progress

_FRAME = 16  # bytes that a TFRecord adds to its data
_NAMED = 5  # damaged records are told by name, and the others are counted


@dataclasses.dataclass(frozen=True)
class Scale:
    """How values are counted: in bins of one width, of which the last takes all that is larger."""

    width: float
    bins: int


DURATION = Scale(0.01, 3_500)  # s: a clip lasts 30 s at most
LEVEL = Scale(0.5, 240)  # dB below full scale
FACE_BYTES = Scale(0.05, 10_000)  # kB


class Counts:
    """How often values fall into the bins of a scale: so much memory, however many there are."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.bins = np.zeros(scale.bins, np.int64)

    def add(self, value: float) -> None:
        """Counts one value, 0 or more."""
        self.bins[min(int(value / self.scale.width), self.scale.bins - 1)] += 1

    def quantile(self, share: float) -> float:
        """The middle of the bin up to which a share of the values lies, from 0 to 1. NaN where there are none."""
        if not self.bins.any():
            return float("nan")
        rank = max(1, int(np.ceil(share * self.bins.sum())))
        return float((np.searchsorted(np.cumsum(self.bins), rank) + 0.5) * self.scale.width)


@dataclasses.dataclass
class Holdings:
    """What was found.

    Attributes:
        description: what `corpus.json` says.
        clips, seconds: by split, of what can be read.
        durations, levels, face_bytes: of sounds in seconds, and in dB below full scale; of faces, in kB.
        faces: how many clips have so many faces.
        sides: how many faces are so many pixels wide and high.
        damaged: records that cannot be read.
        damaged_names: the first of them.
        lost: clips that `corpus.json` promises and no record was found of, by split.
        sample: clips drawn at random, in random order.
    """

    description: dict[str, Any]
    clips: dict[str, int]
    seconds: dict[str, float]
    durations: Counts
    levels: Counts
    face_bytes: Counts
    faces: collections.Counter[int]
    sides: collections.Counter[tuple[int, int]]
    damaged: int
    damaged_names: list[str]
    lost: dict[str, int]
    sample: list[Clip]


def look(folder: str, sample: int, seed: int) -> Holdings:
    """Reads a corpus once. Progress goes to stderr.

    Args:
        folder: with a `corpus.json`.
        sample: how many clips to draw at random; they are what memory grows with.
        seed: of the draw.

    Raises:
        CorpusError: where it is no corpus, or a shard is missing.
    """
    description = clip.read_description(folder)
    found = Holdings(
        description=description,
        clips=dict.fromkeys(clip.SPLITS, 0),
        seconds=dict.fromkeys(clip.SPLITS, 0.0),
        durations=Counts(DURATION),
        levels=Counts(LEVEL),
        face_bytes=Counts(FACE_BYTES),
        faces=collections.Counter(),
        sides=collections.Counter(),
        damaged=0,
        damaged_names=[],
        lost={},
        sample=[],
    )
    draw, seen = random.Random(seed), 0
    paths = {split: clip.shards(folder, split) for split in clip.SPLITS}
    with Progress(sum(description["clips"].values()), "clip") as progress:
        for split in clip.SPLITS:
            records = 0
            for path in paths[split]:
                for name, one in clips(path, clip.kind(description)):
                    records += 1
                    progress.add()
                    if one is None:
                        found.damaged += 1
                        found.damaged_names += [name] * (len(found.damaged_names) < _NAMED)
                        continue
                    _count(found, split, one)
                    seen += 1  # the rest is Vitter's reservoir: each clip seen so far is in it with the same chance
                    if len(found.sample) < sample:
                        found.sample.append(one)
                    elif (place := draw.randrange(seen)) < sample:
                        found.sample[place] = one
            found.lost[split] = max(0, description["clips"].get(split, 0) - records)
    draw.shuffle(found.sample)
    return found


def clips(path: str, kind: Kind = Kind.PAIRS) -> Iterator[tuple[str, Clip | None]]:
    """Every record of a shard, in order: its name, and the clip, or None where it is damaged."""
    found = reader.shard(path)
    for number, (_, one) in enumerate(records(path, kind)):
        yield found.name(number), one


def records(path: str, kind: Kind = Kind.PAIRS) -> Iterator[tuple[bytes, Clip | None]]:
    """Every record of a shard, in order: its data, and the clip in it; nothing and None where it is damaged."""
    found = reader.shard(path)
    for number in range(len(found)):
        try:
            record = found.read(tf.constant(number, tf.int64)).numpy()
            yield record, clip.decode(record, kind)
        except (clip.CorpusError, tf.errors.DataLossError):
            yield b"", None


def ends_broken(path: str) -> bool:
    """Whether bytes of a shard stand behind its last whole record, which no reader can use."""
    offsets, end = reader.shard(path).offset, 0
    if len(offsets):
        with open(path, "rb") as file:
            file.seek(offsets[-1])
            end = offsets[-1] + int.from_bytes(file.read(8), "little") + _FRAME
    return end != os.path.getsize(path)


def _count(found: Holdings, split: str, one: Clip) -> None:
    found.clips[split] += 1
    if one.waveform.size:
        seconds = len(one.waveform) / SAMPLE_RATE
        found.seconds[split] += seconds
        found.durations.add(seconds)
        power = float(np.mean(np.square(one.waveform, dtype=np.float64)))
        found.levels.add(max(0.0, -10 * np.log10(max(power, 1e-12))))
    found.faces[len(one.faces)] += 1
    for face in one.faces:
        found.face_bytes.add(len(face) / 1000)
        found.sides[_size(face)] += 1


def _size(face: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header; zeros where it is no picture."""
    try:
        with Image.open(io.BytesIO(face)) as image:
            return image.size
    except OSError:
        return 0, 0
