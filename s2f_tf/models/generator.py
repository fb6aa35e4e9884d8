"""G, the generator: z and an embedding to a face."""

import math

import keras
from keras import ops

from s2f_tf.config import Config
from s2f_tf.models import layers


class StyledBlock(keras.layers.Layer):
    """A residual block, modulated by the style before each of its convolutions. [B, H, W, C] to [B, nH, nW, C'].

    Who inherits makes two modulated convolutions, `first_half` and `second_half`, and says how a face is doubled.
    """

    def __init__(self, width: int, doubles: bool, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.doubles = doubles

    def build(self, x_shape: tuple, style_shape: tuple) -> None:
        """Makes the layers; the shortcut is a 1x1 convolution where the width changes."""
        _, height, width, before = x_shape
        size = (2 * height, 2 * width) if self.doubles else (height, width)
        self.build_halves(x_shape, (None, *size, self.width), style_shape)
        self.shortcut = None
        if before != self.width:
            self.shortcut = keras.layers.Conv2D(self.width, 1, use_bias=False, name="shortcut")
            self.shortcut.build(x_shape)

    def call(self, x: keras.KerasTensor, style: keras.KerasTensor) -> keras.KerasTensor:
        """The modulated block."""
        h = self.first_half(x, style)
        h = self.upsample(h) if self.doubles else h
        h = self.second_half(h, style)
        if self.shortcut is not None:
            x = self.shortcut(x)
        x = self.upsample(x) if self.doubles else x
        return layers.residual(x, h)


class GeneratorBlock(StyledBlock):
    """By adaptive instance normalisation, doubled by repeating each pixel.

    Of a face of real people, a few thousand steps leave the edges of these pixels: a weave, and strokes across. The
    class keeps its name, by which files of weights know it.
    """

    upsample = staticmethod(layers.upsample)

    def build_halves(self, x_shape: tuple, doubled_shape: tuple, style_shape: tuple) -> None:
        """Makes both halves."""
        self.normalise_first = layers.AdaptiveInstanceNormalization(name="normalise_first")
        self.normalise_first.build(x_shape, style_shape)
        self.first = keras.layers.Conv2D(self.width, 3, padding="same", kernel_initializer="he_normal", name="first")
        self.first.build(x_shape)
        self.normalise_second = layers.AdaptiveInstanceNormalization(name="normalise_second")
        self.normalise_second.build(doubled_shape, style_shape)
        self.second = keras.layers.Conv2D(self.width, 3, padding="same", kernel_initializer="he_normal", name="second")
        self.second.build(doubled_shape)

    def first_half(self, x: keras.KerasTensor, style: keras.KerasTensor) -> keras.KerasTensor:
        """[B, H, W, C] to [B, H, W, C']."""
        return self.first(layers.leaky_relu(self.normalise_first(x, style)))

    def second_half(self, x: keras.KerasTensor, style: keras.KerasTensor) -> keras.KerasTensor:
        """[B, nH, nW, C'] to the same shape."""
        return self.second(layers.leaky_relu(self.normalise_second(x, style)))


class ModulatedBlock(StyledBlock):
    """By modulated convolutions, doubled smoothly."""

    upsample = staticmethod(layers.smooth_upsample)

    def build_halves(self, x_shape: tuple, doubled_shape: tuple, style_shape: tuple) -> None:
        """Makes both halves."""
        self.first = layers.ModulatedConvolution(self.width, name="first")
        self.first.build(x_shape, style_shape)
        self.second = layers.ModulatedConvolution(self.width, name="second")
        self.second.build(doubled_shape, style_shape)

    def first_half(self, x: keras.KerasTensor, style: keras.KerasTensor) -> keras.KerasTensor:
        """[B, H, W, C] to [B, H, W, C']."""
        return self.first(layers.leaky_relu(x), style)

    def second_half(self, x: keras.KerasTensor, style: keras.KerasTensor) -> keras.KerasTensor:
        """[B, nH, nW, C'] to the same shape."""
        return self.second(layers.leaky_relu(x), style)


class Generator(keras.Model):
    """Call with (z float32 [B, Z], embedding float32 [B, E] of unit length); returns a face [B, H, W, 3] in [-1, 1].

    z is drawn from N(0, I) independently of the embedding. Together they make one style vector, which modulates every
    residual block. Each block adds to the face at its own resolution (Karras et al. 2020, section 4.1), so that the
    finest ones have no background and no skin to fill, and leave less grain there.
    """

    def __init__(self, config: Config, **kwargs: object) -> None:
        super().__init__(name="generator", **kwargs)
        self.settings = config.generator
        self.z_size = config.generator.z_size
        self.face_size = config.data.face_size
        self.embedding_size = config.embedding_size

    def build(self, z_shape: tuple, embedding_shape: tuple | None = None) -> None:
        """Makes every layer."""
        c = self.settings
        self.mapping = [
            keras.layers.Dense(c.style_size, kernel_initializer="he_normal", name=f"mapping_{i}") for i in range(2)
        ]
        self.mapping[0].build((None, self.z_size + self.embedding_size))
        self.mapping[1].build((None, c.style_size))
        style_shape = (None, c.style_size)
        size = self.face_size // 2 ** (len(c.widths) - 1)
        self.constant = self.add_weight(
            name="constant", shape=(1, size, size, c.widths[0]), initializer=keras.initializers.RandomNormal(stddev=1.0)
        )
        blocks = {"normalised": GeneratorBlock, "modulated": ModulatedBlock}
        self.blocks, self.to_rgb, before = [], [], c.widths[0]
        for i, width in enumerate(c.widths):
            block = blocks[c.network](width, doubles=i > 0, name=f"block_{i}")
            block.build((None, size, size, before), style_shape)
            self.blocks.append(block)
            size, before = (2 * size if i > 0 else size), width
            # With 3x3 kernels in all, faces start with more contrast, and training lags for hundreds of steps.
            to_rgb = keras.layers.Conv2D(
                3,
                3 if i == len(c.widths) - 1 else 1,
                padding="same",
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
                dtype=keras.config.floatx(),
                name=f"to_rgb_{i}",
            )
            to_rgb.build((None, size, size, width))
            self.to_rgb.append(to_rgb)

    def call(self, z: keras.KerasTensor, embedding: keras.KerasTensor) -> keras.KerasTensor:
        """The face, float32 [B, H, W, 3] in [-1, 1]."""
        # A unit vector has entries of about 1/sqrt(E): brought to the size of z's, neither drowns the other.
        style = ops.concatenate([z, embedding * math.sqrt(self.embedding_size)], axis=-1)
        for layer in self.mapping:
            style = layers.leaky_relu(layer(style))
        x = ops.broadcast_to(self.constant, (ops.shape(style)[0], *self.constant.shape[1:]))
        x = ops.cast(x, style.dtype)
        face = 0.0
        for i, (block, to_rgb) in enumerate(zip(self.blocks, self.to_rgb, strict=True)):
            x = block(x, style)
            face = (layers.smooth_upsample(face) if i > 0 else face) + to_rgb(layers.leaky_relu(x))
        return ops.tanh(face)
