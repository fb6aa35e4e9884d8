package s2f.core

import java.io.Closeable
import java.io.IOException
import java.util.concurrent.Executor

/**
 * The screen at work: takes what happens on the main thread, records on threads of their own, and lets the model hear
 * and draw on one thread, one after the other.
 *
 * All but the constructor's functions is called on the main thread.
 *
 * @param open the model; called on the thread of [inference].
 * @param inference one thread, which outlives the session by at most the work at hand.
 * @param main the thread of the screen.
 * @param start runs a recording on a thread of its own.
 * @param nanoseconds a clock.
 * @param show is given every screen, on the main thread.
 */
class Session(
    screen: Screen,
    open: () -> Model,
    private val microphone: Microphone,
    private val inference: Executor,
    private val main: Executor,
    private val start: (Recording) -> Unit,
    private val nanoseconds: () -> Long,
    private val show: (Screen) -> Unit,
) : Closeable {
    /** What is shown now. */
    var screen = screen
        private set

    @Volatile
    private var model: Model? = null // of the inference thread alone, but for its sizes
    private var recording: Recording? = null
    private var closed = false

    init {
        infer {
            model = open()
            Event.Loaded
        }
    }

    /** Something happened. */
    fun on(event: Event) {
        if (closed) return
        val step = screen.on(event)
        screen = step.screen
        show(screen)
        step.effects.forEach(::run)
    }

    /** Ends a recording and, after the work at hand, closes the model. Nothing is shown any more. */
    override fun close() {
        closed = true
        recording?.drop()
        inference.execute { model?.close() }
    }

    private fun run(effect: Effect) {
        when (effect) {
            is Effect.Record -> record()
            is Effect.FinishRecording -> recording?.finish()
            is Effect.DropRecording -> recording?.drop()
            is Effect.Embed -> withModel { model, millis -> Event.Heard(model.embed(effect.window), millis()) }
            is Effect.EmbedPiece -> withModel { model, millis ->
                Event.HeardPart(model.hear(effect.piece.waveform), millis(), effect.take)
            }
            is Effect.Draw -> withModel { model, millis ->
                val faces = effect.seeds.map { model.draw(effect.embedding, Latent.z(it, model.zSize)) }
                Event.Drawn(faces, millis(), effect.take)
            }
        }
    }

    private fun record() {
        val window = checkNotNull(model) { "recording before the model is there" }.window
        lateinit var started: Recording
        // A recording that was dropped may have had something to say a moment before.
        fun from(event: Event) = main.execute { if (recording === started) on(event) }
        started = Recording(microphone, window, { from(Event.Level(it)) }, { from(Event.Grown(it)) }, ::from)
        recording = started
        start(started)
    }

    private fun withModel(work: (Model, () -> Long) -> Event) {
        val model = checkNotNull(model) { "work before the model is there" }
        infer {
            val before = nanoseconds()
            work(model) { (nanoseconds() - before) / 1_000_000 }
        }
    }

    /** TensorFlow Lite says whatever goes wrong by unchecked exceptions, and a bad file by those of reading. */
    private fun infer(work: () -> Event) = inference.execute {
        val event =
            try {
                work()
            } catch (error: RuntimeException) {
                Event.Failed(Problem.Model(error.message))
            } catch (error: IOException) {
                Event.Failed(Problem.Model(error.message))
            } catch (error: LinkageError) { // a processor for which there is no library in the package
                Event.Failed(Problem.Model(error.message))
            }
        main.execute { on(event) }
    }
}
