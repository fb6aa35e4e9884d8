"""Whether generated faces are copies of training faces. `docs/evaluation.md` has the protocol."""

import dataclasses

import numpy as np
import tensorflow as tf

from s2f_tf.evaluation.statistics import Figure, Resampling, figure
from s2f_tf.progress import Progress

_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The training face nearest to each of n faces.

    Attributes:
        distance: float64 [n], the root mean square difference of pixels in [-1, 1].
        face: float32 [n, H, W, 3] in [-1, 1].
    """

    distance: np.ndarray
    face: np.ndarray


def nearest(faces: np.ndarray, training: tf.data.Dataset) -> Nearest:
    """Compares faces, float32 [n, H, W, 3], with every one of the training faces, as `reader.faces` gives them.

    It shows how far it is.
    """
    flat = faces.reshape(len(faces), -1)
    squares, best = np.square(flat).sum(axis=1), np.full(len(faces), np.inf)
    found = np.zeros_like(faces)
    with Progress(None, "face", stage="looking for copies") as progress:
        for (batch,) in training.batch(_BATCH):
            others = batch.numpy().reshape(len(batch), -1)
            squared = squares[:, None] - 2 * flat @ others.T + np.square(others).sum(axis=1)
            place = squared.argmin(axis=1)
            smallest = squared[np.arange(len(faces)), place]
            better = smallest < best
            best[better], found[better] = smallest[better], batch.numpy()[place[better]]
            progress.add(len(others))
    return Nearest(np.sqrt(np.maximum(best, 0.0) / flat.shape[1]), found)


def compare(generated: np.ndarray, real: np.ndarray, speakers: np.ndarray, seed: int = 0) -> dict[str, Figure]:
    """Distances to the nearest training face, of generated and of held-out real faces, [n] each, of the same clips.

    `nearer_than_real` is the share of generated faces that are nearer to a training face than the nearest 5 % of real
    ones: far above its chance of 0.05, the generator copies.
    """
    resampling = Resampling(speakers, seed)
    threshold = np.quantile(real, 0.05)
    return {
        "generated": figure(resampling.mean(generated)),
        "real": figure(resampling.mean(real)),
        "nearer_than_real": figure(resampling.mean((generated < threshold).astype(float)), 0.05),
    }
