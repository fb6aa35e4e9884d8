"""`python -m benchmarks.probe --workdir=runs/mine --labels=faces/labels.csv`: what F sees of sex and age.

It needs no pairs, and so ranks ways to learn to see. Faces of photographs are aligned and seen by F; a linear map is
fitted on some hundred of them, of its embedding and of the features below it, and asked about others. Beside F stand
eigenfaces of all the photographs and, with the extra `teachers`, dlib's network.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import labelled, linear
from pipelines import teachers
from s2f_tf import command
from s2f_tf import config as configuration
from s2f_tf.config import Config
from s2f_tf.errors import UserError
from s2f_tf.evaluation.run import graph
from s2f_tf.evaluation.statistics import Figure
from s2f_tf.models import trained

_WORKDIR = flags.DEFINE_multi_string("workdir", None, "run whose F is asked; may be given again", required=True)
_LABELS = flags.DEFINE_string(
    "labels", None, "CSV of photographs, still,age,sex: each is `stills/<still>.jpg` beside it", required=True
)
_FITTED = flags.DEFINE_integer("fitted", 700, "photographs on which the linear map is fitted", lower_bound=50)
_ASKED = flags.DEFINE_integer("asked", 2000, "photographs that it is asked about", lower_bound=50)

_EIGENFACES, _SIDE = 256, 32  # pixels
_TOGETHER = 256  # faces that a network sees


def main() -> None:
    """Prints a table, a row for each way to see."""
    photographs = labelled.read(_LABELS.value)
    runs = {workdir: configuration.load(workdir) for workdir in _WORKDIR.value}
    size = max(config.data.face_size for config in runs.values())
    wanted = photographs[: _FITTED.value + _ASKED.value]
    people, faces = zip(*labelled.aligned(wanted, size), strict=True)
    if len(people) < _FITTED.value + 50:
        raise UserError(f"{_LABELS.value}: a face is found in {len(people)} of {len(wanted)} photographs: too few")
    print(f"linear maps fitted on {_FITTED.value} faces, asked about {len(people) - _FITTED.value} others")
    print("seen by | numbers | sex, AUC | older than the median, AUC")
    print("---|---|---|---")
    for name, features in _seen(np.stack(faces), runs):
        sex, age = (_told(features, *target) for target in _targets(people))
        print(f"{name} | {features.shape[1]} | {_in_words(sex)} | {_in_words(age)}", flush=True)


def _targets(people: Sequence[labelled.Labelled]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of whom to ask something, and of whom it is true, bool [N] each: women among the grown, and the older half."""
    age, female = np.array([one.age for one in people]), np.array([one.female for one in people])
    yield age >= labelled.ADULT, female
    yield np.full(len(age), True), age > np.median(age[: _FITTED.value])


def _told(features: np.ndarray, asked: np.ndarray, positive: np.ndarray) -> Figure:
    fitted = np.arange(len(asked)) < _FITTED.value
    first, others = asked & fitted, asked & ~fitted
    tell = linear.probe(features[first], positive[first])
    return linear.area(tell(features[others])[:, 0], positive[others], np.flatnonzero(others))


def _seen(faces: np.ndarray, runs: Mapping[str, Config]) -> Iterator[tuple[str, np.ndarray]]:
    """Each way to see faces, uint8 [N, H, W, 3], by its name: float [N, D]."""
    for workdir, config in runs.items():
        size = config.data.face_size
        network = trained.load_network("face_encoder", workdir)
        see, embed = graph(network.body, [size, size, 3]), graph(network.embed_features, [network.body.units])
        features = np.concatenate([see(some) for some in _some(_smaller(faces, size))])
        yield f"F of {workdir}, its embedding", embed(features)
        yield f"F of {workdir}, the features below", features
    pixels = _smaller(faces, _SIDE).reshape(len(faces), -1)
    _, _, axes = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    yield "eigenfaces of these photographs", pixels @ axes[:_EIGENFACES].T
    with contextlib.suppress(command.MissingExtraError):
        yield "dlib's network", np.stack(list(map(teachers.Faces(), faces)))


def _smaller(faces: np.ndarray, size: int) -> np.ndarray:
    """float32 [N, size, size, 3] in [-1, 1]."""
    return np.concatenate([tf.image.resize(some, [size, size], antialias=True) for some in _some(faces)]) / 127.5 - 1


def _some(faces: np.ndarray) -> list[np.ndarray]:
    return np.array_split(faces, -(-len(faces) // _TOGETHER))


def _in_words(one: Figure) -> str:
    return f"{one.value:.3f} ({one.low:.3f}..{one.high:.3f})"


if __name__ == "__main__":
    command.run(main)
