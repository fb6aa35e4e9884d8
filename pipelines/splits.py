"""Which speakers train, validate and test: by a hash of their names, or by its rank where they are few.

Speakers stand in a row from 0 to 1 by a hash of their names, and each split is a stretch of that row. Its ends are
those of `clip.split_of`, 0.8 and 0.9, so that a speaker stays in a split when others are added. With few speakers that
can leave a split with nobody, or with one, and among the clips of one speaker there is nothing to match. Then the ends
are put by rank: the last tenth, but two at least, become test, and the tenth before it validation (one each where there
are fewer than eight speakers). So a corpus of ten has six to train on, two to validate and two to test. In such a small
corpus a speaker may change splits when others are added; `split_by` in `corpus.json` says so.
"""

import hashlib
import math
from collections.abc import Sequence

from s2f_tf.data import clip

FEWEST = {"train": 2, "validation": 1, "test": 1}  # with fewer speakers, training refuses the corpus
NEEDED = sum(FEWEST.values())
_TWO_HELD_OUT = 8  # with so many speakers, each held-out split gets two


def place(speaker: str) -> str:
    """Where a speaker stands in the row, as 16 hexadecimal digits, which file names are made of."""
    return hashlib.sha256(speaker.encode()).hexdigest()[:16]


def share(place: str) -> float:
    """Where that is, from 0 to 1."""
    return int(place, 16) / 2**64


def ranges(shares: Sequence[float]) -> tuple[dict[str, tuple[float, float]], str]:
    """The stretch of each split, from its first share up to but without its last, and "hash" or "rank": what chose it.

    Args:
        shares: of all speakers, in order; `NEEDED` or more.
    """
    ends, chosen_by = (0.8, 0.9), "hash"
    held_out = 2 if len(shares) >= _TWO_HELD_OUT else 1
    fewest = (FEWEST["train"], held_out, held_out)
    if any(
        sum(low <= share < high for share in shares) < least
        for (low, high), least in zip(_cut(ends), fewest, strict=True)
    ):
        held_out = max(held_out, round(len(shares) / 10))
        ends, chosen_by = (shares[-2 * held_out], shares[-held_out]), "rank"
    return dict(zip(clip.SPLITS, _cut(ends), strict=True)), chosen_by


def _cut(ends: tuple[float, float]) -> list[tuple[float, float]]:
    return [(0.0, ends[0]), ends, (ends[1], math.inf)]
