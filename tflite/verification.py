"""Whether converted models are still the same model, in the terms of the task."""

import contextlib
import dataclasses
import functools
import os
import tempfile
from collections.abc import Mapping

import numpy as np

from s2f_tf import onnx_model, pictures, saved_model
from s2f_tf.data import reader, synthetic
from s2f_tf.errors import UserError
from s2f_tf.evaluation import generation, matching
from s2f_tf.evaluation.run import Run
from s2f_tf.models import trained

from . import arm64, description
from .runtimes import LiteRT, OnnxRuntime, Runtime, SavedModel
from .window import loudest_window

_WAYS = (2, 10)
_LEVELS = 127.5  # levels of a picture in 1, the unit of a face in [-1, 1]
_TOLERANCE = {"SavedModel": 1e-4, "ONNX Runtime": 1e-4, "LiteRT float32": 1e-4, "LiteRT float16": 1e-2}
_EMULATED = {"LiteRT arm64 float32": 1e-4, "LiteRT arm64 float16": 1e-2}
_EMULATED_CLIPS = 40  # an emulated processor is slow
_MOST_LOST = 0.02  # of matching accuracy, by a quantised model
_INT8_SHARE = 0.3  # of the size of float32


class VerificationError(UserError):
    """Models that cannot be verified, or that are not the same; the message says which, and by how much."""


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Held-out voices, and what Keras makes of them.

    Attributes:
        windows: float32 [N, window].
        speakers: [N].
        faces: float32 [N, E], each clip's first face by the face encoder.
        judge_voices: float32 [N, E], whole utterances by the judge.
        judge_faces: float32 [N, E], first faces by the judge.
        whole: float32 [N, E], whole utterances by the speech encoder.
        z: float32 [N, Z].
        embeddings: float32 [N, E], windows by the speech encoder.
        images: uint8 [N, H, W, 3], drawn from `embeddings` and `z`.
    """

    windows: np.ndarray
    speakers: np.ndarray
    faces: np.ndarray
    judge_voices: np.ndarray
    judge_faces: np.ndarray
    whole: np.ndarray
    z: np.ndarray
    embeddings: np.ndarray
    images: np.ndarray

    def first(self, count: int) -> "HeldOut":
        """The first so many clips."""
        return HeldOut(*(getattr(self, field.name)[:count] for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a runtime makes of the same voices.

    Attributes:
        size: bytes on disk.
        embedding: largest and mean difference from Keras, of an embedding's entries.
        image: largest and mean difference from Keras, in levels of 255, of faces drawn from the same embedding and z.
        matching: accuracy of voice to face, for each of `_WAYS`.
        judge: accuracy with which the judge picks the face drawn from a voice, for each of `_WAYS`.
    """

    size: int
    embedding: tuple[float, float]
    image: tuple[float, float]
    matching: tuple[float, ...]
    judge: tuple[float, ...]


class _Keras(Runtime):
    """The trained run itself."""

    def __init__(self, run: Run) -> None:
        self.name, self._run = "Keras", run
        self.size = sum(os.path.getsize(trained.path_of(n, run.workdir)) for n in ("speech_encoder", "generator"))

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        return self._run.hear(waveform)

    def draw(self, embedding: np.ndarray, z: np.ndarray) -> np.ndarray:
        return pictures.to_uint8(self._run.draw(z, embedding))


def verify(workdir: str, models: str, corpus: str | None, split: str, clips: int) -> None:
    """Prints what each runtime makes of held-out voices.

    Args:
        workdir: a trained run.
        models: a folder with its converted models.
        corpus: a folder of clips; None makes the run's synthetic speakers.
        split: of the corpus.
        clips: at most so many of them.

    Raises:
        UserError: where something is not there or not whole, and, when all is measured, where a bar is missed.
    """
    described = description.read(models)
    run = Run(workdir)
    if corpus is None:
        corpus = os.path.join(models, "corpus")
        synthetic.write_corpus(run.config.synthetic, run.config.data.face_size, run.config.seed, corpus, "wav")
    held_out = _hear(run, reader.Corpus(corpus), split, clips, described["window"])
    whole = _accuracy(matching.cosine(held_out.whole, held_out.faces), held_out)
    print(f"{len(held_out.windows)} clips of {len(set(held_out.speakers))} speakers of split '{split}'.")
    print(f"Of whole utterances, Keras matches {_percent(whole)} %; below, all hear the same windows.\n")
    print(_HEADER)
    rows: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for make in (
            lambda: _Keras(run),
            lambda: SavedModel(saved_model.export(workdir, os.path.join(scratch, "saved_model"))),
            lambda: OnnxRuntime(onnx_model.export(workdir, os.path.join(scratch, "onnx"))),
            *(functools.partial(LiteRT, os.path.join(models, of["file"])) for of in described["variants"].values()),
        ):
            runtime = make()
            rows[runtime.name] = _measure(runtime, held_out, run)
            print(_line(runtime.name, rows[runtime.name]), flush=True)
    if arm64.environment() is None:
        print(f"\nNot run on arm64: `python -m {__package__}.arm64` sets up what that takes.")
    else:
        few = held_out.first(_EMULATED_CLIPS)
        print(f"\nOn an emulated arm64 processor, of the first {len(few.windows)} of these clips:\n\n{_HEADER}")
        for of in described["variants"].values():
            with contextlib.closing(arm64.Arm64LiteRT(os.path.join(models, of["file"]))) as runtime:
                rows[runtime.name] = _measure(runtime, few, run)
            print(_line(runtime.name, rows[runtime.name]), flush=True)
    if missed := missed_bars(rows):
        raise VerificationError("; ".join(missed))
    print("\nEvery bar is held.")


