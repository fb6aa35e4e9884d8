import json

import numpy as np
import pytest

from s2f_tf.errors import UserError
from s2f_tf.evaluation import results
from s2f_tf.evaluation.statistics import Resampling, figure


def tree(values, clips=80, **more):
    resampling = Resampling(np.array([f"s{i}" for i in range(len(values))]))
    return {
        "corpus": "c",
        "split": "test",
        "clips": clips,
        "speakers": len(values),
        "matching": {"voice_to_face": {"accuracy_k2": figure(resampling.mean(values), 0.5)}},
        "sound": [{"kind": "noise", "amount": 10.0, "clips": 3}, {"kind": "telephone", "amount": None, "clips": 4}],
        **more,
    }


@pytest.fixture
def right():
    return np.random.default_rng(0).uniform(0.3, 1.0, 80)


def test_what_is_written_is_plain_json(right, tmp_path):
    path = results.save(tree(right), str(tmp_path / "deep" / "er"))
    with open(path) as file:
        stored = json.load(file)
    assert set(stored["matching"]["voice_to_face"]["accuracy_k2"]) == {"value", "low", "high", "chance"}
    assert not list((tmp_path / "deep" / "er").glob("*.part"))


def test_two_runs_are_set_side_by_side_with_the_interval_of_their_difference(right, tmp_path):
    for name, values in (("a", right), ("b", right + 0.02)):
        results.save(tree(values), str(tmp_path / name))
    line = next(
        line for line in results.compare(str(tmp_path / "a"), str(tmp_path / "b")).splitlines() if "accuracy" in line
    )
    # Each run's own interval is far wider than 0.02: pairing the resamples is what tells them apart.
    assert line.endswith("0.020 (0.020..0.020) *")
    assert "matching.voice_to_face.accuracy_k2" in line


def test_runs_that_do_not_differ_are_not_marked(right, tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        results.save(tree(right + np.random.default_rng(seed).normal(0, 0.2, 80)), str(tmp_path / name))
    assert " *" not in results.compare(str(tmp_path / "a"), str(tmp_path / "b")).split("\n")[1]


@pytest.mark.parametrize(
    "other, message",
    [
        ({"clips": 79}, "evaluated on clips 80 and"),
        ({"split": "validation"}, "evaluated on split test and"),
        ({"corpus": "d"}, "evaluated on corpus c and"),
    ],
)
def test_runs_on_other_clips_do_not_compare(right, tmp_path, other, message):
    results.save(tree(right), str(tmp_path / "a"))
    results.save(tree(right) | other, str(tmp_path / "b"))
    with pytest.raises(UserError, match=message):
        results.compare(str(tmp_path / "a"), str(tmp_path / "b"))


def test_a_run_that_was_not_evaluated_or_is_damaged_is_named(right, tmp_path):
    results.save(tree(right), str(tmp_path / "a"))
    with pytest.raises(UserError, match="none/metrics.json does not exist: evaluate the run first"):
        results.compare(str(tmp_path / "a"), str(tmp_path / "none"))
    (tmp_path / "a" / "draws.npz").write_bytes(b"not a zip")
    with pytest.raises(UserError, match="is no evaluation"):
        results.compare(str(tmp_path / "a"), str(tmp_path / "a"))


def test_a_folder_that_cannot_be_written_is_named(right):
    with pytest.raises(UserError, match="/proc/no/metrics.json cannot be written"):
        results.save(tree(right), "/proc/no")
