"""Graph ops on faces: decoding and augmentation."""

import math

import tensorflow as tf

from s2f_tf.config import DataConfig

MAX_SIDE = 4096  # pixels of a picture that an exported model accepts


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


def decode_face_bytes(jpeg_bytes: tf.Tensor, size: int) -> tf.Tensor:
    """As `decode_face`, for a picture that a client sends: JPEG or PNG of at most `MAX_SIDE` pixels a side.

    Raises `InvalidArgumentError`, whose message says what is wrong and what is allowed, before it takes the memory that
    a few bytes can ask for.
    """
    head = tf.strings.substr(jpeg_bytes, 0, 8)
    is_jpeg, is_png = tf.strings.substr(head, 0, 3) == b"\xff\xd8\xff", head == b"\x89PNG\r\n\x1a\n"
    known = tf.debugging.Assert(is_jpeg | is_png, ["not a picture: JPEG or PNG is allowed"])
    with tf.control_dependencies([known]):
        sides = tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(jpeg_bytes)[:2], lambda: _png_sides(jpeg_bytes))
    message = tf.strings.format(
        "picture of {} pixels (height and width): 1 to {} a side are allowed", [sides, MAX_SIDE]
    )
    allowed = tf.debugging.Assert(tf.reduce_all((sides >= 1) & (sides <= MAX_SIDE)), [message])
    with tf.control_dependencies([allowed]):
        return decode_face(tf.identity(jpeg_bytes), size)


def augment_face(face: tf.Tensor, seed: tf.Tensor, data: DataConfig) -> tf.Tensor:
    """A face that the same voice could have: mirrored, in other light, a little off centre, partly hidden.

    Args:
        face: float32 [H, W, 3] in [-1, 1].
        seed: int [2]; the same seed gives the same face.
        data: its `flip`, `colour_jitter`, `shift` and `erase` (Zhong et al. 2020) say how much.

    Returns:
        float32 [H, W, 3] in [-1, 1].
    """
    size = face.shape[0]
    draws = tf.random.stateless_uniform([13], seed, minval=-1.0, maxval=1.0)
    if data.flip:
        face = tf.cond(draws[0] < 0.0, lambda: tf.reverse(face, axis=[1]), lambda: face)
    margin = math.ceil(data.shift * size)
    if margin:
        corner = tf.cast(tf.round(draws[1:3] * data.shift * size), tf.int32) + margin
        padded = tf.pad(face, [[margin, margin], [margin, margin], [0, 0]], mode="REFLECT")
        face = tf.slice(padded, tf.concat([corner, [0]], axis=0), [size, size, 3])
    if data.colour_jitter:
        brightness, contrast, saturation = tf.unstack(draws[3:6] * data.colour_jitter)
        grey = tf.reduce_mean(face, axis=-1, keepdims=True)
        middle = tf.reduce_mean(grey)
        face = grey + (1.0 + saturation) * (face - grey)
        face = middle + (1.0 + contrast) * (face - middle) + 2.0 * brightness
    if data.erase:
        share = 0.5 + 0.5 * draws[6:10]
        height, width = data.erase * share[0] * size, data.erase * share[1] * size
        top, left = share[2] * (size - height), share[3] * (size - width)
        place = tf.range(float(size))
        rows, columns = ((place >= start) & (place < start + long) for start, long in ((top, height), (left, width)))
        face = tf.where((rows[:, None] & columns[None, :])[:, :, None], 0.5 * draws[10:13], face)
    return tf.clip_by_value(face, -1.0, 1.0)


def _png_sides(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width that a PNG file says it has, int32 [2]; zeros where it is cut short before that."""
    width_and_height = tf.strings.substr(tf.strings.join([encoded, b"\0" * 24]), 16, 8)
    return tf.reverse(tf.io.decode_raw(width_and_height, tf.int32, little_endian=False), axis=[0])
