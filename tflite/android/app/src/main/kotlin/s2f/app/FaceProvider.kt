package s2f.app

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

private const val AUTHORITY = "s2f.app.faces"
private const val TYPE = "image/png"
private const val KEPT = 8 // pictures, which other apps may still be reading

/** Hands the pictures that are shared to the app that they are shared with, to be read and no more. */
class FaceProvider : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri) = TYPE

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw FileNotFoundException("$uri can only be read")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        arguments: Array<String>?,
        order: String?,
    ): Cursor {
        val file = file(uri)
        val known = mapOf(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        val columns = projection?.filter { it in known } ?: known.keys.toList()
        return MatrixCursor(columns.toTypedArray(), 1).apply { addRow(columns.map { known[it] }) }
    }

    override fun insert(uri: Uri, values: ContentValues?) = throw UnsupportedOperationException("faces are only read")

    override fun update(uri: Uri, values: ContentValues?, selection: String?, arguments: Array<String>?) =
        throw UnsupportedOperationException("faces are only read")

    override fun delete(uri: Uri, selection: String?, arguments: Array<String>?) =
        throw UnsupportedOperationException("faces are only read")

    /** One of the files of [folder]: a name that leads out of it is not among them. */
    private fun file(uri: Uri): File =
        folder(checkNotNull(context)).listFiles().orEmpty().firstOrNull { uri.pathSegments == listOf(it.name) }
            ?: throw FileNotFoundException("no face at $uri")

    companion object {
        /** Keeps a picture to be shared, in place of the oldest, and says where it is to be read. */
        fun keep(context: Context, png: ByteArray): Uri {
            val folder = folder(context).apply { mkdirs() }
            folder.listFiles().orEmpty().sortedByDescending { it.name }.drop(KEPT - 1).forEach { it.delete() }
            val file = File(folder, "synthetic-face-${System.currentTimeMillis()}.png")
            file.writeBytes(png)
            return Uri.Builder().scheme("content").authority(AUTHORITY).appendPath(file.name).build()
        }

        private fun folder(context: Context) = File(context.cacheDir, "faces")
    }
}
