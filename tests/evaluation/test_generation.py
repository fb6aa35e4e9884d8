import numpy as np
import pytest

from s2f_tf.evaluation import generation


def speakers(count, clips=1):
    return np.repeat([f"s{i:03d}" for i in range(count)], clips)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def voices():
    return unit(np.random.default_rng(0).normal(size=(120, 12)))


def test_faces_that_are_like_their_voices_correlate_fully(voices):
    assert generation.correlation(voices, voices, speakers(60, 2)).value == pytest.approx(1.0)


def test_faces_that_are_all_the_same_do_not_correlate(voices):
    found = generation.correlation(voices, unit(np.ones_like(voices)), speakers(60, 2))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_faces_that_do_not_know_their_voices_do_not_correlate(voices):
    others = unit(np.random.default_rng(1).normal(size=voices.shape))
    found = generation.correlation(voices, others, speakers(120))
    assert found.low < 0.0 < found.high
    assert abs(found.value) < 0.1


def test_the_correlation_is_that_of_numpy_over_pairs(voices):
    faces = unit(voices + 0.5 * np.random.default_rng(2).normal(size=voices.shape))
    above = np.triu_indices(120, 1)
    expected = np.corrcoef((voices @ voices.T)[above], (faces @ faces.T)[above])[0, 1]
    found = generation.correlation(voices, faces, speakers(120))
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert found.low < expected < found.high


def test_the_judge_tells_a_generator_that_copies_the_true_face_from_one_that_ignores_the_voice(voices):
    faces = unit(voices + 0.2 * np.random.default_rng(3).normal(size=voices.shape))
    copied = generation.judge(voices, faces, faces, speakers(60, 2))
    ignored = generation.judge(voices, faces, faces[np.random.default_rng(4).permutation(120)], speakers(60, 2))
    for direction in ("voice_to_generated", "generated_to_face"):
        assert copied[direction]["accuracy_k10"].value > 0.95
        assert ignored[direction]["accuracy_k10"].low < 0.1 < ignored[direction]["accuracy_k10"].high
