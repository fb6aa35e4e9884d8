package s2f.core

import kotlin.math.sqrt

private const val LEAST = 0.4 // seconds of voice in a piece: what is less may be a hum that sets in

/**
 * A stretch of a recording that goes on, at 16 kHz. It is heard anew as it grows, and once it is as long as the model's
 * window for the last time: then it [closes], and another begins.
 */
class Piece(val waveform: FloatArray, val closes: Boolean)

/** What a piece tells, an embedding of unit length, and its [seconds] of voice, by which it counts. */
class HeardPiece(val embedding: FloatArray, val seconds: Double)

/** Hears a piece of a recording; null where there is no voice in it, or too little to be sure. */
fun Model.hear(waveform: FloatArray): HeardPiece? {
    val seconds = if (isSilent(waveform)) 0.0 else voicedSeconds(waveform)
    return if (seconds < LEAST) null else HeardPiece(embed(loudestWindow(waveform, window)), seconds)
}

/**
 * The embedding of a voice, of unit length, from those of its pieces, of which there is at least one: their weighed mean,
 * as Python's `s2f_tf.latent.mean_embedding`. A single one is left as it is.
 */
fun meanEmbedding(pieces: List<HeardPiece>): FloatArray {
    pieces.singleOrNull()?.let { return it.embedding }
    val sum = DoubleArray(pieces.first().embedding.size) { i -> pieces.sumOf { it.seconds * it.embedding[i] } }
    val length = sqrt(sum.sumOf { it * it })
    return FloatArray(sum.size) { (sum[it] / length).toFloat() }
}

/** A voice while somebody speaks. */
data class Forming(
    /** The pieces that are over and hold a voice. */
    val closed: List<HeardPiece> = emptyList(),
    /** The piece that is being heard. */
    val hearing: Piece? = null,
    /** Those to be heard after it: what is over, and of what still grows the latest. */
    val waiting: List<Piece> = emptyList(),
    /** Of all that was heard so far. */
    val embedding: FloatArray? = null,
    /** The latest faces of it. */
    val faces: List<Face> = emptyList(),
)
