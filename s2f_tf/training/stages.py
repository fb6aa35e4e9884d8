"""The stages, one after the other, in a work directory: pretraining, matching, generation and the judge."""

import dataclasses
import functools
import os
from collections.abc import Sequence

import keras
import numpy as np
import soundfile
import tensorflow as tf

from s2f_tf import config as configuration
from s2f_tf import pictures
from s2f_tf.aside import written_aside
from s2f_tf.config import SAMPLE_RATE, Config, ConfigError
from s2f_tf.data import png, reader
from s2f_tf.data.clip import CorpusError, Kind
from s2f_tf.models import trained
from s2f_tf.training import curves, loop, precision, validation
from s2f_tf.training.generation import GenerationTrainer
from s2f_tf.training.matching import MatchingTrainer
from s2f_tf.training.pretraining import HALVES, PretrainingTrainer

JUDGE_SEED_OFFSET = 1_000_003
PRETRAINING_LINE = {"loss": "loss", "agreement": "agreement", "taught": "taught"}
# What of the log is shown while a stage runs, by the short names there: docs/training.md says what each is.
MATCHING_LINE = {"loss": "loss", "validation_k2": "2-way"}
MATCHING_TABLE = {
    "loss": "loss",
    "validation_loss": "held out",
    "validation_voice_to_face_k2": "1 of 2 faces",
    "validation_voice_to_face_k10": "of 10",
    "validation_face_to_voice_k2": "1 of 2 voices",
    "validation_face_to_voice_k10": "of 10",
    "best_step": "best",
}
GENERATION_LINE = {"validation_judge_voice_to_drawn_k10": "judge", "consistency": "consistency"}
GENERATION_TABLE = {
    "discriminator_loss": "D loss",
    "generator_loss": "G loss",
    "validation_frechet": "Fréchet",
    "validation_voice_to_drawn_k2": "F: 1 of 2",
    "validation_voice_to_drawn_k10": "of 10",
    "validation_judge_voice_to_drawn_k2": "judge: 1 of 2",
    "validation_judge_voice_to_drawn_k10": "of 10",
}
ENCODERS = ("speech_encoder", "face_encoder", "judge_speech_encoder", "judge_face_encoder")


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
        raise ConfigError(f"{workdir} holds a run with another config: {listed}. Choose another folder.")


@dataclasses.dataclass(frozen=True)
class Alone:
    """What is learnt from beside pairs: faces, and voices, each with or without the other.

    Attributes:
        faces: corpora in which there are faces.
        voices: corpora in which there are sounds.
    """

    faces: Sequence[reader.Corpus] = ()
    voices: Sequence[reader.Corpus] = ()

    @classmethod
    def of(cls, config: Config, faces: Sequence[str], voices: Sequence[str]) -> "Alone":
        """Of folders. Raises `CorpusError` where one lacks what is to be learnt from it, and as `require_use` does."""
        alone = cls(
            faces=[reader.Corpus(folder, Kind.STILLS) for folder in faces],
            voices=[reader.Corpus(folder, Kind.SOUNDS) for folder in voices],
        )
        alone.require_use(config)
        return alone

    def require_use(self, config: Config) -> None:
        """Raises `ConfigError` where what is given is not used, or what is used is not given."""
        unused = "by which nothing would be learnt from it"
        if self.voices and not config.pretraining.voice_steps:
            raise ConfigError(f"--voices is given, and pretraining.voice_steps is 0, {unused}: set it, to 600 or so")
        if self.faces and not (config.pretraining.face_steps or config.generation.alone):
            raise ConfigError(
                f"--faces is given, and pretraining.face_steps is 0, as generation.alone is, {unused}: "
                "set the one to 600 or so, or the other to 0.5 or so"
            )
        if config.generation.alone and not self.faces:
            raise ConfigError(f"generation.alone is {config.generation.alone}, and there are no faces: give --faces")


def drawn_from(config: Config, corpus: reader.Corpus, alone: Alone) -> reader.Corpus:
    """All that generation learns from: the pairs, and faces alone where `generation.alone` says so."""
    share = config.generation.alone
    return reader.Mixed(corpus, alone.faces, share) if share else corpus


def require_teachers(config: Config, teachers: str | None) -> None:
    """Raises `ConfigError` or `WeightsError` where a teacher's network that S or F is made of is not in a folder."""
    if config.teachers and teachers is None:
        listed = " and ".join(f"{name}.network={network}" for name, network in config.teachers.items())
        raise ConfigError(f"{listed} takes --networks=FOLDER: `python -m pipelines.networks --output=FOLDER` makes it")
    if teachers is not None and not config.teachers:
        raise ConfigError(
            "--networks is given, and no setting asks for one: --speech_encoder.network=resemblyzer and "
            "--face_encoder.network=dlib do"
        )
    if loop.may_compute():
        for name in config.teachers:
            trained.make(name, config, teachers)


