"""One step on two logical devices is the step on one with the same global batch."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.training.generation import GenerationTrainer
from s2f_tf.training.matching import MatchingTrainer

SETTINGS = config.preset("tiny")


def batch(start, count):
    rng = np.random.default_rng(0)
    size = SETTINGS.data.face_size
    whole = {
        "waveform": rng.normal(size=(8, SETTINGS.window_samples)).astype(np.float32),
        "face": rng.uniform(-1, 1, size=(8, size, size, 3)).astype(np.float32),
        "speaker": np.array([0, 1, 2, 3, 4, 0, 6, 7]),  # a speaker twice, on either side of the cut
        "heard": np.array([True, False, False, True, True, True, False, True]),
    }
    return {name: tf.constant(values[start : start + count]) for name, values in whole.items()}


def with_faces_alone(settings):
    return GenerationTrainer(config.override(settings, {"generation.alone": 0.4}))


def gradients(make, strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        trainer = make(SETTINGS)
    count = 8 // strategy.num_replicas_in_sync
    inputs = strategy.experimental_distribute_values_from_function(
        lambda context: batch(context.replica_id_in_sync_group * count, count)
    )
    *trees, scalars = tf.function(lambda: strategy.run(trainer.gradients, args=(inputs,)), autograph=False)()
    summed = [strategy.reduce("SUM", g, axis=None).numpy() for tree in trees for g in tree]
    return summed, {name: float(strategy.reduce("SUM", value, axis=None)) for name, value in scalars.items()}


@pytest.mark.parametrize("make", [MatchingTrainer, GenerationTrainer, with_faces_alone])
def test_two_devices_give_the_losses_and_gradients_of_one(make, strategies):
    one, scalars_of_one = gradients(make, strategies[1])
    two, scalars_of_two = gradients(make, strategies[2])
    assert scalars_of_two == pytest.approx(scalars_of_one, rel=1e-5)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert sum(np.abs(g).sum() for g in one) > 0.1


@pytest.mark.parametrize("make", [MatchingTrainer, GenerationTrainer, with_faces_alone])
def test_the_step_keeps_two_devices_alike_and_changes_every_weight(make, strategies):
    strategy = strategies[2]
    with strategy.scope():
        trainer = make(SETTINGS)
    before = [v.numpy().copy() for v in trainer.trainable_variables]
    inputs = strategy.experimental_distribute_values_from_function(
        lambda context: batch(context.replica_id_in_sync_group * 4, 4)
    )
    step = functools.partial(strategy.run, trainer.train_step, args=(inputs,))
    step(), step()
    for variable, old in zip(trainer.trainable_variables, before, strict=True):
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first.numpy(), second.numpy())
        assert not np.array_equal(first.numpy(), old), variable.path
