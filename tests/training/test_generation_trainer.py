import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.training.generation import GenerationTrainer

TERMS = ("consistency", "diversity")


@pytest.fixture(scope="module")
def step():
    """The names of what a step computes, its operations and its variables, with some settings."""
    rng = np.random.default_rng(0)

    def make(**settings):
        changed = config.override(config.preset("tiny"), {f"generation.{k}": v for k, v in settings.items()})
        size = changed.data.face_size
        batch = {
            "waveform": tf.constant(rng.normal(size=(4, changed.window_samples)), tf.float32),
            "face": tf.constant(rng.uniform(-1, 1, size=(4, size, size, 3)), tf.float32),
            "speaker": tf.range(4, dtype=tf.int64),
        }
        trainer = GenerationTrainer(changed)
        graph = tf.function(lambda: trainer.gradients(batch), autograph=False).get_concrete_function()
        return set(graph.structured_outputs[-1]), len(graph.graph.get_operations()), len(trainer.variables)

    return make


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_weight_zero_is_neither_built_nor_computed(step, term):
    names, operations, variables = step()
    fewer_names, fewer_operations, fewer_variables = step(**{term: 0.0})
    assert names - fewer_names == {term}
    assert fewer_operations < operations
    assert (fewer_variables < variables) == (term == "consistency")  # the frozen face encoder


def test_without_terms_there_is_the_objective_of_the_paper(step):
    names, operations, variables = step(**dict.fromkeys(TERMS, 0.0))
    assert names == {
        "discriminator_loss",
        "generator_loss",
        "gradient_penalty",
        "real_above_generated",
        "matched_above_mismatched",
    }
    # How far apart faces shall be is asked by the term alone.
    assert (names, operations, variables) == step(**dict.fromkeys(TERMS, 0.0), diversity_distance=0.1)


def test_the_distance_of_two_faces_is_read_off_the_batch():
    trainer = GenerationTrainer(config.preset("tiny"))
    faces = np.random.default_rng(0).normal(size=(2000, 4, 4, 3)).astype(np.float32)
    assert float(trainer.distance(faces)) == pytest.approx(np.abs(faces[:1000] - faces[1000:]).mean(), rel=0.02)


def make_batch(settings, heard):
    rng = np.random.default_rng(0)
    count, size = len(heard), settings.data.face_size
    return {
        "waveform": tf.constant(rng.normal(size=(count, settings.window_samples)), tf.float32),
        "face": tf.constant(rng.uniform(-1, 1, size=(count, size, size, 3)), tf.float32),
        "speaker": tf.range(count, dtype=tf.int64),
        "heard": tf.constant(heard),
    }


def make_trainer(**settings):
    keras.utils.set_random_seed(1)
    return GenerationTrainer(
        config.override(config.preset("tiny"), {f"generation.{k}": v for k, v in settings.items()})
    )


def test_where_every_face_has_a_voice_the_step_is_that_without_faces_alone():
    found = []
    for share in (0.0, 0.5):
        trainer = make_trainer(alone=share)
        batch = make_batch(config.preset("tiny"), [True] * 4)
        found.append(tf.nest.flatten(tf.function(lambda t=trainer, b=batch: t.gradients(b), autograph=False)()))
    for without, mixed in zip(*found, strict=True):
        np.testing.assert_array_equal(without, mixed)


HEARD = [True, False, False, True, True, False]


def test_what_f_says_of_a_face_stands_in_for_a_voice_that_is_not_there():
    trainer = make_trainer(alone=0.5, alone_noise=0.0)
    batch = make_batch(config.preset("tiny"), HEARD)
    pairs = trainer.pair(batch, tf.constant(3))
    expected = np.where(
        np.array(HEARD)[:, None], trainer.speech_encoder(batch["waveform"]), trainer.face_encoder(batch["face"])
    )
    np.testing.assert_allclose(pairs["voice"], expected, atol=1e-6)
    np.testing.assert_array_equal(pairs["voices"], pairs["voice"])
    # The next of the same kind.
    np.testing.assert_array_equal(pairs["other_voice"], pairs["voice"].numpy()[[3, 2, 5, 4, 0, 1]])
    assert pairs["differs"].numpy().tolist() == [1.0] * 6


def test_a_face_that_is_the_only_one_of_its_kind_is_compared_with_no_other():
    trainer = make_trainer(alone=0.5)
    pairs = trainer.pair(make_batch(config.preset("tiny"), [True, False, True, True]), tf.constant(0))
    assert pairs["differs"].numpy().tolist() == [1.0, 0.0, 1.0, 1.0]


def test_noise_is_around_what_f_says_alone_and_another_in_each_step():
    heard = np.array(HEARD)
    batch = make_batch(config.preset("tiny"), HEARD)
    trainer, clean = make_trainer(alone=0.5, alone_noise=0.5), make_trainer(alone=0.5, alone_noise=0.0)
    said = clean.pair(batch, tf.constant(0))["voice"].numpy()
    first, second = (trainer.pair(batch, tf.constant(step))["voice"].numpy() for step in (0, 1))
    np.testing.assert_array_equal(first[heard], said[heard])
    cosines = (first * said).sum(axis=1)[~heard]
    assert (np.abs(cosines) < 0.999).all()
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1.0, atol=1e-5)
    assert np.abs(first - second).max(axis=1)[~heard].min() > 0.01
    # c + 0.5 e, where e is of length 1: so 0.5 is the farthest from c that it can be, before both are on the sphere.
    assert (cosines > (1 - 0.5**2) ** 0.5 - 1e-5).all()


def test_learning_rates_fall_to_the_share_that_is_left_of_them():
    for share in (0.0, 0.25, 1.0):
        trainer = GenerationTrainer(config.override(config.preset("tiny"), {"generation.last_rate": share}))
        for name in ("generator", "discriminator"):
            optimizer = getattr(trainer, f"{name}_optimizer")
            peak = getattr(trainer.settings, f"{name}_learning_rate")
            rates = []
            for step in (0, trainer.settings.steps // 2, trainer.settings.steps):
                optimizer.iterations.assign(step)
                rates.append(float(optimizer.learning_rate))
            np.testing.assert_allclose(rates, [peak, peak * (1 + share) / 2, peak * share], rtol=1e-5, atol=1e-12)
