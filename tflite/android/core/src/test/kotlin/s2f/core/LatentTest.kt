package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class LatentTest {
    @Test
    fun `every quantile is that of Python to the bit`() {
        val expected = Golden.floats("quantiles")
        assertEquals(4096, expected.size)
        assertArrayEquals(expected, FloatArray(4096) { normalQuantile((it + 0.5) / 4096).toFloat() })
    }

    @Test
    fun `z of every seed is that of TensorFlow to the bit`() {
        val seeds = Golden.longs("seeds")
        val z = Golden.floats("z")
        val size = z.size / seeds.size
        for ((i, seed) in seeds.withIndex()) {
            assertArrayEquals(z.copyOfRange(i * size, (i + 1) * size), Latent.z(seed, size), "seed $seed")
        }
    }

    @Test
    fun `a shorter z is the start of a longer one`() {
        for (size in 1..9) assertArrayEquals(Latent.z(7, 40).copyOf(size), Latent.z(7, size))
    }
}
