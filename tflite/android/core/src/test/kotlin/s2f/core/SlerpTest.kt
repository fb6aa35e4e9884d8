package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

class SlerpTest {
    private val ends = Golden.floats("slerp_ends")
    private val start = ends.copyOf(ends.size / 2)
    private val end = ends.copyOfRange(ends.size / 2, ends.size)

    @Test
    fun `it goes the way that Python goes`() {
        val expected = Golden.floats("slerp")
        for ((i, share) in Golden.floats("shares").withIndex()) {
            val point = expected.copyOfRange(i * start.size, (i + 1) * start.size)
            assertArrayEquals(point, slerp(start, end, share), 1e-6f)
        }
    }

    @Test
    fun `between a voice and itself there is nothing else`() {
        for (share in listOf(0f, 0.3f, 1f)) assertArrayEquals(start, slerp(start, start, share), 1e-6f)
    }

    @Test
    fun `vectors of other lengths are refused`() {
        assertThrows(IllegalArgumentException::class.java) { slerp(start, end.copyOf(3), 0.5f) }
    }
}
