package s2f.core

import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow
import kotlin.math.sin
import kotlin.math.sqrt

private const val MOMENT = SAMPLE_RATE / 100 // samples from one moment to the next
private const val WINDOW = 4 * MOMENT
private const val PAUSE = 80 // moments: a longer pause ends a stretch
private const val MARGIN = 20 // moments
private const val FIRST_LAG = SAMPLE_RATE / 400
private const val LAST_LAG = SAMPLE_RATE / 70 - 1
private const val TRANSFORM = 1024 // samples
private const val CORRELATION = 0.45
private const val SHARE = 1.0 / 6
private const val LEAST = 10 // voiced moments
private val BAND = 80.0..<2000.0 // Hz
private val IN_BAND = 10.0.pow(-45.0 / 20) // the least level in the band, relative to that of all
private val DEPTH = 10.0.pow(-30.0 / 20) // the least level of a moment, relative to the loudest
private val SPREAD = 10.0.pow(3.0 / 20) // the least ratio of levels, of the loudest tenth of a stretch to the quietest tenth

private val COSINES = DoubleArray(TRANSFORM / 2) { cos(2 * PI * it / TRANSFORM) }
private val SINES = DoubleArray(TRANSFORM / 2) { sin(2 * PI * it / TRANSFORM) }
private val HANN = DoubleArray(WINDOW) { 0.5 - 0.5 * cos(2 * PI * it / (WINDOW - 1)) }
private val WEIGHTS = DoubleArray(TRANSFORM / 2 + 1) { bin ->
    val hertz = bin.toDouble() * SAMPLE_RATE / TRANSFORM
    if (hertz in BAND) min(hertz / 500, 1.0).pow(2) else 0.0
}
private val OF_WINDOW = correlation(HANN, DoubleArray(TRANSFORM / 2 + 1) { 1.0 })

/**
 * Seconds of voice in a waveform at 16 kHz, of any level: 0 where there is hum, tone, noise or silence alone.
 *
 * It is told as Python's `s2f_tf.data.voice.voiced_seconds` tells it, which says why it is told so.
 */
fun voicedSeconds(waveform: FloatArray): Double {
    val moments = List(waveform.size / MOMENT) { look(waveform, it * MOMENT) }
    val loudest = moments.maxOfOrNull { if (it.voiced) it.level else 0.0 } ?: 0.0
    val places = moments.indices.filter { moments[it].voiced && moments[it].level > DEPTH * loudest }
    var count = 0
    var from = 0
    while (from < places.size) {
        var to = from + 1
        while (to < places.size && places[to] - places[to - 1] <= PAUSE) to++
        val first = places[from]
        val last = places[to - 1]
        val length = min(moments.size, last + MARGIN) - max(0, first - MARGIN)
        val levels = moments.subList(first, last + 1).map { it.level }.sorted()
        val varies = levels[9 * levels.size / 10] >= SPREAD * levels[levels.size / 10]
        if (to - from >= max(LEAST.toDouble(), SHARE * length) && varies) count += to - from
        from = to
    }
    return count * MOMENT / SAMPLE_RATE.toDouble()
}

/** Some 40 ms: whether they are voiced, and how loud what repeats itself in them is. */
private class Moment(val voiced: Boolean, val level: Double)

private fun look(waveform: FloatArray, start: Int): Moment {
    val window = DoubleArray(WINDOW) { waveform.getOrElse(start + it) { 0f }.toDouble() }
    val mean = window.average()
    for (i in window.indices) window[i] = (window[i] - mean) * HANN[i]
    val correlated = correlation(window, WEIGHTS)
    for (lag in correlated.indices) correlated[lag] /= OF_WINDOW[lag]
    val power = correlated[0]
    val repeated = (FIRST_LAG..LAST_LAG).maxOf { correlated[it] }.coerceAtLeast(0.0).coerceAtMost(power)
    val all = window.sumOf { it * it } / OF_WINDOW[0]
    return Moment(power > IN_BAND * IN_BAND * all && repeated > CORRELATION * power, sqrt(repeated))
}

/** Of a window with itself, at lags from 0 to [LAST_LAG], where each frequency of it has a weight. */
private fun correlation(window: DoubleArray, weights: DoubleArray): DoubleArray {
    val real = window.copyOf(TRANSFORM)
    val imaginary = DoubleArray(TRANSFORM)
    transform(real, imaginary)
    for (i in real.indices) {
        val power = real[i] * real[i] + imaginary[i] * imaginary[i]
        real[i] = weights[min(i, TRANSFORM - i)] * power / TRANSFORM
    }
    imaginary.fill(0.0)
    transform(real, imaginary) // which is its own inverse where what goes in is even
    return real.copyOf(LAST_LAG + 1)
}

/** The Fourier transform, in place (Cooley and Tukey 1965). */
private fun transform(real: DoubleArray, imaginary: DoubleArray) {
    for (i in real.indices) {
        val j = Integer.reverse(i) ushr 32 - 10 // TRANSFORM is 2 to the power of 10
        if (i < j) {
            real[i] = real[j].also { real[j] = real[i] }
            imaginary[i] = imaginary[j].also { imaginary[j] = imaginary[i] }
        }
    }
    var half = 1
    while (half < TRANSFORM) {
        for (start in 0 until TRANSFORM step 2 * half) {
            for (i in start until start + half) {
                val j = i + half
                val at = (i - start) * (TRANSFORM / 2 / half)
                val x = real[j] * COSINES[at] + imaginary[j] * SINES[at]
                val y = imaginary[j] * COSINES[at] - real[j] * SINES[at]
                real[j] = real[i] - x
                imaginary[j] = imaginary[i] - y
                real[i] += x
                imaginary[i] += y
            }
        }
        half *= 2
    }
}
