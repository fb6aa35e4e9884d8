"""How well voices and faces of held-out speakers are matched. `docs/evaluation.md` has the protocol.

Every clip of the split is a query once in each direction: its whole utterance against faces, and its first face against
utterances. Negatives are clips of other speakers; a speaker's other clips are left out. Nothing is drawn at random: the
mean over all draws of K - 1 negatives follows from how many of all negatives score higher.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from s2f_tf.evaluation.statistics import Figure, Resampling, figure

WAYS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100)
RANKS = (1, 5, 10, 50)
LARGEST_GALLERY = 20_000  # clips that a query is compared with, so that time grows with the split and not its square

_STRATIFIED_WAYS = (2, 5, 10)
_ROWS = 512  # queries scored at a time, so that a large split needs no square matrix
_BINS = 4096  # of scores in [-1, 1], for AUC and EER

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Ranks:
    """Where each query's own partner stands among the negatives that it was compared with.

    Attributes:
        above: int [N], negatives that score higher.
        tied: int [N], negatives that score the same.
        negatives: int [N], all of them.
    """

    above: np.ndarray
    tied: np.ndarray
    negatives: np.ndarray


def cosine(queries: np.ndarray, gallery: np.ndarray) -> Similarity:
    """Similarity by the cosine of embeddings of unit length, [N, E] each."""
    return lambda rows, columns: queries[rows] @ gallery[columns].T


def ceiling(spoken: np.ndarray, true: np.ndarray) -> Similarity:
    """What the true factors allow: those that an utterance realises, matched with those of the speakers, [N, F] each.

    An utterance varies around its speaker, so even one who read every factor without error could mistake similar
    speakers.
    """
    longest = np.linalg.norm(np.maximum(spoken.max(0), true.max(0)) - np.minimum(spoken.min(0), true.min(0)))
    squares = np.square(true).sum(axis=1)

    def similarity(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        squared = np.square(spoken[rows]).sum(axis=1)[:, None] - 2 * spoken[rows] @ true[columns].T + squares[columns]
        return 1 - np.sqrt(np.maximum(squared, 0.0)) / longest

    return similarity


def score(
    similarity: Similarity,
    speakers: np.ndarray,
    strata: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    *,
    asked: Callable[[int], None] = lambda count: None,
) -> dict[str, Figure]:
    """Every figure of one direction.

    Args:
        similarity: given the places of queries and of gallery items, their similarities in [-1, 1], [rows, columns].
        speakers: [N], of query and gallery item alike.
        strata: attributes by name, [N] each: matching is scored again with those negatives alone that share one.
        seed: of the bootstrap, and of which clips are the gallery of a split of more than 20,000.
        asked: is told how many more queries are done.

    Returns:
        `accuracy_k2`, ... (K-way accuracy), `recall_at_1`, ..., `mean_rank` (retrieval), `auc`, `eer` (verification)
        and `accuracy_k2_same_<name>`, ... (stratified). What needs more negatives than a query has is left out; a query
        with too few negatives of its stratum is left out of that stratum.
    """
    resampling = Resampling(speakers, seed)
    ranks, stratified, histograms = _compare(similarity, speakers, strata or {}, resampling, seed, asked)
    figures = accuracies(ranks, resampling, WAYS)
    for rank in RANKS:
        if rank <= ranks.negatives.min():
            found = np.clip((rank - ranks.above) / (ranks.tied + 1), 0.0, 1.0)
            figures[f"recall_at_{rank}"] = figure(resampling.mean(found), float(np.mean(rank / (ranks.negatives + 1))))
    place = 1 + ranks.above + ranks.tied / 2
    figures["mean_rank"] = figure(resampling.mean(place), float(np.mean(1 + ranks.negatives / 2)))
    figures |= _verification(*histograms, resampling)
    for name, within in stratified.items():
        for ways in _STRATIFIED_WAYS:
            wins = win_probability(within, ways)
            if not np.isnan(wins).all():
                figures[f"accuracy_k{ways}_same_{name}"] = figure(resampling.mean(wins), 1 / ways)
    return figures


def accuracies(ranks: Ranks, resampling: Resampling, several_ways: Sequence[int]) -> dict[str, Figure]:
    """`accuracy_k2`, ...: K-way accuracy, for each K of which every query has the negatives."""
    return {
        f"accuracy_k{ways}": figure(resampling.mean(win_probability(ranks, ways)), 1 / ways)
        for ways in several_ways
        if ways - 1 <= ranks.negatives.min()
    }


def rank(scores: np.ndarray, speakers: np.ndarray) -> Ranks:
    """Where own partners stand in a split small enough for a square matrix: float32 [N, N], on whose diagonal they are.

    Args:
        scores: of queries, a row each, with the gallery.
        speakers: [N], of query and gallery item alike.
    """
    own, negative = np.diagonal(scores)[:, None], speakers[:, None] != speakers[None, :]
    return Ranks(*(np.sum(part & negative, axis=1) for part in (scores > own, scores == own, True)))


def win_probability(ranks: Ranks, ways: int) -> np.ndarray:
    """That none of `ways - 1` negatives, drawn without replacement, beats the own partner: float64 [N].

    Ties are broken at random. NaN where there are fewer negatives than that.
    """
    cases, case_of = np.unique(
        np.stack([ranks.above, ranks.tied, ranks.negatives], axis=1), axis=0, return_inverse=True
    )
    drawn = np.arange(ways - 1)

    def of_case(above: int, tied: int, negatives: int) -> float:
        if negatives < ways - 1:
            return np.nan
        places = np.arange(above, above + tied + 1)[:, None]
        return float(np.prod(np.maximum(negatives - places - drawn, 0) / (negatives - drawn), axis=1).mean())

    return np.array([of_case(*case) for case in cases.tolist()])[case_of.reshape(-1)]


def _compare(
    similarity: Similarity,
    speakers: np.ndarray,
    strata: Mapping[str, np.ndarray],
    resampling: Resampling,
    seed: int,
    asked: Callable[[int], None],
) -> tuple[Ranks, dict[str, Ranks], tuple[np.ndarray, np.ndarray]]:
    """One pass over all pairs: the ranks, those within each stratum, and the histograms of scores by group.

    Histograms are float64 [G, bins]: of the own partners, and of the negatives.
    """
    everyone = np.arange(len(speakers))
    gallery = everyone
    if len(everyone) > LARGEST_GALLERY:
        gallery = np.sort(np.random.default_rng(seed).choice(everyone, LARGEST_GALLERY, replace=False))
    _, speaker = np.unique(speakers, return_inverse=True)
    order = np.argsort(speaker[gallery], kind="stable")
    places_of = np.split(order, np.cumsum(np.bincount(speaker[gallery], minlength=speaker.max() + 1))[:-1])
    members = {name: np.unique(values, return_inverse=True)[1] for name, values in strata.items()}
    counts: dict[str | None, list[np.ndarray]] = {name: [] for name in (None, *strata)}
    groups = resampling.weights.shape[1]
    own_histogram, negative_histogram = np.zeros((groups, _BINS)), np.zeros((groups, _BINS))
    for rows in np.split(everyone, np.arange(_ROWS, len(everyone), _ROWS)):
        # Own partners in one product with the gallery, so that what is equal is equal to the last bit.
        scores = similarity(rows, np.concatenate([gallery, rows]))
        own, scores = np.diagonal(scores[:, len(gallery) :]).copy(), scores[:, : len(gallery)]
        bins = _bins(scores)
        np.add.at(own_histogram, (resampling.group[rows], _bins(own)), 1)
        negative = np.full(len(rows), len(gallery))
        for row, (clip, group) in enumerate(zip(rows, resampling.group[rows], strict=True)):
            same = places_of[speaker[clip]]
            negative_histogram[group] += np.bincount(bins[row], minlength=_BINS)
            np.subtract.at(negative_histogram[group], bins[row, same], 1)
            negative[row] -= len(same)
            scores[row, same] = -np.inf  # no negatives: they score neither higher nor the same
        above, tied = scores > own[:, None], scores == own[:, None]
        counts[None].append(np.stack([above.sum(axis=1), tied.sum(axis=1), negative]))
        for name, member in members.items():
            alike = member[rows, None] == member[None, gallery]
            within = (above & alike, tied & alike, np.isfinite(scores) & alike)
            counts[name].append(np.stack([part.sum(axis=1) for part in within]))
        asked(len(rows))
    ranks = {name: Ranks(*np.concatenate(parts, axis=1)) for name, parts in counts.items()}
    return ranks.pop(None), ranks, (own_histogram, negative_histogram)


def _bins(scores: np.ndarray) -> np.ndarray:
    return np.clip((scores + 1) * (_BINS / 2), 0, _BINS - 1).astype(np.int32)


def _verification(own: np.ndarray, negative: np.ndarray, resampling: Resampling) -> dict[str, Figure]:
    """AUC and EER over all pairs of a query and a gallery item, from histograms by group, [G, bins]."""
    own, negative = resampling.weights @ own, resampling.weights @ negative
    own, negative = (x / x.sum(axis=1, keepdims=True) for x in (own, negative))
    below = np.cumsum(negative, axis=1) - negative
    auc = (own * (below + negative / 2)).sum(axis=1)
    # Thresholds between bins: what is missed rises, what is let in falls, and where they cross is the error rate.
    missed = np.pad(np.cumsum(own, axis=1), ((0, 0), (1, 0)))
    let_in = 1 - np.pad(np.cumsum(negative, axis=1), ((0, 0), (1, 0)))
    crossing = np.argmax(missed >= let_in, axis=1)[:, None]
    after, before = (np.take_along_axis(missed - let_in, c, axis=1) for c in (crossing, np.maximum(crossing - 1, 0)))
    share = np.where(after > before, -before / np.where(after > before, after - before, 1.0), 0.0)
    at, earlier = (np.take_along_axis(missed, c, axis=1) for c in (crossing, np.maximum(crossing - 1, 0)))
    eer = (earlier + share * (at - earlier))[:, 0]
    return {"auc": figure(auc, 0.5), "eer": figure(eer, 0.5)}


def bins_of(values: Sequence[float] | np.ndarray, count: int = 5) -> np.ndarray:
    """Numbers cut into `count` bins of about as many speakers' clips each, [N] to int [N]."""
    values = np.asarray(values, np.float64)
    return np.searchsorted(np.quantile(values, np.arange(1, count) / count), values, side="right")
