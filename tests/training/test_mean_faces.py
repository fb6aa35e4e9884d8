import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.training.mean_faces import MeanFaces

SIZE = 20  # not a multiple of a patch


@pytest.fixture
def means():
    settings = config.override(config.preset("tiny"), {"data.face_size": SIZE})
    return MeanFaces(settings)


def faces(count, seed=0):
    """Differences of which all pixels of a colour rise and fall together, but for a little of their own."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(count, 1, 1, 3)), rng.normal(size=(count, SIZE, SIZE, 3))
    return (0.4 * common + 0.2 * own).astype(np.float32)


def observe(means, steps=400):
    step = tf.function(means.observe)
    for seed in range(steps):
        step(faces(16, seed))


def test_a_difference_like_those_of_real_faces_measures_one(means):
    observe(means)
    difference = faces(500, seed=1000)
    assert float(tf.reduce_mean(difference * means.weigh(difference))) == pytest.approx(1.0, rel=0.15)


def test_what_is_least_likely_to_be_chance_weighs_most(means):
    observe(means)
    flat = np.full((1, SIZE, SIZE, 3), 0.1, np.float32)
    checked = flat * np.where(np.indices((SIZE, SIZE)).sum(axis=0) % 2, 1, -1)[..., None].astype(np.float32)
    measure_of_flat, measure_of_checked = (float(tf.reduce_mean(x * means.weigh(x))) for x in (flat, checked))
    assert measure_of_checked > 2 * measure_of_flat


def test_before_any_face_was_seen_every_pixel_weighs_alike(means):
    difference = faces(2)
    weighed = means.weigh(difference).numpy()
    np.testing.assert_allclose(weighed, weighed[0, 0, 0, 0] / difference[0, 0, 0, 0] * difference, rtol=1e-4)


def test_mean_faces_are_learnt_for_each_kind(means):
    voices = tf.math.l2_normalize(tf.random.stateless_normal((64, 16), [0, 1]), axis=-1)
    true = {"real": 0.5 * np.sign(voices[:, :1]), "drawn": np.full((64, 1), -0.3)}
    optimizer = keras.optimizers.Adam(3e-3)
    for _ in range(150):
        with tf.GradientTape() as tape:
            loss = sum(
                tf.reduce_mean((means.of(kind, voices) - value[:, :, None, None]) ** 2) for kind, value in true.items()
            )
        variables = means.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    assert means.of("real", voices).shape == (64, SIZE, SIZE, 3)
    for kind, value in true.items():
        error = means.of(kind, voices) - value[:, :, None, None]
        assert float(tf.reduce_mean(tf.abs(error))) < 0.1, kind
