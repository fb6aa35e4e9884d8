import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.models import dlib, trained
from s2f_tf.models.discriminator import Discriminator


@pytest.fixture(scope="module")
def network():
    network = dlib.Dlib()
    network.build(None)
    return network


def smooth(size):
    """A picture without small things, the same at any size: [1, size, size, 3]."""
    places = (np.arange(size) + 0.5) / size
    waves = [np.sin(2 * np.pi * (a * places[:, None] + b * places[None, :])) for a, b in ((1, 2), (3, 1), (2, -1))]
    return tf.constant(np.stack(waves, axis=-1)[None], tf.float32)


def test_it_says_128_numbers_of_each_face(network):
    said = network(tf.concat([smooth(64), -smooth(64)], axis=0))
    assert said.shape == (2, dlib.SIZE) and said.dtype == tf.float32
    np.testing.assert_allclose(network(-smooth(64))[0], said[1], rtol=1e-5, atol=1e-5 * np.abs(said[1]).max())


def test_it_looks_at_the_middle_of_the_face_and_not_at_the_edge(network):
    face = smooth(64)
    with tf.GradientTape() as tape:
        tape.watch(face)
        loss = tf.reduce_sum(tf.abs(network(face)))
    by_pixel = tf.reduce_sum(tf.abs(tape.gradient(loss, face)[0]), axis=-1).numpy()
    rows, columns = (np.flatnonzero(by_pixel.sum(axis=axis)) / 64 for axis in (1, 0))
    assert rows.min() == pytest.approx(0.26, abs=0.04) and rows.max() == pytest.approx(0.925, abs=0.04)
    assert columns.min() == pytest.approx(0.175, abs=0.04) and columns.max() == pytest.approx(0.84, abs=0.04)


@pytest.mark.parametrize("size", [32, 128, 512])
def test_a_face_is_the_same_at_any_size(network, size):
    said, again = network(smooth(64))[0].numpy(), network(smooth(size))[0].numpy()
    assert np.linalg.norm(said - again) < 0.02 * np.linalg.norm(said)


def test_of_f_only_the_head_is_learnt_and_d_has_a_body_of_its_own(tiny):
    settings = config.override(tiny, {"face_encoder.network": "dlib"})
    encoder, size = trained.make("face_encoder", settings), settings.data.face_size
    assert [variable.path for variable in encoder.trainable_variables] == [
        "face_encoder/head/kernel",
        "face_encoder/head/bias",
    ]
    discriminator = Discriminator(settings)
    discriminator.build((None, size, size, 3), (None, settings.embedding_size))
    before = discriminator.get_weights()
    discriminator.start_from(encoder)
    for one, other in zip(before, discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not any("dlib" in variable.path for variable in discriminator.variables)
