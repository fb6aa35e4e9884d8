"""Before generation, where F is a teacher's network: an F of our own learns to see as it does.

The discriminator begins as F, and has to know faces before it can judge any; but a teacher's network cannot be trained
as a discriminator is. So F of our own takes its place in generation, and nothing there asks the teacher's, which G
would learn to please.
"""

import dataclasses

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.models.face_encoder import FaceEncoder
from s2f_tf.training import contrast

_NEARNESS = 10.0  # weight of the cosine beside the softmax


def learnt_whole(config: Config) -> Config:
    """The same with an F that is learnt as a whole."""
    return dataclasses.replace(config, face_encoder=dataclasses.replace(config.face_encoder, network="convolutions"))


class DistillationTrainer(keras.Model):
    """Trains an F of our own to say of each face what F says, whose body is a teacher's.

    It shall be near to that, by the cosine, and nearer than to what F says of the other faces of the global batch (Tian
    et al. 2020, section 3). No label is used.

    `train_step` runs inside `strategy.run`. It returns scalars which, summed over replicas, are means over the global
    batch: `loss`; `agreement`, the share of faces of which the right one is picked; and `cosine`.

    Args:
        config: the run's settings.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(name="distillation")
        self.settings = config.distillation
        self.teacher, self.student = FaceEncoder(config), FaceEncoder(learnt_whole(config))
        for network in (self.teacher, self.student):
            network.build((None, config.data.face_size, config.data.face_size, 3))
        self.teacher.trainable = False
        self.built = True
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            self.settings.steps,
            warmup_target=self.settings.learning_rate,
            warmup_steps=min(self.settings.steps, self.settings.warmup_steps),
        )
        self.optimizer = keras.optimizers.AdamW(
            schedule, weight_decay=self.settings.weight_decay, beta_2=0.99, name="optimizer"
        )
        self.optimizer.build(self.trainable_variables)

    def state(self) -> list[keras.Variable]:
        """Everything that a checkpoint must hold: not the teacher, which stays as it is."""
        return [*self.student.variables, *self.optimizer.variables]

    def result(self) -> list[keras.Variable]:
        """The weights of the F that learns."""
        return self.student.trainable_variables

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on this replica's share of the global batch (`reader.views` says what a batch holds)."""
        gradients, scalars = self.gradients(batch)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return scalars

    def gradients(self, batch: dict[str, tf.Tensor]) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """This replica's part of the gradients of the mean loss, and of the scalars: both to be summed."""
        faces = tf.concat(tf.unstack(batch["views"], axis=1), axis=0)
        # Each face is one of its own: what tells two of one speaker apart, D has to see, too.
        replica = tf.distribute.get_replica_context()
        count = tf.shape(faces)[0]
        each = tf.cast(replica.replica_id_in_sync_group * count + tf.range(count), tf.int64)
        said = self.teacher(faces, training=False)
        with tf.GradientTape() as tape:
            seen = self.student(faces, training=True)
            loss, agreement, _ = contrast.both_ways(seen, said, each, self.settings.scale)
            share = 1.0 / replica.num_replicas_in_sync
            cosine = share * tf.reduce_mean(tf.reduce_sum(seen * said, axis=1))
            loss += _NEARNESS * (share - cosine)
        return tape.gradient(loss, self.trainable_variables), {"loss": loss, "agreement": agreement, "cosine": cosine}
