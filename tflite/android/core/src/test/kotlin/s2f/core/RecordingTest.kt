package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Sound that was recorded before; behind its end is silence, and [whenOver] is called there. */
class FixedMicrophone(
    private val pcm: ShortArray,
    override val rate: Int,
    private val whenOver: () -> Unit = {},
) : Microphone, Microphone.Source {
    private var at = 0
    var closed = false
        private set

    override fun open() = this

    override fun read(into: ShortArray): Int {
        for (i in into.indices) into[i] = pcm.getOrElse(at + i) { 0 }
        at += into.size
        if (at >= pcm.size) whenOver()
        return into.size
    }

    override fun close() {
        closed = true
    }
}

class RecordingTest {
    private val ends = mutableListOf<Event>()
    private val pieces = mutableListOf<Piece>()
    private val levels = mutableListOf<Float>()

    private fun record(pcm: ShortArray, rate: Int, window: Int = 3_000, whenOver: Recording.() -> Unit): FixedMicrophone {
        lateinit var recording: Recording
        val microphone = FixedMicrophone(pcm, rate) { recording.whenOver() }
        recording = Recording(microphone, window, levels::add, pieces::add, ends::add)
        recording.run()
        assertTrue(microphone.closed)
        return microphone
    }

    /** What was heard of noise. */
    private fun window() = ((ends.removeLast() as Event.Failed).problem as Problem.NoVoice).window

    @Test
    fun `the model hears what Python would let it hear`() {
        for (rate in listOf(44_100, 48_000)) {
            val sound = Golden.shorts("sound_$rate")
            val twice = sound + sound // long enough
            record(twice, rate) { finish() }
            val resampler = Resampler(rate).apply { add(twice, twice.size) }
            val expected = loudestWindow(resampler.finish(), 3_000)
            assertArrayEquals(expected, window(), 1e-4f)
        }
        assertTrue(levels.size > 40 && levels.all { it in 0f..1f } && levels.max() > 0.5f)
    }

    @Test
    fun `half a second is the least`() {
        record(ShortArray(16_000 * 4 / 10) { 9_000 }, 16_000) { finish() }
        assertEquals(listOf(Event.Failed(Problem.TooShort)), ends)
    }

    @Test
    fun `silence is no voice`() {
        record(ShortArray(16_000), 16_000) { finish() }
        assertEquals(listOf(Event.Failed(Problem.Silent)), ends)
    }

    @Test
    fun `a voice is told from hum`() {
        record(Golden.voice, 16_000, 16_000) { finish() }
        assertTrue(ends.single() is Event.Recorded)
        ends.clear()
        record(Golden.hum, 16_000, 16_000) { finish() }
        assertEquals(16_000, window().size)
    }

    @Test
    fun `what is dropped is forgotten`() {
        record(ShortArray(16_000) { (9_000 * (it % 2)).toShort() }, 16_000) { drop() }
        assertEquals(emptyList<Event>(), ends)
    }

    @Test
    fun `it ends by itself after fifteen seconds`() {
        record(ShortArray(8_000 * 16) { (9_000 * (it % 2)).toShort() }, 8_000, 16_000 * 15) {}
        assertEquals(16_000 * 15, window().size)
    }

    @Test
    fun `about each second there is more of a piece, until the window is full and another begins`() {
        val sound = Golden.shorts("sound_48000") + ShortArray(48_000 * 9 / 2)
        record(sound, 48_000, 40_000) { finish() }
        val second = 16_000
        assertEquals(listOf(second, 2 * second, 40_000, second, 2 * second), pieces.map { it.waveform.size })
        assertEquals(listOf(false, false, true, false, false), pieces.map { it.closes })
        val whole = Resampler(48_000).apply { add(sound, sound.size) }.finish()
        assertArrayEquals(whole.copyOf(40_000), pieces[2].waveform)
        assertArrayEquals(whole.copyOfRange(40_000, 40_000 + second), pieces[3].waveform)
    }

    @Test
    fun `a microphone that fails says why`() {
        val broken = object : Microphone {
            override fun open() = throw MicrophoneException("in use")
        }
        Recording(broken, 3_000, levels::add, pieces::add, ends::add).run()
        assertEquals(listOf(Event.Failed(Problem.Microphone("in use"))), ends)
    }
}
