"""Before matching: S listens to voices alone, and F looks at faces alone, of whom no pair need be known.

Both learn by contrast: of two views of a clip, which belong together? A pair of a face and a voice teaches what the two
have in common, and nine hundred pairs let either half learn the others by heart. What a voice or a face is at all,
whatever room, light or moment it is of, can be learnt from many more. Where teachers were asked
(`pipelines/teachers.py`), they can learn to say what those say, too.
"""

import dataclasses

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.data import clip
from s2f_tf.models import layers, trained
from s2f_tf.training import contrast, replicas
from s2f_tf.training.adamw import AdamW
from s2f_tf.training.averages import MovingAverages

HALVES = {"waveform": "speech_encoder", "face": "face_encoder"}  # what a half of a clip is seen or heard by
TAUGHT = {"waveform": clip.VOICE_NUMBERS, "face": clip.FACE_NUMBERS}  # numbers that a teacher says of it
_CENTRE_RATE = 0.02  # of the moving average of what a teacher says


class PretrainingTrainer(keras.Model):
    """Trains S or F by picking, for one view of a clip, the other among those of the whole global batch.

    The contrast of two views of SimCLR (Chen et al. 2020, section 2.1). For voices, two windows of an utterance by
    different rooms and lines, so that these do not tell which belong together, as Huh et al. (2020) have it.
    Two clips of one speaker are never each other's negatives.

    With a teacher, both views learn to be what it says of the clip, by the cosine, once the mean of what it says of all
    clips is taken away: distillation as of embeddings in Romero et al. (2015, section 2.2), whose distance is another.

    `train_step` runs inside `strategy.run`. It returns scalars which, summed over replicas, are means over the global
    batch: `loss`; `agreement`, the share of views for which the other scored highest; and with a teacher `taught`, the
    mean cosine with what it says.

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
        size = TAUGHT[half] if self.settings.teacher else self.settings.embedding_size
        self.network = trained.make(HALVES[half], dataclasses.replace(config, embedding_size=size))
        self.centre = self.add_weight(
            name="centre", shape=[size], initializer="zeros", trainable=False, aggregation="only_first_replica"
        )
        self.averages = MovingAverages(self.trainable_variables, self.settings.ema_decay)
        self.averages.start(self.trainable_variables)
        self.built = True
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, steps, warmup_target=self.settings.learning_rate, warmup_steps=min(steps, self.settings.warmup_steps)
        )
        self.optimizer = AdamW(schedule, weight_decay=self.settings.weight_decay, beta_2=0.99, name="optimizer")
        self.optimizer.build(self.trainable_variables)

    def state(self) -> list[keras.Variable]:
        """Everything that a checkpoint must hold."""
        return [*self.variables, *self.optimizer.variables]

    def result(self) -> list[keras.Variable]:
        """The moving averages of the weights."""
        return self.averages.averages

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on this replica's share of the global batch (`reader.views` says what a batch holds)."""
        speakers = batch["speaker"]
        count = tf.shape(speakers)[0]
        with tf.GradientTape() as tape:
            # At once, so that a step costs what one of twice as many clips does.
            seen = self.network(tf.concat(tf.unstack(batch["views"], axis=1), axis=0))
            loss, agreement, _ = contrast.both_ways(seen[:count], seen[count:], speakers, self.settings.scale)
            loss *= self.settings.contrast
            if self.settings.teacher:
                share = 1.0 / tf.distribute.get_replica_context().num_replicas_in_sync
                taught = share * tf.reduce_mean(self._cosines(seen, batch["taught"]))
                loss += self.settings.teacher * (share - taught)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.averages.update(self.trainable_variables)
        told = {"loss": loss, "agreement": agreement}
        return told | {"taught": taught} if self.settings.teacher else told

    def _cosines(self, seen: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """Of what two views are, float32 [2 B, D], with what a teacher says of each clip, [B, D]: float32 [2 B]."""
        (everyone,) = replicas.gather(taught)
        first = tf.cast(tf.equal(self.optimizer.iterations, 0), tf.float32)
        rate = first + (1.0 - first) * _CENTRE_RATE
        self.centre.assign(self.centre + rate * (tf.reduce_mean(everyone, axis=0) - self.centre))
        target = layers.unit_length(taught - self.centre)
        return tf.reduce_sum(seen * tf.tile(target, [2, 1]), axis=1)
