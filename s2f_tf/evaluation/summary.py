"""All the figures of a trained run."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from s2f_tf.data import reader
from s2f_tf.data.clip import CorpusError
from s2f_tf.data.synthetic import FACTORS, SHARED
from s2f_tf.evaluation import copies, disentanglement, distribution, generation, matching, sound
from s2f_tf.evaluation.disentanglement import FactorReader
from s2f_tf.evaluation.run import Embedded, Run, embed
from s2f_tf.progress import Progress

_BATCH = 64
_GRID_VOICES, _GRID_Z = 100, 16  # of the analysis of variance
_COPIES = 500  # faces that are compared with every training face
_LEARNT = 10_000  # real faces from which factors are learnt
_SHOWN = 8  # generated faces whose nearest training faces are kept to be looked at
_FEWEST_SPEAKERS = 4
_FACE_FACTORS = tuple(factor for factor in FACTORS if factor.shapes in ("both", "face"))


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        figures: a tree of `Figure`, numbers, words and lists of them: what `metrics.json` holds.
        copies: generated faces and the training faces nearest to them, float32 [n, 2, H, W, 3].
    """

    figures: dict[str, Any]
    copies: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """What the judge and the reader of factors see in one generated face of each clip's voice.

    Attributes:
        embeddings: float32 [N, E], each face with a z of its own.
        same_z: float32 [N, E], all faces with one z.
        features: float32 [N, D], of the former.
        factors: float64 [N, F], read from the former; none unless the corpus is synthetic.
        first: float32 [n, H, W, 3], the first faces of the former.
    """

    embeddings: np.ndarray
    same_z: np.ndarray
    features: np.ndarray
    factors: np.ndarray
    first: np.ndarray


def measure(
    run: Run, corpus: reader.Corpus, split: str, attributes: Mapping[str, Mapping[str, str]] | None = None
) -> Measured:
    """Everything that `python -m s2f_tf.evaluate` reports, by the protocols of `docs/evaluation.md`, with its progress.

    Args:
        run: the trained run.
        corpus: with the split and the training split.
        split: which speakers.
        attributes: by name, then by speaker: negatives that share one make a stratum.

    Raises:
        CorpusError: where clips cannot be read, or the split has fewer than four speakers.
    """
    size = run.config.data.face_size
    factor_reader = None
    if next(reader.clips(corpus, split, size, limit=1)).factors:
        factor_reader = _learn_factors(run, corpus)
    embedded = embed(run, corpus, split, factor_reader, keep=_COPIES)
    count = len(set(embedded.speakers))
    if count < _FEWEST_SPEAKERS:
        raise CorpusError(f"{corpus.folder}: split '{split}' has {count} speakers: {_FEWEST_SPEAKERS} are needed")
    drawn = _draw(run, embedded, factor_reader)
    figures: dict[str, Any] = {
        "corpus": _digest(embedded),
        "split": split,
        "taught": run.config.taught,
        "clips": len(embedded.ids),
        "speakers": count,
    }
    figures["matching"] = _matching(embedded, attributes or {})
    figures["generation"] = _generation(embedded, drawn)
    figures["generation"]["nearest_training_face"], shown = _copies(
        embedded, drawn, reader.faces(corpus, "train", size)
    )
    if factor_reader is not None:
        figures["disentanglement"] = _disentanglement(run, embedded, drawn, factor_reader)
    galleries = dict(zip(embedded.ids, embedded.faces, strict=True))
    figures["sound"] = sound.measure(run.hear, corpus, split, galleries)
    return Measured(figures, shown)


def _learn_factors(run: Run, corpus: reader.Corpus) -> FactorReader:
    names = [factor.name for factor in _FACE_FACTORS]
    size = run.config.data.face_size
    faces, values = [], []
    for face, value in reader.faces(corpus, "train", size, names).take(_LEARNT).as_numpy_iterator():
        faces.append(np.rint((face + 1) * 127.5).astype(np.uint8))
        values.append(value)
    return FactorReader(names, np.stack(faces), np.stack(values))


