"""A corpus on disk, read: batches for training, whole clips for evaluation.

Training reads records in an order that is a pure function of the seed. Global record i = 0, 1, 2, ... is, in epoch
i // N, the record to which a permutation of the N records, keyed by seed and epoch, sends i % N; every random draw in
its augmentation is keyed by seed and i. So a batch depends on nothing but the seed and its place, a run that starts
again at any place goes on as if it had never stopped, and no buffer of clips stands between the disk and the network.
Other voices that are mixed into one are those before it in its batch, and so depend on how many workers there are.

A damaged record is passed over, and never silently: every example carries its `position` i, so a gap tells.
"""

import dataclasses
import functools
import os
import struct
from collections.abc import Iterator, Mapping, Sequence

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
        return records.name(int(_record_at(tf.constant(position, tf.int64), len(records), seed)))


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
        hash) and `position` int64 [B], ascending.

    Raises:
        CorpusError: where the corpus cannot be trained on so (see `Corpus.require`), where its faces are too small, and
            where no clip of a sample can be decoded.
    """
    corpus.require(split, batch_size)
    _require_face_size(corpus, data.face_size)
    records = corpus.split(split)

    @tf.function(autograph=False)  # traced once, for the sample and for the run
    def example(position: tf.Tensor) -> dict[str, tf.Tensor]:
        record = _record_at(position, len(records), seed)
        return _example(corpus, records.read(record), position, seed, data, augment)

    def examples(positions: tf.data.Dataset) -> tf.data.Dataset:
        parallel = positions.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return parallel.ignore_errors().with_options(_options())

    sample = np.unique(np.linspace(0, len(records) - 1, _SAMPLE).astype(np.int64))
    if not any(True for _ in examples(tf.data.Dataset.from_tensor_slices(sample)).take(1)):
        raise CorpusError(f"{corpus.folder}: none of {len(sample)} clips of split '{split}' can be decoded")

    def through_channels(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        draws = batch.pop("draws")
        return batch | {"waveform": channel.augment(batch["waveform"], draws, data)}

    dataset = examples(tf.data.Dataset.counter(start + worker, workers)).batch(batch_size, drop_remainder=True)
    if augment:
        dataset = dataset.map(through_channels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_options())


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
    _require_face_size(corpus, face_size)
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
    _require_face_size(corpus, face_size)
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
    corpus: Corpus, record: tf.Tensor, position: tf.Tensor, seed: int, data: DataConfig, augment: bool
) -> dict[str, tf.Tensor]:
    features = tf.io.parse_single_example(record, _FEATURES)
    seeds = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), position]), 4))
    waveform = audio.decode_sound(features["audio/encoded"], corpus.description["audio_format"])
    window_samples = round(data.window_seconds * SAMPLE_RATE)
    waveform = audio.random_window(waveform, window_samples, seeds[0])
    encoded = features["face/encoded"]
    drawn = tf.random.stateless_uniform([], seeds[1], maxval=tf.size(encoded), dtype=tf.int32)
    pixels = face.decode_face(encoded[drawn], data.face_size)
    channel_draws = {}
    if augment:
        pixels = face.augment_face(pixels, seeds[2], data)
        channel_draws["draws"] = channel.draws(seeds[3], window_samples)
    return channel_draws | {
        "waveform": waveform,
        "face": pixels,
        "speaker": tf.strings.to_hash_bucket_fast(features["speaker/id"], _SPEAKER_BUCKETS),
        "position": position,
    }


def _record_at(position: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """A graph op: the record at a position in training. int64 scalar to int64 scalar."""
    key = tf.stack([tf.constant(seed, tf.int64), position // count])
    return tf.random.experimental.index_shuffle(position % count, key, tf.constant(count - 1, tf.int64))


def _require_face_size(corpus: Corpus, face_size: int) -> None:
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
