"""A corpus on disk, read: batches for training, whole clips for evaluation.

Training reads records in an order that is a pure function of the seed. Global record i = 0, 1, 2, ... is, in epoch
i // N, the record to which a permutation of the N records, keyed by seed and epoch, sends i % N; every random draw in
its augmentation is keyed by seed and i. So a batch depends on nothing but the seed and its place, a run that starts
again at any place goes on as if it had never stopped, and no buffer of clips stands between the disk and the network.
Other voices that are mixed into one are those before it in its batch, and so depend on how many workers there are.

A damaged record is passed over, and never silently: every example carries its `position` i, so a gap tells.
"""

import collections
import dataclasses
import functools
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from s2f_tf.config import SAMPLE_RATE, DataConfig
from s2f_tf.data import audio, channel, clip, face
from s2f_tf.data.clip import CorpusError, Kind

_HEADER = struct.Struct("<QI")  # a TFRecord starts with the length of its data and the masked CRC of these 8 bytes
_FOOTER_BYTES = 4  # and ends with the masked CRC of its data
_SAMPLE = 16  # records that are tried before an endless run over a split begins
_SPEAKER_BUCKETS = 2**63 - 1
_FLAGS = {Kind.PAIRS: "--corpus", Kind.STILLS: "--faces", Kind.SOUNDS: "--voices"}  # by which a corpus is given
_NEEDED = {Kind.PAIRS: "clips of both", Kind.STILLS: "faces", Kind.SOUNDS: "sounds"}

_FEATURES = {
    "speaker/id": tf.io.FixedLenFeature([], tf.string),
    "audio/encoded": tf.io.FixedLenFeature([], tf.string),
    "face/encoded": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
}

_TAUGHT_FEATURES = {
    "waveform": {"teacher/voice": tf.io.FixedLenFeature([clip.VOICE_NUMBERS], tf.float32)},
    "face": {"teacher/face": tf.io.FixedLenSequenceFeature([clip.FACE_NUMBERS], tf.float32, allow_missing=True)},
}

_FACE_FEATURES = {
    "face/encoded": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
    "factor/names": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
    "factor/values": tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
}


@dataclasses.dataclass(frozen=True)
class Split:
    """Where the records of a split are.

    Attributes:
        paths: its shards.
        shard: int64 [N], the shard of each record.
        offset: int64 [N], the byte at which each record starts in its shard.
        lost: how many more `corpus.json` promises.
    """

    paths: list[str]
    shard: np.ndarray
    offset: np.ndarray
    lost: int

    def __len__(self) -> int:
        return len(self.offset)

    def name(self, record: int) -> str:
        """Such as `train-00003-of-00008.tfrecord record 17`; both count from 0."""
        first = int(np.searchsorted(self.shard, self.shard[record]))
        return f"{os.path.basename(self.paths[self.shard[record]])} record {record - first}"

    def read(self, record: tf.Tensor) -> tf.Tensor:
        """A graph op: the data of a record, int64 scalar to string scalar. Raises `DataLossError` where it is damaged.

        One seek and one read: TensorFlow reads from a byte on only as a data set, so it is one of a single element.
        """
        path = tf.gather(tf.constant(self.paths), tf.gather(self.shard, record))
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=[path], compression_type="", buffer_size=0, byte_offsets=[tf.gather(self.offset, record)]
        )
        first = tf.raw_ops.TakeDataset(input_dataset=records, count=1, output_types=[tf.string], output_shapes=[[]])
        return tf.raw_ops.DatasetToSingleElement(dataset=first, output_types=[tf.string], output_shapes=[[]])[0]

    def at(self, position: tf.Tensor, seed: int) -> tf.Tensor:
        """A graph op: the record at a position in training. int64 scalar to int64 scalar."""
        return _shuffled(position, len(self), seed)

    def heard(self, position: tf.Tensor) -> tf.Tensor | None:
        """A graph op: whether a position in training has a voice. bool scalar, or None where all have."""
        return None


