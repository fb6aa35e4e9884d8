"""The second stage: faces are generated from the frozen speech encoder's embeddings."""

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.models import layers
from s2f_tf.models.discriminator import Discriminator
from s2f_tf.models.face_encoder import FaceEncoder
from s2f_tf.models.generator import Generator
from s2f_tf.models.speech_encoder import SpeechEncoder
from s2f_tf.training import losses, replicas
from s2f_tf.training.averages import MovingAverages


class GenerationTrainer(keras.Model):
    """Trains G against a projection discriminator that starts as the trained face encoder; S and F are frozen.

    The discriminator scores three kinds of pair: a face with its voice, with another's voice, and a generated face with
    the voice that it was drawn from. Its loss is relativistic, with R1 as its penalty; what is left is the moving
    average of G (the paper, section 3.2). `terms` are what is added to G's objective beyond the paper.

    Where `generation.alone` is more than 0, some faces have no voice. What F says of the face, with noise around it,
    stands in for what S would say, as in language-free training of text-to-image models (LAFITE, Zhou et al. 2022,
    section 3): matching has made one space of both.

    `train_step` runs inside `strategy.run` and updates both networks from one forward pass. z, and which voices are
    mismatched, depend on the step and the place in the global batch, not on how many devices share it. It returns
    scalars which, summed over replicas, are means over the global batch.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(name="generation")
        self.settings = config.generation
        self.z_size = config.generator.z_size
        self.seed = config.seed
        self.scale = config.matching.scale
        self.speech_encoder = SpeechEncoder(config)
        self.face_encoder = FaceEncoder(config) if config.generation.consistency or config.generation.alone else None
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        face_shape = (None, config.data.face_size, config.data.face_size, 3)
        self.speech_encoder.build((None, config.window_samples))
        self.speech_encoder.trainable = False
        if self.face_encoder:
            self.face_encoder.build(face_shape)
            self.face_encoder.trainable = False
        self.generator.build((None, self.z_size), (None, config.embedding_size))
        self.discriminator.build(face_shape, (None, config.embedding_size))
        self.averages = MovingAverages(self.generator.trainable_variables, self.settings.ema_decay)
        self.built = True
        self.generator_optimizer = self._adam(self.generator, self.settings.generator_learning_rate)
        self.discriminator_optimizer = self._adam(self.discriminator, self.settings.discriminator_learning_rate)

    def start_from(self, speech_encoder: SpeechEncoder, face_encoder: FaceEncoder) -> None:
        """Takes over what matching has learnt: S, and F both as it is and as the discriminator's body."""
        self.speech_encoder.set_weights(speech_encoder.get_weights())
        if self.face_encoder:
            self.face_encoder.set_weights(face_encoder.get_weights())
        self.discriminator.start_from(face_encoder)
        self.averages.start(self.generator.trainable_variables)

    def result(self) -> list[keras.Variable]:
        """The moving averages of the generator's weights: what is shown and exported."""
        return self.averages.averages

    def state(self) -> list[keras.Variable]:
        """Everything that a checkpoint must hold."""
        return [*self.variables, *self.generator_optimizer.variables, *self.discriminator_optimizer.variables]

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of both networks (`s2f_tf/data/reader.py` says what a batch holds)."""
        generator_gradients, discriminator_gradients, scalars = self.gradients(batch)
        generator_variables = self.generator.trainable_variables
        self.generator_optimizer.apply_gradients(zip(generator_gradients, generator_variables, strict=True))
        self.discriminator_optimizer.apply_gradients(
            zip(discriminator_gradients, self.discriminator.trainable_variables, strict=True)
        )
        self.averages.update(generator_variables)
        return scalars

    def gradients(self, batch: dict[str, tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor], dict[str, tf.Tensor]]:
        """This replica's part of the gradients of the mean losses of G and D, and of the scalars: all to be summed."""
        step = self.discriminator_optimizer.iterations
        face, pairs = batch["face"], self.pair(batch, step)
        total = tf.cast(tf.shape(pairs["voices"])[0], tf.float32)
        with tf.GradientTape(persistent=True) as tape:
            fake = self.generator(pairs["z"], pairs["voice"], training=True)
            # Apart, so that what G learns is not traced through the real faces, too.
            real_features, fake_features = self.discriminator.features(face), self.discriminator.features(fake)
            matched = self.discriminator.score(real_features, pairs["voice"])
            mismatched = self.discriminator.score(real_features, pairs["other_voice"])
            generated = self.discriminator.score(fake_features, pairs["voice"])
            terms = self.terms(fake, batch, pairs)
            each = terms | {
                "discriminator_loss": losses.discriminator(matched, mismatched, generated, pairs["differs"]),
                "generator_loss": losses.generator(matched, generated),
            }
            means = {name: tf.reduce_sum(values) / total for name, values in each.items()}
            objective = means["generator_loss"]
            for name in terms:
                objective += getattr(self.settings, name) * means[name]
        variables = self.discriminator.trainable_variables
        penalty_gradients, penalty = tf.cond(
            tf.equal(step % self.settings.penalty_every, 0),
            lambda: self.penalty(face, pairs["voice"], total),
            lambda: ([tf.zeros_like(v.value) for v in variables], tf.constant(0.0)),
        )
        weight = self.settings.gamma / 2 * self.settings.penalty_every
        discriminator_gradients = [
            g + weight * p
            for g, p in zip(tape.gradient(means["discriminator_loss"], variables), penalty_gradients, strict=True)
        ]
        scalars = means | {
            "gradient_penalty": penalty,
            "real_above_generated": tf.reduce_sum(tf.cast(matched > generated, tf.float32)) / total,
            "matched_above_mismatched": tf.reduce_sum(tf.cast(matched > mismatched, tf.float32)) / total,
        }
        return tape.gradient(objective, self.generator.trainable_variables), discriminator_gradients, scalars

    def terms(self, fake: tf.Tensor, batch: dict[str, tf.Tensor], pairs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What G's objective has beyond the paper's, each with the weight of its name in the settings.

        consistency: F, as matching left it, shall pick a generated face's voice among those of the batch. Without it
            less of what S hears is drawn.
        diversity: faces of one voice shall differ (`losses.diversity`). Without it z is ignored.

        `docs/training.md` has what each buys. One of weight 0 is not computed.

        Args:
            fake: a face drawn from each voice, float32 [N, H, W, 3].
            batch: as of `train_step`.
            pairs: as of `pair`.

        Returns:
            float32 [N] each.
        """
        terms = {}
        if self.settings.consistency:
            terms["consistency"] = losses.matching(
                self.face_encoder(fake, training=False),
                batch["speaker"],
                pairs["voices"],
                pairs["speakers"],
                pairs["places"],
                self.scale,
            )
        if self.settings.diversity:
            again = self.generator(tf.gather(pairs["all_z"], pairs["others"]), pairs["voice"], training=True)
            # What is asked of one face is asked of the other, in another step: the gradient through both is twice this
            # one in the mean, and costs a fifth of the step more.
            again = tf.stop_gradient(again)
            target = self.settings.diversity_distance * self.distance(batch["face"])
            terms["diversity"] = losses.diversity(fake, again, target)
        return terms

    def pair(self, batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        """This replica's voices, each with another's and with a z.

        Another's voice is that of the next clip in the global batch; z comes from one draw for the whole of it. With
        them come all voices, speakers and z of the global batch, and the places in it of this replica's and the others.

        Faces without voices have the next of their kind as the other, and voices the next voice. Or D could tell a
        wrong one by this alone, that it is of the other kind.
        """
        replica = tf.distribute.get_replica_context()
        seed = tf.stack([self.seed, tf.cast(step, tf.int32)])
        voice = self.speech_encoder(batch["waveform"], training=False)
        if self.settings.alone:
            seen = self.face_encoder(batch["face"], training=False)
            voice = tf.where(batch["heard"][:, None], voice, seen)
        voices, speakers = replicas.gather(voice, batch["speaker"])
        count, total = tf.shape(voice)[0], tf.shape(voices)[0]
        places = replica.replica_id_in_sync_group * count + tf.range(count)
        others = wrong = (places + 1) % total
        if self.settings.alone:
            (heard,) = replicas.gather(tf.cast(batch["heard"], tf.int64))
            voices = tf.where(heard[:, None] > 0, voices, self.around(voices, seed))
            voice = tf.gather(voices, places)
            behind = (tf.range(total) - others[:, None]) % total
            alike = tf.equal(heard, tf.gather(heard, places)[:, None])
            wrong = tf.argmin(tf.where(alike, behind, total), axis=1, output_type=tf.int32)
        all_z = tf.random.stateless_normal([total, self.z_size], seed=seed)
        return {
            "voice": voice,
            "voices": voices,
            "speakers": speakers,
            "places": places,
            "other_voice": tf.gather(voices, wrong),
            "differs": tf.cast(tf.not_equal(tf.gather(speakers, wrong), batch["speaker"]), tf.float32),
            "z": tf.gather(all_z, places),
            "all_z": all_z,
            "others": others,
        }

    def around(self, embeddings: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The same with noise of length `generation.alone_noise` added.

        What F says of a face is not what S says of its voice, but near it. The fixed perturbation of LAFITE (Zhou et
        al. 2022, section 3).

        Args:
            embeddings: float32 [N, E], of unit length.
            seed: int32 [2].

        Returns:
            float32 [N, E], of unit length.
        """
        noise = tf.random.stateless_normal(tf.shape(embeddings), seed=tf.random.fold_in(seed, 1))
        return layers.unit_length(embeddings + self.settings.alone_noise * layers.unit_length(noise))

    def distance(self, faces: tf.Tensor) -> tf.Tensor:
        """How far apart two faces are, as a mean of absolute differences: [N, H, W, 3] of the global batch to a scalar.

        For normal values it is the square root of two times the mean absolute deviation from the mean.
        """
        replica = tf.distribute.get_replica_context()
        mean = replica.all_reduce("MEAN", tf.reduce_mean(faces, axis=0))
        return 2**0.5 * replica.all_reduce("MEAN", tf.reduce_mean(tf.abs(faces - mean)))

    def penalty(self, face: tf.Tensor, voice: tf.Tensor, total: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The gradient of R1 by the discriminator's variables, and R1 itself, both over the global batch."""
        variables = self.discriminator.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(face)
                score = tf.reduce_sum(self.discriminator(face, voice, training=True))
            penalty = tf.reduce_sum(losses.gradient_penalty(inner.gradient(score, face))) / total
        gradients = outer.gradient(penalty, variables)
        # What is added at the end, P's bias, moves a score by as much for every face: R1 does not depend on it.
        return [tf.zeros_like(v.value) if g is None else g for g, v in zip(gradients, variables, strict=True)], penalty

    def _adam(self, network: keras.Model, peak: float) -> keras.optimizers.Adam:
        optimizer = keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(peak, self.settings.steps, alpha=self.settings.last_rate),
            beta_1=0.0,
            beta_2=self.settings.beta_2,
            name=f"{network.name}_optimizer",
        )
        optimizer.build(network.trainable_variables)
        return optimizer
