import numpy as np
import pytest
import tensorflow as tf

from s2f_tf.latent import EmbeddingSoFar, mean_embedding, slerp, z_from_seed


def test_z_is_normal_and_its_entries_are_independent():
    z = tf.function(z_from_seed)(tf.range(2000, dtype=tf.int64), 8).numpy()  # eagerly each seed takes milliseconds
    assert abs(z.mean()) < 0.02
    np.testing.assert_allclose(np.cov(z.T), np.eye(8), atol=0.1)


def test_a_piece_more_makes_the_mean_of_all():
    pieces = [(np.array(embedding, np.float32), weight) for embedding, weight in (((1, 0), 3.0), ((0, 1), 4.0))]
    alone = EmbeddingSoFar().add(*pieces[0])
    both = alone.add(*pieces[1])
    assert alone.embedding is pieces[0][0]  # to the bit
    np.testing.assert_allclose(both.embedding, [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(mean_embedding(pieces), both.embedding)
    again = alone.add(*pieces[0])  # another piece in place of the second, which may still grow
    np.testing.assert_allclose(again.embedding, [1, 0], atol=1e-6)


def test_the_way_between_two_voices_stays_on_the_sphere_at_an_even_pace():
    start, end = np.eye(5)[0], np.array([0.6, 0.8, 0, 0, 0])
    way = slerp(start, end, np.linspace(0, 1, 9))
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(way[[0, -1]], [start, end], atol=1e-6)
    steps = np.arccos(np.clip((way[1:] * way[:-1]).sum(axis=1), -1, 1))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)


def test_lengths_go_over_into_each_other():
    way = slerp(np.array([2.0, 0.0]), np.array([0.0, 4.0]), np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), [2, 3, 4], rtol=1e-6)


def test_equal_ends_have_nothing_between_them():
    same = np.array([0.6, 0.8])
    np.testing.assert_allclose(slerp(same, same, np.array([0.3])), [same], rtol=1e-6)
    assert slerp(same, same, np.array([0.3])).dtype == np.float32


def test_the_same_seed_is_the_same_z_whatever_it_is_drawn_with():
    alone = z_from_seed(np.array([7]), 16).numpy()
    together = z_from_seed(np.array([1, 7, 9]), 16).numpy()
    assert alone[0] == pytest.approx(together[1], abs=0)
