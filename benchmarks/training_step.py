"""A step of training, on noise, to be timed."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.training.generation import GenerationTrainer
from s2f_tf.training.matching import MatchingTrainer


def batch(config: Config, clips: int) -> dict[str, tf.Tensor]:
    """As `s2f_tf/data/reader.py` makes them, each clip of another speaker; faces alone, if any, come first."""
    rng = np.random.default_rng(0)
    size = config.data.face_size
    return {
        "waveform": tf.constant(rng.normal(size=(clips, config.window_samples)), tf.float32),
        "face": tf.constant(rng.uniform(-1, 1, size=(clips, size, size, 3)), tf.float32),
        "speaker": tf.range(clips, dtype=tf.int64),
        "heard": tf.range(clips) >= round(config.generation.alone * clips),
    }


def compiled(trainer: MatchingTrainer | GenerationTrainer, batch: dict[str, tf.Tensor]) -> Callable[[], object]:
    """A graph that takes the step when it is called, made as `s2f_tf/training/loop.py` makes it."""
    strategy = tf.distribute.get_strategy()
    return tf.function(lambda: strategy.run(trainer.train_step, args=(batch,)), autograph=False)
