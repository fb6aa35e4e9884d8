"""A clip, the record that everything reads, and the corpus on disk that holds it.

A clip is one `tf.train.Example` in a TFRecord shard `<split>-00000-of-00008.tfrecord`: one utterance, one or more faces
of who speaks it, and who that is. A `corpus.json` beside the shards says what made them and what they hold. In a corpus
of one kind, stills alone or sounds alone, the other half of every clip is empty.
"""

import dataclasses
import enum
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf

from s2f_tf.aside import written_aside
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.errors import UserError

SPLITS = ("train", "validation", "test")
FACE_NUMBERS, VOICE_NUMBERS = 128, 256  # that teachers say of a face, and of a voice

_SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.tfrecord")


class CorpusError(UserError):
    """A corpus or a record that cannot be used; the message names the file and what is wrong."""


class Kind(enum.StrEnum):
    """What the clips of a corpus are made of: the field `kind` of its `corpus.json`."""

    PAIRS = "pairs"  # a sound and faces: every corpus that does not say
    STILLS = "stills"  # faces without a sound
    SOUNDS = "sounds"  # a sound without faces

    @property
    def has_sound(self) -> bool:
        """Whether each clip has a sound."""
        return self != Kind.STILLS

    @property
    def has_faces(self) -> bool:
        """Whether each clip has faces."""
        return self != Kind.SOUNDS


@dataclasses.dataclass(frozen=True)
class Taught:
    """What teachers, networks that learnt from other people, say of a clip; `pipelines/teach.py` asks them.

    Attributes:
        names: the teacher of faces and that of voices, each with its version.
        faces: float32 [n, 128], of each face of the clip. Stored as `teacher/face`, n * 128 floats.
        voice: float32 [256] of unit length, or [0] where the clip has no voice. Stored as `teacher/voice`.
    """

    names: tuple[str, ...]
    faces: np.ndarray
    voice: np.ndarray


@dataclasses.dataclass(frozen=True)
class Clip:
    """One utterance and the faces that go with it.

    Attributes:
        id: unique in the corpus.
        speaker: who speaks, or is to be seen; where unknown, the id of the video, or the name of the file.
        waveform: float32 [S] in [-1, 1], mono, 16 kHz, the whole utterance. Stored with 16 bits. Empty in a corpus of
            stills.
        faces: JPEG files, one or more, square and aligned, all of one size. None in a corpus of sounds.
        factors: true factors by name, in the synthetic corpus only.
        taught: what teachers say of it, where they were asked.
    """

    id: str
    speaker: str
    waveform: np.ndarray
    faces: tuple[bytes, ...]
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    taught: Taught | None = None


