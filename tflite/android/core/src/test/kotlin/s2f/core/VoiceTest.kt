package s2f.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class VoiceTest {
    private val sounds = Golden.shorts("voices") // of a second each
    private val expected = Golden.floats("voiced_seconds") // of each, and of all together

    @Test
    fun `voices are told from hum, tone and noise as Python tells them, at any level`() {
        for (level in listOf(1f, 0.01f, 0.0001f)) {
            val waveform = FloatArray(sounds.size) { level * sounds[it] / 32768f }
            val each = List(sounds.size / SAMPLE_RATE) { waveform.copyOfRange(it * SAMPLE_RATE, (it + 1) * SAMPLE_RATE) }
            for ((seconds, sound) in expected.toList().zip(each + waveform)) {
                assertEquals(seconds == 0f, voicedSeconds(sound) == 0.0)
                assertEquals(seconds.toDouble(), voicedSeconds(sound), 0.02)
            }
        }
    }

    @Test
    fun `silence and no sound hold no voice`() {
        for (samples in listOf(0, 100, 16_000)) assertEquals(0.0, voicedSeconds(FloatArray(samples)))
    }
}