@dataclasses.dataclass(frozen=True)
class _MixedSplit(Split):
    """The records of pairs, then those of faces, to which a share of the positions go, spread evenly.

    Each is read in an order of its own. Where a position leads follows from it alone, as everywhere.
    """

    pairs: int
    share: float

    def at(self, position: tf.Tensor, seed: int) -> tf.Tensor:
        faces = self._faces_before(position)
        pair = _shuffled(position - faces, self.pairs, seed)
        face = self.pairs + _shuffled(faces, len(self) - self.pairs, seed)
        return tf.where(self.heard(position), pair, face)

    def heard(self, position: tf.Tensor) -> tf.Tensor:
        return tf.equal(self._faces_before(position), self._faces_before(position + 1))

    def _faces_before(self, position: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.floor(self.share * tf.cast(position, tf.float64)), tf.int64)


@dataclasses.dataclass(frozen=True)
class DecodedClip:
    """A whole clip, as evaluation sees it.

    Attributes:
        id: unique in the corpus.
        speaker: who speaks.
        waveform: float32 [S] in [-1, 1], 16 kHz.
        faces: float32 [n, H, W, 3] in [-1, 1].
        factors: true factors by name, in the synthetic corpus only.
    """

    id: str
    speaker: str
    waveform: np.ndarray
    faces: np.ndarray
    factors: Mapping[str, float]


def shard(path: str) -> Split:
    """The records of one shard, up to the first header that is broken. So a corpus of any size is read bit by bit."""
    offsets = _record_offsets(path)
    return Split([path], np.zeros(len(offsets), np.int64), offsets, 0)


class Corpus:
    """A folder of clips. Raises `CorpusError` where it is none, and where it lacks what is needed.

    Args:
        folder: where it is.
        needs: what its clips must hold. One of pairs will do for all.

    Attributes:
        folder: where it is.
        description: what its `corpus.json` says.
        kind: what its clips hold.
    """

    def __init__(self, folder: str, needs: Kind = Kind.PAIRS) -> None:
        self.folder = folder
        self.description = clip.read_description(folder)
        self.kind = clip.kind(self.description)
        if self.kind not in (needs, Kind.PAIRS):
            raise CorpusError(
                f"{folder} holds {self.kind} alone: {_FLAGS[needs]} needs {_NEEDED[needs]}; "
                f"give it as {_FLAGS[self.kind]}"
            )

    @functools.cache  # noqa: B019 - a corpus lives as long as the run
    def split(self, name: str) -> Split:
        """Finds the records of a split. Raises `CorpusError` where it has none.

        Only headers are read. Where one is broken the rest of its shard cannot be found: how much that is follows from
        `corpus.json`, and is said.
        """
        paths = clip.shards(self.folder, name)
        offsets = [_record_offsets(path) for path in paths]
        count = sum(map(len, offsets))
        if not count:
            raise CorpusError(f"{self.folder} has no clips in split '{name}'")
        lost = max(0, self.description["clips"].get(name, 0) - count)
        if lost:
            logging.warning("%s: %d clips of split '%s' cannot be found in its shards", self.folder, lost, name)
        shard = np.repeat(np.arange(len(paths)), [len(o) for o in offsets])
        return Split(paths, shard, np.concatenate(offsets), lost)

    def require(self, split: str, batch_size: int) -> None:
        """Raises `CorpusError` unless a split can be trained on with batches of this size."""
        audio.require_format(self.description["audio_format"], self.folder)
        count = len(self.split(split))
        if count < batch_size:
            raise CorpusError(
                f"{self.folder} has {count} clips in split '{split}', fewer than a batch of {batch_size}: "
                f"make a larger corpus, or choose a smaller batch_size"
            )
        if self.description["speakers"].get(split, 0) < 2:
            raise CorpusError(f"{self.folder} has one speaker in split '{split}': no other voice to compare with")

    def locate(self, position: int, split: str, seed: int) -> str:
        """The shard and the record that training read at a position, in words."""
        records = self.split(split)
        return records.name(int(records.at(tf.constant(position, tf.int64), seed)))


