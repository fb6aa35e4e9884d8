"""The first stage: speech and face encoder learn which face belongs to which voice."""

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.models.face_encoder import FaceEncoder
from s2f_tf.models.speech_encoder import SpeechEncoder
from s2f_tf.training import losses


class MatchingTrainer(keras.Model):
    """Trains S and F by picking, in both directions, a clip's partner among those of the whole global batch.

    `train_step` runs inside `strategy.run`. It returns scalars which, summed over replicas, are means over the global
    batch: `loss`, and `voice_to_face` and `face_to_voice`, the shares of clips whose partner scored highest.
    """

    def __init__(self, config: Config, name: str = "matching") -> None:
        super().__init__(name=name)
        self.settings = config.matching
        self.speech_encoder = SpeechEncoder(config)
        self.face_encoder = FaceEncoder(config)
        # A strategy calls models symbolically: every variable is made before.
        self.speech_encoder.build((None, config.window_samples))
        self.face_encoder.build((None, config.data.face_size, config.data.face_size, 3))
        self.built = True
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, self.settings.steps, warmup_target=self.settings.learning_rate, warmup_steps=self.settings.warmup_steps
        )
        self.optimizer = keras.optimizers.AdamW(schedule, weight_decay=self.settings.weight_decay, beta_2=0.99)
        self.optimizer.build(self.trainable_variables)

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on this replica's share of the global batch (`s2f_tf/data/reader.py` says what a batch holds)."""
        with tf.GradientTape() as tape:
            per_example, scalars = self.compare(batch)
            loss = tf.reduce_sum(per_example) / tf.cast(scalars.pop("global_batch"), tf.float32)
        # Replicas' gradients are summed; each loss is already divided by the global batch.
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, **scalars}

    def compare(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Losses of this replica's clips, float32 [N], and the scalars that `train_step` adds to its loss."""
        replica = tf.distribute.get_replica_context()
        voices = self.speech_encoder(batch["waveform"], training=True)
        faces = self.face_encoder(batch["face"], training=True)
        speakers = batch["speaker"]
        all_voices, all_faces, all_speakers = (replica.all_gather(x, axis=0) for x in (voices, faces, speakers))
        count, total = tf.shape(voices)[0], tf.shape(all_voices)[0]
        own = replica.replica_id_in_sync_group * count + tf.range(count)
        losses_of = {}
        correct = {}
        for name, queries, gallery in (
            ("voice_to_face", voices, all_faces),
            ("face_to_voice", faces, all_voices),
        ):
            losses_of[name] = losses.matching(queries, speakers, gallery, all_speakers, own, self.settings.scale)
            # The own partner scores highest exactly where its softmax beats every other's.
            logits = tf.matmul(queries, gallery, transpose_b=True)
            picked = tf.argmax(logits, axis=1, output_type=tf.int64)
            hit = tf.equal(tf.gather(all_speakers, picked), speakers)
            correct[name] = tf.reduce_sum(tf.cast(hit, tf.float32)) / tf.cast(total, tf.float32)
        per_example = 0.5 * (losses_of["voice_to_face"] + losses_of["face_to_voice"])
        return per_example, {"global_batch": total, **correct}