def _draw(run: Run, embedded: Embedded, factor_reader: FactorReader | None) -> _Drawn:
    """Streams: of all faces only what is seen in them is kept."""
    count = len(embedded.ids)
    z, one_z = run.z(np.arange(count)), run.z(np.zeros(1))
    columns: list[list[np.ndarray]] = [[] for _ in dataclasses.fields(_Drawn)]
    with Progress(count, "voice", stage="drawing faces") as progress:
        for start in range(0, count, _BATCH):
            rows = slice(start, start + _BATCH)
            faces = run.draw(z[rows], embedded.voices[rows])
            embeddings, features = run.judge_see(faces)
            same_z, _ = run.judge_see(run.draw(np.repeat(one_z, len(faces), axis=0), embedded.voices[rows]))
            factors = np.zeros((len(faces), 0)) if factor_reader is None else factor_reader.read(faces)
            kept = faces[: max(0, _COPIES - start)]
            for column, values in zip(columns, (embeddings, same_z, features, factors, kept), strict=True):
                column.append(values)
            progress.add(len(faces))
    return _Drawn(*map(np.concatenate, columns))


def _matching(embedded: Embedded, attributes: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    strata = {
        name: np.array([of_speaker.get(speaker, f"unknown: {speaker}") for speaker in embedded.speakers])
        for name, of_speaker in attributes.items()
    }
    strata |= {name: matching.bins_of(embedded.factors[name]) for name in SHARED if name in embedded.factors}
    directions = {
        "voice_to_face": matching.cosine(embedded.voices, embedded.faces),
        "face_to_voice": matching.cosine(embedded.faces, embedded.voices),
    }
    if embedded.factors:
        spoken = np.stack([embedded.factors[f"voice/{name}"] for name in SHARED], axis=1)
        true = np.stack([embedded.factors[name] for name in SHARED], axis=1)
        directions["true_factors"] = matching.ceiling(spoken, true)
    with Progress(len(directions) * len(embedded.ids), "question", stage="matching") as progress:
        return {
            name: matching.score(similarity, embedded.speakers, strata, asked=progress.add)
            for name, similarity in directions.items()
        }


def _generation(embedded: Embedded, drawn: _Drawn) -> dict[str, Any]:
    voices, speakers = embedded.judge_voices, embedded.speakers
    with Progress(2 * len(speakers), "question", stage="judging drawn faces") as progress:
        judged = generation.judge(voices, embedded.judge_faces, drawn.embeddings, speakers, asked=progress.add)
    return {
        "judge": judged,
        "correlation": {
            "one_z": generation.correlation(voices, drawn.same_z, speakers),
            "a_z_each": generation.correlation(voices, drawn.embeddings, speakers),
            "real": generation.correlation(voices, embedded.judge_faces, speakers),
        },
        "distribution": distribution.compare(embedded.judge_features, drawn.features, speakers),
    }


def _copies(embedded: Embedded, drawn: _Drawn, training: tf.data.Dataset) -> tuple[dict[str, Any], np.ndarray]:
    found = copies.nearest(np.concatenate([drawn.first, embedded.first]), training)
    count = len(drawn.first)
    figures = copies.compare(found.distance[:count], found.distance[count:], embedded.speakers[:count])
    return figures, np.stack([drawn.first, found.face[:count]], axis=1)[:_SHOWN]


def _disentanglement(run: Run, embedded: Embedded, drawn: _Drawn, factor_reader: FactorReader) -> list[dict[str, Any]]:
    """For each factor: which it is, R² from generated and from real faces and from the embedding, and the shares."""
    grid = np.unique(np.linspace(0, len(embedded.ids) - 1, min(_GRID_VOICES, len(embedded.ids))).astype(int))
    z = run.z(np.arange(_GRID_Z))
    readings = []
    with Progress(len(grid), "voice", stage="telling voice from z") as progress:
        for voice in embedded.voices[grid]:
            readings.append(factor_reader.read(run.draw(z, np.repeat(voice[None], _GRID_Z, axis=0))))
            progress.add()
    shares = disentanglement.variance_shares(np.stack(readings), embedded.speakers[grid])
    results = []
    for place, factor in enumerate(_FACE_FACTORS):
        of_factor: dict[str, Any] = {"factor": factor.name, "heard": factor.shapes == "both", "level": factor.level}
        if factor.level == "speaker":
            true, speakers = embedded.factors[factor.name], embedded.speakers
            heard = disentanglement.read_from_embedding(embedded.voices, true, speakers)
            for name, values in (
                ("generated", drawn.factors[:, place]),
                ("real", embedded.readings[:, place]),
                ("embedding", heard),
            ):
                of_factor[f"r_squared_{name}"] = disentanglement.r_squared(values, true, speakers)
        of_factor |= {"due_to_c": shares[place].c, "due_to_z": shares[place].z, "due_to_both": shares[place].both}
        results.append(of_factor)
    return results


def _digest(embedded: Embedded) -> str:
    """Tells whether two runs were evaluated on the same clips."""
    return hashlib.sha256("\n".join([*embedded.ids, *embedded.speakers]).encode()).hexdigest()[:16]
