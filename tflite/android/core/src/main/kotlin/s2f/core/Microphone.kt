package s2f.core

import java.io.Closeable

/** What sound comes from. */
interface Microphone {
    /** Starts to listen. Throws [MicrophoneException] where it cannot. */
    fun open(): Source

    /** Sound while it is made, mono, 16 bits. */
    interface Source : Closeable {
        /** Samples in a second, from 8,000 to 48,000. */
        val rate: Int

        /** Waits for sound, writes it to the start of [into], and says how much it was. Throws [MicrophoneException]. */
        fun read(into: ShortArray): Int
    }
}

/** A microphone that cannot be used, or no longer; the message says why. */
class MicrophoneException(message: String) : Exception(message)
