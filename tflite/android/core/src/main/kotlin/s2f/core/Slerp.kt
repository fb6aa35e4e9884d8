package s2f.core

import kotlin.math.acos
import kotlin.math.sin
import kotlin.math.sqrt

/**
 * The point [share] of the way from [start] to [end] on the great circle between them, as Python's `s2f_tf.latent.slerp`:
 * their lengths go over into each other evenly.
 */
fun slerp(start: FloatArray, end: FloatArray, share: Float): FloatArray {
    require(start.size == end.size) { "vectors of ${start.size} and ${end.size} entries" }
    val startLength = sqrt(dot(start, start))
    val endLength = sqrt(dot(end, end))
    val angle = acos((dot(start, end) / startLength / endLength).coerceIn(-1.0, 1.0))
    val (before, after) =
        if (angle < 1e-6) {
            1.0 - share to share.toDouble()
        } else {
            sin((1.0 - share) * angle) / sin(angle) to sin(share * angle) / sin(angle)
        }
    val length = (1.0 - share) * startLength + share * endLength
    return FloatArray(start.size) { ((before * start[it] / startLength + after * end[it] / endLength) * length).toFloat() }
}

private fun dot(a: FloatArray, b: FloatArray): Double {
    var sum = 0.0
    for (i in a.indices) sum += a[i].toDouble() * b[i]
    return sum
}
