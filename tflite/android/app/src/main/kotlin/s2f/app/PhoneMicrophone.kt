package s2f.app

import android.annotation.SuppressLint
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import s2f.core.Microphone
import s2f.core.MicrophoneException

/** The phone's microphone, as near to raw as Android gives it: without automatic gain, which this source turns off. */
class PhoneMicrophone : Microphone {
    override fun open(): Microphone.Source {
        for (rate in RATES) {
            val least = AudioRecord.getMinBufferSize(rate, AudioFormat.CHANNEL_IN_MONO, AudioFormat.ENCODING_PCM_16BIT)
            if (least > 0) started(rate, maxOf(least, 2 * rate / 2))?.let { return Recorder(it) } // half a second
        }
        throw MicrophoneException("it does not start; another app may be using it")
    }

    @SuppressLint("MissingPermission") // the screen asks for it; without it, the recorder does not start
    private fun started(rate: Int, bytes: Int): AudioRecord? {
        val recorder = AudioRecord(
            MediaRecorder.AudioSource.VOICE_RECOGNITION,
            rate,
            AudioFormat.CHANNEL_IN_MONO,
            AudioFormat.ENCODING_PCM_16BIT,
            bytes,
        )
        if (recorder.state == AudioRecord.STATE_INITIALIZED) {
            recorder.startRecording()
            if (recorder.recordingState == AudioRecord.RECORDSTATE_RECORDING) return recorder
        }
        recorder.release()
        return null
    }

    private class Recorder(private val recorder: AudioRecord) : Microphone.Source {
        override val rate = recorder.sampleRate

        override fun read(into: ShortArray): Int {
            val count = recorder.read(into, 0, into.size)
            if (count <= 0) throw MicrophoneException("it stopped; Android's number for that is $count")
            return count
        }

        override fun close() = recorder.release()
    }

    private companion object {
        val RATES = listOf(48_000, 44_100, 16_000) // Hz; the first is most phones' own, the second every phone has
    }
}
