"""What is known of the speakers of a recorded corpus: the optional `attributes.csv` beside its shards."""

import csv
import os

from s2f_tf import text_file
from s2f_tf.data.clip import CorpusError


def read(folder: str) -> dict[str, dict[str, str]]:
    """The attributes by name, then by speaker; none where there is no such file.

    The first column of `attributes.csv` is headed `speaker`; each further one is an attribute, such as `gender`. An
    empty cell is an unknown one.

    Raises:
        TextFileError: the file is no text in UTF-8.
        CorpusError: it names no speakers, holds one twice, or a line is too long or too short.
    """
    path = os.path.join(folder, "attributes.csv")
    if not os.path.exists(path):
        return {}
    try:
        with text_file.opened(path) as file:
            lines = list(csv.reader(file))
    except csv.Error as error:
        raise CorpusError(f"{path}: {error}") from error
    if not lines or lines[0][:1] != ["speaker"]:
        head = ",".join(lines[0]) if lines else ""
        commas = ", and commas between columns" * (";" in head or "\t" in head)
        raise CorpusError(f"{path}: the first column must be headed 'speaker'{commas}, not {head!r}")
    names = lines[0][1:]
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    seen = set()
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        if len(line) != len(lines[0]):
            raise CorpusError(f"{path} line {number} has {len(line)} cells: {len(lines[0])} are wanted")
        if line[0] in seen:
            raise CorpusError(f"{path} line {number}: speaker '{line[0]}' was there before")
        seen.add(line[0])
        for name, value in zip(names, line[1:], strict=True):
            if value:
                found[name][line[0]] = value
    return found