def train(
    config: Config, corpus: reader.Corpus, workdir: str, alone: Alone = Alone(), teachers: str | None = None
) -> None:
    """Trains every stage that is not finished, and leaves weights, logs and pictures in `workdir`.

    Args:
        config: the run's settings.
        corpus: of pairs.
        workdir: where all of it goes.
        alone: what else there is, for pretraining, which learns from the pairs' halves, too, and for generation.
        teachers: folder of teachers' networks, where S or F is made of one.

    Raises what `loop.Loop.run` raises, `ConfigError`, `CorpusError` and `WeightsError`.
    """
    precision.use(config.precision)
    alone.require_use(config)
    require_teachers(config, teachers)
    claim(workdir, config)
    for stage, learnt in ((config.matching, corpus), (config.generation, drawn_from(config, corpus, alone))):
        learnt.require("train", stage.batch_size)
        reader.require_face_size(learnt, config.data.face_size)
    for half in HALVES:
        if _pretraining_steps(config, half):
            learnt = _halves(corpus, alone, half)
            learnt.require("train", config.pretraining.batch_size)
            if config.pretraining.teacher and "teachers" not in learnt.description:
                raise ConfigError(
                    f"pretraining.teacher is {config.pretraining.teacher}, and no teacher was asked about all of "
                    f"{learnt.folder}: `python -m pipelines.teach --corpus=...` asks, or set it to 0"
                )
    if config.start_from and loop.may_compute():  # is it whole?
        for name in ENCODERS:
            trained.load_network(name, _origin(config))
    strategy = loop.choose_strategy()
    clips = validation.load(corpus, config)
    train_matching(config, corpus, workdir, strategy, clips, alone, teachers)
    train_judge(config, corpus, workdir, strategy, clips, alone, teachers)
    train_generation(config, corpus, workdir, strategy, clips, alone)
    if loop.place(strategy)[0] == 0:
        picture_held_out(config, corpus, workdir)


def train_matching(
    config: Config,
    corpus: reader.Corpus,
    workdir: str,
    strategy: tf.distribute.Strategy,
    clips: validation.HeldOutClips | None,
    alone: Alone = Alone(),
    teachers: str | None = None,
) -> None:
    """The first stage: leaves the speech and the face encoder."""
    _match(config, corpus, workdir, strategy, clips, alone, teachers, stage="matching", prefix="")


def train_judge(
    config: Config,
    corpus: reader.Corpus,
    workdir: str,
    strategy: tf.distribute.Strategy,
    clips: validation.HeldOutClips | None,
    alone: Alone = Alone(),
    teachers: str | None = None,
) -> None:
    """Matching once more from another seed: leaves the judge of generated faces, from which nothing learns."""
    matching = dataclasses.replace(config.matching, steps=config.matching.judge_steps or config.matching.steps)
    seed = (config.seed + JUDGE_SEED_OFFSET) % 2**31
    judge = dataclasses.replace(config, seed=seed, matching=matching)
    _match(judge, corpus, workdir, strategy, clips, alone, teachers, stage="judge", prefix="judge_")


def train_generation(
    config: Config,
    corpus: reader.Corpus,
    workdir: str,
    strategy: tf.distribute.Strategy,
    clips: validation.HeldOutClips | None,
    alone: Alone = Alone(),
) -> None:
    """The second stage: leaves the generator, and pictures of it as it learns."""
    if os.path.exists(trained.path_of("generator", workdir)):
        return
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        trainer = GenerationTrainer(config)
        encoders = [trained.load_network(name, workdir) for name in ("speech_encoder", "face_encoder")]
        trainer.start_from(*encoders)
    generator = trained.make("generator", config)
    examples = pictures.held_out_examples(encoders[0], corpus, "validation", config) if clips else None
    judged = os.path.exists(trained.path_of("judge_face_encoder", workdir))

    def picture(step: int) -> np.ndarray:
        generator.set_weights([variable.numpy() for variable in trainer.result()])
        grid = pictures.held_out_grid(generator, examples)
        pictures.save_png(grid, os.path.join(workdir, "pictures", f"step-{step:06d}.png"))
        return grid

    # Or the generator would learn to draw whatever is done to them.
    faces_as_they_are = dataclasses.replace(config.data, colour_jitter=0.0, shift=0.0, erase=0.0)
    values = loop.Loop(
        strategy=strategy,
        trainer=trainer,
        corpus=drawn_from(config, corpus, alone),
        config=dataclasses.replace(config, data=faces_as_they_are),
        batch_size=config.generation.batch_size,
        steps=config.generation.steps,
        folder=os.path.join(workdir, "generation"),
        picture=picture if clips else None,
        validate=validation.GenerationValidation(config, clips, workdir, judged=judged) if clips else None,
        line=GENERATION_LINE,
        table=GENERATION_TABLE,
    ).run()
    if loop.place(strategy)[0] == 0:
        generator.set_weights(values)
        trained.save_weights("generator", generator, workdir)
        curves.save(workdir, "generation")


