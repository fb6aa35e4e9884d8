"""The larger presets take a step of both stages, each in its own precision, and are exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config, saved_model
from s2f_tf.models import trained
from s2f_tf.training import precision
from s2f_tf.training.generation import GenerationTrainer
from s2f_tf.training.matching import MatchingTrainer


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name, arithmetic", [("people", "float32"), ("paper", "mixed_bfloat16")])
def test_a_preset_trains_and_is_exported(name, arithmetic, policy, strategies, tmp_path):
    settings = config.override(
        config.preset(name), {"precision": arithmetic, "matching.warmup_steps": 0, "generation.steps": 10}
    )
    try:
        precision.use(arithmetic)
    except config.ConfigError as error:
        pytest.skip(str(error))  # a processor without AVX-512
    size = settings.data.face_size
    rng = np.random.default_rng(0)
    batch = {
        "waveform": tf.constant(rng.normal(size=(2, settings.window_samples)), tf.float32),
        "face": tf.constant(rng.uniform(-1, 1, size=(2, size, size, 3)), tf.float32),
        "speaker": tf.constant([0, 1], tf.int64),
    }
    strategy = strategies[1]
    with strategy.scope():
        matching, generation = MatchingTrainer(settings), GenerationTrainer(settings)
    generation.start_from(matching.speech_encoder, matching.face_encoder)
    for trainer in (matching, generation):
        scalars = tf.function(lambda t=trainer: strategy.run(t.train_step, args=(batch,)), autograph=False)()
        assert all(np.isfinite(float(value)) for value in scalars.values()), scalars
        assert all(np.isfinite(v.numpy()).all() for v in trainer.trainable_variables)
    folder = str(tmp_path / "run")
    config.save(settings, folder)
    trained.save_weights("speech_encoder", matching.speech_encoder, folder)
    trained.save_weights("face_encoder", matching.face_encoder, folder)
    trained.save_weights("generator", generation.generator, folder)
    precision.use("float32")
    exported = tf.saved_model.load(saved_model.export(folder, str(tmp_path / "models")))
    image = exported.signatures["generate"](
        waveform=batch["waveform"][:, :16_000], z=tf.zeros([2, settings.generator.z_size])
    )["image"]
    assert image.shape == (2, size, size, 3)
