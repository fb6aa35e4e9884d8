"""How near the generated faces as a whole are to the real ones. `docs/evaluation.md` has the protocol.

Faces are compared as the features h(y) of the judge's face encoder, since no network trained on photographs at large is
used here: so the distances are called Fréchet-judge and KID-judge, and compare with no FID or KID of elsewhere.

The speakers are split into two halves. Real faces of one half are compared with faces generated from the voices of the
other; the same figure between the real faces of both halves is the floor (for precision and recall: the ceiling), with
the same number of faces on either side.
"""

import numpy as np

from s2f_tf.evaluation.statistics import Figure, Resampling, figure
from s2f_tf.progress import Progress

_MOST = 10_000  # faces; of more, every so many-th
_NEIGHBOURS = 3  # as in Kynkäänniemi et al. 2019
_FRECHET_RESAMPLES_AT_ONCE = 64


def compare(real: np.ndarray, generated: np.ndarray, speakers: np.ndarray, seed: int = 0) -> dict[str, dict]:
    """Every distance, of generated faces and of real ones: `{measure: {"generated": Figure, "real": Figure}}`.

    It shows how far it is.

    In place of a figure stands None where most resamples cannot tell it: those of few speakers may leave a half empty,
    or with one speaker alone, and no interval is known from what is left.

    Args:
        real: float32 [N, D], features of each clip's first face.
        generated: float32 [N, D], features of a face drawn from each clip's voice.
        speakers: [N].
        seed: of the bootstrap.

    Raises:
        ValueError: there are fewer than four speakers.
    """
    thin = slice(None, None, -(-len(speakers) // _MOST))
    real, generated, speakers = (np.asarray(x[thin]) for x in (real, generated, speakers))
    real, generated = real.astype(np.float64), generated.astype(np.float64)
    names, speaker = np.unique(speakers, return_inverse=True)
    if len(names) < 4:
        raise ValueError(f"{len(names)} speakers: two halves need at least 4")
    one, other = np.flatnonzero(speaker % 2 == 0), np.flatnonzero(speaker % 2 == 1)
    resampling = Resampling(speakers, seed)
    results: dict[str, dict] = {}
    measures = (
        ("frechet_judge", _frechet, True),
        ("kid_judge", _kid, False),
        ("precision", _precision, False),
        ("recall", lambda *sides: _precision(*sides[::-1]), False),
    )
    with Progress(len(measures), "measure", stage="drawn beside real faces") as progress:
        for name, function, recentre in measures:

            def between(other_side: np.ndarray, function=function, recentre=recentre) -> Figure | None:  # noqa: ANN001
                with np.errstate(invalid="ignore"):  # of an empty half
                    both = [
                        function(_Side(real, a, resampling), _Side(other_side, b, resampling))
                        for a, b in ((one, other), (other, one))
                    ]
                draws = np.mean(both, axis=0)
                return figure(draws, recentre=recentre) if np.isnan(draws).mean() < 0.5 else None

            results[name] = {"generated": between(generated), "real": between(real)}
            progress.add()
    return results


class _Side:
    """The features [n, D] on one side of a comparison, and how often each resample holds each, [1 + RESAMPLES, n]."""

    def __init__(self, features: np.ndarray, rows: np.ndarray, resampling: Resampling) -> None:
        self.features, self.rows = features[rows], rows
        self.weights = resampling.weights[:, resampling.group[rows]]
        self.group, self.groups = resampling.group[rows], resampling.weights.shape[1]
        self.resampling = resampling

    def sums(self, values: np.ndarray) -> np.ndarray:
        """[n, ...] summed over each group, [G, ...]."""
        totals = np.zeros((self.groups, *values.shape[1:]))
        np.add.at(totals, self.group, values)
        return totals


def frechet(real: np.ndarray, generated: np.ndarray) -> float:
    """The Fréchet distance of two sets of features, float32 [N, D] and [M, D], without an interval."""
    moments = ((x.mean(axis=0)[None], np.cov(x.T, bias=True)[None]) for x in (real, generated))
    return float(_frechet_distance(*moments)[0])


def kid(
    real: np.ndarray, generated: np.ndarray, real_speakers: np.ndarray, generated_speakers: np.ndarray, seed: int = 0
) -> Figure:
    """KID of two sets of features, [N, D] and [M, D], as `compare` has it of halves.

    Args:
        real, generated: the features, of a size that the kernel makes sense of, about 1.
        real_speakers, generated_speakers: [N] and [M]; those of one speaker in both are resampled together.
        seed: of the bootstrap.
    """
    features = np.concatenate([real, generated]).astype(np.float64)
    resampling = Resampling(np.concatenate([real_speakers, generated_speakers]), seed)
    first, second = np.split(np.arange(len(features)), [len(real)])
    return figure(_kid(_Side(features, first, resampling), _Side(features, second, resampling)))


def _frechet(one: _Side, other: _Side) -> np.ndarray:
    """For every resample."""
    return _frechet_distance(_moments(one), _moments(other))


def _frechet_distance(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), as in Heusel et al. 2017: of means [R, D] and covariances, [R].

    NaN where they are.
    """
    (mean, covariance), (other_mean, other_covariance) = one, other
    distance = np.square(mean - other_mean).sum(axis=1)
    distance += np.trace(covariance, axis1=1, axis2=2) + np.trace(other_covariance, axis1=1, axis2=2)
    known = np.flatnonzero(np.isfinite(distance))
    for start in range(0, len(known), _FRECHET_RESAMPLES_AT_ONCE):
        rows = known[start : start + _FRECHET_RESAMPLES_AT_ONCE]
        values, vectors = np.linalg.eigh(covariance[rows])
        root = (vectors * np.sqrt(np.maximum(values, 0))[:, None, :]) @ vectors.transpose(0, 2, 1)
        product = np.linalg.eigvalsh(root @ other_covariance[rows] @ root)
        distance[rows] -= 2 * np.sqrt(np.maximum(product, 0)).sum(axis=1)
    return distance


def _moments(side: _Side) -> tuple[np.ndarray, np.ndarray]:
    weights = side.resampling.weights
    count = weights @ side.sums(np.ones(len(side.features)))
    mean = weights @ side.sums(side.features) / count[:, None]
    squares = np.zeros((side.groups, side.features.shape[1] ** 2))
    for group in np.unique(side.group):
        of_group = side.features[side.group == group]
        squares[group] = (of_group.T @ of_group).ravel()
    second = (weights @ squares).reshape(-1, *2 * side.features.shape[1:]) / count[:, None, None]
    return mean, second - mean[:, :, None] * mean[:, None, :]


def _kid(one: _Side, other: _Side) -> np.ndarray:
    """The squared maximum mean discrepancy under (x y / D + 1)^3, unbiased, as in Bińkowski et al. 2018.

    Pairs of one group's faces are left out within a side, as an unbiased estimate leaves out pairs of a face with
    itself: clips of one speaker are not independent.
    """

    def mean_kernel(a: _Side, b: _Side, apart: bool) -> np.ndarray:
        kernel = (a.features @ b.features.T / a.features.shape[1] + 1) ** 3
        there = np.ones_like(kernel) if not apart else (a.group[:, None] != b.group[None, :]).astype(np.float64)
        by_groups, counts = (b.sums(a.sums(values).T).T for values in (kernel * there, there))
        weights = a.resampling.weights
        return ((weights @ by_groups) * weights).sum(axis=1) / ((weights @ counts) * weights).sum(axis=1)

    return mean_kernel(one, one, True) + mean_kernel(other, other, True) - 2 * mean_kernel(one, other, False)


def _precision(real: _Side, generated: _Side) -> np.ndarray:
    """The share of the second side within the manifold of the first, as in Kynkäänniemi et al. 2019, section 2.

    The manifold is the union of balls around its faces, each as wide as the distance to the third nearest other.
    """
    squared = _squared_distances(real.features, real.features)
    np.fill_diagonal(squared, np.inf)
    neighbours = min(_NEIGHBOURS, len(squared) - 1)
    radius = np.partition(squared, neighbours - 1, axis=1)[:, neighbours - 1]
    inside = (_squared_distances(real.features, generated.features) <= radius[:, None]).any(axis=0)
    weights = generated.resampling.weights
    return (weights @ generated.sums(inside.astype(float))) / (weights @ generated.sums(np.ones(len(inside))))


def _squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.maximum(np.square(one).sum(1)[:, None] - 2 * one @ other.T + np.square(other).sum(1), 0.0)