def missed_bars(rows: Mapping[str, Measured]) -> list[str]:
    """What is wrong, in words, with what was measured, by the name of the runtime."""
    missed = []
    emulated = {name: tolerance for name, tolerance in _EMULATED.items() if name in rows}
    for name, tolerance in (_TOLERANCE | emulated).items():
        (embedding, _), (level, mean_level) = rows[name].embedding, rows[name].image
        if not embedding <= tolerance:  # so that NaN is missed, too
            missed.append(f"{name}: an embedding is off by {embedding:.2g}, and {tolerance:g} is allowed")
        # Rounding moves a level by one, and the mean of many by nothing.
        if not (mean_level <= tolerance * _LEVELS and level <= tolerance * _LEVELS + 1):
            missed.append(f"{name}: faces are off by {level:.0f} levels, {mean_level:.2g} in the mean")
    exact = rows["LiteRT float32"]
    for name in ("LiteRT dynamic", "LiteRT int8"):
        if name not in rows:
            continue  # S is a teacher's network
        for ways, before, after in zip(_WAYS, exact.matching, rows[name].matching, strict=True):
            if not before - after <= _MOST_LOST:
                missed.append(f"{name}: matching at K = {ways} is {100 * (before - after):.1f} points below float32")
        share = rows[name].size / exact.size
        if name == "LiteRT int8" and share > _INT8_SHARE:
            missed.append(f"{name}: {share:.0%} of the size of float32, and {_INT8_SHARE:.0%} is allowed")
    return missed


def _hear(run: Run, corpus: reader.Corpus, split: str, limit: int, window: int) -> HeldOut:
    columns: dict[str, list] = {}
    for clip in reader.clips(corpus, split, run.config.data.face_size, limit=limit):
        stretch, face = loudest_window(clip.waveform, window), clip.faces[:1]
        row = {
            "windows": stretch,
            "speakers": clip.speaker,
            "faces": run.see(face)[0],
            "judge_voices": run.judge_hear(clip.waveform[None])[0],
            "judge_faces": run.judge_see(face)[0][0],
            "whole": run.hear(clip.waveform[None])[0],
            "embeddings": run.hear(stretch[None])[0],
        }
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    arrays = {name: np.array(values) for name, values in columns.items()}
    speakers = len(set(arrays["speakers"]))
    if speakers < max(_WAYS):
        raise VerificationError(
            f"{corpus.folder}: {speakers} speakers in what was read of split '{split}': {max(_WAYS)} are needed"
        )
    z = run.z(np.arange(len(arrays["speakers"])))
    return HeldOut(**arrays, z=z, images=pictures.to_uint8(run.draw(z, arrays["embeddings"])))


def _measure(runtime: Runtime, held_out: HeldOut, run: Run) -> Measured:
    count = range(len(held_out.windows))
    embeddings = np.concatenate([runtime.embed(held_out.windows[i : i + 1]) for i in count])
    same = _drawn(runtime, held_out.embeddings, held_out.z)
    own, _ = run.judge_see(_drawn(runtime, embeddings, held_out.z) / np.float32(_LEVELS) - 1)
    judged = generation.judge(held_out.judge_voices, held_out.judge_faces, own, held_out.speakers)
    return Measured(
        runtime.size,
        _difference(embeddings, held_out.embeddings),
        _difference(same.astype(np.float32), held_out.images.astype(np.float32)),
        _accuracy(matching.cosine(embeddings, held_out.faces), held_out),
        tuple(judged["voice_to_generated"][f"accuracy_k{ways}"].value for ways in _WAYS),
    )


def _drawn(runtime: Runtime, embeddings: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.concatenate([runtime.draw(embeddings[i : i + 1], z[i : i + 1]) for i in range(len(z))])


def _difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    difference = np.abs(a - b)
    return float(difference.max()), float(difference.mean())


def _accuracy(similarity: matching.Similarity, held_out: HeldOut) -> tuple[float, ...]:
    scored = matching.score(similarity, held_out.speakers)
    return tuple(scored[f"accuracy_k{ways}"].value for ways in _WAYS)


_HEADER = (
    "| runtime | MB | embedding: largest, mean difference | face: largest, mean difference in levels "
    "| matching, K = 2, 10 | judge, K = 2, 10 |\n|---|---|---|---|---|---|"
)


def _line(name: str, row: Measured) -> str:
    cells = (
        name,
        f"{row.size / 1e6:.2f}",
        "{:.1e}, {:.1e}".format(*row.embedding),
        "{:.0f}, {:.3f}".format(*row.image),
        _percent(row.matching),
        _percent(row.judge),
    )
    return f"| {' | '.join(cells)} |"


def _percent(values: tuple[float, ...]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)
