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


def test_diversity_asks_for_a_distance_and_no_more():
    one = np.zeros((3, 4, 4, 3), np.float32)
    other = one + np.array([0.0, 0.3, -0.9], np.float32)[:, None, None, None]
    np.testing.assert_allclose(losses.diversity(one, other, tf.constant(0.5)), [0.5, 0.2, 0.0], atol=1e-6)


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
