package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

class WindowTest {
    @Test
    fun `it is the stretch that Python takes`() {
        assertArrayEquals(Golden.floats("window"), loudestWindow(Golden.floats("waveform_48000"), 3_000))
    }

    @Test
    fun `a shorter waveform is repeated as Python repeats it`() {
        val short = Golden.floats("waveform_48000").copyOf(700)
        assertArrayEquals(Golden.floats("repeated"), loudestWindow(short, 3_000))
    }

    @Test
    fun `of equals the first is taken`() {
        val waveform = FloatArray(160 * 20) { (it % 160).toFloat() }
        for (i in 160 * 19 until 160 * 20) waveform[i] *= -1f
        assertArrayEquals(waveform.copyOf(480), loudestWindow(waveform, 480))
    }

    @Test
    fun `no sound has no window`() {
        assertThrows(IllegalArgumentException::class.java) { loudestWindow(FloatArray(0), 10) }
    }
}
