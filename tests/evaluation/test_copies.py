import numpy as np
import pytest
import tensorflow as tf

from s2f_tf.evaluation import copies


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(0).uniform(-1, 1, (3, 60, 8, 8, 3)).astype(np.float32)


def measure(generated, real, training):
    dataset = tf.data.Dataset.from_tensor_slices((training,))
    found = copies.nearest(np.concatenate([generated, real]), dataset)
    names = np.array([f"s{i}" for i in range(len(real))])
    return found, copies.compare(found.distance[: len(generated)], found.distance[len(generated) :], names)


def test_a_generator_that_copies_is_caught(faces):
    training, real, _ = faces
    found, figures = measure(training[::-1], real, training)
    np.testing.assert_array_equal(found.face[:60], training[::-1])
    assert figures["generated"].value == pytest.approx(0.0, abs=1e-3)
    assert figures["nearer_than_real"].value == 1.0


def test_a_generator_that_makes_faces_of_its_own_is_not(faces):
    training, real, generated = faces
    found, figures = measure(generated, real, training)
    brute = np.sqrt(np.square(generated[:, None] - training[None]).mean(axis=(2, 3, 4)))
    np.testing.assert_allclose(found.distance[:60], brute.min(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(found.face[:60], training[brute.argmin(axis=1)])
    assert figures["nearer_than_real"].value < 0.2
    assert figures["generated"].value == pytest.approx(figures["real"].value, rel=0.05)
