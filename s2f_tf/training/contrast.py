"""Which of one half belong to which of another, over every replica: what matching and pretraining have in common."""

import tensorflow as tf

from s2f_tf.training import losses, replicas


def both_ways(
    first: tf.Tensor, second: tf.Tensor, speakers: tf.Tensor, scale: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Each of this replica's share picks its partner among those of the whole global batch, in both directions.

    Args:
        first: float32 [N, E], of unit length.
        second: their partners, in the same order.
        speakers: int64 [N].
        scale: multiplies the cosines.

    Returns:
        The loss, and the shares of the first, and of the second, for which a partner of the right speaker scored
        highest. Summed over replicas, they are means over the global batch: the strategy sums gradients, too.
    """
    replica = tf.distribute.get_replica_context()
    all_first, all_second, all_speakers = replicas.gather(first, second, speakers)
    count, total = tf.shape(first)[0], tf.cast(tf.shape(all_first)[0], tf.float32)
    own = replica.replica_id_in_sync_group * count + tf.range(count)
    found = []
    for queries, gallery in ((first, all_second), (second, all_first)):
        picked = tf.argmax(tf.matmul(queries, gallery, transpose_b=True), axis=1)
        right = tf.equal(tf.gather(all_speakers, picked), speakers)
        found.append(tf.reduce_sum(tf.cast(right, tf.float32)) / total)
    to_second = losses.matching(first, speakers, all_second, all_speakers, own, scale)
    to_first = losses.matching(second, speakers, all_first, all_speakers, own, scale)
    return tf.reduce_sum(0.5 * (to_second + to_first)) / total, *found
