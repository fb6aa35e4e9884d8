package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.IOException
import java.util.concurrent.Executor

/** Tasks that wait until they are run, so that a test decides what happens first. */
private class Queue : Executor {
    val tasks = ArrayDeque<Runnable>()

    override fun execute(task: Runnable) {
        tasks.add(task)
    }
}

/** Hears how loud a voice is, and draws what it was given. */
class EchoModel : Model {
    override val window = 16_000
    override val zSize = 4
    var closed = false

    override fun embed(waveform: FloatArray) = floatArrayOf(waveform.max())

    override fun draw(embedding: FloatArray, z: FloatArray): Face {
        check(!closed)
        return Face(1, byteArrayOf((100 * embedding[0]).toInt().toByte(), (10 * z[0]).toInt().toByte(), 0))
    }

    override fun close() {
        closed = true
    }
}

class SessionTest {
    private val inference = Queue()
    private val main = Queue()
    private val recordings = Queue()
    private val shown = mutableListOf<Screen>()
    private val model = EchoModel()
    private var pcm = Golden.voice
    private var clock = 0L

    private fun session(screen: Screen = Screen(), open: () -> Model = { model }): Session {
        lateinit var session: Session
        val microphone = FixedMicrophone(pcm, 16_000) {
            settle() // the meter moves
            session.on(Event.LetGo)
        }
        val tick = { clock.also { clock += 7_000_000 } }
        session = Session(screen, open, microphone, inference, main, recordings::execute, tick, shown::add)
        return session
    }

    private fun settle() {
        while (true) {
            val queue = listOf(main, inference).firstOrNull { it.tasks.isNotEmpty() } ?: return
            queue.tasks.removeFirst().run()
        }
    }

    @Test
    fun `a voice becomes faces, the same ones for the same seeds`() {
        val session = session().also { settle() }
        session.on(Event.Pressed)
        recordings.tasks.removeFirst().run()
        settle()
        assertEquals(listOf(Phase.READY, Phase.RECORDING, Phase.HEARING, Phase.READY), shown.map { it.phase }.changes())
        assertTrue(shown.any { it.level > 0.5f })
        assertFacesOf(pcm, shown.last().faces)
        assertEquals(7L to 7L, shown.last().heardMillis to shown.last().drawnMillis)
    }

    private fun assertFacesOf(pcm: ShortArray, faces: List<Face>) {
        assertEquals(9, faces.size)
        val embedding = floatArrayOf(pcm.max() / 32768f)
        for ((seed, face) in faces.withIndex()) {
            assertArrayEquals(model.draw(embedding, Latent.z(seed.toLong(), 4)).rgb, face.rgb)
        }
    }

    @Test
    fun `hum brings no faces, but for a person who wants them`() {
        pcm = Golden.hum
        val session = session().also { settle() }
        session.on(Event.Pressed)
        recordings.tasks.removeFirst().run()
        settle()
        assertTrue(shown.last().problem is Problem.NoVoice)
        assertEquals(emptyList<Face>(), shown.last().faces)
        session.on(Event.Anyway)
        settle()
        assertEquals(null, shown.last().problem)
        assertFacesOf(pcm, shown.last().faces)
    }

    @Test
    fun `while somebody speaks faces come about, and in the end they are those of the whole`() {
        pcm = Golden.voice + Golden.voice
        val session = session().also { settle() }
        session.on(Event.Pressed)
        recordings.tasks.removeFirst().run()
        assertEquals(9, shown.last { it.phase == Phase.RECORDING }.shown.size)
        settle()
        assertFacesOf(pcm, shown.last().faces)
        assertEquals(null, shown.last().forming)
    }

    @Test
    fun `hum brings no faces while it is heard`() {
        pcm = Golden.hum + Golden.hum + Golden.hum
        val session = session().also { settle() }
        session.on(Event.Pressed)
        recordings.tasks.removeFirst().run()
        settle()
        assertTrue(shown.any { it.heardMillis != null })
        assertTrue(shown.all { it.shown.isEmpty() })
    }

    private fun List<Phase>.changes(): List<Phase> = filterIndexed { i, phase -> i == 0 || phase != this[i - 1] }

    @Test
    fun `too short a press is said`() {
        val session = session().also { settle() }
        session.on(Event.Pressed)
        session.on(Event.LetGo)
        recordings.tasks.removeFirst().run()
        settle()
        assertEquals(Phase.READY to Problem.TooShort, shown.last().phase to shown.last().problem)
    }

    @Test
    fun `a recording that was dropped does not reach the next one`() {
        val session = session().also { settle() }
        session.on(Event.Pressed)
        val first = recordings.tasks.removeFirst()
        session.on(Event.Left)
        session.on(Event.Pressed)
        first.run()
        settle()
        assertEquals(Phase.RECORDING to 0f, session.screen.phase to session.screen.level)
    }

    @Test
    fun `faces are drawn again from what was kept`() {
        session(Screen(voices = listOf(floatArrayOf(0.25f)), page = 1))
        settle()
        val expected = model.draw(floatArrayOf(0.25f), Latent.z(9, 4))
        assertArrayEquals(expected.rgb, shown.last().faces.first().rgb)
    }

    @Test
    fun `what the runtime or the file says is shown`() {
        session { throw IOException("no file") }
        settle()
        assertEquals(Problem.Model("no file"), shown.last().problem)
        session { throw IllegalArgumentException("not a model") }
        settle()
        assertEquals(Problem.Model("not a model"), shown.last().problem)
        session { throw UnsatisfiedLinkError("no library") }
        settle()
        assertEquals(Problem.Model("no library"), shown.last().problem)
    }

    @Test
    fun `after it is closed nothing is shown, and the model is closed after its last work`() {
        val session = session(Screen(voices = listOf(floatArrayOf(0.25f))))
        inference.tasks.removeFirst().run()
        main.tasks.removeFirst().run() // asks for faces
        val before = shown.size
        session.close()
        settle()
        assertTrue(model.closed)
        assertEquals(before, shown.size)
    }
}
