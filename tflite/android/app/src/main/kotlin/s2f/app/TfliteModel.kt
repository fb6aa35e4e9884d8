package s2f.app

import android.content.res.AssetManager
import org.json.JSONException
import org.json.JSONObject
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.nnapi.NnApiDelegate
import s2f.core.Face
import s2f.core.Model
import s2f.core.SAMPLE_RATE
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

private const val DESCRIPTION = "s2f.json" // which `python -m tflite.convert` writes beside its models

/** A model that `python -m tflite.convert` made, of any variant. */
class TfliteModel private constructor(
    private val interpreter: Interpreter,
    private val accelerator: NnApiDelegate?,
) : Model {
    private val embeddingSize = interpreter.getInputTensorFromSignature("embedding", "generate").shape()[1]
    private val faceSize = interpreter.getOutputTensorFromSignature("image", "generate").shape()[1]

    override val window = interpreter.getInputTensorFromSignature("waveform", "embed_speech").shape()[1]
    override val zSize = interpreter.getInputTensorFromSignature("z", "generate").shape()[1]

    override fun embed(waveform: FloatArray): FloatArray {
        val embedding = arrayOf(FloatArray(embeddingSize))
        interpreter.runSignature(mapOf("waveform" to arrayOf(waveform)), mapOf("embedding" to embedding), "embed_speech")
        return embedding[0]
    }

    override fun draw(embedding: FloatArray, z: FloatArray): Face {
        val image = ByteBuffer.allocateDirect(3 * faceSize * faceSize)
        val inputs = mapOf("embedding" to arrayOf(embedding), "z" to arrayOf(z))
        interpreter.runSignature(inputs, mapOf("image" to image), "generate")
        image.rewind()
        return Face(faceSize, ByteArray(image.remaining()).also { image.get(it) })
    }

    override fun close() {
        interpreter.close()
        accelerator?.close()
    }

    companion object {
        private const val THREADS = 2 // more cores of a phone are slow ones, which the fast ones would wait for

        /**
         * The one model in the assets.
         *
         * @param accelerated by the phone's own hardware, through NNAPI, where it can run the model's operations.
         */
        fun open(assets: AssetManager, accelerated: Boolean): Model {
            val rate = describe(assets).getInt("sample_rate")
            if (rate != SAMPLE_RATE) throw IOException("$DESCRIPTION: a model for $rate Hz, and $SAMPLE_RATE Hz is heard")
            val name = assets.list("").orEmpty().filter { it.endsWith(".tflite") }.singleOrNull()
            // Mapped, not read: an asset that is not compressed lies in the package as it is.
            val bytes = assets.openFd(name ?: throw IOException("there is to be one .tflite in the assets")).use { file ->
                FileInputStream(file.fileDescriptor).channel.use {
                    it.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
                }
            }
            val accelerator = if (accelerated) NnApiDelegate() else null
            val options = Interpreter.Options().setNumThreads(THREADS)
            if (accelerator != null) options.addDelegate(accelerator)
            return TfliteModel(Interpreter(bytes, options), accelerator)
        }

        /** What made the model. */
        fun origin(assets: AssetManager): String = describe(assets).getString("made_by")

        private fun describe(assets: AssetManager): JSONObject {
            try {
                return JSONObject(assets.open(DESCRIPTION).use { String(it.readBytes()) })
            } catch (error: JSONException) {
                throw IOException("$DESCRIPTION: ${error.message}", error)
            }
        }
    }
}
