"""The second stage: faces are generated from the frozen speech encoder's embeddings."""

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.models.discriminator import Discriminator
from s2f_tf.models.face_encoder import FaceEncoder
from s2f_tf.models.generator import Generator
from s2f_tf.models.speech_encoder import SpeechEncoder
from s2f_tf.training import losses, replicas
from s2f_tf.training.averages import MovingAverages
from s2f_tf.training.mean_faces import MeanFaces

_STRANGERS = 0.8  # how far two faces of one voice shall be apart, as a share of two real faces' distance
_DETAILS = 0.7  # the same for the details of each place
_MEANS_LEARNING_RATE = 1e-3  # of the Adam of the mean faces, which falls as a cosine
_FRESH = 0.3  # share of the other face drawn from a voice in what its mean drawn face is taken to be
_FAINT = 0.01  # added to a squared spread of pixels, which is zero where all faces of a batch are alike


class GenerationTrainer(keras.Model):
    """Trains G against a projection discriminator that starts as the trained face encoder; S and F are frozen.

    F takes part a second time, as it is: what it sees in a generated face shall tell the voice that the face was drawn
    from among those of the batch. Without this the generator follows the loudest of what S hears and draws the rest at
    random. That what S does not hear goes by z is the work of two losses on pairs of faces drawn from one voice
    (`docs/training.md` has the figures of all three).

    `train_step` runs inside `strategy.run` and updates both networks and the mean faces from one forward pass. z, and
    which voices are mismatched, depend on the step and the place in the global batch, not on how many devices share
    it. It returns scalars which, summed over replicas, are means over the global batch.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(name="generation")
        self.settings = config.generation
        self.z_size = config.generator.z_size
        self.face_size = config.data.face_size
        self.seed = config.seed
        self.scale = config.matching.scale
        self.speech_encoder = SpeechEncoder(config)
        self.face_encoder = FaceEncoder(config)
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        face_shape = (None, config.data.face_size, config.data.face_size, 3)
        self.speech_encoder.build((None, config.window_samples))
        self.face_encoder.build(face_shape)
        self.speech_encoder.trainable = self.face_encoder.trainable = False
        self.generator.build((None, self.z_size), (None, config.embedding_size))
        self.discriminator.build(face_shape, (None, config.embedding_size))
        self.means = MeanFaces(config)
        self.averages = MovingAverages(self.generator.trainable_variables, self.settings.ema_decay)
        self.built = True
        c = self.settings

        def schedule(peak: float) -> keras.optimizers.schedules.LearningRateSchedule:
            return keras.optimizers.schedules.CosineDecay(peak, c.steps, alpha=0.05)

        self.generator_optimizer = keras.optimizers.Adam(
            schedule(c.generator_learning_rate), beta_1=0.0, beta_2=c.beta_2, name="generator_optimizer"
        )
        self.discriminator_optimizer = keras.optimizers.Adam(
            schedule(c.discriminator_learning_rate), beta_1=0.0, beta_2=c.beta_2, name="discriminator_optimizer"
        )
        self.means_optimizer = keras.optimizers.Adam(schedule(_MEANS_LEARNING_RATE), name="means_optimizer")
        self.means_optimizer.build(self.means.trainable_variables)
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def start_from(self, speech_encoder: SpeechEncoder, face_encoder: FaceEncoder) -> None:
        """Takes over what matching has learnt: S, and F both as it is and as the discriminator's body."""
        self.speech_encoder.set_weights(speech_encoder.get_weights())
        self.face_encoder.set_weights(face_encoder.get_weights())
        self.discriminator.start_from(face_encoder)
        self.averages.start(self.generator.trainable_variables)

    def result(self) -> list[keras.Variable]:
        """The moving averages of the generator's weights: what is shown and exported."""
        return self.averages.averages

    def state(self) -> list[keras.Variable]:
        """Everything that a checkpoint must hold."""
        optimizers = (self.generator_optimizer, self.discriminator_optimizer, self.means_optimizer)
        return [*self.variables, *(v for optimizer in optimizers for v in optimizer.variables)]

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of both networks and of the mean faces (`s2f_tf/data/reader.py` says what a batch holds)."""
        generator_gradients, discriminator_gradients, means_gradients, scalars = self.gradients(batch)
        generator_variables = self.generator.trainable_variables
        self.generator_optimizer.apply_gradients(zip(generator_gradients, generator_variables, strict=True))
        self.discriminator_optimizer.apply_gradients(
            zip(discriminator_gradients, self.discriminator.trainable_variables, strict=True)
        )
        self.means_optimizer.apply_gradients(zip(means_gradients, self.means.trainable_variables, strict=True))
        self.averages.update(generator_variables)
        return scalars

    def gradients(
        self, batch: dict[str, tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor], dict[str, tf.Tensor]]:
        """This replica's part of the gradients of the mean losses of G, D and the mean faces, and of the scalars.

        All are to be summed. Real faces are taken into the scatter on the way.
        """
        step = self.discriminator_optimizer.iterations
        pairs = self.pair(batch, step)
        total = tf.cast(pairs["global_batch"], tf.float32)
        spread, spread_of_details = self.spread(batch["face"]), self.spread(losses.details(batch["face"]))
        with tf.GradientTape(persistent=True) as tape:
            drawn = self.generator(
                tf.concat([pairs["z"], pairs["other_z"]], axis=0),
                tf.concat([pairs["voice"], pairs["voice"]], axis=0),
                training=True,
            )
            fake, again = tf.split(drawn, 2)
            real_features, fake_features = tf.split(
                self.discriminator.features(tf.concat([batch["face"], fake], axis=0)), 2
            )
            matched = self.discriminator.score(real_features, pairs["voice"])
            mismatched = self.discriminator.score(real_features, pairs["other_voice"])
            generated = self.discriminator.score(fake_features, pairs["voice"])
            discriminator_losses = losses.discriminator(matched, mismatched, generated, pairs["differs"])
            discriminator_loss = tf.reduce_sum(discriminator_losses) / total
            real_mean, drawn_mean = self.means.of("real", pairs["voice"]), self.means.of("drawn", pairs["voice"])
            surprises = [
                (batch["face"] - real_mean) ** 2,
                (tf.stop_gradient(fake) - drawn_mean) ** 2,
                (tf.stop_gradient(again) - drawn_mean) ** 2,
            ]
            self.means.observe(batch["face"] - real_mean)
            surprise = tf.reduce_sum(tf.reduce_mean(surprises, axis=(2, 3, 4))) / total
            target = _STRANGERS * 2**0.5 * tf.reduce_mean(spread)
            sameness = tf.reduce_sum(losses.diversity(fake, again, target)) / total
            variance = spread**2 + _FAINT
            astray = tf.reduce_sum(self.centring_losses(drawn, real_mean, drawn_mean, variance)) / total
            apart = tf.reduce_sum(tf.abs(losses.details(fake) - losses.details(again)), axis=0) / total
            alike = self.alike(apart, spread_of_details)
            mistaken = tf.reduce_sum(self.matching_losses(fake, batch["speaker"], pairs)) / total
            generator_loss = tf.reduce_sum(losses.generator(matched, generated)) / total
            generator_total = (
                generator_loss
                + self.settings.matching * mistaken
                + self.settings.diversity * sameness
                + self.settings.detail * alike
                + self.settings.centring * astray
            )
        variables = self.discriminator.trainable_variables
        penalty_gradients, penalty = tf.cond(
            tf.equal(step % self.settings.penalty_every, 0),
            lambda: self.penalty(batch["face"], pairs["voice"], total),
            lambda: ([tf.zeros_like(v.value) for v in variables], tf.constant(0.0)),
        )
        weight = self.settings.gamma / 2 * self.settings.penalty_every
        discriminator_gradients = [
            g + weight * p for g, p in zip(tape.gradient(discriminator_loss, variables), penalty_gradients, strict=True)
        ]
        return (
            tape.gradient(generator_total, self.generator.trainable_variables),
            discriminator_gradients,
            tape.gradient(surprise, self.means.trainable_variables),
            {
                "discriminator_loss": discriminator_loss,
                "generator_loss": generator_loss,
                "mistaken": mistaken,
                "sameness": sameness,
                "alike": alike,
                "astray": astray,
                "gradient_penalty": penalty,
                "real_above_generated": tf.reduce_sum(tf.cast(matched > generated, tf.float32)) / total,
                "matched_above_mismatched": tf.reduce_sum(tf.cast(matched > mismatched, tf.float32)) / total,
            },
        )

    def centring_losses(
        self, drawn: tf.Tensor, real_mean: tf.Tensor, drawn_mean: tf.Tensor, variance: tf.Tensor
    ) -> tf.Tensor:
        """`losses.centring` of every drawn face, pixel by pixel and within patches.

        The mean drawn face of a voice is known in two ways: from the other face drawn from it, without bias, but with
        all the noise of one face; and as learnt, with little noise, but some steps late. Pixels go by the former.
        Patches, whose weights make much of noise, go by a mixture, and count as `settled` says.

        Args:
            drawn: two faces of each voice, first one of every voice, then the other: float32 [2N, H, W, 3].
            real_mean: of each voice, float32 [N, H, W, 3].
            drawn_mean: as learnt, likewise.
            variance: of pixels, float32 [H, W, 3].

        Returns:
            float32 [2N].
        """
        real_mean, drawn_mean = (tf.tile(tf.stop_gradient(mean), (2, 1, 1, 1)) for mean in (real_mean, drawn_mean))
        other = tf.stop_gradient(tf.roll(drawn, tf.shape(drawn)[0] // 2, axis=0))
        mixture = _FRESH * other + (1 - _FRESH) * drawn_mean
        astray = (other - real_mean) / variance + self.settled() * self.means.weigh(mixture - real_mean)
        return losses.centring(drawn, real_mean, astray)

    def settled(self) -> tf.Tensor:
        """How far the generator's learning rate has fallen: 0 at its peak, 1 from half of it on.

        At its peak each step changes faces by more than the noise that `MeanFaces.weigh` makes much of, and training
        is thrown back now and then, by tens of steps.
        """
        peak = self.settings.generator_learning_rate
        return tf.minimum(1.0, 2.0 - 2.0 * tf.math.divide_no_nan(self.generator_optimizer.learning_rate, peak))

    def matching_losses(self, fake: tf.Tensor, speakers: tf.Tensor, pairs: dict[str, tf.Tensor]) -> tf.Tensor:
        """How badly F picks, among the voices of the global batch, that of each of this replica's generated faces."""
        seen = self.face_encoder(fake, training=False)
        return losses.matching(seen, speakers, pairs["voices"], pairs["speakers"], pairs["places"], self.scale)

    def pair(self, batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        """This replica's voices, each with another's and with a z.

        Another's voice, and another z, are those of the next clip in the global batch; z comes from one draw for the
        whole of it. With them come all voices and speakers of the global batch, and the places in it of this replica's.
        """
        replica = tf.distribute.get_replica_context()
        voice = self.speech_encoder(batch["waveform"], training=False)
        voices, speakers = replicas.gather(voice, batch["speaker"])
        count, total = tf.shape(voice)[0], tf.shape(voices)[0]
        places = replica.replica_id_in_sync_group * count + tf.range(count)
        others = (places + 1) % total
        z = tf.random.stateless_normal([total, self.z_size], seed=tf.stack([self.seed, tf.cast(step, tf.int32)]))
        return {
            "voice": voice,
            "voices": voices,
            "speakers": speakers,
            "places": places,
            "other_voice": tf.gather(voices, others),
            "differs": tf.cast(tf.not_equal(tf.gather(speakers, others), batch["speaker"]), tf.float32),
            "z": tf.gather(z, places),
            "other_z": tf.gather(z, others),
            "global_batch": total,
        }

    def spread(self, values: tf.Tensor) -> tf.Tensor:
        """The mean absolute deviation of each entry of [N, ...] from its mean, over the global batch: [...].

        For normal values two draws are the square root of two further apart than this.
        """
        replica = tf.distribute.get_replica_context()
        mean = replica.all_reduce("MEAN", tf.reduce_mean(values, axis=0))
        return replica.all_reduce("MEAN", tf.reduce_mean(tf.abs(values - mean), axis=0))

    def alike(self, apart: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
        """This replica's part of `losses.likeness` of the global batch.

        Args:
            apart: this replica's part of the mean distance, over the global batch, between the details of two faces of
                one voice, float32 [H, W, 3].
            spread: of the details of real faces, float32 [H, W, 3].
        """
        replica = tf.distribute.get_replica_context()
        # Every replica has the whole, and the strategy sums their gradients.
        whole = losses.likeness(replica.all_reduce("SUM", apart), _DETAILS * 2**0.5 * spread)
        return whole / replica.num_replicas_in_sync

    def penalty(self, face: tf.Tensor, voice: tf.Tensor, total: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The gradient of R1 by the discriminator's variables, and R1 itself, both over the global batch."""
        variables = self.discriminator.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(face)
                score = tf.reduce_sum(self.discriminator(face, voice, training=True))
            penalty = tf.reduce_sum(losses.gradient_penalty(inner.gradient(score, face))) / total
        gradients = outer.gradient(penalty, variables)
        # A bias at the end moves every score alike: R1 does not depend on it.
        return [tf.zeros_like(v.value) if g is None else g for g, v in zip(gradients, variables, strict=True)], penalty
