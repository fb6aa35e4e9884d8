"""Before matching: S listens to voices alone, and F looks at faces alone, of whom no pair need be known.

Both learn by contrast: of two views of a clip, which belong together? A pair of a face and a voice teaches what the two
have in common, and nine hundred pairs let either half learn the others by heart. What a voice or a face is at all,
whatever room, light or moment it is of, can be learnt from many more.
"""

import dataclasses

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.models import trained
from s2f_tf.training import losses, replicas
from s2f_tf.training.averages import MovingAverages

HALVES = {"waveform": "speech_encoder", "face": "face_encoder"}  # what a half of a clip is seen or heard by


class PretrainingTrainer(keras.Model):
    """Trains S or F by picking, for one view of a clip, the other among those of the whole global batch.

    The contrast of two views of SimCLR (Chen et al. 2020, section 2.1). For voices, two windows of an utterance by
    different rooms and lines, so that these do not tell which belong together, as Huh et al. (2020) have it.
    Two clips of one speaker are never each other's negatives.

    `train_step` runs inside `strategy.run`. It returns scalars which, summed over replicas, are means over the global
    batch: `loss`, and `agreement`, the share of views for which the other scored highest.

    Args:
        config: the run's settings.
        half: `waveform` for S, `face` for F.
        steps: how many there will be.
        name: of the stage.
    """

    def __init__(self, config: Config, half: str, steps: int, name: str) -> None:
        super().__init__(name=name)
        self.settings = config.pretraining
        # More numbers than faces and voices have in common; the head that makes them is not kept.
        wide = dataclasses.replace(config, embedding_size=self.settings.embedding_size)
        self.network = trained.make(HALVES[half], wide)
        self.averages = MovingAverages(self.trainable_variables, self.settings.ema_decay)
        self.averages.start(self.trainable_variables)
        self.built = True
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, steps, warmup_target=self.settings.learning_rate, warmup_steps=min(steps, self.settings.warmup_steps)
        )
        self.optimizer = keras.optimizers.AdamW(
            schedule, weight_decay=self.settings.weight_decay, beta_2=0.99, name="optimizer"
        )
        self.optimizer.build(self.trainable_variables)

    def state(self) -> list[keras.Variable]:
        """Everything that a checkpoint must hold."""
        return [*self.variables, *self.optimizer.variables]

    def result(self) -> list[keras.Variable]:
        """The moving averages of the weights."""
        return self.averages.averages

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on this replica's share of the global batch (`reader.views` says what a batch holds)."""
        replica = tf.distribute.get_replica_context()
        speakers = batch["speaker"]
        count = tf.shape(speakers)[0]
        with tf.GradientTape() as tape:
            # At once, so that a step costs what one of twice as many clips does.
            seen = self.network(tf.concat(tf.unstack(batch["views"], axis=1), axis=0))
            first, second = seen[:count], seen[count:]
            all_first, all_second, all_speakers = replicas.gather(first, second, speakers)
            own = replica.replica_id_in_sync_group * count + tf.range(count)
            total = tf.cast(tf.shape(all_first)[0], tf.float32)
            scale = self.settings.scale
            to_second = losses.matching(first, speakers, all_second, all_speakers, own, scale)
            to_first = losses.matching(second, speakers, all_first, all_speakers, own, scale)
            loss = tf.reduce_sum(0.5 * (to_second + to_first)) / total
        picked = tf.argmax(tf.matmul(first, all_second, transpose_b=True), axis=1)
        right = tf.equal(tf.gather(all_speakers, picked), speakers)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.averages.update(self.trainable_variables)
        return {"loss": loss, "agreement": tf.reduce_sum(tf.cast(right, tf.float32)) / total}
