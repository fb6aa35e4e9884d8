"""Dlib's face network: a residual network of 29 convolutions, as it comes from its package, behind eyes of ours."""

from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from s2f_tf.models.teacher import TeacherNetwork

SIZE = 128  # numbers that it says of a face

_SIDE = 150  # pixels of what it sees
# Where that lies in our aligned crops: left, top and side as shares of theirs. Dlib turns, moves and scales each face
# by the corners of the eyes and the nose that it finds in it; this is the mean over faces.
_LEFT, _TOP, _SHARE = 0.175, 0.26, 0.665
_MEAN = (122.782, 117.001, 104.298)  # of red, green and blue, from 0 to 255: what is taken away before
_LARGER = 8.0  # than dlib's, so that a number is about 1, as a head and distances of features want it
_STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # channels and blocks; all but the first halve the face


def convolutions() -> Iterator[tuple[int, int, int, int]]:
    """Each convolution in turn: the side of its kernel, its stride, and how many channels come in and go out."""
    before, _ = _STAGES[0]
    yield 7, 2, 3, before
    for stage, (width, blocks) in enumerate(_STAGES):
        for block in range(blocks):
            yield 3, 2 if stage and not block else 1, before, width
            yield 3, 1, width, width
            before = width


class Dlib(TeacherNetwork):
    """Call with aligned face float32 [B, H, W, 3] in [-1, 1]; returns what it says of each, float32 [B, 128].

    What it says is dlib's own numbers, times 8, but for where in the crop it looks: always in one place.

    He et al. (2016, section 3.3), with fewer layers and half of the filters, as trained by dlib's author. Dlib's affine
    layers, batch normalisations that stand still, are part of the convolutions here.
    """

    def __init__(self) -> None:
        super().__init__(name="dlib")
        self.units = SIZE

    def build(self, input_shape: tuple) -> None:
        """Makes the weights; the size of a face is left open."""
        self.convolutions = []
        for i, (side, stride, before, after) in enumerate(convolutions()):
            layer = keras.layers.Conv2D(
                after,
                side,
                stride,
                padding="same" if stride == 1 else "valid",
                kernel_initializer="he_normal",
                dtype=self.dtype_policy,
                name=f"convolution_{i}",
            )
            layer.build((None, None, None, before))
            self.convolutions.append(layer)
        self.numbers = keras.layers.Dense(SIZE, use_bias=False, dtype=self.dtype_policy, name="numbers")
        self.numbers.build((None, after))
        super().build(input_shape)

    def call(self, face: keras.KerasTensor) -> keras.KerasTensor:
        """What it says, float32 [B, 128]."""
        _, height, width, channels = face.shape
        rows, columns = _seen(height, _TOP), _seen(width, _LEFT)
        # As products of matrices, with the channels side by side: their gradients of any order are right.
        x = ops.matmul(rows, ops.reshape(face, (-1, height, width * channels)))
        x = ops.matmul(x, np.kron(columns.T, np.eye(channels, dtype=columns.dtype)))
        x = ops.reshape(x, (-1, _SIDE, _SIDE, channels))
        return _LARGER * self.say((127.5 * (x + 1) - np.array(_MEAN, self.dtype)) / 256)

    def say(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Dlib's own numbers of pictures as dlib shows them to it, [B, 150, 150, 3]: [B, 128]."""
        entry, *others = self.convolutions
        x = ops.max_pool(ops.relu(entry(x)), 3, 2, padding="valid")
        for first, second in zip(others[::2], others[1::2], strict=True):
            h = second(ops.relu(first(x)))
            if first.strides != (1, 1):
                x = ops.average_pool(x, 2, 2, padding="valid")
            # The sum is a difference for the reason that `layers.residual` has.
            x = ops.relu(_as_large(x, h) - -_as_large(h, x))
        return self.numbers(ops.mean(x, axis=(1, 2)))


def _as_large(x: keras.KerasTensor, other: keras.KerasTensor) -> keras.KerasTensor:
    """[B, H, W, C] with zeros below, to the right and in more channels, as far as another reaches further."""
    more = [max(0, there - here) for here, there in zip(x.shape[1:], other.shape[1:], strict=True)]
    return ops.pad(x, [(0, 0), *((0, count) for count in more)]) if any(more) else x


def _seen(size: int, start: float) -> np.ndarray:
    """The matrix by which a line of pixels becomes what dlib sees of it, [150, size]: cubic interpolation."""
    wide = max(1.0, _SHARE * size / _SIDE)  # pixels that are averaged, where there are more than are wanted
    places = (start + _SHARE * (np.arange(_SIDE) + 0.5) / _SIDE) * size - 0.5
    x = np.abs(places[:, None] - np.arange(size)) / wide
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(keras.config.floatx())
