import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.training.generation import GenerationTrainer

SETTINGS = config.preset("tiny")
STEPS = SETTINGS.generation.steps


@pytest.fixture(scope="module")
def trainer():
    return GenerationTrainer(SETTINGS)


def centring(trainer, drawn_mean, spread, variance=1.0):
    """The mean loss of faces drawn about one mean, where the real mean is grey."""
    rng = np.random.default_rng(0)
    size = SETTINGS.data.face_size
    shape = (500, size, size, 3)
    mean = np.full(shape, drawn_mean, np.float32)
    drawn = np.concatenate([mean, mean]) + spread * rng.normal(size=(1000, size, size, 3)).astype(np.float32)
    variances = tf.fill(shape[1:], variance)
    found = trainer.centring_losses(tf.constant(drawn), tf.zeros(shape), tf.constant(mean), variances)
    assert found.shape == (1000,)
    return float(tf.reduce_mean(found))


def test_patches_count_once_the_learning_rate_has_fallen(trainer):
    settled = []
    for step in (0, STEPS // 3, STEPS - 1):
        trainer.generator_optimizer.iterations.assign(step)
        settled.append(float(trainer.settled()))
    assert settled[0] == 0.0
    assert 0.0 < settled[1] < 1.0
    assert settled[2] == 1.0


def test_a_learning_rate_of_zero_is_settled():
    still = config.override(SETTINGS, {"generation.generator_learning_rate": 0.0})
    assert float(GenerationTrainer(still).settled()) == 1.0


@pytest.mark.parametrize("step", [0, STEPS])
def test_centring_asks_nothing_of_how_faces_spread(trainer, step):
    trainer.generator_optimizer.iterations.assign(step)
    astray = centring(trainer, drawn_mean=0.3, spread=0.2)
    assert astray > 0.05
    assert abs(centring(trainer, drawn_mean=0.0, spread=0.2)) < 0.1 * astray
    assert centring(trainer, drawn_mean=0.3, spread=0.6) == pytest.approx(astray, rel=0.1)


def test_a_pixel_weighs_one_over_its_variance(trainer):
    trainer.generator_optimizer.iterations.assign(0)  # patches do not count yet
    assert centring(trainer, drawn_mean=0.3, spread=0.2, variance=0.5) == pytest.approx(0.3**2 / 0.5, rel=0.02)


def test_patches_add_to_what_pixels_say(trainer):
    values = []
    for step in (0, STEPS):
        trainer.generator_optimizer.iterations.assign(step)
        values.append(centring(trainer, drawn_mean=0.3, spread=0.2))
    assert values[1] > 1.5 * values[0]
