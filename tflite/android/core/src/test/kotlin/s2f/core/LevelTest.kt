package s2f.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.math.PI
import kotlin.math.pow
import kotlin.math.sin
import kotlin.math.sqrt

class LevelTest {
    /** A tone of so many dB relative to full scale, in the mean. */
    private fun tone(decibels: Double, samples: Int = 480) =
        FloatArray(samples) { (sqrt(2.0) * 10.0.pow(decibels / 20) * sin(2 * PI * it / 48)).toFloat() }

    private fun pcm(waveform: FloatArray) = ShortArray(waveform.size) { (waveform[it] * 32768).toInt().toShort() }

    @Test
    fun `quiet speech is heard and a quiet room is not`() {
        assertFalse(isSilent(tone(-60.0)))
        assertTrue(isSilent(tone(-70.0)))
        assertTrue(isSilent(FloatArray(48_000)))
    }

    @Test
    fun `one syllable in a long silence is heard`() {
        assertFalse(isSilent(FloatArray(48_000) + tone(-40.0, 960) + FloatArray(48_000)))
    }

    @Test
    fun `the offset of a microphone is no sound`() {
        assertTrue(isSilent(FloatArray(16_000) { 0.05f }))
        assertEquals(0f, meter(ShortArray(480) { 1_000 }, 480))
    }

    @Test
    fun `the meter goes from -60 dB to full scale`() {
        assertEquals(0f, meter(pcm(tone(-75.0)), 480))
        assertEquals(0.5f, meter(pcm(tone(-30.0)), 480), 0.01f)
        assertEquals(1f, meter(ShortArray(480) { if (it % 2 == 0) 32_767 else -32_768 }, 480), 0.001f)
        assertEquals(0f, meter(ShortArray(480) { 9 }, 0))
    }
}
