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
