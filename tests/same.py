"""What "the same picture" means: see docs/serving.md."""

import numpy as np


def assert_same_picture(drawn, expected):
    """That uint8 [..., H, W, 3] is what another batch, process, runtime or processor drew: nowhere more than one level
    away, and in at most one value of a thousand. Of the same batch in the same process, every bit is the same."""
    drawn, expected = np.asarray(drawn), np.asarray(expected)
    assert drawn.shape == expected.shape and drawn.dtype == expected.dtype == np.uint8
    levels = np.abs(drawn.astype(int) - expected)
    assert levels.max() <= 1
    assert np.count_nonzero(levels) <= np.ceil(levels.size / 1000)
