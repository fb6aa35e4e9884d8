"""What faces of a voice are in the mean, real and drawn, and how real ones scatter about it, all learnt on the way."""

import math

import keras
import tensorflow as tf

from s2f_tf.config import Config
from s2f_tf.models import layers

_WIDTH = 128  # of the hidden layer between a voice and a mean face
_PATCH = 8  # pixels a side, within which colours are taken to go together
_DECAY = 0.99  # of the moving average of the scatter
_FIRST_VARIANCE = 0.1  # of every pixel, before any face was seen
_FLOOR = 0.003  # of a variance: where real faces do not vary at all, a difference still has a finite weight


class MeanFaces(keras.layers.Layer):
    """Two mean faces of a voice, and how real faces scatter about theirs within patches.

    By the scatter a difference of two faces can be weighed as in Mahalanobis' distance (1936): what is least likely to
    be chance weighs most. A smile hardly changes a pixel, but changes many in a way in which little else does.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(name="mean_faces")
        self.face_size = config.data.face_size
        self.sides = -(-self.face_size // _PATCH)
        pixels = 3 * _PATCH**2
        self.networks = {name: _network(self.face_size, config.embedding_size, name) for name in ("real", "drawn")}
        self.scatter = self.add_weight(
            name="scatter",
            shape=(self.sides**2, pixels, pixels),
            initializer=lambda shape, dtype: _FIRST_VARIANCE * tf.eye(pixels, batch_shape=shape[:1], dtype=dtype),
            trainable=False,
            aggregation="only_first_replica",
        )
        self.built = True

    def of(self, kind: str, voice: tf.Tensor) -> tf.Tensor:
        """The mean face, as far as learnt, of the `kind` "real" or "drawn": float32 [N, E] to [N, H, W, 3]."""
        # A unit vector has entries of about 1/sqrt(E).
        flat = self.networks[kind](voice * math.sqrt(voice.shape[-1]))
        return tf.reshape(flat, (-1, self.face_size, self.face_size, 3))

    def observe(self, difference: tf.Tensor) -> None:
        """Takes how this replica's real faces differ from their mean, float32 [N, H, W, 3], into the scatter."""
        patches = self._patches(difference)
        of_batch = tf.matmul(patches, patches, transpose_a=True) / tf.cast(tf.shape(difference)[0], tf.float32)
        of_batch = tf.distribute.get_replica_context().all_reduce("MEAN", of_batch)
        self.scatter.assign(_DECAY * self.scatter + (1 - _DECAY) * of_batch)

    def weigh(self, difference: tf.Tensor) -> tf.Tensor:
        """A difference of two faces times the inverse of the scatter: float32 [N, H, W, 3] to [N, H, W, 3].

        It is scaled so that its product with the difference has a mean of about one over the pixels of a real face that
        differs from the mean.
        """
        scatter = tf.convert_to_tensor(self.scatter)
        precision = tf.linalg.inv(scatter + _FLOOR * tf.eye(scatter.shape[-1]))
        # The directions in which real faces vary by more than the floor.
        count = scatter.shape[0] * scatter.shape[1] - _FLOOR * tf.reduce_sum(tf.linalg.trace(precision))
        return self._faces(tf.matmul(self._patches(difference), precision) * (3 * self.face_size**2 / count))

    def _patches(self, faces: tf.Tensor) -> tf.Tensor:
        """[N, H, W, 3] to [patches, N, pixels and colours]; a face that no patches fill is padded with zeros."""
        lack = self.sides * _PATCH - self.face_size
        blocks = tf.nn.space_to_depth(tf.pad(faces, ((0, 0), (0, lack), (0, lack), (0, 0))), _PATCH)
        return tf.transpose(tf.reshape(blocks, (-1, self.sides**2, blocks.shape[-1])), (1, 0, 2))

    def _faces(self, patches: tf.Tensor) -> tf.Tensor:
        """The inverse of `_patches`."""
        blocks = tf.reshape(tf.transpose(patches, (1, 0, 2)), (-1, self.sides, self.sides, patches.shape[-1]))
        return tf.nn.depth_to_space(blocks, _PATCH)[:, : self.face_size, : self.face_size]


def _network(face_size: int, embedding_size: int, name: str) -> keras.Sequential:
    """From an embedding to the pixels of a mean face."""
    network = keras.Sequential(
        [
            keras.layers.Dense(_WIDTH, activation=layers.leaky_relu),
            keras.layers.Dense(3 * face_size**2, dtype=keras.config.floatx()),
        ],
        name=name,
    )
    network.build((None, embedding_size))
    return network
