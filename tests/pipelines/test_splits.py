import math

import pytest

from pipelines import splits
from s2f_tf.data import clip


def ranges(names):
    return splits.ranges(sorted(splits.share(splits.place(name)) for name in names))


def split_of(name, of_ranges):
    share = splits.share(splits.place(name))
    (split,) = [split for split, (low, high) in of_ranges.items() if low <= share < high]
    return split


def test_many_speakers_are_split_as_clips_say():
    names = [f"someone-{index}" for index in range(500)]
    found, by = ranges(names)
    assert by == "hash"
    assert all(split_of(name, found) == clip.split_of(name) for name in names)


@pytest.mark.parametrize("count", [4, 7, 8, 10, 25])
def test_few_speakers_leave_no_split_empty(count):
    names = [f"someone-{index}" for index in range(count)]
    found, _ = ranges(names)
    sizes = {split: sum(split_of(name, found) == split for name in names) for split in clip.SPLITS}
    assert sum(sizes.values()) == count and sizes["train"] >= count / 2
    assert min(sizes["validation"], sizes["test"]) >= (1 if count < 8 else 2)
    assert found["train"][0] == 0.0 and found["test"][1] == math.inf
