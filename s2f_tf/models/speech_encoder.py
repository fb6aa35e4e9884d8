"""S, the speech encoder: a raw waveform of any length from 0.5 s up, to an embedding."""

import math

import keras
import numpy as np
from keras import ops

from s2f_tf.config import SAMPLE_RATE, Config
from s2f_tf.models import layers, votes
from s2f_tf.models.resemblyzer import SIZE, Resemblyzer

_LOWEST, _HIGHEST = 60.0, 7800.0  # Hz, between which the filters start
_QUIETEST = 1e-4  # of the power of the voice: energies below are alike
_MOMENT = 5  # frames, over which loudness is averaged


class SpeechEncoder(keras.Model):
    """A learnt filterbank, residual 1-D convolutions with squeeze-and-excitation, and mean and spread over time.

    Call with waveform float32 [B, S] in any range (its offset and level are removed); returns float32 [B, E] of unit
    length.

    Silence has no vote. Frames that are much quieter than the loudest are zeros for every convolution, as what lies
    beyond the ends of a waveform is, and count for nothing in every mean: so a voice is heard alike with any pause
    before, within or after it, and zeros that fill up a batch are not heard. What the noise of a pause leaves is
    weighed by attention, which is learnt: of each frame, how much it counts (a sigmoid, so that the more voice, the
    better the mean; as self-attentive pooling for speakers, Zhu et al. 2018, section 3.2, whose softmax it is not).
    """

    def __init__(self, config: Config, **kwargs: object) -> None:
        # Under mixed precision the waveform itself keeps its 16 bits, until its level is removed.
        super().__init__(name="speech_encoder", autocast=False, **kwargs)
        self.settings = config.speech_encoder
        self.embedding_size = config.embedding_size

    def build(self, input_shape: tuple) -> None:
        """Makes every layer; the length of the waveform is left open."""
        c = self.settings
        if c.network == "resemblyzer":
            self.teacher = Resemblyzer()
            self.teacher.build(input_shape)
            self._make_head(SIZE)
            return
        self.filterbank = Filterbank(c.bands, c.taps, c.hop, c.hops_per_frame, name="filterbank")
        self.filterbank.build((None, None))
        self.entries, self.blocks, self.attention = [], [], []
        before = c.bands
        for stage, width in enumerate(c.widths):
            # Not a strided 1x1 shortcut: its weight gradient corrupts memory under oneDNN.
            entry = keras.layers.Conv1D(
                width, 5, 2 if stage else 1, padding="same", kernel_initializer="he_normal", name=f"entry_{stage}"
            )
            entry.build((None, None, before))
            self.entries.append(entry)
            for i in range(c.blocks):
                block = layers.ResidualBlock(rank=1, name=f"block_{stage}_{i}")
                block.build((None, None, width))
                self.blocks.append(block)
            attention = keras.layers.Dense(
                1, activation="sigmoid", dtype=keras.config.floatx(), name=f"attention_{stage}"
            )
            attention.build((None, None, width))
            self.attention.append(attention)
            before = width
        self._make_head(2 * sum(c.widths))

    def _make_head(self, features: int) -> None:
        self.head = keras.layers.Dense(self.embedding_size, dtype=keras.config.floatx(), name="head")
        self.head.build((None, features))

    def call(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        """The embedding, float32 [B, E], of unit length."""
        x = ops.cast(waveform, keras.config.floatx())
        if self.settings.network == "resemblyzer":
            return layers.unit_length(self.head(SIZE**0.5 * self.teacher(x)))
        energy = self.filterbank(x - ops.mean(x, axis=1, keepdims=True))
        power = ops.mean(energy, axis=-1, keepdims=True)
        vote = ops.stop_gradient(votes.by_power(power, _MOMENT))  # it is a matter of level: nothing learns to be louder
        # As logarithms, about from -3, where there is nothing, to 1; 0 is the mean power of the voice. From
        # numbers that are all positive, training was seen to learn more slowly.
        x = 0.3 * ops.log(energy / (votes.mean(vote, power) + votes.NOTHING) + _QUIETEST) * vote
        pooled = []
        for stage, entry in enumerate(self.entries):
            if stage:
                x = layers.leaky_relu(x)
                vote = ops.max_pool(vote, 2, 2, padding="same")
            mask = ops.cast(vote, self.compute_dtype)
            x = entry(x) * mask
            for block in self.blocks[stage * self.settings.blocks :][: self.settings.blocks]:
                x = block(x, mask)
            h = ops.cast(layers.leaky_relu(x), keras.config.floatx())
            weight = vote * self.attention[stage](h)
            mean = votes.mean(weight, h)
            pooled += [mean, ops.sqrt(votes.mean(weight, ops.square(h - mean)) + 1e-6)]
        return layers.unit_length(self.head(ops.concatenate(pooled, axis=-1)[:, 0, :]))


class Filterbank(keras.layers.Layer):
    """Energies of the waveform in bands, at full precision: [B, S] to [B, frames, bands].

    Pairs of filters a quarter of a period apart, which start as Gabor filters with centres and widths even on the mel
    scale, and are learnt tap by tap; the energy of a pair, averaged over a frame. As the time-domain
    filterbanks of Zeghidour et al. (2018, section 2); their LEAF (2021, section 3) learns centres and widths alone.

    Args:
        bands: how many.
        taps: of each filter.
        hop: samples between two places where the filters are applied.
        hops_per_frame: places whose energies are averaged.
    """

    def __init__(self, bands: int, taps: int, hop: int, hops_per_frame: int, **kwargs: object) -> None:
        super().__init__(dtype=keras.config.floatx(), **kwargs)
        self.bands, self.taps, self.hop, self.hops_per_frame = bands, taps, hop, hops_per_frame

    def build(self, input_shape: tuple) -> None:
        """Makes the filters."""
        self.filters = keras.layers.Conv1D(
            2 * self.bands, self.taps, self.hop, use_bias=False, dtype=self.dtype_policy, name="filters"
        )
        self.filters.build((None, None, 1))
        self.filters.kernel.assign(_gabor_filters(self.bands, self.taps))

    def call(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        """The energies: one in each band for white noise of power one, as the filters start."""
        x = ops.square(self.filters(waveform[:, :, None]))
        # Averaged before pairs are added, and split, not sliced: the gradient takes half the time.
        even, odd = ops.split(ops.average_pool(x, self.hops_per_frame, self.hops_per_frame), 2, axis=-1)
        return even + odd


def _gabor_filters(bands: int, taps: int) -> np.ndarray:
    """[taps, 1, 2 bands]: even filters, then odd ones; white noise of power one has energy one in each pair."""

    def to_mel(frequency: float) -> float:
        return 2595 * math.log10(1 + frequency / 700)

    edges = 700 * (10 ** (np.linspace(to_mel(_LOWEST), to_mel(_HIGHEST), bands + 2) / 2595) - 1)
    centre, width = edges[1:-1], (edges[2:] - edges[:-2]) / 2
    time = ((np.arange(taps) - (taps - 1) / 2) / SAMPLE_RATE)[:, None]
    # As wide in frequency, at half the height, as its band, as far as the taps allow.
    spread = np.minimum(math.sqrt(2 * math.log(2)) / (math.pi * width), taps / SAMPLE_RATE / 5)
    envelope = np.exp(-0.5 * (time / spread) ** 2)
    phase = 2 * np.pi * centre * time
    filters = np.concatenate([envelope * np.cos(phase), envelope * np.sin(phase)], axis=1)
    return (filters / np.sqrt(2 * (filters**2).sum(axis=0)))[:, None, :].astype(np.float32)
