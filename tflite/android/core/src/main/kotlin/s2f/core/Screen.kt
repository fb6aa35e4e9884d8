package s2f.core

/** Faces that are shown at once. */
const val FACES = 9

/** What the screen shows. It changes only by [on]; whatever else has to happen is said in effects. */
data class Screen(
    val phase: Phase = Phase.LOADING,
    /** Of the voice, while recording, from 0 to 1. */
    val level: Float = 0f,
    /** Embeddings of the last two voices, the latest last. */
    val voices: List<FloatArray> = emptyList(),
    /** Of the way from the last voice but one to the last. */
    val share: Float = 1f,
    /** Of the endless book of faces, [FACES] to a page. */
    val page: Long = 0,
    val faces: List<Face> = emptyList(),
    /** That the last voice took to be heard. */
    val heardMillis: Long? = null,
    /** That the faces on the screen took to be drawn. */
    val drawnMillis: Long? = null,
    val problem: Problem? = null,
    /** Whether faces are being drawn now, and whether others are wanted as soon as they are. */
    val drawing: Boolean = false,
    val redraw: Boolean = false,
)

/** What can be done now. */
enum class Phase {
    /** Nothing yet: the model is being read. */
    LOADING,

    /** Nothing: the model cannot be read. */
    BROKEN,
    READY,
    RECORDING,

    /** Wait: the button was let go, and the voice is being heard. */
    HEARING,
}

/** What went wrong, for the person to read. */
sealed class Problem {
    /** Held for less than half a second. */
    object TooShort : Problem()

    /** Nothing was to be heard. */
    object Silent : Problem()

    /** Nobody spoke: there was hum, noise or music alone. [window] may be heard all the same. */
    class NoVoice(val window: FloatArray) : Problem()

    /** The microphone may not be used. */
    object NoPermission : Problem()

    /** The microphone does not work; [detail] says why. */
    data class Microphone(val detail: String?) : Problem()

    /** The model does not work; [detail] says why. */
    data class Model(val detail: String?) : Problem()
}

/** What happens to the screen. */
sealed class Event {
    /** The model is there. */
    object Loaded : Event()

    /** The button is held down. */
    object Pressed : Event()

    /** The microphone may not be used. */
    object Refused : Event()

    /** The voice is so loud, from 0 to 1. */
    data class Level(val level: Float) : Event()

    /** The button is let go. */
    object LetGo : Event()

    /** The screen is left. */
    object Left : Event()

    /** The recording is over, by itself or because the button was let go. */
    class Recorded(val window: FloatArray) : Event()

    /** The recording in which nobody spoke is to be heard all the same. */
    object Anyway : Event()

    /** The model has heard a voice. */
    class Heard(val embedding: FloatArray, val millis: Long) : Event()

    /** Other faces for the same voice are wanted. */
    object Others : Event()

    /** The slider between the voices is moved. */
    data class Slid(val share: Float) : Event()

    /** The faces that were asked for last are there. */
    class Drawn(val faces: List<Face>, val millis: Long) : Event()

    /** Something went wrong. */
    data class Failed(val problem: Problem) : Event()
}

/** What the screen wants done; the answer comes as an [Event]. */
sealed class Effect {
    object Record : Effect()

    object FinishRecording : Effect()

    object DropRecording : Effect()

    class Embed(val window: FloatArray) : Effect()

    class Draw(val embedding: FloatArray, val seeds: List<Long>) : Effect()
}

/** A screen, and what has to be done for it. */
data class Step(val screen: Screen, val effects: List<Effect> = emptyList())

/** The screen after an event. Events that no longer fit, such as a late answer, change nothing. */
fun Screen.on(event: Event): Step = when (event) {
    is Event.Loaded -> if (phase == Phase.LOADING) copy(phase = Phase.READY).draw() else Step(this)
    is Event.Pressed -> unless(phase != Phase.READY) {
        Step(copy(phase = Phase.RECORDING, level = 0f, problem = null), listOf(Effect.Record))
    }
    is Event.Refused -> Step(copy(problem = Problem.NoPermission))
    is Event.Level -> unless(phase != Phase.RECORDING) { Step(copy(level = event.level)) }
    is Event.LetGo -> unless(phase != Phase.RECORDING) {
        Step(copy(phase = Phase.HEARING), listOf(Effect.FinishRecording))
    }
    is Event.Left -> unless(phase != Phase.RECORDING) {
        Step(copy(phase = Phase.READY), listOf(Effect.DropRecording))
    }
    is Event.Recorded -> unless(phase != Phase.RECORDING && phase != Phase.HEARING) {
        Step(copy(phase = Phase.HEARING), listOf(Effect.Embed(event.window)))
    }
    is Event.Anyway -> when (problem) {
        is Problem.NoVoice -> Step(copy(phase = Phase.HEARING, problem = null), listOf(Effect.Embed(problem.window)))
        else -> Step(this)
    }
    is Event.Heard -> unless(phase != Phase.HEARING) {
        val heard = (voices + event.embedding).takeLast(2)
        copy(phase = Phase.READY, voices = heard, share = 1f, heardMillis = event.millis, problem = null).draw()
    }
    is Event.Others -> copy(page = page + 1).draw()
    is Event.Slid -> unless(voices.size < 2) { copy(share = event.share.coerceIn(0f, 1f)).draw() }
    is Event.Drawn -> {
        val drawn = copy(faces = event.faces, drawnMillis = event.millis, drawing = false, redraw = false)
        if (redraw) drawn.draw() else Step(drawn)
    }
    is Event.Failed -> {
        val next = if (phase == Phase.LOADING || phase == Phase.BROKEN) Phase.BROKEN else Phase.READY
        val idle = event.problem is Problem.Model
        val failed = copy(phase = next, problem = event.problem, drawing = drawing && !idle, redraw = redraw && !idle)
        Step(failed, if (phase == Phase.RECORDING) listOf(Effect.DropRecording) else emptyList())
    }
}

/** Faces for the voice, or for the place between the voices. While some are being drawn, only the latest wish is kept. */
private fun Screen.draw(): Step = when {
    voices.isEmpty() || phase == Phase.LOADING || phase == Phase.BROKEN -> Step(this)
    drawing -> Step(copy(redraw = true))
    else -> {
        val embedding = if (voices.size == 2) slerp(voices[0], voices[1], share) else voices[0]
        Step(copy(drawing = true), listOf(Effect.Draw(embedding, List(FACES) { page * FACES + it })))
    }
}

private inline fun Screen.unless(late: Boolean, step: () -> Step): Step = if (late) Step(this) else step()
