import numpy as np
import pytest
import tensorflow as tf

from s2f_tf.models import layers


def normal(*shape, seed=0, dtype=tf.float32):
    return tf.random.stateless_normal(shape, seed=[seed, 1], dtype=dtype)


def second_order(function, x, step=1e-6):
    """d/dx of |grad f(x)|^2 along a direction: by nested tapes, and by central differences of the first-order one."""
    direction = normal(*x.shape, seed=7, dtype=x.dtype)

    def penalty(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.tanh(function(x)))
        return tf.reduce_sum(tf.square(tape.gradient(y, x)))

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = penalty(x)
    exact = float(tf.reduce_sum(tape.gradient(value, x) * direction))
    numeric = float((penalty(x + step * direction) - penalty(x - step * direction)) / (2 * step))
    return exact, numeric


def test_upsample_goes_from_pixel_to_pixel_in_quarters():
    x = tf.constant([0.0, 4.0, 4.0])[None, :, None, None] * tf.ones((1, 3, 3, 2))
    doubled = layers.upsample(x)
    assert doubled.shape == (1, 6, 6, 2)
    expected = np.array([0, 1, 3, 4, 4, 4], np.float32)[None, :, None, None] * np.ones((1, 6, 6, 2))
    np.testing.assert_allclose(doubled, expected, atol=1e-6)


def test_a_modulated_convolution_has_a_kernel_of_each_examples_own():
    layer = layers.ModulatedConvolution(5)
    x, style = 3.0 * normal(2, 6, 6, 4), normal(2, 7, seed=2)
    y = layer(x, style)
    layer.bias.assign([0.0, 1.0, 0.0, 0.0, -1.0])
    for i, scale in enumerate(layer.affine(style)):
        kernel = layer.kernel * scale[:, None]
        kernel = kernel / tf.sqrt(tf.reduce_sum(kernel**2, axis=(0, 1, 2))) * np.sqrt(2.0)
        np.testing.assert_allclose(y[i], tf.nn.conv2d(x[i : i + 1], kernel, 1, "SAME")[0], atol=1e-4)
    np.testing.assert_allclose(layer(x, style), y + layer.bias, atol=1e-5)


def test_unit_length():
    np.testing.assert_allclose(tf.norm(layers.unit_length(normal(5, 7)), axis=1), np.ones(5), rtol=1e-6)


def voting(layer):
    """A layer of sequences whose steps count for more and more."""
    return lambda x: layer(x, tf.reshape(tf.linspace(tf.constant(0.0, x.dtype), 1.0, 9), (1, 9, 1)))


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda: layers.unit_length, (2, 6)),
        (lambda: layers.ResidualBlock(rank=2), (2, 6, 6, 4)),
        (lambda: voting(layers.ResidualBlock(rank=1)), (2, 9, 8)),
        (lambda: voting(layers.SqueezeAndExcitation()), (2, 9, 8)),
    ],
    ids=["unit_length", "residual_image", "residual_sequence", "squeeze_and_excitation"],
)
def test_second_order_gradients_are_right(float64, make, shape):
    layer = make()
    x = normal(*shape, seed=3, dtype=tf.float64)
    layer(x)  # builds
    exact, numeric = second_order(layer, x)
    assert abs(exact) > 1e-3
    assert exact == pytest.approx(numeric, rel=1e-4)
