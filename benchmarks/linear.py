"""What a linear map finds: a property in features, and what two kinds of features of one person have in common."""

import dataclasses

import numpy as np

from s2f_tf.evaluation.statistics import Figure, Resampling, figure

_RIDGES = 10.0 ** np.arange(-2, 6)  # of which leaving one out chooses


@dataclasses.dataclass(frozen=True)
class Linear:
    """An affine map, `(x - centre) @ weights`.

    Attributes:
        centre: float64 [D].
        weights: float64 [D, K].
    """

    centre: np.ndarray
    weights: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[N, D] to float64 [N, K]."""
        return (x - self.centre) @ self.weights


def probe(features: np.ndarray, positive: np.ndarray) -> Linear:
    """Ridge regression from features [N, D] to whether something is true, bool [N]: K is 1.

    The strength is that which tells best each example from all others. Features keep their spreads: brought to one,
    the many in which faces hardly differ would drown the few in which they do. The number is above 0 where it is rather
    true, and 0 in the middle between the means of both sides.
    """
    x = features - features.mean(axis=0, dtype=np.float64)
    x, y = x / (np.sqrt(np.mean(np.square(x))) + 1e-12), positive - positive.mean()
    values, vectors = np.linalg.eigh(x @ x.T)
    best, chosen = np.inf, np.zeros(len(x))
    for ridge in _RIDGES:
        inverse = (vectors / (np.maximum(values, 0) + ridge)) @ vectors.T
        dual = inverse @ y
        missed = np.mean(np.square(dual / np.diagonal(inverse)))  # of what is left out, in closed form
        if missed < best:
            best, chosen = missed, dual
    middle = (features[positive].mean(axis=0) + features[~positive].mean(axis=0)) / 2
    return Linear(middle, (x.T @ chosen)[:, None])


def canonical(one: np.ndarray, other: np.ndarray, *, numbers: int = 8, ridge: float = 3.0) -> tuple[Linear, Linear]:
    """Canonical correlation analysis of [N, D] and [N, E], features of the same N people: what both tell of them.

    Args:
        one, other: the features; each is brought to one spread.
        numbers: K, of each map.
        ridge: added to the variances, which are 1 on average.

    Returns:
        A map for each, to K numbers whose cosine tells how well two of them go together.
    """
    maps, whitened = [], []
    for features in (one, other):
        centre, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64) + 1e-9
        x = (features - centre) / spread
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        root = (vectors / np.sqrt(np.maximum(values, 0) + ridge)) @ vectors.T
        maps.append(Linear(centre, root / spread[:, None]))
        whitened.append(x @ root)
    left, strength, right = np.linalg.svd(whitened[0].T @ whitened[1] / len(one), full_matrices=False)
    scale = np.sqrt(strength[:numbers])
    sides = left[:, :numbers] * scale, right[:numbers].T * scale
    first, second = (Linear(found.centre, found.weights @ side) for found, side in zip(maps, sides, strict=True))
    return first, second


def area(scores: np.ndarray, positive: np.ndarray, people: np.ndarray) -> Figure:
    """The area under the ROC curve: how often one who has a property scores higher than one who has not.

    Args:
        scores: float [N].
        positive: bool [N], who has it.
        people: [N], whose examples they are, for the interval.
    """
    resampling = Resampling(people)
    _, place = np.unique(scores, return_inverse=True)
    weights = resampling.weights[:, resampling.group]
    draws = []
    for row in weights:
        has, lacks = (np.bincount(place, row * side) for side in (positive, ~positive))
        below = np.cumsum(lacks) - lacks / 2
        pairs = has.sum() * lacks.sum()
        draws.append(has @ below / pairs if pairs else np.nan)
    return figure(np.array(draws), 0.5)
