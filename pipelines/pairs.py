"""Clips out of a folder a speaker: stills that show an aligned face, and sound files of the voice.

    people/
        anna/1.jpg  anna/2.png  anna/interview.m4a
        ben/photos/a.jpeg  ben/sound/0001.wav  ben/sound/0002.flac

This is how VoxCeleb with VGGFace, and many corpora, come. The first folder below the input is the speaker; files may
lie in deeper folders, and folders may be links. Each sound file becomes a clip with up to `faces_per_clip` stills; a
sound longer than `max_seconds` becomes several. The stills of a speaker, in a random order that is always the same, are
dealt out in turn, so that all are used before any is used again.

**Splits** are by speaker, as `splits` says: fewer than four are refused.

**Interruption** at any moment costs what was being written at that moment. Workers write shards aside, in
`<output>/.unfinished`, and move whole ones into place; the same command goes on from there. `corpus.json` comes last,
and without it no reader takes the folder for a corpus. The output depends on the input and the settings alone: neither
on how many workers there were, nor on how often they were interrupted.

Memory grows by a few bytes for each sound file, by the name of each file that is dropped, and with the longest sound.
"""

import collections
import concurrent.futures
import dataclasses
import enum
import functools
import hashlib
import io
import itertools
import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from pipelines import reasons, splits
from pipelines.progress import Progress
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio, clip
from s2f_tf.errors import UserError

STILLS = (".jpg", ".jpeg", ".png")
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")

JPEG_QUALITY = 95
SILENCE = 1e-3  # a sound that never gets louder than this share of full scale (-60 dB) holds no voice

_SHARDS = 8  # of a split, where it has clips enough: several can be read, and written, at once
_CLIPS_IN_A_SMALL_SHARD = 16

# To guess from a file's size how long it is; only the sizes of shards hang on it.
_BYTES_PER_SECOND = {".wav": 32_000, ".flac": 20_000, ".mp3": 16_000, ".ogg": 12_000, ".m4a": 16_000}


class PairsError(UserError):
    """An input that no corpus can be made from, or an output that holds something else; the message says which."""


class Reason(enum.StrEnum):
    """Why a file, a speaker or a part of a sound is not in the corpus."""

    NO_STILLS = "no stills"  # in the speaker's folder
    NO_SOUND = "no sound"
    UNDECODABLE_STILL = "undecodable still"
    STILL_TOO_SMALL = "still too small"  # its shorter side is below half of face_size
    NO_USABLE_STILL = "no usable still"  # the sound's speaker has stills, and all are dropped
    UNDECODABLE_SOUND = "undecodable sound"
    SILENT = "silent"
    TOO_SHORT = "too short"  # below 0.5 s


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the clips are to be.

    Attributes:
        face_size: height and width of the faces in pixels.
        faces_per_clip: the most stills that one clip gets.
        max_seconds: longer sounds are cut into equal pieces of at most so much; 1 s or more.
        clips_per_shard: about how many clips a shard holds.
        audio_format: one of `clip.AUDIO_FORMATS`.
    """

    face_size: int
    faces_per_clip: int
    max_seconds: float
    clips_per_shard: int
    audio_format: str


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A shard to be written: of each of some speakers, the sounds from `start` up to `stop`."""

    split: str
    index: int
    count: int
    parts: tuple[tuple[str, int, int], ...]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}"

    @property
    def sounds(self) -> int:
        return sum(stop - start for _, start, stop in self.parts)


@dataclasses.dataclass(frozen=True)
class _Speakers:
    """What the input folder holds.

    Attributes:
        clips: about how many clips each sound of each usable speaker will give, in order.
        dropped: unusable speakers, with the reason.
        fingerprint: of the names of all files and the sizes of sounds.
    """

    clips: Mapping[str, list[int]]
    dropped: Mapping[str, Reason]
    fingerprint: str


