package s2f.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import java.io.ByteArrayInputStream
import javax.imageio.ImageIO
import javax.imageio.metadata.IIOMetadataNode

class FaceTest {
    private val face = Face(2, byteArrayOf(0, 127, -128, -1, 1, 2, 3, 4, 5, 6, 7, 8))

    @Test
    fun `its pixels are opaque, red first`() {
        val expected = listOf(0xFF007F80, 0xFFFF0102, 0xFF030405, 0xFF060708)
        assertEquals(expected, face.argb().map { it.toLong() and 0xFFFFFFFFL })
    }

    @Test
    fun `a picture of another size is refused`() {
        assertThrows(IllegalArgumentException::class.java) { Face(2, ByteArray(11)) }
    }

    @Test
    fun `its PNG file has the same pixels and says what it is`() {
        val random = java.util.Random(0)
        val argb = IntArray(5 * 3) { random.nextInt() or (0xFF shl 24) }
        val reader = ImageIO.getImageReadersByFormatName("png").next()
        reader.input = ImageIO.createImageInputStream(ByteArrayInputStream(encodePng(5, argb, "1.2.3")))
        val image = reader.read(0)
        assertEquals(5 to 3, image.width to image.height)
        assertArrayEquals(argb, image.getRGB(0, 0, 5, 3, null, 0, 5))
        val root = reader.getImageMetadata(0).getAsTree("javax_imageio_png_1.0") as IIOMetadataNode
        val texts = root.getElementsByTagName("tEXtEntry")
        val found = List(texts.length) { i ->
            (texts.item(i) as IIOMetadataNode).run { getAttribute("keyword") to getAttribute("value") }
        }
        assertEquals(
            listOf("Software" to "s2f_tf 1.2.3", "Comment" to "synthetic face generated from speech"),
            found,
        )
    }

    @Test
    fun `pixels that fill no rows are refused`() {
        assertThrows(IllegalArgumentException::class.java) { encodePng(2, IntArray(3), "1") }
    }
}
