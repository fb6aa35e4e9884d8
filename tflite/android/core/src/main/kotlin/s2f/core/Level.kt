package s2f.core

import kotlin.math.log10
import kotlin.math.sqrt

private const val FRAME = 480 // samples at 16 kHz: 30 ms, about a syllable's core
private const val METER_DB = 60f // from the left end of the level meter to its right end, which is full scale

/**
 * What nobody speaks below, dB relative to full scale. Android asks that 90 dB SPL give about -22 dBFS, so this is
 * 47 dB SPL at the microphone: talk at arm's length is above it, the noise of a quiet room below.
 */
private const val SILENCE_DB = -65f

/** Whether nobody can be heard: no 30 ms of a waveform at 16 kHz are as loud as quiet speech. */
fun isSilent(waveform: FloatArray): Boolean =
    (0 until waveform.size step FRAME).none { start ->
        decibels(waveform, start, minOf(start + FRAME, waveform.size)) > SILENCE_DB
    }

/** How far the level meter goes for the first [count] samples of [pcm], from 0 to 1. */
fun meter(pcm: ShortArray, count: Int): Float {
    val waveform = FloatArray(count) { pcm[it] / 32768f }
    return (1 + decibels(waveform, 0, count) / METER_DB).coerceIn(0f, 1f)
}

/** The level from [start] to [end] relative to full scale, without the offset that cheap microphones have. */
private fun decibels(waveform: FloatArray, start: Int, end: Int): Float {
    var sum = 0.0
    var squares = 0.0
    for (i in start until end) {
        sum += waveform[i]
        squares += waveform[i].toDouble() * waveform[i]
    }
    val count = maxOf(end - start, 1)
    val mean = sum / count
    return 20 * log10(maxOf(sqrt(maxOf(squares / count - mean * mean, 0.0)), 1e-9)).toFloat()
}