def prepare(source: str, output: str, settings: Settings, *, workers: int) -> dict[str, Any]:
    """Makes the corpus `output` from the folders in `source`, or goes on where it was interrupted.

    Progress goes to stderr. Where `output` is already made of these files with these settings, nothing is done.

    Returns:
        What `corpus.json` holds: besides the fields of `clip.write_description`, one of the `examples` of what was
        dropped by reason, the `seconds` of sound by split, `split_by` ("hash" or "rank"), and a fingerprint of the
        `input`.

    Raises:
        PairsError: before any work, where there is no input or `output` holds something else; later, where a split is
            left without clips.
    """
    speakers = _look(source, output, settings)
    flags = " ".join(f"--{name}={value}" for name, value in dataclasses.asdict(settings).items())
    identity = {"made_by": f"python -m pipelines.prepare --source=pairs {flags}", "input": speakers.fingerprint}
    aside = os.path.join(output, ".unfinished")
    if os.path.exists(os.path.join(output, "corpus.json")):
        description = clip.read_description(output)
        if {key: description.get(key) for key in identity} != identity:
            raise PairsError(f"{output} holds a corpus of other files or other settings: choose another --output")
        print(f"{output} is already made of these files, with these settings", file=sys.stderr)
        shutil.rmtree(aside, ignore_errors=True)
        return description
    members, split_by = _split(speakers.clips)
    shards = [shard for split in clip.SPLITS for shard in _plan(split, members[split], speakers.clips, settings)]
    _claim(output, aside, identity)
    reports = _write_all(shards, source, output, aside, settings, workers)
    description = identity | {"split_by": split_by} | _describe(shards, reports, speakers.dropped, settings)
    for split, fewest in splits.FEWEST.items():
        if description["speakers"][split] < fewest:
            raise PairsError(
                f"split '{split}' is left with {description['speakers'][split]} of {len(members[split])} speakers, and "
                f"{fewest} are needed. Dropped: {reasons.listed(description)}. Mend the input, remove {output} and "
                f"start again"
            )
    clip.write_description(output, description)
    shutil.rmtree(aside)
    return description


def summary(description: Mapping[str, Any]) -> str:
    """What a corpus holds and what was dropped, for a person."""
    lines = [
        f"{split:<11}{description['clips'][split]:>9,} clips{description['speakers'][split]:>8,} speakers"
        f"{description['seconds'][split] / 3600:>10.2f} h"
        for split in clip.SPLITS
    ]
    if description["split_by"] == "rank":
        lines.append("few speakers: split by rank, so that each split has some; adding speakers may change the splits")
    if description["dropped"]:
        lines.append(f"dropped: {reasons.listed(description)}")
    return "\n".join(lines)


# What there is, and which split and shard it goes to.


def _look(source: str, output: str, settings: Settings) -> _Speakers:
    """Looks through the input folder. Raises `PairsError` where it cannot be used."""
    if not os.path.isdir(source):
        raise PairsError(f"{source} is not a folder")
    inside = os.path.commonpath([os.path.realpath(source), os.path.realpath(output)]) == os.path.realpath(source)
    if inside:
        raise PairsError(f"{output} lies in {source}, and would be taken for a speaker: choose another --output")
    clips, dropped, digest = {}, {}, hashlib.sha256()
    try:
        with os.scandir(source) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        for name in names:
            stills, sounds = _files(source, name)
            sizes = [os.path.getsize(os.path.join(source, path)) for path in sounds]
            digest.update(os.fsencode(repr((name, stills, sounds, sizes))))
            if stills and sounds:
                seconds = [size / _BYTES_PER_SECOND[_suffix(path)] for path, size in zip(sounds, sizes, strict=True)]
                clips[name] = [max(1, math.ceil(length / settings.max_seconds)) for length in seconds]
            else:
                dropped[name] = Reason.NO_STILLS if sounds else Reason.NO_SOUND
    except OSError as error:
        raise PairsError(f"{source} cannot be read: {error}") from error
    if not names:
        raise PairsError(f"{source} holds no folders: one a speaker is expected, with stills and sound files in it")
    if len(clips) < splits.NEEDED:
        without = reasons.listed(_counted(dropped))
        raise PairsError(
            f"{source} has {len(clips)} speakers with stills and sound, and {splits.NEEDED} are needed: two to train, "
            f"one each to validate and to test. Folders left out: {without}"
        )
    return _Speakers(clips, dropped, digest.hexdigest())


