"""`python -m benchmarks.face_encoder`: what F costs, learnt as a whole and as dlib's network.

With `--networks=teachers/ --corpus=taught/` also how near the latter is to dlib itself, which moves and turns each face
by what it finds in it: the cosines of their numbers, once the means over all faces are taken away.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import training_step
from s2f_tf import command, setting_flags
from s2f_tf import config as configuration
from s2f_tf.config import Config
from s2f_tf.data import clip, reader
from s2f_tf.data.face import decode_face
from s2f_tf.errors import UserError
from s2f_tf.evaluation.run import graph
from s2f_tf.models import trained
from s2f_tf.models.face_encoder import FaceEncoder

_PRESET = flags.DEFINE_string("preset", "people", f"settings: {', '.join(sorted(configuration.PRESETS))}")
_NETWORKS = flags.DEFINE_string("networks", None, "folder with dlib.npz, as `python -m pipelines.networks` writes it")
_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips about whose faces dlib was asked")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "turns of each, of which the median counts", lower_bound=1)

_Call = Callable[[], object]


def main() -> None:
    """Prints a table, and a line of cosines."""
    if bool(_NETWORKS.value) != bool(_CORPUS.value):
        raise UserError("--networks and --corpus go together")
    config = setting_flags.override(_PRESET.value)
    faces = training_step.batch(config, config.matching.batch_size)["face"]
    kinds = {name: _of(config, name) for name in ("convolutions", "dlib")}
    calls: dict[str, list[_Call]] = {}
    for network in (trained.make("face_encoder", kind) for kind in kinds.values()):
        for name, call in (
            (f"{len(faces)} faces", _graph(network, faces)),
            ("and the gradient of what is learnt", _gradient(network, faces, by_face=False)),
            ("and the gradient by the faces", _gradient(network, faces, by_face=True)),
        ):
            calls.setdefault(name, []).append(call)
        print(f"{network.body.name}: {network.count_params():,} weights")
    print(f"F of {config.data.face_size} px | convolutions, ms | dlib, ms\n---|---|---")
    for name, pair in calls.items():
        seconds = [[_seconds(call) for call in pair] for _ in range(_ROUNDS.value + 1)]
        print(
            f"{name} | " + " | ".join(f"{1e3 * s:.0f}" for s in np.median(seconds[1:], axis=0)), flush=True
        )  # the first compiles
    if _CORPUS.value:
        cosines = _cosines(kinds["dlib"], reader.Corpus(_CORPUS.value), _NETWORKS.value)
        low, median = np.quantile(cosines, [0.05, 0.5])
        print(
            f"cosine with what dlib said of {len(cosines)} faces: mean {cosines.mean():.3f}, median {median:.3f}, "
            f"of one in twenty below {low:.3f}"
        )


def _of(config: Config, network: str) -> Config:
    return dataclasses.replace(config, face_encoder=dataclasses.replace(config.face_encoder, network=network))


def _graph(network: FaceEncoder, faces: tf.Tensor) -> _Call:
    return tf.function(lambda: network(faces, training=False), autograph=False)


def _gradient(network: FaceEncoder, faces: tf.Tensor, *, by_face: bool) -> _Call:
    @tf.function(autograph=False)
    def call() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(faces)
            loss = tf.reduce_sum(network(faces)[:, 0])
        return tape.gradient(loss, [faces] if by_face else network.trainable_variables)

    return call


def _seconds(call: _Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _cosines(config: Config, corpus: reader.Corpus, networks: str) -> np.ndarray:
    """Of every clip's first face, float [N]."""
    size = config.data.face_size
    say = graph(trained.make("face_encoder", config, networks).body, [size, size, 3])
    ours, theirs = [], []
    for split in clip.SPLITS:
        for path in clip.shards(corpus.folder, split):
            for record in tf.data.TFRecordDataset(path):
                one = clip.decode(record.numpy())
                if one.taught is None:
                    raise UserError(f"--corpus={corpus.folder}: no teacher was asked about it")
                ours.append(say(decode_face(one.faces[0], size)[None])[0])
                theirs.append(one.taught.faces[0])
    ours, theirs = (x - x.mean(axis=0) for x in map(np.array, (ours, theirs)))
    return np.sum(ours * theirs, axis=1) / (np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1))


if __name__ == "__main__":
    setting_flags.define()
    command.run(main)
