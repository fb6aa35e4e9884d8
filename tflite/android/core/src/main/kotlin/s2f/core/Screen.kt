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
    /** Of the voices that are kept. */
    val faces: List<Face> = emptyList(),
    /** Whether faces are drawn while somebody speaks. */
    val live: Boolean = true,
    /** How many recordings there were: by this, what comes late of one that is over is told from what is new. */
    val take: Int = 0,
    /** The voice of the recording under way, where faces are drawn while somebody speaks. */
    val forming: Forming? = null,
    /** That the last voice, or piece of one, took to be heard. */
    val heardMillis: Long? = null,
    /** That the last faces took to be drawn. */
    val drawnMillis: Long? = null,
    val problem: Problem? = null,
    /** Whether faces are being drawn now, and whether others are wanted as soon as they are. */
    val drawing: Boolean = false,
    val redraw: Boolean = false,
) {
    /** The faces on the screen. */
    val shown: List<Face> get() = forming?.faces?.ifEmpty { null } ?: faces
}

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

    /** The recording that goes on has a new piece, or more of the last one. */
    class Grown(val piece: Piece) : Event()

    /** The model has heard a piece of recording [take]: null where there was no voice in it. */
    class HeardPart(val heard: HeardPiece?, val millis: Long, val take: Int) : Event()

    /** Faces are to be drawn while somebody speaks, or only afterwards. */
    data class Live(val on: Boolean) : Event()

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

    /** The faces that were asked for last are there; [take] is that of [Effect.Draw]. */
    class Drawn(val faces: List<Face>, val millis: Long, val take: Int? = null) : Event()

    /** Something went wrong. */
    data class Failed(val problem: Problem) : Event()
}

/** What the screen wants done; the answer comes as an [Event]. */
sealed class Effect {
    object Record : Effect()

    object FinishRecording : Effect()

    object DropRecording : Effect()

    class Embed(val window: FloatArray) : Effect()

    /** Of recording [take], which goes on; answered by [Event.HeardPart]. */
    class EmbedPiece(val piece: Piece, val take: Int) : Effect()

    /** For a voice that is kept or, where there is a [take], for that of this recording so far. */
    class Draw(val embedding: FloatArray, val seeds: List<Long>, val take: Int? = null) : Effect()
}

/** A screen, and what has to be done for it. */
data class Step(val screen: Screen, val effects: List<Effect> = emptyList())

/** The screen after an event. Events that no longer fit, such as a late answer, change nothing. */
fun Screen.on(event: Event): Step = when (event) {
    is Event.Loaded -> if (phase == Phase.LOADING) copy(phase = Phase.READY).draw() else Step(this)
    is Event.Pressed -> unless(phase != Phase.READY) {
        val forming = if (live) Forming() else null
        val next = copy(phase = Phase.RECORDING, level = 0f, problem = null, take = take + 1, forming = forming)
        Step(next, listOf(Effect.Record))
    }
    is Event.Refused -> Step(copy(problem = Problem.NoPermission))
    is Event.Level -> unless(phase != Phase.RECORDING) { Step(copy(level = event.level)) }
    is Event.Grown -> whileForming {
        copy(forming = it.copy(waiting = it.waiting.filter(Piece::closes) + event.piece)).hear()
    }
    is Event.HeardPart -> whileForming { if (event.take == take) heard(event, it) else Step(this) }
    is Event.Live -> Step(copy(live = event.on, forming = forming.takeIf { event.on }))
    is Event.LetGo -> unless(phase != Phase.RECORDING) {
        Step(copy(phase = Phase.HEARING), listOf(Effect.FinishRecording))
    }
    is Event.Left -> unless(phase != Phase.RECORDING) {
        Step(copy(phase = Phase.READY, forming = null), listOf(Effect.DropRecording))
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
        val kept = copy(voices = heard, share = 1f, faces = shown, forming = null)
        kept.copy(phase = Phase.READY, heardMillis = event.millis, problem = null).draw()
    }
    is Event.Others -> copy(page = page + 1).draw()
    is Event.Slid -> unless(voices.size < 2) { copy(share = event.share.coerceIn(0f, 1f)).draw() }
    is Event.Drawn -> {
        val done = copy(drawing = false, redraw = false)
        val drawn = when {
            event.take == null -> done.copy(faces = event.faces, drawnMillis = event.millis)
            forming == null || event.take != take -> done
            else -> done.copy(forming = forming.copy(faces = event.faces), drawnMillis = event.millis)
        }
        if (redraw) drawn.draw() else Step(drawn)
    }
    is Event.Failed -> {
        val next = if (phase == Phase.LOADING || phase == Phase.BROKEN) Phase.BROKEN else Phase.READY
        val idle = event.problem is Problem.Model
        val failed = copy(phase = next, problem = event.problem, forming = null)
        val over = failed.copy(drawing = drawing && !idle, redraw = redraw && !idle)
        Step(over, if (phase == Phase.RECORDING) listOf(Effect.DropRecording) else emptyList())
    }
}

/** What waits of the recording that goes on is heard piece by piece, in its order. */
private fun Screen.hear(): Step = when {
    forming == null || forming.hearing != null || forming.waiting.isEmpty() -> Step(this)
    else -> {
        val piece = forming.waiting.first()
        val next = forming.copy(hearing = piece, waiting = forming.waiting.drop(1))
        Step(copy(forming = next), listOf(Effect.EmbedPiece(piece, take)))
    }
}

/**
 * Faces for the voice that is forming, for the one that is kept, or for the place between the two that are. While some
 * are being drawn, only the latest wish is kept.
 */
private fun Screen.draw(): Step = when {
    phase == Phase.LOADING || phase == Phase.BROKEN -> Step(this)
    voices.isEmpty() && forming?.embedding == null -> Step(this)
    phase == Phase.HEARING && forming?.embedding != null -> Step(this) // since faces of the whole voice come next
    drawing -> Step(copy(redraw = true))
    else -> {
        val seeds = List(FACES) { page * FACES + it }
        val effect = when {
            forming?.embedding != null -> Effect.Draw(forming.embedding, seeds, take)
            voices.size == 2 -> Effect.Draw(slerp(voices[0], voices[1], share), seeds)
            else -> Effect.Draw(voices[0], seeds)
        }
        Step(copy(drawing = true), listOf(effect))
    }
}

/** A piece was heard: there are faces to be drawn where it holds a voice, and perhaps another piece to be heard. */
private fun Screen.heard(event: Event.HeardPart, forming: Forming): Step {
    val pieces = forming.closed + listOfNotNull(event.heard)
    val next = forming.copy(closed = if (forming.hearing?.closes == true) pieces else forming.closed, hearing = null)
    val heard = copy(forming = next, heardMillis = event.millis)
    val drawn = when (event.heard) {
        null -> Step(heard)
        else -> heard.copy(forming = next.copy(embedding = meanEmbedding(pieces))).draw()
    }
    val waited = drawn.screen.hear()
    return Step(waited.screen, drawn.effects + waited.effects)
}

private inline fun Screen.whileForming(step: (Forming) -> Step): Step =
    if (forming == null || phase != Phase.RECORDING) Step(this) else step(forming)

private inline fun Screen.unless(late: Boolean, step: () -> Step): Step = if (late) Step(this) else step()
