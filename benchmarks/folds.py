"""A corpus once more for each fold of its speakers: those of the fold are its test split."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from s2f_tf.data import clip, reader
from s2f_tf.errors import UserError
from s2f_tf.evaluation.statistics import Figure, figure


def write(corpus: reader.Corpus, fold: int, folds: int, speakers: int, folder: str) -> None:
    """The corpus once more, with the speakers of a fold as its test split, and some of the others to train on.

    Raises `UserError` where `folder` holds a fold of another corpus.
    """
    origin = hashlib.sha256(json.dumps(corpus.description, sort_keys=True).encode()).hexdigest()[:16]
    made_by = f"benchmarks.people, fold {fold} of {folds} of {origin}"
    if os.path.exists(os.path.join(folder, "corpus.json")):
        if reader.Corpus(folder).description["made_by"] != made_by:
            raise UserError(f"{folder} is a fold of another corpus than {corpus.folder}: choose another --output")
        return
    os.makedirs(folder, exist_ok=True)
    place = parts({found.speaker for found in clips(shards(corpus))}, folds)
    others = [name for name in place if place[name] != fold]
    held = set(others[::10])
    training = [name for name in others if name not in held]
    # A learning curve changes what is trained on and nothing else.
    members = {"train": set(training[: speakers or None]), "validation": held}
    members["test"] = {name for name in place if place[name] == fold}
    counts = {}
    for split, names in members.items():
        chosen = (found for found in clips(shards(corpus)) if found.speaker in names)
        counts[split] = clip.write_shard(folder, split, 0, 1, chosen, corpus.description["audio_format"])
    description = corpus.description | {
        "made_by": made_by,
        "clips": counts,
        "speakers": {split: len(names) for split, names in members.items()},
    }
    clip.write_description(folder, description)


def parts(speakers: Iterable[str], folds: int) -> dict[str, int]:
    """The fold of each speaker, in an order that depends on nothing but their names."""
    return {name: i % folds for i, name in enumerate(sorted(set(speakers), key=_digest))}


def in_words(figures: Sequence[Figure]) -> str:
    """The mean over folds and seeds, its interval over speakers, and the lowest and highest of them."""
    mean, values = mean_of(figures), [f.value for f in figures]
    return f"{mean.value:.3f} ({mean.low:.3f}..{mean.high:.3f}), {min(values):.3f} to {max(values):.3f}"


def mean_of(figures: Sequence[Figure]) -> Figure:
    """Of figures of several folds and seeds, the mean."""
    # Folds share no speaker, so that their resamples are independent of one another, and seeds are averaged within.
    return figure(np.mean([[f.value, *f.draws] for f in figures], axis=0))


def shards(corpus: reader.Corpus) -> list[str]:
    """All of a corpus, split by split."""
    return [path for split in clip.SPLITS for path in clip.shards(corpus.folder, split)]


def clips(shards: Sequence[str], kind: clip.Kind = clip.Kind.PAIRS) -> Iterator[clip.Clip]:
    """Every clip of some shards of a corpus of that kind, in order."""
    for path in shards:
        for record in tf.data.TFRecordDataset(path):
            yield clip.decode(record.numpy(), kind)


def _digest(speaker: str) -> bytes:
    return hashlib.sha256(f"fold of {speaker}".encode()).digest()
