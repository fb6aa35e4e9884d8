"""Judges from outside: they tell of drawn faces what nothing that drew them was ever taught.

The detector says whether a face is there. Teachers (`pipelines/teachers.py`), whose numbers are in the corpus, say
whether it goes with its voice, by what they say of pairs of other speakers, and how near drawn faces as a whole are to
real ones.
"""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np

from benchmarks import folds, labelled, linear
from pipelines import teachers
from s2f_tf import face_detection
from s2f_tf.data import clip, reader
from s2f_tf.errors import UserError
from s2f_tf.evaluation import distribution, matching
from s2f_tf.evaluation.statistics import Figure

_TOGETHER = 64  # faces that the detector looks at
_LABELLED = 1000  # photographs that tell sexes


@dataclasses.dataclass(frozen=True)
class Said:
    """What teachers say of clips.

    Attributes:
        speakers: [N].
        voices: float32 [N, 256].
        faces: float32 [N, 128], of first faces.
    """

    speakers: np.ndarray
    voices: np.ndarray
    faces: np.ndarray


def said(clips: Iterable[clip.Clip]) -> Said:
    """What teachers say of clips of pairs that were taught."""
    rows = [(one.speaker, one.taught.voice, one.taught.faces[0]) for one in clips]
    return Said(*map(np.array, zip(*rows, strict=True)))


class Outside:
    """What teachers say of a corpus, where they were asked.

    Args:
        corpus: all of it.
        labels: path of a list of photographs, see `labelled.read`, by which sexes are told; or None.
        draws: whether they will be asked about drawn faces.

    Attributes:
        taught: whether they were asked.
        kind: for names of files: "" or what is measured besides.

    Raises:
        UserError: there are labels, and they were not asked.
        MissingExtraError: they were, and are not here to be asked more.
    """

    def __init__(self, corpus: reader.Corpus, labels: str | None, draws: bool) -> None:
        self.taught = "teachers" in corpus.description
        self.kind = "-within-sexes" if labels else ""
        self._corpus = corpus
        if labels and not self.taught:
            raise UserError(
                f"--labels is for a corpus that was taught: python -m pipelines.teach --corpus={corpus.folder}"
            )
        self._labelled = labelled.read(labels)[:_LABELLED] if labels else []
        if self.taught and (labels or draws):
            self._see = teachers.Faces()

    @functools.cached_property
    def _sex(self) -> linear.Linear:
        return labelled.sex_probe(self._labelled, self._see)

    @functools.cached_property
    def _everyone(self) -> Said:
        return said(folds.clips(folds.shards(self._corpus)))

    def others(self, part: reader.Corpus) -> Said:
        """What is said of clips of speakers who are not tested in a fold, trained on or not."""
        everyone = self._everyone
        rows = ~np.isin(everyone.speakers, self.of(part, "test").speakers)
        return Said(everyone.speakers[rows], everyone.voices[rows], everyone.faces[rows])

    def of(self, part: reader.Corpus, split: str) -> Said:
        """What is said of a split of a fold."""
        return said(folds.clips(clip.shards(part.folder, split)))

    def see_all(self, faces: np.ndarray) -> np.ndarray:
        """What is said of other faces, float32 [N, H, W, 3] in [-1, 1]: float32 [N, 128]."""
        return np.stack([self._see(face) for face in levels(faces)])

    def females(self, said: Said) -> np.ndarray | None:
        """Of which clips the face is a woman's, bool [N], where there are labels."""
        return self._sex(said.faces)[:, 0] > 0 if self._labelled else None


def both_ways(
    voices: np.ndarray, faces: np.ndarray, speakers: np.ndarray, females: np.ndarray | None = None
) -> dict[str, Figure]:
    """How well voices and faces are matched by the cosine of their numbers, [N, E] each, in as many ways as N allows.

    Args:
        voices, faces: of the same N clips.
        speakers: [N].
        females: bool [N], where the sex of each is told: then also among those of one sex alone.
    """
    found, strata = {}, {} if females is None else {"sex": females}
    for name, queries, gallery in (("voice to face", voices, faces), ("face to voice", faces, voices)):
        scored = matching.score(matching.cosine(unit(queries), unit(gallery)), speakers, strata)
        for key, ways in (("k2", "2-way"), ("k10", "10-way"), ("k2_same_sex", "2-way within one sex")):
            if f"accuracy_{key}" in scored:
                found[f"{name}, {ways}"] = scored[f"accuracy_{key}"]
    return found


def distance(real: np.ndarray, others: np.ndarray, real_speakers: np.ndarray, others_speakers: np.ndarray) -> Figure:
    """KID of real faces and of others in the face teacher's numbers, [N, 128] and [M, 128].

    They are made so large that the square of a number of a real face is 1 on average: of numbers much smaller, KID's
    kernel sees little but their mean.
    """
    scale = np.sqrt(np.mean(np.square(real)))
    return distribution.kid(real / scale, others / scale, real_speakers, others_speakers)


def faces_found(faces: np.ndarray) -> np.ndarray:
    """In which of some faces, float32 [N, H, W, 3] in [-1, 1], the detector finds one face, and where it should be."""
    pixels, detector = levels(faces), face_detection.shared_detector()
    found = [
        some for start in range(0, len(pixels), _TOGETHER) for some in detector.find(pixels[start : start + _TOGETHER])
    ]
    return np.array([len(some) == 1 and face_detection.is_in_place(some[0], faces.shape[1]) for some in found])


def levels(faces: np.ndarray) -> np.ndarray:
    """Faces in [-1, 1] as pixels, uint8."""
    return np.clip(np.rint((faces + 1) * 127.5), 0, 255).astype(np.uint8)


def unit(x: np.ndarray) -> np.ndarray:
    """Rows [N, D] of length 1."""
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12)
