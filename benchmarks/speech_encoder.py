"""`python -m benchmarks.speech_encoder`: what S costs with the votes of its frames, and what it would cost without.

Both networks have the same weights but for attention, and take turns on one thread. With
`--speech_encoder.network=resemblyzer`, S of that network, of fresh weights, beside S of the filterbank.
"""

import os
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from ai_edge_litert.interpreter import Interpreter
from keras import ops

from benchmarks import training_step
from s2f_tf import command, saved_model, setting_flags
from s2f_tf import config as configuration
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.models import layers
from s2f_tf.models.speech_encoder import SpeechEncoder

_PRESET = flags.DEFINE_string("preset", "demo", f"settings: {', '.join(sorted(configuration.PRESETS))}")
_SECONDS = flags.DEFINE_float("seconds", 3.0, "length of the voice that is heard alone", lower_bound=0.5)
_ROUNDS = flags.DEFINE_integer("rounds", 100, "turns of each, of which the median counts", lower_bound=1)

_Call = Callable[[], object]


class _Unweighted(SpeechEncoder):
    """S, had every frame one vote: no level, no attention."""

    def call(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        """See `SpeechEncoder`."""
        x = self.filterbank(waveform - ops.mean(waveform, axis=1, keepdims=True))
        x = 0.3 * ops.log(x / (ops.mean(x, axis=(1, 2), keepdims=True) + 1e-12) + 1e-4)
        pooled = []
        for stage, entry in enumerate(self.entries):
            x = entry(layers.leaky_relu(x) if stage else x)
            for block in self.blocks[stage * self.settings.blocks :][: self.settings.blocks]:
                h = block.second(layers.leaky_relu(block.first(layers.leaky_relu(x))))
                weight = block.attend.excite(block.attend.squeeze(ops.mean(h, axis=1)))
                x = layers.residual(x, h * weight[:, None, :])
            h = layers.leaky_relu(x)
            mean = ops.mean(h, axis=1, keepdims=True)
            pooled += [mean, ops.sqrt(ops.mean(ops.square(h - mean), axis=1, keepdims=True) + 1e-6)]
        return layers.unit_length(self.head(ops.concatenate(pooled, axis=-1)[:, 0, :]))


def main() -> None:
    """Prints a table."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    config = setting_flags.override(_PRESET.value)
    samples = round(_SECONDS.value * SAMPLE_RATE)
    alone = tf.random.normal([1, samples])
    batch = training_step.batch(config, config.matching.batch_size)["waveform"]
    calls: dict[str, list[_Call]] = {}
    if config.teachers:
        ours = configuration.override(config, {"speech_encoder.network": "filterbank"})
        beside, networks = "of the filterbank", [SpeechEncoder(config), SpeechEncoder(ours)]
    else:
        beside, networks = "without votes", [SpeechEncoder(config), _Unweighted(config)]
    for network in networks:
        network.build((None, samples))
        for name, call in (
            (f"graph, a voice of {_SECONDS.value:g} s", _graph(network, alone)),
            (f"LiteRT float32, a voice of {_SECONDS.value:g} s", _litert(network, alone)),
            (f"graph, {len(batch)} voices of {config.data.window_seconds:g} s", _graph(network, batch)),
            ("the same and its gradient", _gradient(network, batch)),
        ):
            calls.setdefault(name, []).append(call)
    print(f"S | ms | {beside} | ratio\n---|---|---|---")
    for name, pair in calls.items():
        seconds = [[_seconds(call) for call in pair] for _ in range(_ROUNDS.value + 1)]
        this, other = np.median(seconds[1:], axis=0)  # the first compiles
        print(f"{name} | {1e3 * this:.2f} | {1e3 * other:.2f} | {this / other:.2f}", flush=True)


def _graph(network: SpeechEncoder, waveforms: tf.Tensor) -> _Call:
    return tf.function(lambda: network(waveforms, training=False), autograph=False)


def _gradient(network: SpeechEncoder, waveforms: tf.Tensor) -> _Call:
    @tf.function(autograph=False)
    def call() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            embedding = network(waveforms)
            loss = tf.reduce_sum(embedding[:, 0])
        return [g for g in tape.gradient(loss, network.trainable_variables) if g is not None]

    return call


def _litert(network: SpeechEncoder, waveform: tf.Tensor) -> _Call:
    @tf.function(autograph=False, input_signature=[tf.TensorSpec(waveform.shape, tf.float32, name="waveform")])
    def embed_speech(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": network(waveform, training=False)}

    with tempfile.TemporaryDirectory() as scratch:
        saved_model.save({"embed_speech": embed_speech}, [network], os.path.join(scratch, "model"))
        converter = tf.lite.TFLiteConverter.from_saved_model(os.path.join(scratch, "model"))
        interpreter = Interpreter(model_content=converter.convert(), num_threads=1)
    runner, samples = interpreter.get_signature_runner("embed_speech"), waveform.numpy()
    return lambda: runner(waveform=samples)


def _seconds(call: _Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    setting_flags.define()
    command.run(main)
