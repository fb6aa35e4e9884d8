package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource
import java.util.Random

class ResamplerTest {
    private fun resampled(pcm: ShortArray, rate: Int, chunk: Int): FloatArray {
        val resampler = Resampler(rate)
        for (start in pcm.indices step chunk) {
            val end = minOf(start + chunk, pcm.size)
            resampler.add(pcm.copyOfRange(start, end), end - start)
        }
        return resampler.finish()
    }

    @ParameterizedTest
    @ValueSource(ints = [8_000, 16_000, 22_050, 44_100, 48_000])
    fun `it is within a ten-thousandth of what Python computes`(rate: Int) {
        assertArrayEquals(Golden.floats("waveform_$rate"), resampled(Golden.shorts("sound_$rate"), rate, 480), 1e-4f)
    }

    @Test
    fun `the pieces in which sound arrives do not matter`() {
        val pcm = Golden.shorts("sound_44100")
        val whole = resampled(pcm, 44_100, pcm.size)
        for (chunk in listOf(1, 333, 4096)) assertArrayEquals(whole, resampled(pcm, 44_100, chunk))
    }

    @Test
    fun `only the first samples of a piece are taken`() {
        val resampler = Resampler(16_000)
        resampler.add(shortArrayOf(16_384, -32_768, 9), 2)
        assertArrayEquals(floatArrayOf(0.5f, -1f), resampler.finish())
    }

    @Test
    fun `its length is that of the sound, rounded up`() {
        val random = Random(0)
        repeat(50) {
            val rate = 8_000 + random.nextInt(40_001)
            val samples = 1 + random.nextInt(300)
            val expected = Math.ceil(samples * 16_000.0 / rate).toInt()
            assertEquals(expected, resampled(ShortArray(samples), rate, samples).size, "$samples at $rate Hz")
        }
        assertEquals(0, Resampler(48_000).finish().size)
    }

    @Test
    fun `other rates are refused`() {
        for (rate in listOf(0, 7_999, 48_001, 96_000)) {
            val error = assertThrows(IllegalArgumentException::class.java) { Resampler(rate) }
            assertEquals("sound at $rate Hz: 8000 to 48000 Hz can be resampled", error.message)
        }
    }
}