def _files(source: str, speaker: str) -> tuple[list[str], list[str]]:
    """The stills and the sounds of a speaker, each in order, as paths relative to `source`."""
    found = sorted(_walk(source, speaker, frozenset()))
    stills = [path for path in found if _suffix(path) in STILLS]
    return sorted(stills, key=_hash), [path for path in found if _suffix(path) in SOUNDS]


def _walk(source: str, folder: str, above: frozenset[str]) -> Iterator[str]:
    """Every file below a folder, hidden ones aside. Links are followed, unless they lead back up."""
    here = os.path.realpath(os.path.join(source, folder))
    if here in above:
        return
    with os.scandir(os.path.join(source, folder)) as entries:
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(source, path, above | {here})
            elif entry.is_file():
                yield path


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _hash(name: str) -> bytes:
    return hashlib.sha256(os.fsencode(name)).digest()


def _split(speakers: Mapping[str, list[int]]) -> tuple[dict[str, list[str]], str]:
    """The speakers of each split, and "hash" or "rank": by which of them it was chosen."""
    shares = {name: splits.share(splits.place(_text(name))) for name in speakers}
    ranges, split_by = splits.ranges(sorted(shares.values()))
    return {
        split: [name for name in speakers if low <= shares[name] < high] for split, (low, high) in ranges.items()
    }, split_by


