"""`python -m benchmarks.features --corpus=clips/ --faces=faces/`: what voices and faces tell of each other by features.

No network is trained on pairs. What features of a voice and of a face have in common is found by canonical correlation
on the speakers of three folds, and asked of those of the fourth. It says which half knows too little. Of a corpus that
was taught (`pipelines.teach`), what teachers say stands beside: their features are by networks that learnt from labels.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import baseline, folds, judges, linear, patches
from s2f_tf import command
from s2f_tf.data import clip, reader
from s2f_tf.evaluation.statistics import Figure

_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips", required=True)
_FACES = flags.DEFINE_multi_string("faces", [], "folder of clips whose faces patches are learnt from, too")
_FOLDS = flags.DEFINE_integer("folds", 4, "how many parts the speakers are divided into", lower_bound=2)

_NUMBERS = 1, 8
_SIDE = 64  # pixels
_MOST = 10_000  # faces of a folder that patches are learnt from


def main() -> None:
    """Prints a table, a row for each pair of features."""
    corpus = reader.Corpus(_CORPUS.value)
    alone = [reader.Corpus(folder, clip.Kind.STILLS) for folder in _FACES.value]
    clips = list(folds.clips(folds.shards(corpus)))
    speakers = np.array([one.speaker for one in clips])
    faces = _first_faces(clips)
    others = (itertools.islice(folds.clips(folds.shards(one), one.kind), _MOST) for one in alone)
    learnt_from = [faces, *map(_first_faces, others)]
    voices = {"cepstra and pitch": np.stack([baseline.cepstra_and_pitch(one.waveform) for one in clips])}
    seen = {"patches": patches.learn(np.concatenate(learnt_from))(faces)}
    if "teachers" in corpus.description:
        said = judges.said(clips)
        voices["the teacher of voices"], seen["the teacher of faces"] = said.voices, said.faces
    print("voice told by | face told by | numbers | voice to face, 2-way | face to voice, 2-way")
    print("---|---|---|---|---")
    for voice, heard in voices.items():
        for face, looked_at in seen.items():
            for numbers in _NUMBERS:
                both = zip(*_matched(heard, looked_at, speakers, numbers), strict=True)
                cells = " | ".join(folds.in_words(figures) for figures in both)
                print(f"{voice} | {face} | {numbers} | {cells}", flush=True)


def _matched(heard: np.ndarray, seen: np.ndarray, speakers: np.ndarray, numbers: int) -> Iterator[tuple[Figure, ...]]:
    """Both ways, for each fold."""
    part = folds.parts(speakers, _FOLDS.value)
    place = np.array([part[speaker] for speaker in speakers])
    for fold in range(_FOLDS.value):
        others, test = place != fold, place == fold
        hear, see = linear.canonical(heard[others], seen[others], numbers=numbers)
        # The cosine of one number is its sign: with a constant beside it, it is how near two are.
        sides = [hear(heard[test]), see(seen[test])]
        if numbers == 1:
            spreads = hear(heard[others]).std(), see(seen[others]).std()
            sides = [np.insert(x / spread, 1, 1.0, axis=1) for x, spread in zip(sides, spreads, strict=True)]
        found = judges.both_ways(*sides, speakers[test])
        yield found["voice to face, 2-way"], found["face to voice, 2-way"]


def _first_faces(clips: Iterable[clip.Clip]) -> np.ndarray:
    """The first face of each clip, float32 [N, 64, 64, 3] in [-1, 1]."""
    decoded = (tf.io.decode_jpeg(one.faces[0], channels=3) for one in clips)
    return np.stack([tf.image.resize(face, (_SIDE, _SIDE), antialias=True).numpy() / 127.5 - 1 for face in decoded])


if __name__ == "__main__":
    command.run(main)
