"""Small corpora of synthetic speakers, to be written to."""

import dataclasses
import json
import shutil

import numpy as np

from s2f_tf.data import clip, synthetic


def copy(corpus, folder, **changed):
    """A copy of a corpus; `changed` are fields of its `corpus.json`."""
    shutil.copytree(corpus, folder)
    clip.write_description(str(folder), clip.read_description(str(folder)) | changed)
    return folder


def stills(config, folder, count):
    """Faces of so many synthetic speakers, without their voices."""
    made = [synthetic.make_clip(config.synthetic, config.data.face_size, 7, speaker, 0) for speaker in range(count)]
    alone = [dataclasses.replace(one, waveform=np.zeros(0, np.float32)) for one in made]
    clip.write_shard(str(folder), "train", 0, 1, alone, "wav")
    counts = {"clips": {"train": count}, "speakers": {"train": count}}
    described = {"made_by": "a test", "kind": "stills", "audio_format": "wav", "face_size": config.data.face_size}
    clip.write_description(str(folder), described | counts | {"dropped": {}})
    return str(folder)


def flip(path, position):
    """Damages one byte of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


def description(folder):
    """What its `corpus.json` says."""
    return json.loads((folder / "corpus.json").read_text())
