"""`python -m benchmarks.training`: what a step of either stage costs by the size of a face, and reading beside it.

Prints, for the networks of a preset at three sizes of face, the time of a step, its floating-point operations and the
share of what the processor does at best in a product of large matrices; what it costs to lead a batch of voices through
rooms, noises and lines, which reading does beside the step; and how many examples a second `tf.data` makes, beside the
decoders alone. Sizes take turns, so that whatever else the machine does meets all of them. Generation's step is the
mean over a whole turn of the gradient penalty; `--generation.alone` puts a second beside it, with faces without voices.
`--threads=2 --threads_each=1` is what `s2f_tf.train` has on two cores.

Last come steps with one batch again and again, with what is read beside, and with voices that meet no rooms, noises and
lines. `--layers` prints, instead of all this, every convolution of a step.
"""

import dataclasses
import itertools
import os
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import layers, training_step
from s2f_tf import command, setting_flags
from s2f_tf import config as configuration
from s2f_tf.config import Config
from s2f_tf.data import audio, channel, clip, face, reader, synthetic
from s2f_tf.training.generation import GenerationTrainer
from s2f_tf.training.matching import MatchingTrainer

_PRESET = flags.DEFINE_string("preset", "demo", f"settings: {', '.join(sorted(configuration.PRESETS))}")
_SIZES = flags.DEFINE_multi_integer("sizes", [48, 64, 128], "of faces, in pixels")
_THREADS = flags.DEFINE_integer("threads", 1, "how many operations may run at once", lower_bound=1)
_EACH = flags.DEFINE_integer("threads_each", 1, "how many threads an operation may use", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "turns of each stage and size, of which the median counts", lower_bound=1)

_LAYERS = flags.DEFINE_bool("layers", False, "print the convolutions of a step instead, of the first of --sizes")

_MATRIX = 2048
_CLIPS = 512
_CLEAN = {"data.channel": 0.0, "data.noise_db": channel.NO_NOISE_DB}
_TURN = 8  # steps of matching, and as many of generation for each, beside reading


@dataclasses.dataclass(frozen=True)
class _Step:
    """A compiled step: how many calls make a turn, and the operations of one call, in the mean over a turn."""

    call: Callable[[], object]
    calls: int
    operations: float


