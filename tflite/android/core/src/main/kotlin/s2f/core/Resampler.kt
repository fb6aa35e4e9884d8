package s2f.core

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.min
import kotlin.math.sin

/** Hz, of what the model hears. */
const val SAMPLE_RATE = 16_000

/**
 * Brings 16-bit sound to 16 kHz while it is being recorded, so that little is left to do when the speaker lets go.
 *
 * The filter is that of Python's `s2f_tf.data.audio.resample`: flat up to 0.92 of the lower Nyquist frequency, then a
 * raised cosine down to zero. Python multiplies spectra; here the same filter is a kernel in time, which can be applied
 * to sound that has not ended yet.
 *
 * @param rate Hz, of the sound that is added, from 8 to 48 kHz.
 */
class Resampler(private val rate: Int) {
    init {
        require(rate in 8_000..48_000) { "sound at $rate Hz: 8000 to 48000 Hz can be resampled" }
    }

    private val common = greatestCommonDivisor(rate, SAMPLE_RATE)
    private val stepIn = rate / common
    private val stepOut = SAMPLE_RATE / common // so many samples out take as long as stepIn samples in
    private val reach = HALF_WIDTH * rate / min(rate, SAMPLE_RATE) // samples in, on each side of a sample out
    private val kernels = arrayOfNulls<FloatArray>(stepOut)

    private val sound = FloatBuffer()
    private val resampled = FloatBuffer()

    /** How many samples there are so far. */
    val size get() = resampled.size

    /** Takes the first [count] samples of [pcm], in [-32768, 32767]. */
    fun add(pcm: ShortArray, count: Int) {
        for (i in 0 until count) sound.add(pcm[i] / 32768f)
        val whole = (sound.size - reach).toLong() * stepOut / stepIn // whose kernel does not reach beyond what is there
        while (resampled.size < whole) resampled.add(next())
    }

    /** Those from one to another of them, at 16 kHz, as [finish] will give them. */
    fun part(from: Int, to: Int): FloatArray = resampled.part(from, to)

    /** All that was added, at 16 kHz: ceil(samples * 16000 / rate) values in about [-1, 1]. Nothing is added after. */
    fun finish(): FloatArray {
        val length = (sound.size.toLong() * SAMPLE_RATE + rate - 1) / rate
        while (resampled.size < length) resampled.add(next())
        return resampled.part(0, resampled.size)
    }

    private fun next(): Float {
        val n = resampled.size.toLong()
        if (stepIn == stepOut) return sound[n.toInt()]
        val at = (n * stepIn / stepOut).toInt()
        val phase = (n * stepIn % stepOut).toInt()
        val kernel = kernels[phase] ?: kernel(phase).also { kernels[phase] = it }
        val first = at - reach
        var sum = 0f
        for (i in maxOf(0, -first) until minOf(kernel.size, sound.size - first)) sum += kernel[i] * sound[first + i]
        return sum
    }

    /** Weights of the samples around a place that lies [phase] / stepOut samples behind one of them. */
    private fun kernel(phase: Int): FloatArray {
        val lower = min(rate, SAMPLE_RATE).toDouble()
        val band = lower * (1 + PASSBAND) / 2 // Hz, of both signs, between the two middles of the slopes
        val slope = (1 - PASSBAND) / (1 + PASSBAND)
        return FloatArray(2 * reach + 1) { i ->
            val x = (reach - i + phase.toDouble() / stepOut) / rate * band
            (band / rate * raisedCosine(x, slope)).toFloat()
        }
    }

    private companion object {
        const val PASSBAND = 0.92
        const val HALF_WIDTH = 256 // samples at the lower rate, behind which a hundred-thousandth of the sound is left

        /** Whose spectrum is flat and falls as half a wave of a cosine; 1 at 0. */
        fun raisedCosine(x: Double, slope: Double): Double {
            val sinc = if (abs(x) < 1e-9) 1.0 else sin(PI * x) / (PI * x)
            val pole = 1 - (2 * slope * x) * (2 * slope * x)
            return if (abs(pole) < 1e-9) sinc * PI / 4 else sinc * cos(PI * slope * x) / pole
        }

        tailrec fun greatestCommonDivisor(a: Int, b: Int): Int = if (b == 0) a else greatestCommonDivisor(b, a % b)
    }
}

/** An array that grows. */
private class FloatBuffer {
    private var values = FloatArray(SAMPLE_RATE)
    var size = 0
        private set

    operator fun get(i: Int): Float = values[i]

    fun add(value: Float) {
        if (size == values.size) values = values.copyOf(2 * size)
        values[size++] = value
    }

    fun part(from: Int, to: Int): FloatArray = values.copyOfRange(from, to)
}
