package s2f.core

import java.io.ByteArrayOutputStream
import java.io.DataOutputStream
import java.util.zip.CRC32
import java.util.zip.Deflater
import java.util.zip.DeflaterOutputStream

private val SIGNATURE = byteArrayOf(0x89.toByte(), 'P'.code.toByte(), 'N'.code.toByte(), 'G'.code.toByte(), 13, 10, 26, 10)

/**
 * A PNG file that says what it is, in the text chunks that every picture of this project carries. So a generated face
 * can always be told from a photograph.
 *
 * @param width in pixels.
 * @param argb opaque pixels, row by row, as Android's bitmaps give them.
 * @param version of s2f_tf.
 */
fun encodePng(width: Int, argb: IntArray, version: String): ByteArray {
    require(width > 0 && argb.isNotEmpty() && argb.size % width == 0) { "${argb.size} pixels in rows of $width" }
    val file = ByteArrayOutputStream()
    file.write(SIGNATURE)
    chunk(file, "IHDR") {
        writeInt(width)
        writeInt(argb.size / width)
        write(byteArrayOf(8, 2, 0, 0, 0)) // 8 bits, RGB, deflate, filters by row, not interlaced
    }
    chunk(file, "tEXt") { writeBytes("Software\u0000s2f_tf $version") }
    chunk(file, "tEXt") { writeBytes("Comment\u0000synthetic face generated from speech") }
    chunk(file, "IDAT") { write(deflated(width, argb)) }
    chunk(file, "IEND") {}
    return file.toByteArray()
}

private fun deflated(width: Int, argb: IntArray): ByteArray {
    val rows = ByteArrayOutputStream()
    DeflaterOutputStream(rows, Deflater(Deflater.BEST_COMPRESSION)).use { out ->
        for (y in 0 until argb.size / width) {
            out.write(0) // a row without a filter
            for (pixel in argb.copyOfRange(y * width, (y + 1) * width)) {
                out.write(byteArrayOf((pixel shr 16).toByte(), (pixel shr 8).toByte(), pixel.toByte()))
            }
        }
    }
    return rows.toByteArray()
}

private fun chunk(file: ByteArrayOutputStream, name: String, write: DataOutputStream.() -> Unit) {
    val bytes = ByteArrayOutputStream()
    DataOutputStream(bytes).apply { writeBytes(name) }.write()
    val content = bytes.toByteArray()
    DataOutputStream(file).apply {
        writeInt(content.size - 4)
        write(content)
        writeInt(CRC32().apply { update(content) }.value.toInt())
    }
}
