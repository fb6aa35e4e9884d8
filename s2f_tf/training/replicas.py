"""What replicas share."""

import tensorflow as tf


def gather(*values: tf.Tensor) -> list[tf.Tensor]:
    """Each value, [N, ...], joined over every replica of every worker, [global batch, ...]; gradients flow back."""
    replica = tf.distribute.get_replica_context()
    # What comes straight from the input has no device yet, and several workers cannot gather what has none.
    return [replica.all_gather(tf.identity(value), axis=0) for value in values]
