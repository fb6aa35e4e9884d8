"""What of a generated face comes from the voice (c) and what does not (z), on synthetic speakers of known factors.

`docs/evaluation.md` has the protocol. A small network, trained on the real faces of the training split,
reads the factors back from a face. It serves evaluation alone and never sees a generated face while it learns.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from s2f_tf.evaluation.statistics import Figure, Resampling, figure
from s2f_tf.progress import Progress

_STEPS = 700
_PASSES = 20  # over the faces at most: where they are few, more steps would only learn them by heart
_BATCH = 64
_FOLDS = 5
_RIDGE = 1e-2


class FactorReader:
    """Reads factors from faces.

    Attributes:
        names: the factors, in the order of what `read` returns.
    """

    def __init__(self, names: Sequence[str], faces: np.ndarray, values: np.ndarray, seed: int = 0) -> None:
        """Learns from real faces, and shows how far it is.

        Args:
            names: of F factors.
            faces: float32 [N, H, W, 3] in [-1, 1] or uint8.
            values: float [N, F], the true factors.
            seed: of the weights and of the order of the faces.
        """
        self.names = tuple(names)
        self._mean, self._spread = values.mean(axis=0), values.std(axis=0) + 1e-6
        keras.utils.set_random_seed(seed)
        self._network = keras.Sequential([keras.Input(faces.shape[1:])])
        for width, stride in ((32, 2), (48, 1), (64, 2), (64, 1), (96, 2)):
            self._network.add(
                keras.layers.Conv2D(
                    width, 2 + stride, stride, padding="same", activation="leaky_relu", kernel_initializer="he_normal"
                )
            )
        self._network.add(keras.layers.Flatten())
        self._network.add(keras.layers.Dense(256, activation="leaky_relu", kernel_initializer="he_normal"))
        self._network.add(keras.layers.Dense(len(names)))
        steps = min(_STEPS, -(-_PASSES * len(faces) // _BATCH))
        schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
        self._network.compile(keras.optimizers.Adam(schedule), "mse")
        standard = ((values - self._mean) / self._spread).astype(np.float32)
        order = np.random.default_rng(seed)
        with Progress(steps, "step", stage="learning to read faces") as progress:
            for _ in range(steps):
                rows = order.integers(len(faces), size=_BATCH)
                self._network.train_on_batch(_scaled(faces[rows]), standard[rows])
                progress.add()
        self._forward = tf.function(lambda x: self._network(x, training=False), autograph=False, reduce_retracing=True)

    def read(self, faces: np.ndarray) -> np.ndarray:
        """Faces [N, H, W, 3], as at training, to factors, float64 [N, F]."""
        batches = (_scaled(faces[start : start + _BATCH]) for start in range(0, len(faces), _BATCH))
        readings = np.concatenate([self._forward(tf.constant(batch)).numpy() for batch in batches])
        return readings * self._spread + self._mean


def _scaled(faces: np.ndarray) -> np.ndarray:
    return faces / np.float32(127.5) - 1 if faces.dtype == np.uint8 else faces


def r_squared(readings: np.ndarray, true: np.ndarray, speakers: np.ndarray, seed: int = 0) -> Figure:
    """1 - sum (true - reading)^2 / sum (true - mean)^2, [N] each: no slope is fitted, so it may be below zero."""
    resampling = Resampling(speakers, seed)
    count, total, squares, errors = (
        resampling.weights @ resampling.sums(x) for x in (np.ones(len(true)), true, true**2, (true - readings) ** 2)
    )
    return figure(1 - errors / np.maximum(squares - total**2 / count, 1e-12), 0.0)


def read_from_embedding(embeddings: np.ndarray, true: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Factors read off the voice's embedding by ridge regression, each fifth of the speakers by the others: [N, F].

    It tells what the speech encoder has heard, which no generator can exceed.
    """
    _, speaker = np.unique(speakers, return_inverse=True)
    inputs = np.concatenate([embeddings, np.ones((len(embeddings), 1))], axis=1).astype(np.float64)
    readings = np.zeros(true.shape)
    for fold in range(_FOLDS):
        held_out = speaker % _FOLDS == fold
        a, b = inputs[~held_out], true[~held_out]
        weights = np.linalg.solve(a.T @ a + _RIDGE * np.eye(a.shape[1]), a.T @ b)
        readings[held_out] = inputs[held_out] @ weights
    return readings


@dataclasses.dataclass(frozen=True)
class Shares:
    """How the variance of one factor, read from generated faces, divides. The three sum to one.

    Attributes:
        c: due to the voice, whatever z.
        z: due to z, whatever the voice.
        both: due to their interaction.
    """

    c: Figure
    z: Figure
    both: Figure


def variance_shares(readings: np.ndarray, speakers: np.ndarray, seed: int = 0) -> list[Shares]:
    """A two-way analysis of variance of V voices, each drawn with the same M z's, for each factor.

    Components of variance of the crossed random-effects model, estimated by expected mean squares and cut at zero
    (Searle, Casella and McCulloch 1992, chapter 4). The bootstrap resamples voices.

    Args:
        readings: float [V, M, F].
        speakers: [V], whose voices they are.
        seed: of the bootstrap.
    """
    voices, draws, factors = readings.shape
    resampling = Resampling(speakers, seed)
    weights = resampling.weights
    count = (weights @ resampling.sums(np.ones(voices)))[:, None]
    of_voice = readings.mean(axis=1)
    of_z = (weights @ resampling.sums(readings.reshape(voices, -1))).reshape(-1, draws, factors) / count[:, None]
    grand = of_z.mean(axis=1)
    squares_c = draws * (weights @ resampling.sums(of_voice**2) - count * grand**2)
    squares_z = count * (np.square(of_z).sum(axis=1) - draws * grand**2)
    squares = weights @ resampling.sums(np.square(readings).sum(axis=1)) - count * draws * grand**2
    both = np.maximum(squares - squares_c - squares_z, 0.0) / ((count - 1) * (draws - 1))
    c = np.maximum(squares_c / (count - 1) - both, 0.0) / draws
    z = np.maximum(squares_z / (draws - 1) - both, 0.0) / count
    whole = np.maximum(c + z + both, 1e-12)
    return [Shares(*(figure((part / whole)[:, f]) for part in (c, z, both))) for f in range(factors)]
