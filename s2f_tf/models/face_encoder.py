"""F, the face encoder: an image to an embedding. A body that is learnt is also the discriminator's."""

import keras
from keras import ops

from s2f_tf.config import Config
from s2f_tf.models import layers
from s2f_tf.models.dlib import Dlib


class FaceBody(keras.layers.Layer):
    """Face [B, H, W, 3] in [-1, 1] to features [B, D].

    No normalisation: the discriminator's gradient penalty is differentiated through it.
    """

    def __init__(self, config: Config, **kwargs: object) -> None:
        super().__init__(name="body", **kwargs)
        self.settings = config.face_encoder
        self.units = config.face_encoder.widths[-1]
        self.face_size = config.data.face_size

    def build(self, input_shape: tuple) -> None:
        """Makes every layer."""
        c = self.settings
        # At full resolution: where the first convolution strides, the discriminator is blind to patterns as fine as the
        # stride, and generated faces fill with them.
        self.stem = keras.layers.Conv2D(c.stem_width, 3, padding="same", kernel_initializer="he_normal", name="stem")
        self.stem.build((None, self.face_size, self.face_size, 3))
        self.entries, self.blocks = [], []
        before, size = c.stem_width, self.face_size
        for stage, width in enumerate(c.widths):
            entry = keras.layers.Conv2D(
                width, 4, 2, padding="same", kernel_initializer="he_normal", name=f"entry_{stage}"
            )
            entry.build((None, size, size, before))
            self.entries.append(entry)
            size = -(-size // 2)
            for i in range(c.blocks):
                block = layers.ResidualBlock(rank=2, name=f"block_{stage}_{i}")
                block.build((None, size, size, width))
                self.blocks.append(block)
            before = width
        self.flat = size * size * before
        self.features = keras.layers.Dense(before, kernel_initializer="he_normal", name="features")
        self.features.build((None, self.flat))

    def call(self, face: keras.KerasTensor) -> keras.KerasTensor:
        """The features, [B, D]."""
        x = self.stem(face)
        for stage, entry in enumerate(self.entries):
            x = entry(layers.leaky_relu(x))
            for block in self.blocks[stage * self.settings.blocks :][: self.settings.blocks]:
                x = block(x)
        return layers.leaky_relu(self.features(ops.reshape(layers.leaky_relu(x), (-1, self.flat))))


class FaceEncoder(keras.Model):
    """Call with face float32 [B, H, W, 3] in [-1, 1]; returns an embedding, float32 [B, E], of unit length.

    The body is one that is learnt, or a teacher's network, of which the head alone is learnt.
    """

    def __init__(self, config: Config, **kwargs: object) -> None:
        super().__init__(name="face_encoder", **kwargs)
        self.body = Dlib() if config.face_encoder.network == "dlib" else FaceBody(config)
        self.head = keras.layers.Dense(config.embedding_size, dtype=keras.config.floatx(), name="head")

    def build(self, input_shape: tuple) -> None:
        """Makes the body and the head."""
        self.body.build(input_shape)
        self.head.build((None, self.body.units))

    def call(self, face: keras.KerasTensor) -> keras.KerasTensor:
        """The embedding, float32 [B, E], of unit length."""
        return self.embed_features(self.body(face))

    def embed_features(self, features: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """The embedding of what the body makes of a face: [B, D] to float32 [B, E], of unit length."""
        return layers.unit_length(self.head(features))
