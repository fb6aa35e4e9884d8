package s2f.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What `python -m tflite.golden` wrote. */
object Golden {
    fun floats(name: String): FloatArray = bytes("$name.f32").asFloatBuffer().let { FloatArray(it.remaining()) { i -> it[i] } }

    fun longs(name: String): LongArray = bytes("$name.i64").asLongBuffer().let { LongArray(it.remaining()) { i -> it[i] } }

    fun shorts(name: String): ShortArray = bytes("$name.i16").asShortBuffer().let { ShortArray(it.remaining()) { i -> it[i] } }

    /** A second of a voice at 16 kHz, and one of hum. */
    val voice = shorts("voices").copyOfRange(SAMPLE_RATE, 2 * SAMPLE_RATE)
    val hum = shorts("voices").copyOfRange(2 * SAMPLE_RATE, 3 * SAMPLE_RATE)

    private fun bytes(name: String): ByteBuffer {
        val stream = checkNotNull(Golden::class.java.getResourceAsStream("/golden/$name")) { "no golden/$name" }
        return ByteBuffer.wrap(stream.use { it.readBytes() }).order(ByteOrder.LITTLE_ENDIAN)
    }
}
