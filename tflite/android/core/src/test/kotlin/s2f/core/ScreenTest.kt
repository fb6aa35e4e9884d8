package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ScreenTest {
    private val one = floatArrayOf(1f, 0f)
    private val other = floatArrayOf(0f, 1f)
    private val faces = listOf(Face(1, ByteArray(3)))
    private val ready = Screen(Phase.READY)
    private val withTwo = Screen(Phase.READY, voices = listOf(one, other))

    private fun Screen.after(vararg events: Event): Step = events.fold(Step(this)) { step, event -> step.screen.on(event) }

    private fun draw(step: Step) = step.effects.single() as Effect.Draw

    @Test
    fun `from a press to the faces`() {
        var step = Screen().after(Event.Loaded)
        assertEquals(Phase.READY to emptyList<Effect>(), step.screen.phase to step.effects)
        step = step.screen.after(Event.Pressed)
        assertEquals(Phase.RECORDING to listOf(Effect.Record), step.screen.phase to step.effects)
        step = step.screen.after(Event.Level(0.4f))
        assertEquals(0.4f, step.screen.level)
        step = step.screen.after(Event.LetGo)
        assertEquals(Phase.HEARING to listOf(Effect.FinishRecording), step.screen.phase to step.effects)
        val window = FloatArray(3)
        step = step.screen.after(Event.Recorded(window))
        assertSame(window, (step.effects.single() as Effect.Embed).window)
        step = step.screen.after(Event.Heard(one, 12))
        assertEquals(listOf(0L, 1, 2, 3, 4, 5, 6, 7, 8), draw(step).seeds)
        assertSame(one, draw(step).embedding)
        assertEquals(Phase.READY, step.screen.phase)
        step = step.screen.after(Event.Drawn(faces, 34))
        assertSame(faces, step.screen.faces)
        assertEquals(12L to 34L, step.screen.heardMillis to step.screen.drawnMillis)
        assertTrue(!step.screen.drawing && step.effects.isEmpty())
    }

    @Test
    fun `a recording that ends by itself is heard, and the release that follows is nothing`() {
        val step = ready.after(Event.Pressed, Event.Recorded(FloatArray(1)))
        assertTrue(step.effects.single() is Effect.Embed)
        assertEquals(Step(step.screen), step.screen.on(Event.LetGo))
    }

    @Test
    fun `leaving the screen drops the recording, and what it says late is nothing`() {
        val step = ready.after(Event.Pressed, Event.Left)
        assertEquals(Step(ready.copy(take = 1), listOf(Effect.DropRecording)), step)
        for (late in listOf(Event.Recorded(FloatArray(1)), Event.Level(1f), Event.LetGo, Event.Heard(one, 1))) {
            assertEquals(Step(ready), ready.on(late))
        }
    }

    @Test
    fun `nothing can be pressed before the model is there, while recording or while hearing`() {
        for (phase in Phase.entries - Phase.READY) assertEquals(Step(Screen(phase)), Screen(phase).on(Event.Pressed))
    }

    @Test
    fun `two voices are kept, and the slider starts at the latest`() {
        val third = floatArrayOf(1f, 1f)
        val step = withTwo.copy(phase = Phase.HEARING, share = 0.2f).on(Event.Heard(third, 1))
        assertEquals(listOf(other, third), step.screen.voices)
        assertEquals(1f, step.screen.share)
        assertArrayEquals(third, draw(step).embedding, 1e-6f)
    }

    @Test
    fun `the slider goes from voice to voice and keeps the seeds`() {
        val step = withTwo.copy(page = 2).on(Event.Slid(0.5f))
        val half = Math.sqrt(0.5).toFloat()
        assertArrayEquals(floatArrayOf(half, half), draw(step).embedding, 1e-6f)
        assertEquals(18L, draw(step).seeds.first())
        assertEquals(Step(ready), ready.on(Event.Slid(0.5f)))
        assertEquals(1f, withTwo.on(Event.Slid(7f)).screen.share)
    }

    @Test
    fun `while faces are drawn only the latest wish is kept`() {
        val step = withTwo.after(Event.Slid(0.1f), Event.Slid(0.2f), Event.Slid(0.3f), Event.Slid(0f))
        assertTrue(step.effects.isEmpty())
        val next = step.screen.on(Event.Drawn(faces, 5))
        assertArrayEquals(one, draw(next).embedding, 1e-6f)
        assertEquals(emptyList<Effect>(), next.screen.on(Event.Drawn(faces, 5)).effects)
    }

    @Test
    fun `other faces are of the same voice and of other seeds`() {
        val step = ready.copy(voices = listOf(one)).on(Event.Others)
        assertSame(one, draw(step).embedding)
        assertEquals(List(9) { 9L + it }, draw(step).seeds)
    }

    @Test
    fun `faces come back when the screen does`() {
        val step = Screen(voices = listOf(one, other), share = 0f, page = 3).on(Event.Loaded)
        assertArrayEquals(one, draw(step).embedding, 1e-6f)
        assertEquals(27L, draw(step).seeds.first())
    }

    @Test
    fun `what goes wrong is said, and the next press takes it away`() {
        val failed = ready.after(Event.Pressed, Event.LetGo, Event.Failed(Problem.Silent)).screen
        assertEquals(Phase.READY to Problem.Silent, failed.phase to failed.problem)
        assertEquals(null, failed.on(Event.Pressed).screen.problem)
        assertEquals(Problem.NoPermission, ready.on(Event.Refused).screen.problem)
    }

    @Test
    fun `a recording without a voice is heard where that is wanted, and once`() {
        val window = FloatArray(3)
        val refused = ready.after(Event.Pressed, Event.LetGo, Event.Failed(Problem.NoVoice(window)))
        assertEquals(Phase.READY to emptyList<Effect>(), refused.screen.phase to refused.effects)
        val step = refused.screen.on(Event.Anyway)
        assertEquals(Phase.HEARING to null, step.screen.phase to step.screen.problem)
        assertSame(window, (step.effects.single() as Effect.Embed).window)
        assertEquals(Step(step.screen), step.screen.on(Event.Anyway))
        assertEquals(emptyList<Effect>(), refused.screen.after(Event.Pressed, Event.LetGo, Event.Anyway).effects)
    }

    @Test
    fun `a model that cannot be read leaves nothing to press`() {
        val broken = Screen().on(Event.Failed(Problem.Model("no file"))).screen
        assertEquals(Phase.BROKEN, broken.phase)
        assertEquals(Step(broken), broken.on(Event.Pressed))
    }

    private val growing = Piece(FloatArray(16), false)
    private val full = Piece(FloatArray(48), true)

    private fun part(embedding: FloatArray, take: Int = 1) = Event.HeardPart(HeardPiece(embedding, 1.0), 3, take)

    private fun piece(step: Step) = step.effects.filterIsInstance<Effect.EmbedPiece>().single().piece

    @Test
    fun `faces come about while somebody speaks, and at the end they are those of the whole`() {
        var step = ready.after(Event.Pressed, Event.Grown(growing))
        assertSame(growing, piece(step))
        step = step.screen.on(part(one))
        assertSame(one, draw(step).embedding)
        assertEquals(List(9) { it.toLong() } to 1, draw(step).seeds to draw(step).take)
        step = step.screen.on(Event.Drawn(faces, 5, 1))
        assertEquals(faces to emptyList<Face>(), step.screen.shown to step.screen.faces)
        step = step.screen.after(Event.LetGo, Event.Recorded(FloatArray(3)))
        assertSame(faces, step.screen.shown)
        step = step.screen.on(Event.Heard(other, 12))
        assertSame(other, draw(step).embedding)
        assertEquals(null, draw(step).take)
        assertSame(faces, step.screen.shown)
        val whole = listOf(Face(1, ByteArray(3)))
        assertSame(whole, step.screen.on(Event.Drawn(whole, 5)).screen.shown)
    }

    @Test
    fun `pieces that are over are weighed together with the one that grows, which is heard anew`() {
        var step = ready.after(Event.Pressed, Event.Grown(growing), part(one), Event.Drawn(faces, 5, 1))
        step = step.screen.after(Event.Grown(full), part(other))
        assertSame(other, draw(step).embedding) // all of that piece, and not what was heard of it before
        step = step.screen.after(Event.Drawn(faces, 5, 1), Event.Grown(growing), part(one))
        val half = Math.sqrt(0.5).toFloat()
        assertArrayEquals(floatArrayOf(half, half), draw(step).embedding, 1e-6f)
        assertEquals(1, step.screen.forming?.closed?.size)
    }

    @Test
    fun `while the model is busy only the latest of what grows is kept, and all that is over`() {
        val latest = Piece(FloatArray(32), false)
        var step = ready.after(Event.Pressed, Event.Grown(growing))
        step = step.screen.after(Event.Grown(full), Event.Grown(growing), Event.Grown(latest))
        assertEquals(emptyList<Effect>() to listOf(full, latest), step.effects to step.screen.forming?.waiting)
        step = step.screen.on(part(one))
        assertEquals(2, step.effects.size)
        assertSame(full, piece(step))
        step = step.screen.on(part(one))
        assertSame(latest, piece(step))
        assertTrue(step.effects.size == 1 && step.screen.redraw) // other faces are being drawn
        assertEquals(1, step.screen.on(part(other)).screen.on(Event.Drawn(faces, 5, 1)).effects.size)
    }

    @Test
    fun `nothing is drawn while there is no voice, and what is shown stays`() {
        val silent = Event.HeardPart(null, 3, 1)
        val step = ready.after(Event.Pressed, Event.Grown(full), silent, Event.Grown(growing))
        assertSame(growing, piece(step))
        assertEquals(emptyList<Effect>(), step.screen.on(silent).effects)
        val shown = step.screen.after(part(one), Event.Drawn(faces, 5, 1), Event.Grown(growing), silent)
        assertEquals(emptyList<Effect>() to faces, shown.effects to shown.screen.shown)
    }

    @Test
    fun `what is heard after the button was let go brings no faces of its own`() {
        val step = ready.after(Event.Pressed, Event.Grown(growing), Event.LetGo)
        for (late in listOf(part(one), Event.Grown(growing))) assertEquals(Step(step.screen), step.screen.on(late))
        val busy = ready.after(Event.Pressed, Event.Grown(growing), part(one), Event.Grown(full), part(other), Event.LetGo).screen
        assertTrue(busy.redraw)
        assertEquals(emptyList<Effect>(), busy.on(Event.Drawn(faces, 5, 1)).effects)
    }

    @Test
    fun `faces of a part that come after the whole was heard are dropped`() {
        val old = listOf(Face(1, ByteArray(3)))
        var step = ready.after(Event.Pressed, Event.Grown(growing), part(one), Event.LetGo, Event.Recorded(FloatArray(3)))
        step = step.screen.on(Event.Heard(other, 1))
        assertTrue(step.effects.isEmpty())
        step = step.screen.on(Event.Drawn(old, 5, 1))
        assertEquals(emptyList<Face>(), step.screen.shown)
        assertSame(other, draw(step).embedding)
    }

    @Test
    fun `a new recording hears nothing of the one before`() {
        val again = arrayOf(Event.Left, Event.Pressed)
        var step = ready.after(Event.Pressed, Event.Grown(growing), part(one), Event.Grown(growing), *again)
        assertEquals(Step(step.screen), step.screen.on(part(one)))
        step = step.screen.on(Event.Grown(full))
        assertSame(full, piece(step))
        assertEquals(Step(step.screen), step.screen.on(part(one)))
        step = step.screen.after(part(other, take = 2), Event.Drawn(faces, 5, 1))
        assertEquals(emptyList<Face>(), step.screen.shown)
        assertEquals(other to 2, draw(step).embedding to draw(step).take)
    }

    @Test
    fun `a recording that is given up leaves the faces of before`() {
        val before = listOf(Face(1, ByteArray(3)))
        var live = withTwo.copy(faces = before).after(Event.Pressed, Event.Grown(growing), part(one)).screen
        live = live.on(Event.Drawn(faces, 5, 1)).screen
        assertSame(faces, live.shown)
        val ends = listOf(arrayOf(Event.Left), arrayOf(Event.LetGo, Event.Failed(Problem.NoVoice(FloatArray(3)))))
        for (end in ends) assertSame(before, live.after(*end).screen.shown)
    }

    @Test
    fun `who does not want it gets faces afterwards, also where that is said while speaking`() {
        val off = ready.after(Event.Live(false), Event.Pressed).screen
        assertEquals(Step(off), off.on(Event.Grown(growing)))
        var step = ready.after(Event.Pressed, Event.Grown(growing), part(one), Event.Live(false))
        step = step.screen.on(Event.Drawn(faces, 5, 1))
        assertEquals(emptyList<Face>() to false, step.screen.shown to step.screen.drawing)
        assertEquals(Step(step.screen), step.screen.on(part(one)))
        assertTrue(step.screen.after(Event.LetGo, Event.Recorded(FloatArray(1))).effects.single() is Effect.Embed)
    }

    @Test
    fun `when drawing fails during a recording, both are over`() {
        val step = withTwo.after(Event.Slid(0.5f), Event.Pressed, Event.Failed(Problem.Model("x")))
        assertEquals(listOf(Effect.DropRecording), step.effects)
        assertEquals(Phase.READY to false, step.screen.phase to step.screen.drawing)
        assertEquals(1, step.screen.on(Event.Slid(0.1f)).effects.size)
    }
}