class Corpora(Corpus):
    """Several folders of clips, read as one: what is learnt from faces alone, or from voices alone, is in any of them.

    Raises `CorpusError` where their sounds are stored in different ways.
    """

    def __init__(self, corpora: Sequence[Corpus]) -> None:
        self.folder = ", ".join(one.folder for one in corpora)
        self._corpora = corpora
        formats = {one.description["audio_format"]: one.folder for one in corpora if one.kind.has_sound}
        if len(formats) > 1:
            stored = " and ".join(f"{name} in {folder}" for name, folder in sorted(formats.items()))
            raise CorpusError(f"sounds are stored as {stored}: prepare all with one --audio_format")
        self.description = {
            "audio_format": next(iter(formats), "wav"),
            "face_size": min(one.description["face_size"] for one in corpora),
        }
        # What some of them were taught is not there for all.
        if all("teachers" in one.description for one in corpora):
            self.description["teachers"] = corpora[0].description["teachers"]
        for field in ("clips", "speakers"):
            counts = collections.Counter()
            for one in corpora:
                counts.update(one.description[field])
            self.description[field] = dict(counts)

    @functools.cache  # noqa: B019 - a corpus lives as long as the run
    def split(self, name: str) -> Split:
        """The records of a split in all folders, one after the other. Raises `CorpusError` where none has it."""
        found = [one.split(name) for one in self._corpora if one.description["clips"].get(name)]
        if not found:
            raise CorpusError(f"{self.folder}: no clips in split '{name}'")
        return _joined(found)


class Mixed(Corpora):
    """Pairs, and among them faces without voices, as which the clips of other folders count, whatever they hold.

    Raises what `Corpora` raises.

    Args:
        pairs: clips of both.
        faces: the other folders.
        share: of what training reads that are faces without voices, in (0, 1).
    """

    def __init__(self, pairs: Corpus, faces: Sequence[Corpus], share: float) -> None:
        super().__init__([pairs, *faces])
        self._pairs, self._faces, self._share = pairs, Corpora(faces), share

    @functools.cache  # noqa: B019 - a corpus lives as long as the run
    def split(self, name: str) -> Split:
        """The records of a split, in pairs and in faces. Raises `CorpusError` where either has none."""
        pairs, faces = self._pairs.split(name), self._faces.split(name)
        both = _joined([pairs, faces])
        return _MixedSplit(both.paths, both.shard, both.offset, both.lost, pairs=len(pairs), share=self._share)


