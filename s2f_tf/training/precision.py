"""The arithmetic of training: which there is, this machine decides."""

import keras
import tensorflow as tf

from s2f_tf.config import ConfigError
from s2f_tf.training import loop


def use(precision: str) -> None:
    """Sets the arithmetic of every layer made from now on: `config.precision`.

    Raises `ConfigError` where this machine has none of that kind: a processor without AVX-512 has no bfloat16. One of
    several workers does not look.
    """
    keras.config.set_dtype_policy(precision)
    if precision == "float32" or not loop.may_compute():
        return
    kind = keras.config.dtype_policy().compute_dtype
    x, kernel, bias = tf.ones([1, 8, 8, 4], kind), tf.ones([3, 3, 4, 4], kind), tf.ones([4], kind)

    # As a graph, in which both are one operation, as they are in training.
    @tf.function
    def convolution() -> tf.Tensor:
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))

    try:
        convolution()
    except tf.errors.OpError as error:
        raise ConfigError(
            f"precision is {precision}, which this processor cannot compute: float32 is allowed"
        ) from error
