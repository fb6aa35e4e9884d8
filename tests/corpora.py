"""Small corpora of synthetic speakers, to be written to."""

import json
import shutil

from s2f_tf.data import clip


def copy(corpus, folder, **changed):
    """A copy of a corpus; `changed` are fields of its `corpus.json`."""
    shutil.copytree(corpus, folder)
    clip.write_description(str(folder), clip.read_description(str(folder)) | changed)
    return folder


def flip(path, position):
    """Damages one byte of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


def description(folder):
    """What its `corpus.json` says."""
    return json.loads((folder / "corpus.json").read_text())
