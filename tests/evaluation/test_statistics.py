import numpy as np
import pytest

from s2f_tf.evaluation import statistics
from s2f_tf.evaluation.statistics import Resampling, figure


def speakers(count, clips):
    return np.repeat([f"s{i:05d}" for i in range(count)], clips)


def interval(values, names):
    found = figure(Resampling(names).mean(values))
    return found.high - found.low


def test_the_interval_grows_when_clips_of_a_speaker_agree():
    rng = np.random.default_rng(3)
    by_speaker = rng.integers(2, size=50).astype(float)
    together = interval(np.repeat(by_speaker, 8), speakers(50, 8))
    apart = interval(rng.integers(2, size=400).astype(float), speakers(50, 8))
    assert together > 1.8 * apart


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        found = figure(Resampling(speakers(60, 2)).mean(np.repeat(rng.normal(size=60), 2)))
        covered += found.low <= 0.0 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_first_draw_is_the_value_and_nan_is_left_out():
    found = figure(Resampling(speakers(3, 1)).mean(np.array([1.0, np.nan, 3.0])))
    assert found.value == 2.0
    assert found.draws.shape == (statistics.RESAMPLES,)


def test_the_mean_of_figures_is_that_of_each_resample():
    one, other = (figure(Resampling(speakers(9, 1)).mean(np.arange(9.0) * k)) for k in (1, -3))
    found = statistics.mean([one, other])
    assert found.value == pytest.approx(-4.0)
    np.testing.assert_allclose(found.draws, -one.draws)
    assert statistics.mean([one, one]).as_dict() == pytest.approx(one.as_dict())


def test_very_many_speakers_are_drawn_in_groups_of_whole_speakers():
    names = speakers(3000, 2)
    resampling = Resampling(names)
    assert resampling.weights.shape == (1 + statistics.RESAMPLES, 1000)
    assert len(np.unique(np.stack([np.unique(names, return_inverse=True)[1], resampling.group]), axis=1).T) == 3000
    values = np.random.default_rng(0).normal(size=6000)
    found = figure(resampling.mean(values))
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(4 * values.std() / 6000**0.5, rel=0.15)


def test_a_distance_that_repeated_speakers_enlarge_is_put_back_on_its_value():
    draws = np.concatenate([[1.0], np.random.default_rng(0).normal(5.0, 0.1, statistics.RESAMPLES)])
    found = figure(draws, recentre=True)
    assert found.low < 1.0 < found.high
