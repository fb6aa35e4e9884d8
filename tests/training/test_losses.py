import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.models.discriminator import Discriminator
from s2f_tf.training import losses


def unit(rows):
    x = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_matching_is_the_cross_entropy_of_the_own_partner():
    queries, gallery = unit(3), unit(6)
    own = np.array([2, 0, 5])
    result = losses.matching(queries, np.array([0, 1, 2]), gallery, np.array([1, 9, 0, 8, 7, 2]), own, scale=4.0)
    logits = 4.0 * queries @ gallery.T
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(3), own]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_another_clip_of_the_same_speaker_is_no_negative():
    queries, gallery = unit(2), unit(4)
    own, speakers = np.array([0, 1]), np.array([3, 4])
    with_twin = losses.matching(queries, speakers, gallery, np.array([3, 4, 3, 5]), own, scale=4.0)
    without = losses.matching(queries[:1], speakers[:1], gallery[[0, 1, 3]], np.array([3, 4, 5]), own[:1], scale=4.0)
    np.testing.assert_allclose(with_twin[0], without[0], rtol=1e-6)


def test_the_discriminator_wants_the_matched_pair_above_both_others():
    good = losses.discriminator(tf.constant([9.0]), tf.constant([0.0]), tf.constant([0.0]), tf.constant([1.0]))
    bad = losses.discriminator(tf.constant([0.0]), tf.constant([9.0]), tf.constant([9.0]), tf.constant([1.0]))
    np.testing.assert_allclose(good, [2 * np.log1p(np.exp(-9.0))], rtol=1e-4)
    np.testing.assert_allclose(bad, [2 * np.log1p(np.exp(9.0))], rtol=1e-4)


def test_a_mismatched_voice_of_the_same_speaker_does_not_count():
    scores = tf.constant([0.0]), tf.constant([9.0]), tf.constant([0.0])
    np.testing.assert_allclose(losses.discriminator(*scores, tf.constant([0.0])), [np.log(2.0)], rtol=1e-5)


def test_the_generator_wants_its_face_above_the_real_one():
    np.testing.assert_allclose(losses.generator(tf.constant([1.0]), tf.constant([3.0])), [np.log1p(np.exp(-2.0))])


def test_the_penalty_through_the_whole_discriminator_agrees_with_finite_differences(float64):
    settings = config.preset("tiny")
    size = settings.data.face_size
    network = Discriminator(settings)
    network.build((None, size, size, 3), (None, settings.embedding_size))
    face = tf.random.stateless_uniform((2, size, size, 3), [0, 1], -1, 1, dtype=tf.float64)
    voice = tf.constant(unit(2).repeat(4, axis=1)[:, : settings.embedding_size], tf.float64)
    variables = [v.value for v in network.trainable_variables]
    directions = [tf.random.stateless_normal(v.shape, [1, i], dtype=tf.float64) for i, v in enumerate(variables)]

    def penalty():
        with tf.GradientTape() as tape:
            tape.watch(face)
            score = tf.reduce_sum(network(face, voice))
        return tf.reduce_sum(losses.gradient_penalty(tape.gradient(score, face)))

    with tf.GradientTape() as tape:
        value = penalty()
    gradients = tape.gradient(value, variables)
    exact = sum(float(tf.reduce_sum(g * d)) for g, d in zip(gradients, directions, strict=True) if g is not None)

    step = 1e-7
    values = []
    for sign in (1, -2):
        for variable, direction in zip(variables, directions, strict=True):
            variable.assign_add(sign * step * direction)
        values.append(float(penalty()))
    assert abs(exact) > 1e-3
    assert exact == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_details_are_what_blurring_takes_away():
    x = np.linspace(0, 1, 16, dtype=np.float32)
    smooth = np.tile(x[None, None, :, None], (1, 16, 1, 3))
    spot = smooth.copy()
    spot[0, 5, 7] += 1.0
    inside = losses.details(smooth)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(inside, np.zeros((1, 14, 14, 3)), atol=1e-6)
    found = (losses.details(spot) - losses.details(smooth)).numpy()
    assert found.argmax() // 3 == 5 * 16 + 7
    assert found[0, 5, 7, 0] == pytest.approx(1 - 1 / 9, abs=1e-6)


def test_likeness_counts_each_place_that_falls_short_and_none_that_exceeds():
    target = np.full((16, 16, 3), 0.1, np.float32)
    assert float(losses.likeness(2 * target, target)) == 0.0
    assert float(losses.likeness(0 * target, target)) == 1.0
    one_place = 9 * target
    one_place[4:6, 8:10] = 0.0  # one of 64
    assert float(losses.likeness(one_place, target)) == pytest.approx(1 / 64)


def test_centring_estimates_how_far_the_mean_is_off_whatever_the_spread():
    rng = np.random.default_rng(0)
    drawn_mean, real_mean = rng.normal(size=(2, 1, 4, 4, 3))
    one, other = drawn_mean + 0.5 * rng.normal(size=(2, 20_000, 4, 4, 3))
    found = losses.centring(one, real_mean, other - real_mean)
    assert found.shape == (20_000,)
    assert float(tf.reduce_mean(found)) == pytest.approx(((drawn_mean - real_mean) ** 2).mean(), rel=0.02)
    wider = losses.centring(drawn_mean + 3 * (one - drawn_mean), drawn_mean, 3 * (other - drawn_mean))
    assert float(tf.reduce_mean(wider)) == pytest.approx(0.0, abs=0.02)
