"""The losses: pure functions that return one number for each example; the trainers average by the global batch."""

import tensorflow as tf


def matching(
    queries: tf.Tensor,
    query_speakers: tf.Tensor,
    gallery: tf.Tensor,
    gallery_speakers: tf.Tensor,
    own: tf.Tensor,
    scale: float,
) -> tf.Tensor:
    """Cross-entropy of picking each query's own partner from the gallery: p(j | i) = softmax over j of <q_i, g_j>.

    Other clips of the query's speaker in the gallery are never its negatives.

    Args:
        queries: float32 [N, E], of unit length.
        query_speakers: int64 [N].
        gallery: float32 [K, E], of unit length: the other modality, over all replicas.
        gallery_speakers: int64 [K].
        own: int [N], where in the gallery each query's partner stands.
        scale: multiplies the cosines.

    Returns:
        float32 [N].
    """
    logits = scale * tf.matmul(queries, gallery, transpose_b=True)
    is_own = tf.one_hot(own, tf.shape(gallery)[0], on_value=True, off_value=False, dtype=tf.bool)
    same_speaker = tf.equal(query_speakers[:, None], gallery_speakers[None, :])
    logits = tf.where(same_speaker & ~is_own, tf.float32.min, logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=own, logits=logits)


def discriminator(matched: tf.Tensor, mismatched: tf.Tensor, generated: tf.Tensor, differs: tf.Tensor) -> tf.Tensor:
    """Relativistic loss over three kinds of pair: softplus(D_fake - D_match) + softplus(D_mismatch - D_match).

    The relativistic pairing is Jolicoeur-Martineau's (2018, section 4); the mismatched pair as in matching-aware
    discriminators (Reed et al. 2016, section 4.2).

    Args:
        matched, mismatched, generated: scores, float32 [N].
        differs: float32 [N], 1 where the mismatched voice is of another speaker, 0 where by chance it is not.

    Returns:
        float32 [N].
    """
    return tf.nn.softplus(generated - matched) + differs * tf.nn.softplus(mismatched - matched)


def generator(matched: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Relativistic loss of the generator: softplus(D_match - D_fake). Scores float32 [N]; returns float32 [N]."""
    return tf.nn.softplus(matched - generated)


def diversity(one: tf.Tensor, other: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """How far two faces drawn from one voice with different z fall short of a distance: max(0, target - |one - other|).

    A generator that is conditioned on as much as a whole embedding learns to ignore z, since nothing in a pair of one
    voice and one face asks for more than one face a voice. Without this term the spread over z had fallen to a quarter
    within 750 steps, and the faces were grey averages. As in diversity-sensitive conditional GANs (Yang et al. 2019,
    section 3), but up to a distance that is read off the real faces, beyond which there is nothing to gain.

    Args:
        one, other: float32 [N, H, W, 3].
        target: a distance, float32 scalar, as a mean of absolute differences.

    Returns:
        float32 [N].
    """
    return tf.nn.relu(target - tf.reduce_mean(tf.abs(one - other), axis=(1, 2, 3)))


def gradient_penalty(gradient: tf.Tensor) -> tf.Tensor:
    """R1: the squared length of the score's gradient at real faces (Mescheder et al. 2018, section 4.1).

    Args:
        gradient: of the scores by the faces, float32 [N, H, W, 3].

    Returns:
        float32 [N].
    """
    return tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3))
