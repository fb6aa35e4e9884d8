package s2f.core

private const val LEVELS = 4096
private const val ROUNDS = 10

/**
 * z from a seed: to the bit what Python's `s2f_tf.latent.z_from_seed` draws, so that a seed gives the same face on
 * every phone and on every computer.
 *
 * The integers are those of TensorFlow's `stateless_uniform(seed=[seed, 0], alg="philox")`, Philox 4x32-10 by Salmon
 * and others (2011); their upper 12 bits index a table of normal quantiles.
 */
object Latent {
    private val quantiles = FloatArray(LEVELS) { normalQuantile((it + 0.5) / LEVELS).toFloat() }

    /** [size] entries, each as if drawn from N(0, 1). */
    fun z(seed: Long, size: Int): FloatArray {
        // As TensorFlow does, the seed is scrambled once to make the key and the upper half of the counter.
        val mixed = philox(intArrayOf(seed.toInt(), (seed ushr 32).toInt(), 0, 0), 0x3ec8f720, 0x02461e29)
        val z = FloatArray(size)
        for (block in 0..(size - 1) / 4) {
            val bits = philox(intArrayOf(block, 0, mixed[2], mixed[3]), mixed[0], mixed[1])
            for (i in 4 * block until minOf(4 * block + 4, size)) z[i] = quantiles[bits[i % 4] ushr 20]
        }
        return z
    }

    private fun philox(counter: IntArray, key0: Int, key1: Int): IntArray {
        var (c0, c1, c2, c3) = counter
        var k0 = key0
        var k1 = key1
        repeat(ROUNDS) {
            val product0 = unsigned(c0) * 0xD2511F53L
            val product1 = unsigned(c2) * 0xCD9E8D57L
            val next0 = (product1 ushr 32).toInt() xor c1 xor k0
            val next2 = (product0 ushr 32).toInt() xor c3 xor k1
            c0 = next0
            c1 = product1.toInt()
            c2 = next2
            c3 = product0.toInt()
            k0 += 0x9E3779B9L.toInt()
            k1 += 0xBB67AE85L.toInt()
        }
        return intArrayOf(c0, c1, c2, c3)
    }

    private fun unsigned(bits: Int): Long = bits.toLong() and 0xFFFFFFFFL
}

/**
 * The value below which N(0, 1) is with probability [p], from 1e-10 to 1 - 1e-10: Wichura's algorithm AS 241 (1988), in
 * the order in which Python's `statistics.NormalDist.inv_cdf` computes it. `StrictMath` is the same to the bit everywhere.
 */
internal fun normalQuantile(p: Double): Double {
    val q = p - 0.5
    if (StrictMath.abs(q) <= 0.425) {
        val r = 0.180625 - q * q
        return polynomial(r, CENTRE_NUMERATOR) * q / polynomial(r, CENTRE_DENOMINATOR)
    }
    val r = StrictMath.sqrt(-StrictMath.log(if (q <= 0.0) p else 1.0 - p)) - 1.6
    val x = polynomial(r, TAIL_NUMERATOR) / polynomial(r, TAIL_DENOMINATOR)
    return if (q < 0.0) -x else x
}

private fun polynomial(r: Double, coefficients: DoubleArray): Double = coefficients.reduce { sum, c -> sum * r + c }

private val CENTRE_NUMERATOR = doubleArrayOf(
    2.50908092873012267e+3, 3.34305755835881281e+4, 6.72657709270087009e+4, 4.59219539315498715e+4,
    1.37316937655094611e+4, 1.97159095030655144e+3, 1.33141667891784377e+2, 3.38713287279636661e+0,
)
private val CENTRE_DENOMINATOR = doubleArrayOf(
    5.22649527885285456e+3, 2.87290857357219427e+4, 3.93078958000927106e+4, 2.12137943015865959e+4,
    5.39419602142475111e+3, 6.87187007492057908e+2, 4.23133307016009113e+1, 1.0,
)
private val TAIL_NUMERATOR = doubleArrayOf(
    7.74545014278341408e-4, 2.27238449892691846e-2, 2.41780725177450612e-1, 1.27045825245236838e+0,
    3.64784832476320460e+0, 5.76949722146069141e+0, 4.63033784615654530e+0, 1.42343711074968358e+0,
)
private val TAIL_DENOMINATOR = doubleArrayOf(
    1.05075007164441684e-9, 5.47593808499534495e-4, 1.51986665636164572e-2, 1.48103976427480075e-1,
    6.89767334985100005e-1, 1.67638483018380385e+0, 2.05319162663775882e+0, 1.0,
)
