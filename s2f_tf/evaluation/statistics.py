"""Figures with intervals: everything is resampled by speaker, since clips of one speaker are not independent."""

import dataclasses
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000

_GROUPS = 1000


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number of a report.

    Attributes:
        value: what was measured.
        low: the interval's lower end; intervals are the central 95 % of a bootstrap over speakers.
        high: its upper end.
        chance: what a model that knows nothing gets; None where there is no such number.
        draws: float64 [RESAMPLES], the values of the resamples. Draw k of two runs on one split resamples the same
            speakers, so the difference of two runs has an interval, too.
    """

    value: float
    low: float
    high: float
    chance: float | None
    draws: np.ndarray

    def as_dict(self) -> dict[str, float | None]:
        """All but the draws."""
        return {"value": self.value, "low": self.low, "high": self.high, "chance": self.chance}


def figure(draws: np.ndarray, chance: float | None = None, *, recentre: bool = False) -> Figure:
    """The figure whose first draw is the value itself, and whose others are those of the resamples.

    Args:
        draws: float [1 + RESAMPLES], as `Resampling` makes them. A resample in which the figure does not exist is NaN,
            and left out of the interval.
        chance: see `Figure`.
        recentre: moves the resamples so that their mean is the value: right for a distance, which repeated speakers
            make larger by themselves.
    """
    value, resampled = float(draws[0]), np.asarray(draws[1:], np.float64)
    if recentre:
        resampled = resampled + (value - np.nanmean(resampled))
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Figure(value, float(low), float(high), chance, resampled)


def mean(figures: Sequence[Figure]) -> Figure:
    """Of figures of the same speakers, resample by resample."""
    return figure(np.mean([[one.value, *one.draws] for one in figures], axis=0), figures[0].chance)


class Resampling:
    """A bootstrap over speakers.

    More than a thousand speakers are drawn in a thousand groups, so that memory does not grow with them; the groups are
    as good as independent, and hold whole speakers.

    Attributes:
        group: int [N], the group of each clip.
        weights: float64 [1 + RESAMPLES, G], how often each group is in each resample. The first row, all ones, is the
            sample itself: whatever is computed for every row holds the figure first, then its resamples.
    """

    def __init__(self, speakers: np.ndarray, seed: int = 0) -> None:
        _, speaker = np.unique(speakers, return_inverse=True)
        self.group = speaker % _GROUPS
        groups = int(self.group.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)
        self.weights = np.concatenate([np.ones((1, groups)), drawn])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the clips of each group: [N, ...] to float64 [G, ...]."""
        totals = np.zeros((self.weights.shape[1], *values.shape[1:]))
        np.add.at(totals, self.group, values)
        return totals

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The mean of [N] values in every resample, [1 + RESAMPLES]. NaN values are left out."""
        there = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            return (self.weights @ self.sums(np.where(there, values, 0.0))) / (
                self.weights @ self.sums(there.astype(float))
            )
