import numpy as np
import pytest

from s2f_tf.evaluation import matching


def speakers(count, clips):
    return np.repeat([f"s{i}" for i in range(count)], clips)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_a_perfect_model_is_always_right():
    voices = unit(np.random.default_rng(0).normal(size=(40, 16)))
    result = matching.evaluate(voices, voices, speakers(20, 2))
    for measure in ("accuracy_k2", "accuracy_k5", "accuracy_k10", "recall_at_1", "recall_at_10"):
        assert result[measure]["value"] == result[measure]["low"] == 1.0


def test_a_random_model_is_at_chance():
    rng = np.random.default_rng(1)
    result = matching.evaluate(unit(rng.normal(size=(400, 16))), unit(rng.normal(size=(400, 16))), speakers(200, 2))
    for ways in (2, 5, 10):
        figure = result[f"accuracy_k{ways}"]
        assert figure["low"] <= figure["chance"] <= figure["high"]
        assert figure["value"] == pytest.approx(1 / ways, abs=0.06)


def test_a_constant_model_is_exactly_at_chance():
    constant = unit(np.ones((30, 4)))
    result = matching.evaluate(constant, constant, speakers(15, 2))
    for name, figure in result.items():
        assert figure["value"] == pytest.approx(figure["chance"], abs=1e-9), name


def test_the_exact_accuracy_is_what_drawing_negatives_gives():
    rng = np.random.default_rng(2)
    true = rng.normal(size=(24, 3))
    queries, gallery, names = unit(true + rng.normal(size=true.shape)), unit(true), speakers(12, 2)
    hits = []
    for _ in range(3000):
        query = rng.integers(24)
        negatives = rng.choice(np.flatnonzero(names != names[query]), size=4, replace=False)
        hits.append(queries[query] @ gallery[query] > (gallery[negatives] @ queries[query]).max())
    assert matching.evaluate(queries, gallery, names)["accuracy_k5"]["value"] == pytest.approx(np.mean(hits), abs=0.03)


def test_a_speakers_other_clips_are_no_negatives():
    voices = unit(np.eye(4)[[0, 0, 1, 1, 2, 2]])
    result = matching.evaluate(voices, voices, speakers(3, 2))
    assert result["recall_at_1"]["value"] == 1.0
    assert "accuracy_k10" not in result  # each query has four negatives


def test_the_interval_grows_when_clips_of_a_speaker_agree():
    rng = np.random.default_rng(3)
    by_speaker = rng.integers(2, size=50).astype(float)
    together = matching.interval(np.repeat(by_speaker, 8), speakers(50, 8))
    apart = matching.interval(np.repeat(by_speaker, 8), np.arange(400).astype(str))
    assert together["high"] - together["low"] > 2 * (apart["high"] - apart["low"])


def test_the_ceiling_is_missed_only_as_far_as_utterances_vary():
    rng = np.random.default_rng(4)
    true = rng.uniform(-1, 1, size=(100, 3))

    def embedded(spread):
        spoken = true + rng.normal(size=true.shape) * spread
        factors = {f"f{i}": true[:, i] for i in range(3)} | {f"voice/f{i}": spoken[:, i] for i in range(3)}
        return matching.Embedded(None, None, speakers(100, 1), factors)

    assert matching.ceiling(embedded(0.0))["accuracy_k10"]["value"] == 1.0
    assert 0.5 < matching.ceiling(embedded(0.3))["accuracy_k10"]["value"] < 0.95
    assert matching.ceiling(matching.Embedded(None, None, speakers(100, 1), {})) is None
