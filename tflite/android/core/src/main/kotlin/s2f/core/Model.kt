package s2f.core

import java.io.Closeable

/** What hears voices and draws faces. It belongs to one thread at a time, and throws where the runtime fails. */
interface Model : Closeable {
    /** Samples at 16 kHz that [embed] takes. */
    val window: Int

    /** Entries of z that [draw] takes. */
    val zSize: Int

    /** What the voice tells: from a waveform of [window] samples, an embedding of unit length. */
    fun embed(waveform: FloatArray): FloatArray

    /** A face that could belong to a voice; [z] stands for all that the voice does not tell. */
    fun draw(embedding: FloatArray, z: FloatArray): Face
}

/** A synthetic face: [size] rows of as many pixels, each of three bytes for red, green and blue. */
class Face(val size: Int, val rgb: ByteArray) {
    init {
        require(rgb.size == 3 * size * size) { "${rgb.size} bytes are no picture of $size x $size pixels" }
    }

    /** The pixels as Android's bitmaps take them: opaque, 0xAARRGGBB. */
    fun argb(): IntArray = IntArray(size * size) { i ->
        0xFF000000.toInt() or (byte(3 * i) shl 16) or (byte(3 * i + 1) shl 8) or byte(3 * i + 2)
    }

    private fun byte(i: Int): Int = rgb[i].toInt() and 0xFF
}