def encode(clip: Clip, audio_format: str) -> bytes:
    """The clip as a serialised `tf.train.Example`; `audio_format` is one of `config.AUDIO_FORMATS`."""
    sound = io.BytesIO()
    if clip.waveform.size:
        # Rounded here: libsndfile rounds differently for each format.
        samples = np.clip(np.rint(clip.waveform * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
        soundfile.write(sound, samples, SAMPLE_RATE, format=audio_format.upper(), subtype="PCM_16")
    features = {
        "clip/id": [clip.id.encode()],
        "speaker/id": [clip.speaker.encode()],
        "audio/encoded": [sound.getvalue()],
        "audio/format": [audio_format.encode()],
        "face/encoded": list(clip.faces),
        "factor/names": [name.encode() for name in clip.factors],
    }
    example = tf.train.Example()
    for name, values in features.items():
        example.features.feature[name].bytes_list.value.extend(values)
    example.features.feature["factor/values"].float_list.value.extend(clip.factors.values())
    if clip.taught is not None:
        _write_taught(example, clip.taught)
    return example.SerializeToString(deterministic=True)


def with_taught(record: bytes, taught: Taught) -> bytes:
    """A clip's record with what teachers say of it, in place of what others said; all else stays to the byte."""
    example = tf.train.Example.FromString(record)
    _write_taught(example, taught)
    return example.SerializeToString(deterministic=True)


def _write_taught(example: tf.train.Example, taught: Taught) -> None:
    feature = example.features.feature
    feature["teacher/names"].bytes_list.value[:] = [name.encode() for name in taught.names]
    feature["teacher/face"].float_list.value[:] = taught.faces.ravel()
    feature["teacher/voice"].float_list.value[:] = taught.voice


def _read_taught(feature: Mapping[str, tf.train.Feature], faces: int) -> Taught | None:
    if "teacher/names" not in feature:
        return None
    voice = np.array(feature["teacher/voice"].float_list.value, np.float32)
    if voice.size not in (0, VOICE_NUMBERS):
        raise ValueError(f"a teacher says {voice.size} numbers of its voice, and not {VOICE_NUMBERS}")
    return Taught(
        names=tuple(name.decode() for name in feature["teacher/names"].bytes_list.value),
        faces=np.array(feature["teacher/face"].float_list.value, np.float32).reshape(faces, FACE_NUMBERS),
        voice=voice,
    )


def decode(record: bytes, kind: Kind = Kind.PAIRS) -> Clip:
    """The clip in a serialised `tf.train.Example`, of a corpus of such a kind.

    Raises `CorpusError` where it holds none, lacks a half that its kind has, or has one that its kind lacks.
    """
    try:
        feature = tf.train.Example.FromString(record).features.feature
        sound, faces = feature["audio/encoded"].bytes_list.value[0], tuple(feature["face/encoded"].bytes_list.value)
        for there, expected, name in ((sound, kind.has_sound, "sound"), (faces, kind.has_faces, "face")):
            if bool(there) != expected:
                raise ValueError(f"it has a {name}, in a corpus of {kind} alone" if there else f"it has no {name}")
        waveform, rate = np.zeros(0, np.float32), SAMPLE_RATE
        if sound:
            waveform, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
        if rate != SAMPLE_RATE or waveform.ndim != 1 or bool(sound) != bool(waveform.size):
            raise ValueError(f"its sound is {waveform.shape} samples at {rate} Hz: mono at {SAMPLE_RATE} Hz is stored")
        names = [name.decode() for name in feature["factor/names"].bytes_list.value]
        return Clip(
            id=feature["clip/id"].bytes_list.value[0].decode(),
            speaker=feature["speaker/id"].bytes_list.value[0].decode(),
            waveform=waveform,
            faces=faces,
            factors=dict(zip(names, feature["factor/values"].float_list.value, strict=True)),
            taught=_read_taught(feature, len(faces)),
        )
    except Exception as error:  # protobuf, soundfile and index errors share no base class below Exception
        raise CorpusError(f"not a clip: {error}") from error


def split_of(speaker: str) -> str:
    """The split that a speaker belongs to: 80 % train, 10 % validation, 10 % test.

    By a hash of the speaker, so that it stays the same when other speakers are added.
    """
    share = int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big") / 2**64
    return "train" if share < 0.8 else "validation" if share < 0.9 else "test"


def write_shard(folder: str, split: str, index: int, count: int, clips: Iterable[Clip], audio_format: str) -> int:
    """Writes shard `index` of `count`, aside and then renamed, and returns how many clips it holds."""
    path = os.path.join(folder, f"{split}-{index:05d}-of-{count:05d}.tfrecord")
    written = 0
    with written_aside(path) as part, tf.io.TFRecordWriter(part) as writer:
        for clip in clips:
            writer.write(encode(clip, audio_format))
            written += 1
    return written


def write_description(folder: str, description: Mapping[str, Any]) -> None:
    """Writes `corpus.json`, aside and then renamed; its presence says that the corpus is whole.

    `description` holds at least `made_by` (a command), `audio_format`, `face_size` (pixels), `clips` and `speakers`
    (counts by split) and `dropped` (counts by reason), a `kind` where that is not `Kind.PAIRS`, and `teachers`, their
    names, where they were asked.
    """
    path = os.path.join(folder, "corpus.json")
    with written_aside(path) as part, open(part, "w", encoding="utf-8") as file:
        json.dump(description, file, indent=2)
        file.write("\n")


def read_description(folder: str) -> dict[str, Any]:
    """Reads `corpus.json`. Raises `CorpusError` naming the file where it is absent, damaged or lacks a field."""
    path = os.path.join(folder, "corpus.json")
    try:
        with open(path, encoding="utf-8") as file:
            description = json.load(file)
    except FileNotFoundError:
        raise CorpusError(f"{path} does not exist: {folder} is no corpus, or what makes it has not ended") from None
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: {error}") from error
    if not isinstance(description, dict):
        raise CorpusError(f"{path} must hold an object, not {description!r}")
    kinds = {"made_by": str, "audio_format": str, "face_size": int, "clips": dict, "speakers": dict, "dropped": dict}
    for field, kind in kinds.items():
        if field not in description:
            raise CorpusError(f"{path} has no field '{field}'")
        if not isinstance(description[field], kind):
            raise CorpusError(f"{path}: field '{field}' cannot be {description[field]!r}")
    for field in ("clips", "speakers"):
        if not all(isinstance(count, int) for count in description[field].values()):
            raise CorpusError(f"{path}: field '{field}' holds counts by split, not {description[field]!r}")
    if description.get("kind", Kind.PAIRS) not in list(Kind):
        raise CorpusError(f"{path}: field 'kind' cannot be {description['kind']!r}: {', '.join(Kind)} are allowed")
    return description


def kind(description: Mapping[str, Any]) -> Kind:
    """What the clips of a corpus are made of, by what `read_description` says."""
    return Kind(description.get("kind", Kind.PAIRS))


def shards(folder: str, split: str) -> list[str]:
    """The shards of a split, in order. Raises `CorpusError` where one of a set is missing."""
    found = {}
    for name in sorted(os.listdir(folder)):
        match = _SHARD.fullmatch(name)
        if match and match["split"] == split:
            found[int(match["index"])] = (os.path.join(folder, name), int(match["count"]))
    counts = {count for _, count in found.values()}
    if len(counts) > 1 or (found and sorted(found) != list(range(counts.pop()))):
        names = ", ".join(sorted(os.path.basename(path) for path, _ in found.values()))
        raise CorpusError(f"{folder}: the shards of split '{split}' are not one whole set: {names}")
    return [found[index][0] for index in sorted(found)]
