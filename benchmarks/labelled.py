"""Photographs of faces whose age and sex is known: for measuring what is seen in faces, and for nothing else."""

import csv
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from benchmarks import linear
from s2f_tf import face_detection, photograph, text_file
from s2f_tf.errors import UserError

ADULT = 14  # years, from which on a face is asked for a sex

_SEEN = 128  # pixels a side of a face that a teacher is asked about


@dataclasses.dataclass(frozen=True)
class Labelled:
    """A photograph of somebody of known age and sex.

    Attributes:
        path: of the file.
        age: in years.
        female: or male.
    """

    path: str
    age: float
    female: bool


def read(path: str) -> list[Labelled]:
    """The photographs that a list names, in an order that is random and always the same.

    The list is a CSV with a header and the columns `still`, `age` in years and `sex`, m or f. The photographs are
    `stills/<still>.jpg` beside it.

    Raises:
        TextFileError: where the list cannot be read.
        UserError: where a line of it is not as it should be, or it is empty.
    """
    folder = os.path.join(os.path.dirname(path), "stills")
    found = []
    with text_file.opened(path) as file:
        for row in csv.DictReader(file):
            try:
                age, female = float(row["age"]), {"f": True, "m": False}[row["sex"]]
                found.append(Labelled(os.path.join(folder, f"{row['still']}.jpg"), age, female))
            except (KeyError, TypeError, ValueError):
                raise UserError(f"{path}: still, age and sex (m or f) are expected, not {row}") from None
    if not found:
        raise UserError(f"{path} names no photograph")
    return sorted(found, key=lambda one: hashlib.sha256(os.path.basename(one.path).encode()).digest())


def sex_probe(labelled: Sequence[Labelled], see: Callable[[np.ndarray], np.ndarray]) -> linear.Linear:
    """Tells a woman's face, by a number above 0, from a man's, as far as a linear map of what `see` says can."""
    found = [(see(face), one.female) for one, face in aligned((x for x in labelled if x.age >= ADULT), _SEEN)]
    features, female = map(np.array, zip(*found, strict=True))
    return linear.probe(features, female)


def aligned(labelled: Iterable[Labelled], size: int) -> Iterator[tuple[Labelled, np.ndarray]]:
    """The largest face of each photograph in which there is one, aligned: uint8 [size, size, 3]."""
    detector = face_detection.shared_detector()
    for one in labelled:
        picture = photograph.read(one.path, 1280)
        for face in detector.find([picture])[0][:1]:
            yield one, face_detection.align(picture, face, size)
