"""G, the generator: z and an embedding to a face."""

import math

import keras
from keras import ops

from s2f_tf.config import Config
from s2f_tf.models import layers


class GeneratorBlock(keras.layers.Layer):
    """Two modulated convolutions around a shortcut, the map doubled between them. [B, H, W, C] to [B, nH, nW, C']."""

    def __init__(self, width: int, doubles: bool, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.doubles = doubles

    def build(self, x_shape: tuple, style_shape: tuple) -> None:
        """Makes the layers; the shortcut is a 1x1 convolution where the width changes."""
        _, height, width, before = x_shape
        size = (2 * height, 2 * width) if self.doubles else (height, width)
        self.first = layers.ModulatedConvolution(self.width, name="first")
        self.first.build(x_shape, style_shape)
        self.second = layers.ModulatedConvolution(self.width, name="second")
        self.second.build((None, *size, self.width), style_shape)
        self.shortcut = None
        if before != self.width:
            self.shortcut = keras.layers.Conv2D(self.width, 1, use_bias=False, name="shortcut")
            self.shortcut.build(x_shape)

    def call(self, x: keras.KerasTensor, style: keras.KerasTensor) -> keras.KerasTensor:
        """The modulated block."""
        h = self.first(layers.leaky_relu(x), style)
        h = self._doubled(h)
        h = self.second(layers.leaky_relu(h), style)
        if self.shortcut is not None:
            x = self.shortcut(x)
        return layers.residual(self._doubled(x), h)

    def _doubled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.upsample(x) if self.doubles else x


class Generator(keras.Model):
    """Call with (z float32 [B, Z], embedding float32 [B, E] of unit length); returns a face [B, H, W, 3] in [-1, 1].

    z is drawn from N(0, I) independently of the embedding. Together they make one style vector, which modulates every
    residual block. Maps are doubled smoothly: repeated pixels leave a weave, and strokes across faces of people. Each
    block adds to the face at its own resolution (Karras et al. 2020, section 4.1), so that the finest ones have no
    background and no skin to fill, and leave less grain there.
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
        self.blocks, self.to_rgb, before = [], [], c.widths[0]
        for i, width in enumerate(c.widths):
            block = GeneratorBlock(width, doubles=i > 0, name=f"block_{i}")
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
            face = (layers.upsample(face) if i > 0 else face) + to_rgb(layers.leaky_relu(x))
        return ops.tanh(face)