def picture_held_out(config: Config, corpus: reader.Corpus, workdir: str) -> None:
    """Draws speakers of the test split from their voices, beside their true faces, and says where the picture is.

    Beside it lie the voices, `held_out-1.wav` for the first row and so on, to be listened to.
    """
    speech_encoder, generator = (trained.load_network(name, workdir) for name in ("speech_encoder", "generator"))
    try:
        examples = pictures.held_out_examples(speech_encoder, corpus, "test", config)
    except CorpusError as error:
        print(f"no picture of held-out speakers: {error}", flush=True)
        return
    path = os.path.join(workdir, "pictures", "held_out.png")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with written_aside(path) as part:
        pictures.held_out_picture(generator, examples).savefig(part, format="png", metadata=png.TEXT)
    for row, waveform in enumerate(examples.waveforms, 1):
        soundfile.write(path.replace(".png", f"-{row}.wav"), waveform, SAMPLE_RATE, subtype="PCM_16")
    print(f"held-out speakers, true and drawn: {path}", flush=True)


def _match(
    config: Config,
    corpus: reader.Corpus,
    workdir: str,
    strategy: tf.distribute.Strategy,
    clips: validation.HeldOutClips | None,
    alone: Alone,
    teachers: str | None,
    *,
    stage: str,
    prefix: str,
) -> None:
    if os.path.exists(trained.path_of(f"{prefix}face_encoder", workdir)):
        return
    # The judge's, too, begin from another seed: a stranger from the first step on.
    pretrained = [_pretrain(config, corpus, workdir, strategy, alone, half, prefix) for half in HALVES]
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        trainer = MatchingTrainer(config, stage, teachers)
        if config.start_from:
            trainer.start_from(_origin(config), prefix)
        for network, learnt in zip((trainer.speech_encoder, trainer.face_encoder), pretrained, strict=True):
            if learnt:
                trainer.take(network, learnt, "pretraining")
    values = loop.Loop(
        strategy=strategy,
        trainer=trainer,
        corpus=corpus,
        config=config,
        batch_size=config.matching.batch_size,
        steps=config.matching.steps,
        folder=os.path.join(workdir, stage),
        validate=validation.MatchingValidation(config, clips, teachers) if clips else None,
        best_by="k2" if clips else None,
        line=MATCHING_LINE,
        table=MATCHING_TABLE,
    ).run()
    if loop.place(strategy)[0] == 0:
        for name in ("speech_encoder", "face_encoder"):  # in the order of `MatchingTrainer.result`
            network = trained.make(name, config, teachers)
            learnt = network.trainable_variables
            for variable, value in zip(learnt, values[: len(learnt)], strict=True):
                variable.assign(value)
            trained.save_weights(f"{prefix}{name}", network, workdir)
            values = values[len(learnt) :]
        curves.save(workdir, stage)


def _pretrain(
    config: Config,
    corpus: reader.Corpus,
    workdir: str,
    strategy: tf.distribute.Strategy,
    alone: Alone,
    half: str,
    prefix: str,
) -> keras.Model | None:
    """S, or F, as pretraining leaves it; None where there is none."""
    settings, steps = config.pretraining, _pretraining_steps(config, half)
    if not steps:
        return None
    keras.utils.set_random_seed(config.seed)
    stage = f"{prefix}pretraining_{half}"
    with strategy.scope():
        trainer = PretrainingTrainer(config, half, steps, stage)
    data = dataclasses.replace(
        config.data,
        channel=settings.channel,
        noise_db=settings.noise_db,
        noise_fall_db=settings.noise_fall_db,
        babble=settings.babble,
    )
    values = loop.Loop(
        strategy=strategy,
        trainer=trainer,
        corpus=_halves(corpus, alone, half),
        config=dataclasses.replace(config, data=data),
        batch_size=settings.batch_size,
        steps=steps,
        folder=os.path.join(workdir, stage),
        line=PRETRAINING_LINE,
        read=functools.partial(reader.views, half=half, taught=settings.teacher > 0),
    ).run()
    for variable, value in zip(trainer.network.trainable_variables, values, strict=True):
        variable.assign(value)
    if loop.place(strategy)[0] == 0:
        curves.save(workdir, stage)
    return trainer.network


def _pretraining_steps(config: Config, half: str) -> int:
    return {"waveform": config.pretraining.voice_steps, "face": config.pretraining.face_steps}[half]


def _halves(corpus: reader.Corpus, alone: Alone, half: str) -> reader.Corpora:
    """All that pretraining learns a half from."""
    return reader.Corpora([corpus, *(alone.voices if half == "waveform" else alone.faces)])


def _origin(config: Config) -> str:
    """The work directory whose weights matching starts from."""
    return trained.SHIPPED if config.start_from == "demo" else config.start_from
