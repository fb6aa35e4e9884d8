"""The first stage: speech and face encoder learn which face belongs to which voice."""

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.models import trained
from s2f_tf.models.face_encoder import FaceEncoder
from s2f_tf.models.speech_encoder import SpeechEncoder
from s2f_tf.training import contrast
from s2f_tf.training.adamw import AdamW
from s2f_tf.training.averages import MovingAverages


class MatchingTrainer(keras.Model):
    """Trains S and F by picking, in both directions, a clip's partner among those of the whole global batch.

    `train_step` runs inside `strategy.run`. It returns scalars which, summed over replicas, are means over the global
    batch: `loss`, and `voice_to_face` and `face_to_voice`, the shares of clips for which a partner
    of the right speaker scored highest.

    Args:
        config: the run's settings.
        name: of the stage.
        teachers: folder of teachers' networks, where S or F is made of one. These stay as they are.
    """

    def __init__(self, config: Config, name: str = "matching", teachers: str | None = None) -> None:
        super().__init__(name=name)
        self.settings = config.matching
        self.speech_encoder = SpeechEncoder(config)
        self.face_encoder = FaceEncoder(config)
        # A strategy calls models symbolically: every variable is made before.
        self.speech_encoder.build((None, config.window_samples))
        self.face_encoder.build((None, config.data.face_size, config.data.face_size, 3))
        for network in (self.speech_encoder, self.face_encoder):
            trained.read_teachers(network, teachers)
        self.averages = MovingAverages(self.trainable_variables, self.settings.ema_decay)
        self.averages.start(self.trainable_variables)
        self.built = True
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, self.settings.steps, warmup_target=self.settings.learning_rate, warmup_steps=self.settings.warmup_steps
        )
        # Named, since a name that Keras chooses depends on what else was made before, and checkpoints go by name.
        self.optimizer = AdamW(schedule, weight_decay=self.settings.weight_decay, beta_2=0.99, name="optimizer")
        self.optimizer.build(self.trainable_variables)

    def start_from(self, workdir: str, prefix: str = "") -> None:
        """Takes from the encoders of another run every weight that has a place, by its name and shape, in these.

        The others begin afresh, which is said: with another size of face that is all that F knows of where things are.

        Args:
            workdir: of the other run.
            prefix: `judge_` for those of its judge, so that a judge stays a stranger to what it judges.

        Raises `WeightsError` and `ConfigError`.
        """
        for network in (self.speech_encoder, self.face_encoder):
            self.take(network, trained.load_network(prefix + network.name, workdir), workdir)

    def take(self, network: keras.Model, other: keras.Model, origin: str) -> None:
        """Takes of another network every weight that has a place in S or F, by its name and shape.

        Those of a teacher's network stay: they are not learnt.
        """
        found = {variable.path: variable for variable in other.trainable_weights}
        for variable in network.trainable_weights:
            if variable.path in found and found[variable.path].shape == variable.shape:
                variable.assign(found[variable.path].value)
            else:
                print(f"{self.name}: {variable.path} begins afresh: {origin} has none of its shape", flush=True)
        self.averages.start(self.trainable_variables)

    def state(self) -> list[keras.Variable]:
        """Everything that a checkpoint must hold."""
        return [*self.variables, *self.optimizer.variables]

    def result(self) -> list[keras.Variable]:
        """The moving averages of the weights, those of S before those of F."""
        return self.averages.averages

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on this replica's share of the global batch (`s2f_tf/data/reader.py` says what a batch holds)."""
        gradients, scalars = self.gradients(batch)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.averages.update(self.trainable_variables)
        return scalars

    def gradients(self, batch: dict[str, tf.Tensor]) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """This replica's part of the gradients of the mean loss, and of the scalars: both are to be summed."""
        with tf.GradientTape() as tape:
            voices, faces = self.speech_encoder(batch["waveform"]), self.face_encoder(batch["face"])
            loss, to_face, to_voice = contrast.both_ways(voices, faces, batch["speaker"], self.settings.scale)
        scalars = {"loss": loss, "voice_to_face": to_face, "face_to_voice": to_voice}
        return tape.gradient(loss, self.trainable_variables), scalars
