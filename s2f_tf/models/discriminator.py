"""D, the projection discriminator: how well a face is real and goes with a voice."""

import keras
from keras import ops

from s2f_tf.config import Config
from s2f_tf.models.face_encoder import FaceBody, FaceEncoder


class Discriminator(keras.Model):
    """D(y, c) = <P h(y), c> + psi(h(y)) (Miyato and Koyama 2018, section 3); h starts as the face encoder's body.

    Where that is a teacher's network, which is not trained on, h is as F's body would be otherwise, and starts afresh.

    Call with (face float32 [B, H, W, 3] in [-1, 1], embedding float32 [B, E]); returns scores, float32 [B]. Where
    one face is scored with several embeddings, call `features` once and `score` for each.
    """

    def __init__(self, config: Config, **kwargs: object) -> None:
        # Under mixed precision the embedding meets P h(y) at full precision.
        super().__init__(name="discriminator", autocast=False, **kwargs)
        self.body = FaceBody(config)
        self.project = keras.layers.Dense(config.embedding_size, dtype=keras.config.floatx(), name="project")
        # A bias would move every score alike, and the losses see their differences alone.
        self.realness = keras.layers.Dense(1, use_bias=False, dtype=keras.config.floatx(), name="realness")

    def build(self, face_shape: tuple, embedding_shape: tuple | None = None) -> None:
        """Makes the body, P and psi."""
        self.body.build(face_shape)
        self.project.build((None, self.body.units))
        self.realness.build((None, self.body.units))

    def start_from(self, encoder: FaceEncoder) -> None:
        """Copies a face encoder's body and head into h and P, where its body is of that kind."""
        if isinstance(encoder.body, FaceBody):
            self.body.set_weights(encoder.body.get_weights())
            self.project.set_weights(encoder.head.get_weights())

    def features(self, face: keras.KerasTensor) -> keras.KerasTensor:
        """h(y), [B, D]."""
        return self.body(face)

    def score(self, features: keras.KerasTensor, embedding: keras.KerasTensor) -> keras.KerasTensor:
        """D(y, c) from h(y), float32 [B]."""
        return ops.sum(self.project(features) * embedding, axis=-1) + self.realness(features)[:, 0]

    def call(self, face: keras.KerasTensor, embedding: keras.KerasTensor) -> keras.KerasTensor:
        """D(y, c), float32 [B]."""
        return self.score(self.features(face), embedding)
