"""The stages, one after the other, in a work directory: matching, generation and the judge."""

import dataclasses
import os

import keras
import numpy as np
import soundfile
import tensorflow as tf

from s2f_tf import config as configuration
from s2f_tf.config import SAMPLE_RATE, Config, ConfigError
from s2f_tf.data import png, reader
from s2f_tf.evaluation import figures
from s2f_tf.models import trained
from s2f_tf.training import loop
from s2f_tf.training.generation import GenerationTrainer
from s2f_tf.training.matching import MatchingTrainer

JUDGE_SEED_OFFSET = 1_000_003


def claim(workdir: str, config: Config) -> None:
    """Makes a work directory that of `config`. Raises `ConfigError` where it is another's, naming what differs."""
    if not os.path.exists(os.path.join(workdir, "config.json")):
        configuration.save(config, workdir)
        return
    differences = configuration.differences(configuration.load(workdir), config)
    if differences:
        listed = "; ".join(
            f"{name} is {there!r} there and {here!r} here" for name, (there, here) in differences.items()
        )
        raise ConfigError(f"{workdir} holds a run with another config: {listed}. Choose another --workdir.")


def train(config: Config, corpus: reader.Corpus, workdir: str) -> None:
    """Trains every stage that is not finished, and leaves weights, logs and pictures in `workdir`.

    Raises what `loop.Loop.run` raises, `ConfigError` and `CorpusError`.
    """
    claim(workdir, config)
    for stage in (config.matching, config.generation):
        corpus.require("train", stage.batch_size)
    for split in ("validation", "test"):
        corpus.split(split)  # wanted for pictures and figures: an empty one shall be refused now, not at the end
    keras.config.set_dtype_policy(config.precision)
    strategy = loop.choose_strategy()
    train_matching(config, corpus, workdir, strategy)
    train_generation(config, corpus, workdir, strategy)
    train_judge(config, corpus, workdir, strategy)
    if loop.place(strategy)[0] == 0:
        print(f"held-out speakers, true and drawn: {picture_held_out(config, corpus, workdir)}", flush=True)


def train_matching(config: Config, corpus: reader.Corpus, workdir: str, strategy: tf.distribute.Strategy) -> None:
    """The first stage: leaves the speech and the face encoder."""
    _match(config, corpus, workdir, strategy, stage="matching", prefix="")


def train_judge(config: Config, corpus: reader.Corpus, workdir: str, strategy: tf.distribute.Strategy) -> None:
    """Matching once more from another seed: leaves the judge of generated faces, which evaluation alone uses."""
    seeded = dataclasses.replace(config, seed=(config.seed + JUDGE_SEED_OFFSET) % 2**31)
    _match(seeded, corpus, workdir, strategy, stage="judge", prefix="judge_")


def train_generation(config: Config, corpus: reader.Corpus, workdir: str, strategy: tf.distribute.Strategy) -> None:
    """The second stage: leaves the generator, and pictures of it as it learns."""
    if os.path.exists(trained.path_of("generator", workdir)):
        return
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        trainer = GenerationTrainer(config)
        encoders = (trained.load_network(name, workdir) for name in ("speech_encoder", "face_encoder"))
        trainer.start_from(*encoders)
    examples = figures.held_out_examples(trainer.speech_encoder, corpus, "validation", config)
    pictures = os.path.join(workdir, "pictures")

    def picture(step: int) -> np.ndarray:
        grid = figures.held_out_grid(trainer.averaged_generator(config), examples)
        figures.save_png(grid, os.path.join(pictures, f"step-{step:06d}.png"))
        return grid

    loop.Loop(
        strategy=strategy,
        trainer=trainer,
        corpus=corpus,
        config=config,
        batch_size=config.generation.batch_size,
        steps=config.generation.steps,
        folder=os.path.join(workdir, "generation"),
        picture=picture,
    ).run()
    if loop.place(strategy)[0] == 0:
        trained.save_weights("generator", trainer.averaged_generator(config), workdir)


def picture_held_out(config: Config, corpus: reader.Corpus, workdir: str) -> str:
    """Draws speakers of the test split from their voices, beside their true faces. Returns the picture's path.

    Beside it lie the voices, `held_out-1.wav` for the first row and so on, to be listened to.
    """
    speech_encoder, generator = (trained.load_network(name, workdir) for name in ("speech_encoder", "generator"))
    examples = figures.held_out_examples(speech_encoder, corpus, "test", config)
    path = os.path.join(workdir, "pictures", "held_out.png")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    figures.held_out_figure(generator, examples).savefig(path + ".part", format="png", metadata=png.TEXT)
    os.replace(path + ".part", path)
    for row, waveform in enumerate(examples.waveforms, 1):
        soundfile.write(path.replace(".png", f"-{row}.wav"), waveform, SAMPLE_RATE, subtype="PCM_16")
    return path


def _match(
    config: Config, corpus: reader.Corpus, workdir: str, strategy: tf.distribute.Strategy, *, stage: str, prefix: str
) -> None:
    if os.path.exists(trained.path_of(f"{prefix}face_encoder", workdir)):
        return
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        trainer = MatchingTrainer(config, name=stage)
    loop.Loop(
        strategy=strategy,
        trainer=trainer,
        corpus=corpus,
        config=config,
        batch_size=config.matching.batch_size,
        steps=config.matching.steps,
        folder=os.path.join(workdir, stage),
    ).run()
    if loop.place(strategy)[0] == 0:
        trained.save_weights(f"{prefix}speech_encoder", trainer.speech_encoder, workdir)
        trained.save_weights(f"{prefix}face_encoder", trainer.face_encoder, workdir)
