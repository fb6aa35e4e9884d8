"""Resemblyzer's voice network: three LSTM layers on mel spectra, as it comes from its package, behind ears of ours."""

import math

import keras
import numpy as np
from keras import ops

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.models import layers, votes
from s2f_tf.models.teacher import TeacherNetwork

SIZE = 256  # numbers that it says, and units of each layer
BANDS, LAYERS = 40, 3
_WINDOW, _HOP = 400, 160  # samples of a frame, and between two
_MOMENT = 10  # frames
_FRAMES, _STEP = 160, 80  # of what it hears at once, and between two of those
_POWER = 10**-2.5  # of the voice; the package only raises it, to -30 dB, and this came nearer to what it says


class Resemblyzer(TeacherNetwork):
    """Call with waveform float32 [B, S] in any range; returns what it says of a voice, float32 [B, 256] of unit length.

    Frames without a vote are cut out, as the package cuts out silence. What is left is heard in windows of 1.6 s, half
    of each shared with the next, and each counts by how much of it there is. So pauses are not heard, nor zeros that
    fill up a batch; a voice shorter than a window is heard as far as it goes.

    The generalised end-to-end network of Wan et al. (2018, section 2), as trained by the package's authors.
    """

    def __init__(self) -> None:
        super().__init__(name="resemblyzer")
        self._filters, self._bands = _spectrum_filters(), _mel_bands()

    def build(self, input_shape: tuple) -> None:
        """Makes the weights: gates lie as input, forget, cell, output."""
        self.layers = []
        for i, before in enumerate((BANDS, *[SIZE] * (LAYERS - 1))):
            # Apart, since in eight bits what comes in would be lost beside the state.
            shapes = {"input": (before, 4 * SIZE), "state": (SIZE, 4 * SIZE)}
            kernels = [self.add_weight(name=f"lstm_{i}_{of}", shape=shape) for of, shape in shapes.items()]
            bias = self.add_weight(name=f"lstm_{i}_bias", shape=(4 * SIZE,), initializer="zeros")
            self.layers.append((*kernels, bias))
        self.kernel = self.add_weight(name="dense_kernel", shape=(SIZE, SIZE))
        self.bias = self.add_weight(name="dense_bias", shape=(SIZE,), initializer="zeros")
        super().build(input_shape)

    def call(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        """What it says, float32 [B, 256]."""
        x = waveform - ops.mean(waveform, axis=1, keepdims=True)
        # Silence around it, so that it is heard to its ends, whatever is filled up behind it.
        x = ops.pad(x, ((0, 0), (_WINDOW // 2, _WINDOW + _MOMENT * _HOP)))
        spectrum = ops.square(ops.conv(x[:, :, None], self._filters, _HOP))
        even, odd = ops.split(spectrum, 2, axis=-1)
        spectrum = even + odd
        # By Parseval, of a frame under a Hann window.
        power = ops.sum(spectrum, axis=-1, keepdims=True) * (2 / (_WINDOW * 0.375 * _WINDOW))
        vote = votes.by_power(power, _MOMENT)
        mel = ops.matmul(spectrum, self._bands) * (_POWER / (votes.mean(vote, power) + votes.NOTHING))
        return ops.stop_gradient(self._hear(mel, vote[:, :, 0]))

    def _hear(self, mel: keras.KerasTensor, vote: keras.KerasTensor) -> keras.KerasTensor:
        """What it says of mel spectra, [B, T, 40], of which frames have votes, [B, T]: [B, 256]."""
        batch, total = ops.shape(mel)[0], ops.shape(mel)[1]
        has_vote = ops.cast(vote > 0, mel.dtype)
        places = ops.arange(total)
        # Those with a vote first, in their order.
        order = ops.argsort(ops.cast(places, mel.dtype) - has_vote * ops.cast(total, mel.dtype), axis=1)
        count = ops.sum(has_vote, axis=1)
        starts = ops.arange(1 + (ops.maximum(total - _FRAMES, 0) + _STEP - 1) // _STEP) * _STEP
        length = ops.minimum(_FRAMES, total)
        which = ops.minimum(starts[None, :] + ops.arange(length)[:, None], total - 1)  # [length, windows]
        rows = ops.cast(order, "int32") + ops.arange(batch)[:, None] * total
        rows = ops.transpose(ops.take(rows, which, axis=1), (1, 0, 2))  # [length, B, windows]
        frames = ops.reshape(ops.take(ops.reshape(mel, (-1, BANDS)), rows, axis=0), (length, -1, BANDS))
        left = ops.clip(count[:, None] - ops.cast(starts, mel.dtype), 0.0, _FRAMES)  # [B, windows]
        said = self._say(frames, ops.reshape(left, (-1, 1)), length)
        # What the window before has heard whole does not count again; and of silence, too, something is said.
        is_new = ops.logical_or(starts == 0, left > _FRAMES - _STEP)
        weight = (ops.where(is_new, left, 0.0) + 1e-6)[:, :, None]
        said = ops.reshape(said, (batch, -1, SIZE))
        return layers.unit_length(ops.sum(weight * said, axis=1) / ops.sum(weight, axis=1))

    def _say(self, frames: keras.KerasTensor, count: keras.KerasTensor, length: keras.KerasTensor) -> keras.KerasTensor:
        """What it says of windows of frames, [length, N, 40], of which the first `count`, [N, 1], count: [N, 256]."""

        def listen(time: keras.KerasTensor, *states: keras.KerasTensor) -> tuple[keras.KerasTensor, ...]:
            x, heard, after = ops.take(frames, time, axis=0), ops.cast(time, frames.dtype) < count, []
            for (of_input, of_state, bias), state, cell in zip(self.layers, states[::2], states[1::2], strict=True):
                gates = ops.matmul(x, of_input) + ops.matmul(state, of_state) + bias
                enter, forget, new, leave = ops.split(gates, 4, axis=-1)
                new = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(new)
                x = ops.sigmoid(leave) * ops.tanh(new)
                after += [ops.where(heard, x, state), ops.where(heard, new, cell)]
            return time + 1, *after

        nothing = ops.zeros((ops.shape(frames)[1], SIZE), frames.dtype)
        _, *states = ops.while_loop(
            lambda time, *_: time < length, listen, (ops.zeros((), "int32"), *[nothing] * (2 * LAYERS))
        )
        return layers.unit_length(ops.relu(ops.matmul(states[-2], self.kernel) + self.bias))


def _spectrum_filters() -> np.ndarray:
    """[400, 1, 400]: cosines of 40 to 8,000 Hz, then sines, under a Hann window; blind to a constant."""
    phase = 2 * np.pi * np.outer(np.arange(_WINDOW), np.arange(1, _WINDOW // 2 + 1)) / _WINDOW
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)[:, None]
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
    waves -= (window * waves).sum(axis=0) / window.sum()
    return (window * waves)[:, None, :].astype(np.float32)


def _mel_bands() -> np.ndarray:
    """[200, 40]: triangles even on the mel scale of Slaney (1998), of equal area, as librosa has them."""
    mels = np.linspace(0.0, 15 + 27 * math.log(8) / math.log(6.4), BANDS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * math.log(6.4) / 27))
    frequency = np.arange(1, _WINDOW // 2 + 1)[:, None] * SAMPLE_RATE / _WINDOW
    rise = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return (np.maximum(np.minimum(rise, fall), 0) * 2 / (edges[2:] - edges[:-2])).astype(np.float32)