def _plan(split: str, names: list[str], clips: Mapping[str, list[int]], settings: Settings) -> Iterator[_Shard]:
    """The shards of a split: of about the same number of clips, each a run of sounds in order."""
    total = sum(sum(clips[name]) for name in names)
    enough = min(_SHARDS, total // _CLIPS_IN_A_SMALL_SHARD)
    count = max(1, enough, math.ceil(total / settings.clips_per_shard))
    parts: list[list[tuple[str, int, int]]] = [[] for _ in range(count)]
    before = 0
    for name in names:
        ends = list(itertools.accumulate(clips[name], initial=before))
        shard_of = [end * count // total for end in ends[:-1]]
        for shard, run in itertools.groupby(range(len(shard_of)), key=shard_of.__getitem__):
            sounds = list(run)
            parts[shard].append((name, sounds[0], sounds[-1] + 1))
        before = ends[-1]
    for index, found in enumerate(parts):
        yield _Shard(split, index, count, tuple(found))


def _claim(output: str, aside: str, identity: Mapping[str, Any]) -> None:
    """Makes the output folder ours. Raises `PairsError` where it holds what was not begun by this very job."""
    plan = os.path.join(aside, "plan.json")
    try:
        if os.path.exists(plan):
            with open(plan, encoding="utf-8") as file:
                if json.load(file) != identity:
                    raise PairsError(
                        f"{output} was begun with other files or other settings: remove it, or choose another --output"
                    )
        elif os.path.isdir(output) and set(os.listdir(output)) - {".unfinished"}:
            raise PairsError(f"{output} is not empty, and holds no corpus: choose another --output")
        else:
            os.makedirs(aside, exist_ok=True)
            _write_json(plan, identity)
    except (OSError, json.JSONDecodeError) as error:
        raise PairsError(f"{output} cannot be used: {error}") from error


# Doing it, in parallel.


def _write_all(
    shards: list[_Shard], source: str, output: str, aside: str, settings: Settings, workers: int
) -> list[dict[str, Any]]:
    """Writes every shard that is not there yet, and returns the report of each."""
    todo = [shard for shard in shards if not os.path.exists(_report_path(aside, shard))]
    total = sum(shard.sounds for shard in shards)
    progress = Progress(total, "sounds", total - sum(shard.sounds for shard in todo))
    write = functools.partial(_write, source=source, output=output, aside=aside, settings=settings)
    if workers == 1:
        for shard in todo:
            write(shard, on_sound=progress.add)
    elif todo:
        _write_in_processes(write, todo, min(workers, len(todo)), progress)
    progress.close()
    reports = []
    for shard in shards:
        with open(_report_path(aside, shard), encoding="utf-8") as file:
            reports.append(json.load(file))
    return reports


def _write_in_processes(write: Callable[..., None], todo: list[_Shard], workers: int, progress: Progress) -> None:
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    with concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, (done,)) as pool:
        pending = {pool.submit(_write_counted, write, shard) for shard in todo}
        try:
            while pending:
                finished, pending = concurrent.futures.wait(
                    pending, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in finished:
                    future.result()
                progress.add(done.value - progress.added)
        except BrokenProcessPool as error:
            raise PairsError(
                "a worker was killed, perhaps for want of memory: the same command goes on from here, "
                "with fewer --workers if need be"
            ) from error
        finally:
            if pending:
                for worker in multiprocessing.active_children():
                    worker.terminate()


def _start_worker(done: Any) -> None:
    """Runs first in each worker process; `done` counts the sounds that are dealt with, over all of them."""
    global _done  # the one way in which a pool hands its workers what is shared
    _done = done
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to deal with
    parent = multiprocessing.parent_process()

    def follow() -> None:
        # A parent that was killed cannot end its workers, and they would wait for work for ever.
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _write_counted(write: Callable[..., None], shard: _Shard) -> None:
    write(shard, on_sound=_count_sound)


def _count_sound() -> None:
    with _done.get_lock():
        _done.value += 1


# One shard, in whichever process.


def _write(
    shard: _Shard, *, source: str, output: str, aside: str, settings: Settings, on_sound: Callable[[], None]
) -> None:
    """Writes a shard aside, moves it into place, and then writes the report that says it is there."""
    scratch = os.path.join(aside, str(os.getpid()))
    report = {"clips": 0, "seconds": 0.0, "speakers": [], "dropped": {}}
    clips = _clips(shard, source, settings, report, on_sound)
    try:
        os.makedirs(scratch, exist_ok=True)
        report["clips"] = clip.write_shard(scratch, shard.split, shard.index, shard.count, clips, settings.audio_format)
        name = f"{shard.name}.tfrecord"
        os.replace(os.path.join(scratch, name), os.path.join(output, name))
        _write_json(_report_path(aside, shard), report)
    except (OSError, tf.errors.OpError) as error:
        raise PairsError(f"{output} cannot be written: {error}") from error


def _clips(
    shard: _Shard, source: str, settings: Settings, report: dict[str, Any], on_sound: Callable[[], None]
) -> Iterator[clip.Clip]:
    """The clips of a shard. `report` gets their seconds and speakers, and what was dropped, by path."""
    for speaker, start, stop in shard.parts:
        stills, sounds = _files(source, speaker)
        for index in range(start, stop):
            for found in _clips_of_sound(source, speaker, stills, sounds, index, settings, report["dropped"]):
                report["seconds"] += len(found.waveform) / SAMPLE_RATE
                if found.speaker not in report["speakers"][-1:]:
                    report["speakers"].append(found.speaker)
                yield found
            on_sound()


def _clips_of_sound(
    source: str, speaker: str, stills: list[str], sounds: list[str], index: int, settings: Settings, dropped: dict
) -> Iterator[clip.Clip]:
    path = sounds[index]
    if not _faces(source, stills, index, settings, dropped):
        dropped[path] = Reason.NO_USABLE_STILL
        return
    waveform = _waveform(os.path.join(source, path))
    if isinstance(waveform, Reason):
        dropped[path] = waveform
        return
    pieces = max(1, math.ceil(len(waveform) / (settings.max_seconds * SAMPLE_RATE)))
    for number, piece in enumerate(np.array_split(waveform, pieces)):
        name = path if pieces == 1 else f"{path}#{number}"
        if np.abs(piece).max() < SILENCE:
            dropped[name] = Reason.SILENT
        else:
            faces = _faces(source, stills, index + number * len(sounds), settings, dropped)
            yield clip.Clip(id=_text(name), speaker=_text(speaker), waveform=piece, faces=faces)


def _waveform(path: str) -> np.ndarray | Reason:
    """float32 [S], or why there is none."""
    try:
        return audio.read_sound(path)
    except audio.SoundError as error:
        said = str(error).removeprefix(path)  # it tells its reasons in words alone
        words = {" lasts ": Reason.TOO_SHORT, " is silent": Reason.SILENT}
        return next((reason for start, reason in words.items() if said.startswith(start)), Reason.UNDECODABLE_SOUND)


def _faces(source: str, stills: list[str], turn: int, settings: Settings, dropped: dict) -> tuple[bytes, ...]:
    """The faces of a clip: `faces_per_clip` usable stills, or all there are, from that turn's place on."""
    start = turn * settings.faces_per_clip % len(stills)
    faces = []
    for path in stills[start:] + stills[:start]:
        if len(faces) == settings.faces_per_clip:
            break
        face = _face(os.path.join(source, path), settings.face_size)
        if isinstance(face, Reason):
            dropped[path] = face
        else:
            faces.append(face)
    return tuple(faces)


@functools.lru_cache(maxsize=1024)  # the stills of a speaker come round again and again
def _face(path: str, size: int) -> bytes | Reason:
    """A still, upright, cropped to the square in its middle and resized, as a JPEG file; or why it cannot be."""
    try:
        with Image.open(path) as image:
            if min(image.size) < size / 2:
                return Reason.STILL_TOO_SMALL
            image.draft("RGB", (2 * size, 2 * size))  # a large JPEG need not be decoded whole
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # decoders raise nearly anything, from SyntaxError to struct.error
        return Reason.UNDECODABLE_STILL
    square = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    square.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()


def _text(name: str) -> str:
    """A file name as text: one that is not UTF-8 on disk cannot be stored as it is."""
    return os.fsencode(name).decode(errors="replace")


# What came out.


def _describe(
    shards: list[_Shard], reports: list[dict[str, Any]], unusable: Mapping[str, Reason], settings: Settings
) -> dict[str, Any]:
    clips, seconds = dict.fromkeys(clip.SPLITS, 0), dict.fromkeys(clip.SPLITS, 0.0)
    speakers: dict[str, set[str]] = {split: set() for split in clip.SPLITS}
    dropped: dict[str, str] = dict(unusable)
    for shard, report in zip(shards, reports, strict=True):
        clips[shard.split] += report["clips"]
        seconds[shard.split] += report["seconds"]
        speakers[shard.split].update(report["speakers"])
        dropped |= report["dropped"]  # the same still may have been tried for several shards
    return {
        "audio_format": settings.audio_format,
        "face_size": settings.face_size,
        "clips": clips,
        "speakers": {split: len(names) for split, names in speakers.items()},
        "seconds": {split: round(total, 1) for split, total in seconds.items()},
    } | _counted(dropped)


def _counted(dropped: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Reasons by path, as the fields `dropped` and `examples` of `corpus.json`."""
    counts = collections.Counter(dropped.values())
    met = [reason for reason in Reason if counts[reason]]
    examples = {reason: min(path for path, why in dropped.items() if why == reason) for reason in met}
    return {
        "dropped": {str(reason): counts[reason] for reason in met},
        "examples": {str(reason): _text(example) for reason, example in examples.items()},
    }


def _report_path(aside: str, shard: _Shard) -> str:
    return os.path.join(aside, f"{shard.name}.json")


def _write_json(path: str, tree: Mapping[str, Any]) -> None:
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(tree, file)
    os.replace(path + ".part", path)
