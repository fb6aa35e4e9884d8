import numpy as np
import pytest

from s2f_tf.evaluation import distribution


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(0).normal(size=(240, 6))


def compare(real, generated):
    names = np.repeat([f"s{i:03d}" for i in range(len(real) // 2)], 2)
    return distribution.compare(real, generated, names)


def test_faces_of_the_same_kind_are_at_the_floor(faces):
    found = compare(faces, np.random.default_rng(1).normal(size=faces.shape))
    for name, of in found.items():
        assert of["generated"].low <= of["real"].value + 0.1, name
        assert of["real"].low <= of["generated"].value + 0.1, name
    assert abs(found["kid_judge"]["generated"].value) < 0.2


def test_faces_that_are_off_are_further_away(faces):
    found = compare(faces, np.random.default_rng(1).normal(size=faces.shape) + 1.5)
    for name in ("frechet_judge", "kid_judge"):
        assert found[name]["generated"].low > found[name]["real"].high, name
    assert found["frechet_judge"]["generated"].value == pytest.approx(1.5**2 * 6, rel=0.3)
    assert found["precision"]["generated"].high < found["precision"]["real"].low


def test_faces_that_are_all_alike_are_precise_but_recall_nothing(faces):
    found = compare(faces, np.zeros_like(faces) + 0.01 * np.random.default_rng(1).normal(size=faces.shape))
    assert found["precision"]["generated"].value > 0.9
    assert found["recall"]["generated"].value < 0.1 < found["recall"]["real"].value


def test_the_value_lies_within_its_interval(faces):
    for of in compare(faces, faces[::-1] * 1.1).values():
        for found in of.values():
            assert found.low <= found.value <= found.high


@pytest.mark.parametrize("speakers", [4, 6])
def test_of_few_speakers_is_told_what_their_resamples_can_tell(faces, speakers):
    found = distribution.compare(faces[:speakers], faces[-speakers:], np.arange(speakers))
    for name in ("frechet_judge", "precision", "recall"):
        for of in found[name].values():
            assert 0 < np.isnan(of.draws).sum() < 150, "few, and some: resamples with an empty half"
            assert of.low <= of.value <= of.high
    # Of each half it takes two speakers. Of four, those resamples alone are left in which each is once.
    assert all((of is None) == (speakers == 4) for of in found["kid_judge"].values())


def test_too_few_speakers_are_refused(faces):
    with pytest.raises(ValueError, match="3 speakers"):
        distribution.compare(faces[:3], faces[:3], np.array(["a", "b", "c"]))


def test_the_frechet_distance_of_sets_that_differ_by_a_shift_is_its_square():
    features = np.random.default_rng(0).normal(size=(200, 3))
    assert distribution.frechet(features, features) == pytest.approx(0, abs=1e-9)
    assert distribution.frechet(features, features + [3.0, 0.0, 4.0]) == pytest.approx(25)
