"""Graph ops on faces: decoding and augmentation."""

import math

import tensorflow as tf

from s2f_tf.config import DataConfig


def decode_face(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """A JPEG or PNG file of a square face, a string scalar, to float32 [size, size, 3] in [-1, 1].

    A larger face is shrunk without aliasing. Raises `InvalidArgumentError` where the file is no picture.
    """
    # This op reads PNG too. Its default DCT, and that of tf.io.decode_image, is off by up to a dozen of 256 levels.
    pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    same = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], size))
    resized = tf.cond(
        same,
        lambda: tf.cast(pixels, tf.float32),
        lambda: tf.image.resize(pixels, [size, size], antialias=True),
    )
    return tf.ensure_shape(resized / 127.5 - 1.0, [size, size, 3])


def augment_face(face: tf.Tensor, seed: tf.Tensor, data: DataConfig) -> tf.Tensor:
    """A face that the same voice could have: mirrored, in other light, a little off centre.

    Args:
        face: float32 [H, W, 3] in [-1, 1].
        seed: int [2]; the same seed gives the same face.
        data: its `flip`, `colour_jitter` and `shift` say how much.

    Returns:
        float32 [H, W, 3] in [-1, 1].
    """
    size = face.shape[0]
    draws = tf.random.stateless_uniform([6], seed, minval=-1.0, maxval=1.0)
    if data.flip:
        face = tf.cond(draws[0] < 0.0, lambda: tf.reverse(face, axis=[1]), lambda: face)
    margin = math.ceil(data.shift * size)
    if margin:
        corner = tf.cast(tf.round(draws[1:3] * data.shift * size), tf.int32) + margin
        padded = tf.pad(face, [[margin, margin], [margin, margin], [0, 0]], mode="REFLECT")
        face = tf.slice(padded, tf.concat([corner, [0]], axis=0), [size, size, 3])
    if data.colour_jitter:
        brightness, contrast, saturation = tf.unstack(draws[3:] * data.colour_jitter)
        grey = tf.reduce_mean(face, axis=-1, keepdims=True)
        middle = tf.reduce_mean(grey)
        face = grey + (1.0 + saturation) * (face - grey)
        face = middle + (1.0 + contrast) * (face - middle) + 2.0 * brightness
    return tf.clip_by_value(face, -1.0, 1.0)
