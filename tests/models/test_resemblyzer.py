import numpy as np
import pytest
import tensorflow as tf

from s2f_tf.models.resemblyzer import Resemblyzer


def normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, seed=[seed, 1])


@pytest.fixture(scope="module")
def network(teachers):
    layer = Resemblyzer()
    layer.build((None, None))
    with np.load(f"{teachers}/resemblyzer.npz") as file:
        for name, variable in layer.by_name().items():
            variable.assign(file[name])
    return layer


@pytest.fixture(scope="module")
def hear(network):
    return tf.function(network, input_signature=[tf.TensorSpec([None, None])], autograph=False)


@pytest.mark.parametrize("samples", [8000, 25_599, 25_601, 48_000])
def test_of_a_voice_of_any_length_256_numbers_are_said(hear, samples):
    said = hear(normal(3, samples))
    assert said.shape == (3, 256) and said.dtype == tf.float32
    np.testing.assert_allclose(tf.norm(said, axis=1), np.ones(3), rtol=1e-5)


def test_voices_differ_and_each_is_heard_alike_whatever_it_is_batched_with(hear):
    voices = tf.concat([normal(1, 40_000), np.cumsum(normal(1, 40_000, seed=2), axis=1)], axis=0)
    said = hear(voices).numpy()
    assert said[0] @ said[1] < 0.999
    np.testing.assert_allclose(said[:1], hear(voices[:1]), atol=1e-5)


@pytest.mark.parametrize("zeros", [1, 4000, 100_000])
def test_zeros_that_fill_up_a_batch_are_not_heard(hear, zeros):
    voice = normal(1, 30_123)
    voice -= tf.reduce_mean(voice)
    filled = hear(tf.pad(voice, [[0, 0], [0, zeros]]))
    np.testing.assert_allclose(filled, hear(voice), atol=1e-5)


def test_neither_the_level_nor_the_offset_of_a_voice_matters(hear):
    voice = normal(2, 20_000)
    np.testing.assert_allclose(hear(1e-3 * voice + 0.01), hear(voice), atol=1e-3)


def test_only_as_much_is_heard_as_has_a_vote(hear):
    voice, silence = normal(1, 48_000), 1e-3 * normal(1, 80_000, seed=1)
    within = tf.concat([voice[:, :20_000], silence, voice[:, 20_000:]], axis=1)
    assert hear(within).numpy()[0] @ hear(voice).numpy()[0] > 0.99


def test_silence_too_is_something(hear):
    np.testing.assert_allclose(tf.norm(hear(tf.zeros((2, 8000))), axis=1), [1.0, 1.0], rtol=1e-3)


def test_nothing_in_it_is_learnt(network):
    assert network.trainable_variables == []
    voice = tf.Variable(normal(1, 8000))
    with tf.GradientTape() as tape:
        said = network(voice)
    assert tape.gradient(said, [voice, *[v.value for v in network.variables]]) == [None] * 12
