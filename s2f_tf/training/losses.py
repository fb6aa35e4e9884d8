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


def details(face: tf.Tensor) -> tf.Tensor:
    """What a face has beyond its blurred self: float32 [N, H, W, 3] less the mean of the pixels around each."""
    width = 2 * (3 * face.shape[1] // 32) + 1
    return face - tf.nn.avg_pool2d(face, width, 1, "SAME")


def likeness(apart: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """By which share details of a voice's faces fall short of a distance, in the mean over 8 x 8 places of the face.

    `diversity` is content with hair, skin and background, which fill the face; the curve of a mouth is some pixels.

    Args:
        apart: mean distance of each pixel's details between two faces of one voice, float32 [H, W, 3].
        target: what it shall be, likewise.

    Returns:
        A scalar in [0, 1]: of each place max(0, 1 - apart / target).
    """
    side = apart.shape[0] // 8
    pixels = tf.reduce_mean(tf.stack([apart, target]), axis=-1, keepdims=True)
    apart, target = tf.unstack(tf.nn.avg_pool2d(pixels, side, side, "VALID"))
    faint = 0.005  # a place without details, such as a plain background, has nothing to fall short of
    return tf.reduce_mean(tf.nn.relu(1.0 - apart / (target + faint)))


def centring(face: tf.Tensor, real_mean: tf.Tensor, astray: tf.Tensor) -> tf.Tensor:
    """Moves the mean over z of a voice's faces to the mean real face of such voices.

    Where `astray` is independent of this face's z, and its mean is W (drawn mean - real mean), the loss is in the mean
    over z (drawn mean - real mean) W (drawn mean - real mean): it asks nothing of how faces spread. What no voice tells
    of real faces (the parting, the light) has one mean for all voices, and so may not follow the voice in drawn ones.

    Args:
        face: drawn from a voice, float32 [N, H, W, 3].
        real_mean: of that voice, likewise.
        astray: an estimate, likewise, of how far off the mean drawn face is, each pixel with its weight.

    Returns:
        float32 [N], of either sign.
    """
    return tf.reduce_mean((face - real_mean) * astray, axis=(1, 2, 3))


def gradient_penalty(gradient: tf.Tensor) -> tf.Tensor:
    """R1: the squared length of the score's gradient at real faces (Mescheder et al. 2018, section 4.1).

    Args:
        gradient: of the scores by the faces, float32 [N, H, W, 3].

    Returns:
        float32 [N].
    """
    return tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3))
