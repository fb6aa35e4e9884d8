package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Test

class LiveTest {
    @Test
    fun `pieces are weighed as Python weighs them`() {
        val weights = Golden.floats("weights")
        val pieces = vectors("pieces").mapIndexed { i, embedding -> HeardPiece(embedding, weights[i].toDouble()) }
        val means = vectors("mean") // of the first, of the first two, and of all
        for ((i, mean) in means.withIndex()) assertArrayEquals(mean, meanEmbedding(pieces.take(i + 1)), 1e-6f)
        assertSame(pieces[0].embedding, meanEmbedding(pieces.take(1)))
    }

    @Test
    fun `a piece is heard where there is enough voice in it, and fills the window`() {
        val model = EchoModel()
        val heard = checkNotNull(model.hear(waveform(Golden.voice)))
        assertEquals(voicedSeconds(waveform(Golden.voice)), heard.seconds)
        assertArrayEquals(floatArrayOf(Golden.voice.max() / 32768f), heard.embedding)
        val none = listOf(Golden.hum, Golden.voice.copyOf(SAMPLE_RATE / 4), ShortArray(SAMPLE_RATE))
        for (sound in none) assertEquals(null, model.hear(waveform(sound)))
        val faint = waveform(Golden.voice).map { it / 10_000 }.toFloatArray()
        assertEquals(null, model.hear(faint)) // which is refused in the end, too
    }

    private fun vectors(name: String) = Golden.floats(name).toList().chunked(64) { it.toFloatArray() }

    private fun waveform(pcm: ShortArray) = FloatArray(pcm.size) { pcm[it] / 32768f }
}
