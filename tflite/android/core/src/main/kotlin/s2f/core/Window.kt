package s2f.core

private const val HOP = 160 // samples between the places that are tried: 10 ms

/**
 * The stretch of a recording that the model listens to, as Python's `tflite.window.loudest_window` finds it.
 *
 * It is the one with the greatest energy, the first of equals. A shorter waveform is repeated until the window is full:
 * zeros would tell the speech encoder how long the waveform was. Nothing else is done to it, since the model itself
 * removes the offset and the level.
 *
 * @param waveform at 16 kHz, at least one sample.
 * @param samples of the window.
 */
fun loudestWindow(waveform: FloatArray, samples: Int): FloatArray {
    require(waveform.isNotEmpty()) { "a window of no sound" }
    if (waveform.size <= samples) return FloatArray(samples) { waveform[it % waveform.size] }
    val energy = DoubleArray(waveform.size + 1)
    for (i in waveform.indices) energy[i + 1] = energy[i] + waveform[i].toDouble() * waveform[i]
    var best = 0
    for (start in 0..waveform.size - samples step HOP) {
        if (energy[start + samples] - energy[start] > energy[best + samples] - energy[best]) best = start
    }
    return waveform.copyOfRange(best, best + samples)
}
