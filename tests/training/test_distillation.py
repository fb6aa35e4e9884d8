import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.models import trained
from s2f_tf.training import distillation
from s2f_tf.training.distillation import DistillationTrainer
from s2f_tf.training.generation import GenerationTrainer

SETTINGS = config.override(
    config.preset("tiny"),
    {
        "face_encoder.network": "dlib",
        "distillation.steps": 60,
        "distillation.warmup_steps": 0,
        "distillation.learning_rate": 5e-3,
    },
)


def faces(count):
    size = SETTINGS.data.face_size
    return np.random.default_rng(0).uniform(-1, 1, size=(count, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def trained_one(strategies):
    """What the trainer was told at each step on one batch, and the trainer after."""
    keras.utils.set_random_seed(0)
    with strategies[1].scope():
        trainer = DistillationTrainer(SETTINGS)
    before = trainer.teacher.get_weights()
    batch = {"views": tf.constant(faces(8).reshape(4, 2, *faces(1).shape[1:]))}
    step = tf.function(lambda: strategies[1].run(trainer.train_step, args=(batch,)))
    told = [{name: float(value) for name, value in step().items()} for _ in range(SETTINGS.distillation.steps)]
    return told, trainer, before


def test_it_learns_to_say_what_the_teacher_says_of_each_face(trained_one):
    told, trainer, _ = trained_one
    assert told[-1]["loss"] < 0.5 * told[0]["loss"]
    assert told[-1]["cosine"] > 0.9 > told[0]["cosine"]
    seen, said = trainer.student(faces(8)).numpy(), trainer.teacher(faces(8)).numpy()
    assert np.mean(np.sum(seen * said, axis=1)) == pytest.approx(told[-1]["cosine"], abs=0.05)


def test_the_teacher_stays_as_it_is(trained_one):
    _, trainer, before = trained_one
    for one, other in zip(before, trainer.teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_discriminator_begins_as_what_has_learnt(trained_one):
    _, trainer, _ = trained_one
    settings = distillation.learnt_whole(SETTINGS)
    generation = GenerationTrainer(settings)
    generation.start_from(trained.make("speech_encoder", settings), trainer.student)
    projected = generation.discriminator.project(generation.discriminator.features(faces(4))).numpy()
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    np.testing.assert_allclose(projected, trainer.student(faces(4)).numpy(), atol=1e-5)
    np.testing.assert_array_equal(generation.face_encoder(faces(4)), trainer.student(faces(4)))


def test_what_is_learnt_as_a_whole_stays_so():
    assert distillation.learnt_whole(config.preset("tiny")) == config.preset("tiny")
