package s2f.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * For tests in Python: lets the app's own path hear a file. Arguments are the rate, the samples of the window, a file of
 * little-endian 16-bit sound, and a file that the window is written to, in little-endian floats.
 */
fun main(arguments: Array<String>) {
    val (rate, window, from, to) = arguments
    val bytes = ByteBuffer.wrap(File(from).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer()
    val pcm = ShortArray(bytes.remaining()).also { bytes.get(it) }
    lateinit var recording: Recording
    recording = Recording(FixedMicrophone(pcm, rate.toInt()) { recording.finish() }, window.toInt(), {}, {}) { end ->
        val heard = (end as Event.Recorded).window
        val floats = ByteBuffer.allocate(4 * heard.size).order(ByteOrder.LITTLE_ENDIAN)
        floats.asFloatBuffer().put(heard)
        File(to).writeBytes(floats.array())
    }
    recording.run()
}
