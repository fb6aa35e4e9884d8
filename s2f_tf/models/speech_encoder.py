"""S, the speech encoder: a raw waveform of any length from 0.5 s up, to an embedding."""

import keras
from keras import ops

from s2f_tf.config import Config
from s2f_tf.models import layers


class SpeechEncoder(keras.Model):
    """Residual 1-D convolutions with squeeze-and-excitation; mean and spread over time at several scales.

    Call with waveform float32 [B, S] in any range (its offset and level are removed); returns float32 [B, E] of unit
    length.
    """

    def __init__(self, config: Config, **kwargs: object) -> None:
        # Under mixed precision the waveform itself keeps its 16 bits, until its level is removed.
        super().__init__(name="speech_encoder", autocast=False, **kwargs)
        self.settings = config.speech_encoder
        self.embedding_size = config.embedding_size

    def build(self, input_shape: tuple) -> None:
        """Makes every layer; the length of the waveform is left open."""
        c = self.settings
        self.stem = keras.layers.Conv1D(
            c.widths[0], c.stem_kernel, c.stem_stride, padding="same", use_bias=False, name="stem"
        )
        self.stem.build((None, None, 1))
        self.entries, self.blocks = [], []
        before = c.widths[0]
        for stage, width in enumerate(c.widths):
            # Not a strided 1x1 shortcut: its weight gradient corrupts memory under oneDNN.
            entry = keras.layers.Conv1D(
                width, c.stride + 1, c.stride, padding="same", kernel_initializer="he_normal", name=f"entry_{stage}"
            )
            entry.build((None, None, before))
            self.entries.append(entry)
            for i in range(c.blocks):
                block = layers.ResidualBlock(rank=1, name=f"block_{stage}_{i}")
                block.build((None, None, width))
                self.blocks.append(block)
            before = width
        self.head = keras.layers.Dense(self.embedding_size, dtype=keras.config.floatx(), name="head")
        self.head.build((None, 2 * sum(c.widths[-c.pooled_stages :])))

    def call(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        """The embedding, float32 [B, E], of unit length."""
        x = ops.cast(waveform, keras.config.floatx())
        x = x - ops.mean(x, axis=1, keepdims=True)
        x = x * ops.rsqrt(ops.mean(ops.square(x), axis=1, keepdims=True) + 1e-8)
        x = self.stem(x[:, :, None])
        pooled = []
        for stage, entry in enumerate(self.entries):
            x = entry(layers.leaky_relu(x))
            for block in self.blocks[stage * self.settings.blocks :][: self.settings.blocks]:
                x = block(x)
            if stage >= len(self.entries) - self.settings.pooled_stages:
                h = ops.cast(layers.leaky_relu(x), keras.config.floatx())
                mean = ops.mean(h, axis=1)
                spread = ops.sqrt(ops.mean(ops.square(h - mean[:, None, :]), axis=1) + 1e-6)
                pooled += [mean, spread]
        return layers.unit_length(self.head(ops.concatenate(pooled, axis=-1)))
