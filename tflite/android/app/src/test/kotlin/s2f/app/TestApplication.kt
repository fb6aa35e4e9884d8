package s2f.app

import s2f.core.Face
import s2f.core.Model
import java.io.DataInputStream
import java.io.DataOutputStream

/** The app on a computer, where TensorFlow Lite's library for phones does not load. All the rest of it is real. */
class TestApplication : FacesApplication() {
    override fun openModel(accelerated: Boolean): Model {
        check(!accelerated) { "no accelerator here" }
        val command = System.getProperty("s2f.model").orEmpty()
        return if (command.isEmpty()) PlainModel() else CommandModel(command.split(" "))
    }
}

/** Faces of one colour each, by z; the louder the voice, the brighter. */
private class PlainModel : Model {
    override val window = 16_000
    override val zSize = 3

    override fun embed(waveform: FloatArray) = floatArrayOf(waveform.max(), 0f)

    override fun draw(embedding: FloatArray, z: FloatArray) =
        Face(8, ByteArray(3 * 8 * 8) { (128 + 100 * embedding[0] + 20 * z[it % 3]).toInt().toByte() })

    override fun close() = Unit
}

/**
 * The shipped model in a process of its own, `tests/tflite/answer.py`, which runs it with the TensorFlow Lite that
 * computers have: numbers go in and come out, big-endian.
 */
private class CommandModel(command: List<String>) : Model {
    private val process = ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val answers = DataInputStream(process.inputStream.buffered())
    private val questions = DataOutputStream(process.outputStream.buffered())

    override val window = answers.readInt()
    override val zSize = answers.readInt()
    private val embeddingSize = answers.readInt()
    private val faceSize = answers.readInt()

    override fun embed(waveform: FloatArray): FloatArray {
        ask('e', waveform)
        return FloatArray(embeddingSize) { answers.readFloat() }
    }

    override fun draw(embedding: FloatArray, z: FloatArray): Face {
        ask('d', embedding + z)
        return Face(faceSize, ByteArray(3 * faceSize * faceSize).also(answers::readFully))
    }

    private fun ask(what: Char, numbers: FloatArray) {
        questions.writeByte(what.code)
        numbers.forEach(questions::writeFloat)
        questions.flush()
    }

    override fun close() {
        questions.close() // its end
        process.waitFor()
    }
}
