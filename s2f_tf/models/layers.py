"""Layers that Keras lacks.

Second-order gradients are right where nothing else is said: none uses `ops.moments`, whose are wrong.
"""

import math

import keras
from keras import ops


def unit_length(x: keras.KerasTensor) -> keras.KerasTensor:
    """Each row of [..., E] divided by its Euclidean length, at full precision."""
    x = ops.cast(x, keras.config.floatx())
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-12)


def upsample(x: keras.KerasTensor) -> keras.KerasTensor:
    """Bilinear doubling of [B, H, W, C]. Its second-order gradients are wrong: it is for G, of which none are asked."""
    _, height, width, _ = x.shape
    return ops.cast(ops.image.resize(x, (2 * height, 2 * width), interpolation="bilinear"), x.dtype)


class ModulatedConvolution(keras.layers.Layer):
    """A 3x3 convolution whose kernel is scaled for each example by its style (Karras et al. 2020, section 2.2).

    Each input channel is scaled by a number that is read off the style, and each output channel is brought back to the
    size that inputs of unit size would give it. No map is normalised by what it holds.

    Call with ([B, H, W, C], style [B, D]); returns [B, H, W, width].
    """

    def __init__(self, width: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.width = width

    def build(self, x_shape: tuple, style_shape: tuple) -> None:
        """Makes the kernel, the bias, and the affine map from style to scales, which start around one."""
        channels = x_shape[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(3, 3, channels, self.width), initializer=keras.initializers.HeNormal()
        )
        self.bias = self.add_weight(name="bias", shape=(self.width,), initializer="zeros")
        self.affine = keras.layers.Dense(channels, bias_initializer="ones", name="affine")
        self.affine.build(style_shape)

    def call(self, x: keras.KerasTensor, style: keras.KerasTensor) -> keras.KerasTensor:
        """Scales, convolves and scales back: the same as one kernel for each example, at the price of one for all."""
        scale = self.affine(style)
        # Their size would be taken back below: without it, eight bits hold what goes in and comes out of every example.
        scale = scale * ops.rsqrt(ops.mean(ops.square(scale), axis=-1, keepdims=True) + 1e-8)
        kernel, wide = (ops.cast(tensor, keras.config.floatx()) for tensor in (self.kernel, scale))
        sizes = ops.rsqrt(ops.matmul(ops.square(wide), ops.sum(ops.square(kernel), axis=(0, 1))) + 1e-8)
        # What comes out of the activation has half the variance that went in.
        sizes = ops.cast(math.sqrt(2.0) * sizes, x.dtype)
        h = ops.conv(x * scale[:, None, None, :], self.kernel, padding="same")
        return h * sizes[:, None, None, :] + self.bias


class SqueezeAndExcitation(keras.layers.Layer):
    """Weighs channels by what the whole sequence holds (Hu et al. 2018, section 3).

    Call with [B, T, C] and how much each step counts, [B, T, 1], by which they have been multiplied; returns [B, T, C].
    """

    def __init__(self, reduction: int = 4, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape: tuple) -> None:
        """Makes the bottleneck of two dense layers."""
        channels = input_shape[-1]
        hidden = max(4, channels // self.reduction)
        self.squeeze = keras.layers.Dense(hidden, activation="relu", name="squeeze")
        self.squeeze.build((None, channels))
        self.excite = keras.layers.Dense(channels, activation="sigmoid", name="excite")
        self.excite.build((None, hidden))

    def call(self, x: keras.KerasTensor, vote: keras.KerasTensor) -> keras.KerasTensor:
        """Multiplies each channel by a weight in (0, 1)."""
        mean = ops.sum(x, axis=1) / (ops.sum(vote, axis=1) + 1e-6)
        weight = self.excite(self.squeeze(mean))
        return x * weight[:, None, :]


class ResidualBlock(keras.layers.Layer):
    """Two convolutions around a shortcut, see `residual`, which keeps the variance without a normalisation.

    [B, ..., C] to [B, ..., C]. `rank` is 1 for sequences, which get squeeze-and-excitation and are called with how much
    each step counts, [B, T, 1], too: a step that counts for nothing is zeros. It is 2 for images.
    """

    def __init__(self, rank: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.rank = rank

    def build(self, input_shape: tuple) -> None:
        """Makes the convolutions."""
        channels = input_shape[-1]
        convolution = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D}[self.rank]
        self.first = convolution(channels, 3, padding="same", kernel_initializer="he_normal", name="first")
        self.second = convolution(channels, 3, padding="same", kernel_initializer="he_normal", name="second")
        self.first.build(input_shape)
        self.second.build(input_shape)
        self.attend = None
        if self.rank == 1:
            self.attend = SqueezeAndExcitation(name="attend")
            self.attend.build(input_shape)

    def call(self, x: keras.KerasTensor, vote: keras.KerasTensor | None = None) -> keras.KerasTensor:
        """Pre-activation residual block."""
        h = self.first(leaky_relu(x))
        if vote is None:
            return residual(x, self.second(leaky_relu(h)))
        h = self.second(leaky_relu(h) * vote)
        return residual(x, self.attend(h * vote, vote))


def residual(x: keras.KerasTensor, h: keras.KerasTensor) -> keras.KerasTensor:
    """(x + h) / sqrt(2): what comes around a shortcut added to what comes through it, at the same variance.

    The sum is a difference, to the same bits, so that no graph optimiser fuses it into the convolution that made `h`:
    under oneDNN the fused operation keeps its operands in the kernel, and two requests at once crash the server.
    """
    return (x - -h) * math.sqrt(0.5)


def leaky_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    """The activation of every network here."""
    return ops.leaky_relu(x, negative_slope=0.2)