def batches(
    corpus: Corpus,
    split: str,
    data: DataConfig,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    worker: int = 0,
    workers: int = 1,
    augment: bool = True,
) -> tf.data.Dataset:
    """Endless batches of a split, in random order.

    Args:
        corpus: where the clips are.
        split: which of them.
        data: what an example is and how it is augmented.
        batch_size: of one batch on this worker.
        seed: of the order and of every other draw.
        start: the position to start from: the last one consumed by any worker, plus one.
        worker: this worker's number. Workers take turns, so that all of them together read what one would.
        workers: how many there are.
        augment: whether faces and waveforms are changed at random. A window and a face are drawn at random anyway.

    Returns:
        Dicts of `waveform` float32 [B, window_samples], `face` float32 [B, H, W, 3] in [-1, 1], `speaker` int64 [B] (a
        hash) and `position` int64 [B], ascending. Of a `Mixed` corpus also of `heard`, bool [B]: where it is false,
        there is a face alone, and the waveform is zeros.

    Raises:
        CorpusError: where the corpus cannot be trained on so (see `Corpus.require`), where its faces are too small, and
            where no clip of a sample can be decoded.
    """
    corpus.require(split, batch_size)
    require_face_size(corpus, data.face_size)
    records = corpus.split(split)

    def example(record: tf.Tensor, position: tf.Tensor) -> dict[str, tf.Tensor]:
        return _example(corpus, record, position, seed, data, augment, records.heard(position))

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and to look takes longer than to trace
    def through_channels(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        draws, waveform = batch.pop("draws"), batch["waveform"]
        if "heard" not in batch:
            return batch | {"waveform": channel.augment(waveform, draws, data)}
        rows = tf.where(batch["heard"])  # silence is no other voice to be mixed into one
        changed = channel.augment(tf.gather_nd(waveform, rows), tf.gather_nd(draws, rows), data)
        return batch | {"waveform": tf.tensor_scatter_nd_update(waveform, rows, changed)}

    dataset = _endless(corpus, split, example, batch_size, seed, start, worker, workers)
    if augment:
        dataset = dataset.map(through_channels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_options())


def views(
    corpus: Corpus,
    split: str,
    data: DataConfig,
    half: str,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    worker: int = 0,
    workers: int = 1,
    taught: bool = False,
) -> tf.data.Dataset:
    """As `batches`, of one half of each clip, seen or heard twice: two windows of its sound, or two of its faces.

    Each is changed at random on its own. Of a clip with one face, or a sound as short as a window, both views are of
    the same.

    Args:
        half: `waveform` or `face`.
        taught: whether what teachers say of it is wanted, too.

    Returns:
        Dicts of `views` float32 [B, 2, window_samples] or [B, 2, H, W, 3], of `speaker` and `position`, int64 [B], and
        of `taught`, float32 [B, D], of the whole sound or the face of the first view.
    """
    corpus.require(split, batch_size)
    if half == "face":
        require_face_size(corpus, data.face_size)

    def example(record: tf.Tensor, position: tf.Tensor) -> dict[str, tf.Tensor]:
        return _two_views(corpus, record, position, seed, data, half, taught)

    @tf.autograph.experimental.do_not_convert
    def through_channels(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        draws = tf.unstack(batch.pop("draws"), axis=1)
        heard = zip(tf.unstack(batch["views"], axis=1), draws, strict=True)
        return batch | {"views": tf.stack([channel.augment(one, drawn, data) for one, drawn in heard], axis=1)}

    dataset = _endless(corpus, split, example, batch_size, seed, start, worker, workers)
    if half == "waveform":
        dataset = dataset.map(through_channels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_options())


def _endless(
    corpus: Corpus,
    split: str,
    example: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]],
    batch_size: int,
    seed: int,
    start: int,
    worker: int,
    workers: int,
) -> tf.data.Dataset:
    """Batches of what `example` makes of a record and its position. Raises `CorpusError` where it can of none."""
    records = corpus.split(split)

    @tf.function(autograph=False)  # traced once, for the sample and for the run
    def at(position: tf.Tensor) -> dict[str, tf.Tensor]:
        return example(records.read(records.at(position, seed)), position)

    def examples(positions: tf.data.Dataset) -> tf.data.Dataset:
        parallel = positions.map(at, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return parallel.ignore_errors().with_options(_options())

    sample = np.unique(np.linspace(0, len(records) - 1, _SAMPLE).astype(np.int64))
    if not any(True for _ in examples(tf.data.Dataset.from_tensor_slices(sample)).take(1)):
        raise CorpusError(f"{corpus.folder}: none of {len(sample)} clips of split '{split}' can be decoded")
    return examples(tf.data.Dataset.counter(start + worker, workers)).batch(batch_size, drop_remainder=True)


class DamageCount:
    """Counts the damaged records that training passed over, and names each, once.

    Args:
        corpus: what is read.
        split: which of its splits.
        seed: as given to `batches`, and so are the others.
        start: see above.
        worker: see above.
        workers: see above.

    """

    def __init__(
        self, corpus: Corpus, split: str, seed: int, start: int = 0, *, worker: int = 0, workers: int = 1
    ) -> None:
        self._corpus, self._split, self._seed = corpus, split, seed
        self._next, self._stride = start + worker, workers
        self._names: set[str] = set()

    @property
    def count(self) -> int:
        """How many there were so far."""
        return len(self._names)

    def add(self, positions: np.ndarray) -> None:
        """Takes the positions of the next batch, int64 [B]."""
        end = int(positions.max()) + self._stride
        for position in sorted(set(range(self._next, end, self._stride)) - set(positions.tolist())):
            name = self._corpus.locate(position, self._split, self._seed)
            if name not in self._names:
                self._names.add(name)
                logging.warning("%s is damaged: skipped (%d so far)", name, self.count)
        self._next = end


def clips(
    corpus: Corpus, split: str, face_size: int, *, window: int | None = None, limit: int | None = None
) -> Iterator[DecodedClip]:
    """Every clip of a split once, in order, as it is.

    Args:
        corpus: where the clips are.
        split: which of them.
        face_size: height and width of the faces.
        window: the samples of a waveform: its start, or the whole repeated; None leaves each as long as it is.
        limit: stop after so many.

    Raises:
        CorpusError: where faces are too small, or no clip can be decoded. A damaged one among others is passed over and
            named in the log.
    """
    require_face_size(corpus, face_size)
    records = corpus.split(split)
    decoded = 0
    damaged = 0
    for record in range(len(records)):
        if decoded == limit:
            return
        try:
            found = _decode(records.read(tf.constant(record, tf.int64)).numpy(), face_size)
        except (CorpusError, tf.errors.OpError) as error:
            damaged += 1
            logging.warning("%s is damaged: skipped (%d so far): %s", records.name(record), damaged, error)
            continue
        decoded += 1
        yield found if window is None else dataclasses.replace(found, waveform=np.resize(found.waveform, window))
    if not decoded:
        raise CorpusError(f"{corpus.folder}: none of the {len(records)} clips of split '{split}' can be decoded")


def faces(corpus: Corpus, split: str, face_size: int, factors: Sequence[str] = ()) -> tf.data.Dataset:
    """Every face of a split once, in order, each with its factors.

    Args:
        corpus: where the clips are.
        split: which of them.
        face_size: height and width of the faces.
        factors: names of true factors; those of a photograph, stored as `<name>/<k>`, are the face's own.

    Returns:
        Tuples of a face, float32 [H, W, 3] in [-1, 1], and, where some are asked for, its factors, float32 [F]. What is
        damaged is left out, each with a line in the log.

    Raises:
        CorpusError: where faces are too small, or the corpus knows no such factor.
    """
    require_face_size(corpus, face_size)
    records = corpus.split(split)
    known = {name.split("/")[0] for name in next(clips(corpus, split, face_size, limit=1)).factors}
    for name in factors:
        if name not in known:
            raise CorpusError(f"{corpus.folder} holds no factor '{name}'")

    def of_clip(record: tf.Tensor) -> tuple[tf.Tensor, ...]:
        features = tf.io.parse_single_example(records.read(record), _FACE_FEATURES)
        encoded, names = features["face/encoded"], features["factor/names"]
        numbers, columns = tf.strings.as_string(tf.range(tf.size(encoded))), []
        for name in factors:
            hit = (names == name) | (names == tf.strings.join([f"{name}/", numbers])[:, None])
            columns.append(tf.gather(features["factor/values"], tf.argmax(hit, axis=-1)))
        # No columns are no tensor: TensorFlow crashes where it takes rows of nothing apart.
        return (encoded, tf.stack(columns, axis=1)) if columns else (encoded,)

    def of_face(encoded: tf.Tensor, *values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return face.decode_face(encoded, face_size), *values

    dataset = tf.data.Dataset.range(len(records))
    dataset = dataset.map(of_clip, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.ignore_errors(log_warning=True).unbatch()
    dataset = dataset.map(of_face, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.ignore_errors(log_warning=True).prefetch(tf.data.AUTOTUNE).with_options(_options())


def _options() -> tf.data.Options:
    """Every core decodes, and no thread looks for better numbers: it sleeps for up to a minute, and an iterator that is
    let go waits until it wakes (29 s at the end of generation, TensorFlow 2.17)."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


def _decode(record: bytes, face_size: int) -> DecodedClip:
    found = clip.decode(record)
    faces = np.stack([face.decode_face(encoded, face_size).numpy() for encoded in found.faces])
    return DecodedClip(found.id, found.speaker, found.waveform, faces, found.factors)


def _example(
    corpus: Corpus,
    record: tf.Tensor,
    position: tf.Tensor,
    seed: int,
    data: DataConfig,
    augment: bool,
    heard: tf.Tensor | None,
) -> dict[str, tf.Tensor]:
    features = tf.io.parse_single_example(record, _FEATURES)
    seeds = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), position]), 4))
    window_samples = round(data.window_seconds * SAMPLE_RATE)

    def window() -> tf.Tensor:
        waveform = audio.decode_sound(features["audio/encoded"], corpus.description["audio_format"])
        return audio.random_window(waveform, window_samples, seeds[0])

    found = {}
    if heard is None:
        waveform = window()
    else:
        waveform, found["heard"] = tf.cond(heard, window, lambda: tf.zeros([window_samples])), heard
    encoded = features["face/encoded"]
    drawn = tf.random.stateless_uniform([], seeds[1], maxval=tf.size(encoded), dtype=tf.int32)
    pixels = face.decode_face(encoded[drawn], data.face_size)
    if augment:
        pixels = face.augment_face(pixels, seeds[2], data)
        found["draws"] = channel.draws(seeds[3])
    return found | {
        "waveform": waveform,
        "face": pixels,
        "speaker": tf.strings.to_hash_bucket_fast(features["speaker/id"], _SPEAKER_BUCKETS),
        "position": position,
    }


def _two_views(
    corpus: Corpus, record: tf.Tensor, position: tf.Tensor, seed: int, data: DataConfig, half: str, taught: bool
) -> dict[str, tf.Tensor]:
    features = tf.io.parse_single_example(record, _FEATURES | (_TAUGHT_FEATURES[half] if taught else {}))
    seeds = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), position]), 4))
    found = {
        "speaker": tf.strings.to_hash_bucket_fast(features["speaker/id"], _SPEAKER_BUCKETS),
        "position": position,
    }
    if half == "waveform":
        waveform = audio.decode_sound(features["audio/encoded"], corpus.description["audio_format"])
        windows = [audio.random_window(waveform, round(data.window_seconds * SAMPLE_RATE), s) for s in seeds[:2]]
        if taught:
            found["taught"] = features["teacher/voice"]
        return found | {"views": tf.stack(windows), "draws": tf.stack([channel.draws(s) for s in seeds[2:]])}
    encoded = features["face/encoded"]
    # Two different ones where there are two.
    first = tf.random.stateless_uniform([], seeds[0], maxval=tf.size(encoded), dtype=tf.int32)
    second = (first + 1) % tf.size(encoded)
    if taught:
        found["taught"] = features["teacher/face"][first]
    seen = [
        face.augment_face(face.decode_face(encoded[place], data.face_size), s, data)
        for place, s in zip((first, second), seeds[2:], strict=True)
    ]
    return found | {"views": tf.stack(seen)}


def _shuffled(position: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """A graph op: which of `count` comes at a position, each once an epoch. int64 scalar to int64 scalar."""
    key = tf.stack([tf.constant(seed, tf.int64), position // count])
    return tf.random.experimental.index_shuffle(position % count, key, tf.constant(count - 1, tf.int64))


def _joined(splits: Sequence[Split]) -> Split:
    """The records of several, one after the other."""
    before = np.cumsum([0, *(len(part.paths) for part in splits)])
    return Split(
        [path for part in splits for path in part.paths],
        np.concatenate([part.shard + first for part, first in zip(splits, before[:-1], strict=True)]),
        np.concatenate([part.offset for part in splits]),
        sum(part.lost for part in splits),
    )


def require_face_size(corpus: Corpus, face_size: int) -> None:
    """Raises `CorpusError` where the faces of a corpus are smaller than that."""
    size = corpus.description["face_size"]
    if size < face_size:
        raise CorpusError(
            f"{corpus.folder} holds faces of {size} pixels, and data.face_size is {face_size}: "
            f"make the corpus again for that size, or set data.face_size to {size} or less"
        )


def _record_offsets(path: str) -> np.ndarray:
    """Where the records of a shard start, int64 [N], up to the first header that is broken."""
    size = os.path.getsize(path)
    offsets, offset = [], 0
    with open(path, "rb", buffering=0) as file:
        while offset + _HEADER.size <= size:
            file.seek(offset)
            header = file.read(_HEADER.size)
            length, crc = _HEADER.unpack(header)
            end = offset + _HEADER.size + length + _FOOTER_BYTES
            if _masked_crc32c(header[:8]) != crc or end > size:
                break
            offsets.append(offset)
            offset = end
    if offset != size:
        logging.warning("%s is broken after record %d: the rest cannot be read", path, len(offsets) - 1)
    return np.array(offsets, np.int64)


def _masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord framing, for a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC32C = tuple(map(_crc32c_entry, range(256)))
