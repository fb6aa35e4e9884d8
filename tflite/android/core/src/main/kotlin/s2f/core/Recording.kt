package s2f.core

private const val MIN_SECONDS = 0.5f // as everywhere in s2f_tf
private const val MAX_SECONDS = 15f // five windows; then the recording ends by itself
private const val GROWN = SAMPLE_RATE // samples, from one piece to the next that is more of it: a second
private const val METER_SECONDS = 0.03f // between two movements of the level meter

/**
 * One recording, from holding the button to letting go. [run] belongs on a thread of its own; the rest may be called
 * from any.
 *
 * @param window samples at 16 kHz that the model hears.
 * @param onLevel is given the level, from 0 to 1, some thirty times a second.
 * @param onGrown is given what was heard so far of a piece, about each second.
 * @param onEnd is given [Event.Recorded] or [Event.Failed], once, unless the recording was dropped.
 */
class Recording(
    private val microphone: Microphone,
    private val window: Int,
    private val onLevel: (Float) -> Unit,
    private val onGrown: (Piece) -> Unit,
    private val onEnd: (Event) -> Unit,
) : Runnable {
    private enum class Wish { GO_ON, FINISH, DROP }

    @Volatile
    private var wish = Wish.GO_ON

    /** Ends it, so that what was heard is listened to. */
    fun finish() {
        if (wish == Wish.GO_ON) wish = Wish.FINISH
    }

    /** Ends it and forgets what was heard. */
    fun drop() {
        wish = Wish.DROP
    }

    /** Records until [finish], [drop] or the longest time that is allowed. */
    override fun run() {
        val end =
            try {
                microphone.open().use(::record)
            } catch (error: MicrophoneException) {
                Event.Failed(Problem.Microphone(error.message))
            }
        if (wish != Wish.DROP) onEnd(end)
    }

    private fun record(source: Microphone.Source): Event {
        val resampler = Resampler(source.rate)
        val chunk = ShortArray((source.rate * METER_SECONDS).toInt())
        var left = (source.rate * MAX_SECONDS).toInt()
        var begin = 0 // of the piece that grows, in samples at 16 kHz
        var next = minOf(GROWN, window)
        do {
            val count = minOf(source.read(chunk), left)
            resampler.add(chunk, count)
            left -= count
            if (wish == Wish.GO_ON) onLevel(meter(chunk, count))
            if (wish == Wish.GO_ON && resampler.size >= next) {
                val closes = next == begin + window
                onGrown(Piece(resampler.part(begin, next), closes))
                if (closes) begin = next
                next = minOf(next + GROWN, begin + window)
            }
        } while (wish == Wish.GO_ON && left > 0)
        val waveform = resampler.finish()
        if (waveform.size < MIN_SECONDS * SAMPLE_RATE) return Event.Failed(Problem.TooShort)
        if (isSilent(waveform)) return Event.Failed(Problem.Silent)
        val heard = loudestWindow(waveform, window)
        return if (voicedSeconds(heard) > 0) Event.Recorded(heard) else Event.Failed(Problem.NoVoice(heard))
    }
}