def main() -> None:
    """Prints the tables."""
    report = layers.Report() if _LAYERS.value else None
    tf.config.threading.set_intra_op_parallelism_threads(_EACH.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    base = setting_flags.override(_PRESET.value)
    steps = {}
    for size in _SIZES.value[:1] if report else _SIZES.value:
        config = configuration.override(base, {"data.face_size": size})
        steps[f"matching, {size} px"] = _step(MatchingTrainer(config), config, config.matching.batch_size, 1)
        every = config.generation.penalty_every
        for share in dict.fromkeys((0.0, config.generation.alone)):
            mixed = configuration.override(config, {"generation.alone": share})
            name = f"generation, {size} px" + (f", {share:g} of it faces alone" if share else "")
            steps[name] = _step(GenerationTrainer(mixed), mixed, mixed.generation.batch_size, every)
    if not report:
        steps["what matching's voices meet"] = _channel(base, base.matching.batch_size)
    a = tf.random.normal((_MATRIX, _MATRIX))
    steps["product"] = _Step(tf.function(lambda: a @ a), 1, 2.0 * _MATRIX**3)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_ROUNDS.value + 1):
        for name, step in steps.items():
            seconds[name].append(_timed(step.call, step.calls))
    took = {name: float(np.median(values[1:])) for name, values in seconds.items()}  # the first compiles
    product = steps.pop("product")
    peak = _THREADS.value * product.operations / min(seconds["product"]) / _EACH.value
    out = report.out if report else None
    print(f"{_THREADS.value} threads, {peak / 1e9:.0f} GFLOP/s in a product of matrices\n", file=out, flush=True)
    if report:
        for name, step in steps.items():
            count = -(-_TURN // step.calls) * step.calls
            print(
                layers.table(report, name, step.call, count, 1e3 * took[name], peak), end="\n\n", file=out, flush=True
            )
        return
    print("step | ms | GFLOP | share of that rate\n---|---|---|---", flush=True)
    for name, step in steps.items():
        share = step.operations / took[name] / peak
        print(f"{name} | {1e3 * took[name]:.0f} | {step.operations / 1e9:.1f} | {share:.2f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _print_reading(base, folder)
        _print_beside_reading(base, reader.Corpus(os.path.join(folder, "wav")))


def _timed(call: Callable[[], object], calls: int) -> float:
    """Seconds of one of some calls, in the mean."""
    start = time.perf_counter()
    for _ in range(calls):
        result = call()
    tf.nest.map_structure(lambda x: x.numpy(), result)
    return (time.perf_counter() - start) / calls


def _step(trainer: MatchingTrainer | GenerationTrainer, config: Config, count: int, calls: int) -> _Step:
    batch = training_step.batch(config, count)
    function = training_step.compiled(trainer, batch)
    of_penalty = 0.0
    if isinstance(trainer, GenerationTrainer):
        penalty = tf.function(lambda: trainer.penalty(batch["face"], tf.zeros((count, config.embedding_size)), 1.0))
        of_penalty = _operations(penalty)
    # The graph holds the penalty once, whichever step it is of.
    return _Step(function, calls, _operations(function) - of_penalty * (1 - 1 / calls))


def _channel(config: Config, count: int) -> _Step:
    waveforms = training_step.batch(config, count)["waveform"]

    draws = tf.stack([channel.draws(tf.constant([0, i])) for i in range(count)])
    function = tf.function(lambda: channel.augment(waveforms, draws, config.data), autograph=False)
    return _Step(function, 1, _operations(function))


def _operations(function: Callable) -> float:
    """Additions and multiplications of a graph, as TensorFlow counts them."""
    graph = function.get_concrete_function().graph
    option = tf.compat.v1.profiler.ProfileOptionBuilder
    options = option(option.float_operation()).with_empty_output().build()
    return float(tf.compat.v1.profiler.profile(graph, options=options).total_float_ops)


def _print_reading(config: Config, folder: str) -> None:
    print("\nreading | examples a second | decoders alone | share\n---|---|---|---")
    speakers = dataclasses.replace(config.synthetic, speakers=_CLIPS, clips_per_speaker=1)
    features = {"audio/encoded": tf.io.FixedLenFeature([], tf.string), "face/encoded": tf.io.RaggedFeature(tf.string)}
    for audio_format in ("wav", "flac") if audio.flac_available() else ("wav",):
        path = os.path.join(folder, audio_format)
        synthetic.write_corpus(speakers, config.data.face_size, config.seed, path, audio_format)

        def decode(record: tf.Tensor, audio_format: str = audio_format) -> tuple[tf.Tensor, tf.Tensor]:
            found = tf.io.parse_single_example(record, features)
            return (
                tf.size(audio.decode_sound(found["audio/encoded"], audio_format)),
                face.decode_face(found["face/encoded"][0], config.data.face_size),
            )

        records = list(tf.data.TFRecordDataset(clip.shards(path, "train")))
        decoders = tf.data.Dataset.from_tensor_slices(records).repeat().map(decode, tf.data.AUTOTUNE)
        batch_size = config.matching.batch_size
        decoders = decoders.batch(batch_size)
        examples = reader.batches(reader.Corpus(path), "train", config.data, batch_size=batch_size, seed=config.seed)
        rates: list[list[float]] = [[], []]
        iterators = iter(examples), iter(decoders)
        for _ in range(_ROUNDS.value + 1):
            for rate, iterator in zip(rates, iterators, strict=True):
                start = time.perf_counter()
                for _ in range(_CLIPS // batch_size):
                    next(iterator)
                rate.append(_CLIPS // batch_size * batch_size / (time.perf_counter() - start))
        ours, bare = (float(np.median(rate[1:])) for rate in rates)
        print(f"{audio_format} | {ours:.0f} | {bare:.0f} | {ours / bare:.2f}")


def _print_beside_reading(config: Config, corpus: reader.Corpus) -> None:
    print("\nms a step | of one batch | reading | without rooms, noises and lines\n---|---|---|---")
    without = configuration.override(config, _CLEAN).data
    for trainer, stage in (
        (MatchingTrainer(config), config.matching),
        (GenerationTrainer(config), config.generation),
    ):
        size = stage.batch_size
        if stage is config.generation and stage.alone:
            corpus = reader.Mixed(corpus, [corpus], stage.alone)
        one = next(iter(reader.batches(corpus, "train", config.data, batch_size=size, seed=config.seed)))
        batches = [itertools.repeat(one)]
        for data in (config.data, without):
            batches.append(iter(reader.batches(corpus, "train", data, batch_size=size, seed=config.seed)))
        step = tf.function(trainer.train_step, autograph=False)
        count = _TURN * config.matching.batch_size // size
        turns = [
            [_timed(lambda step=step, b=b: step(next(b)), count) for b in batches] for _ in range(_ROUNDS.value + 1)
        ]
        print(" | ".join((trainer.name, *(f"{1e3 * took:.1f}" for took in np.median(turns[1:], axis=0)))), flush=True)


if __name__ == "__main__":
    setting_flags.define()
    command.run(main)
