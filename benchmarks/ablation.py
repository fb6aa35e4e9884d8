"""`python -m benchmarks.ablation`: what each term of generation's objective is worth on synthetic speakers.

Trains a preset whole and without each term, from two seeds; matching and the judge are trained once a seed. Prints a
row each: figures are means over the seeds, then those of each seed. It takes hours, and goes on where it was stopped.
"""

import os
import shutil
import time

import keras
import numpy as np
from absl import flags

from benchmarks import training_step
from s2f_tf import command, setting_flags
from s2f_tf import config as configuration
from s2f_tf.config import Config
from s2f_tf.data import reader, synthetic
from s2f_tf.evaluation import results, summary
from s2f_tf.evaluation.run import Run
from s2f_tf.models import trained
from s2f_tf.training import stages
from s2f_tf.training.generation import GenerationTrainer

_OUTPUT = flags.DEFINE_string("output", "runs/ablation", "folder for the runs")
_PRESET = flags.DEFINE_string("preset", "demo", f"settings: {', '.join(sorted(configuration.PRESETS))}")
_SEEDS = flags.DEFINE_integer("seeds", 2, "how many, from --seed upwards", lower_bound=1)
_WITHOUT = flags.DEFINE_multi_string(
    "without", ["consistency", "diversity"], "terms that are left out, joined by + for several"
)

_ROUNDS = 5  # of timed steps
_COLUMNS = ("judge, K = 10, %", "mean R² of what is heard", "Fréchet distance", "z's share of what is not heard")


def main() -> None:
    """Prints a table."""
    base = setting_flags.override(_PRESET.value)
    print(" | ".join(("without", *_COLUMNS, "ms a step")))
    print("|".join(["---"] * (len(_COLUMNS) + 2)))
    variants = {}
    for without in ("", *_WITHOUT.value):
        weights = {f"generation.{name}": 0.0 for name in without.split("+") if name}
        variants[without] = configuration.override(base, weights)
    for (without, config), step in zip(variants.items(), _seconds_a_step(list(variants.values())), strict=True):
        measured = []
        for seed in range(base.seed, base.seed + _SEEDS.value):
            folder = os.path.join(_OUTPUT.value, f"seed-{seed}")
            measured.append(_measure(configuration.override(config, {"seed": seed}), folder, without))
        cells = [
            f"{np.mean(values):.3g} ({', '.join(f'{v:.3g}' for v in values)})" for values in zip(*measured, strict=True)
        ]
        print(" | ".join((without or "nothing", *cells, f"{1e3 * step:.0f}")), flush=True)


def _measure(config: Config, folder: str, without: str) -> tuple[float, ...]:
    """Trains what is not trained yet, and returns a number for each of `_COLUMNS`."""
    whole = os.path.join(folder, "whole")
    workdir = os.path.join(folder, f"without-{without}") if without else whole
    stages.claim(workdir, config)
    corpus_folder = os.path.join(whole, "corpus")
    synthetic.write_corpus(config.synthetic, config.data.face_size, config.seed, corpus_folder, "wav")
    corpus = reader.Corpus(corpus_folder)
    evaluation = os.path.join(workdir, "evaluation")
    if not os.path.exists(os.path.join(evaluation, "metrics.json")):
        keras.backend.clear_session()
        if without:
            os.makedirs(os.path.join(workdir, "weights"), exist_ok=True)
            for name in stages.ENCODERS:
                shutil.copy(trained.path_of(name, whole), trained.path_of(name, workdir))
        stages.train(config, corpus, workdir)
        results.save(summary.measure(Run(workdir), corpus, "test").figures, evaluation)
    found, _ = results.load(evaluation)
    heard = {name.split(".")[1]: value for name, value in found.items() if name.endswith(".heard")}
    factors = {part: [f for f, is_heard in heard.items() if is_heard == part] for part in (True, False)}
    return (
        100 * found["generation.judge.voice_to_generated.accuracy_k10.value"],
        float(np.mean([found[f"disentanglement.{f}.r_squared_generated.value"] for f in factors[True]])),
        found["generation.distribution.frechet_judge.generated.value"],
        float(np.mean([found[f"disentanglement.{f}.due_to_z.value"] for f in factors[False]])),
    )


def _seconds_a_step(configs: list[Config]) -> list[float]:
    """Of each: the mean over a whole turn of the gradient penalty. They take turns, of which the median counts."""
    steps = [
        training_step.compiled(GenerationTrainer(c), training_step.batch(c, c.generation.batch_size)) for c in configs
    ]
    seconds: list[list[float]] = [[] for _ in configs]
    for _ in range(_ROUNDS + 1):
        for config, step, of_step in zip(configs, steps, seconds, strict=True):
            start = time.perf_counter()
            for _ in range(config.generation.penalty_every):
                step()
            of_step.append((time.perf_counter() - start) / config.generation.penalty_every)
    keras.backend.clear_session()
    return [float(np.median(of_step[1:])) for of_step in seconds]  # the first compiles


if __name__ == "__main__":
    setting_flags.define()
    command.run(main)
