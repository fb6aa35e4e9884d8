package s2f.app

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Rect
import android.text.Layout
import android.text.StaticLayout
import android.text.TextPaint
import s2f.core.Face

private const val SIDE = 480 // pixels, of the face in a picture to share
private const val MARGIN = 12f

/** A face's own pixels. */
fun Face.toBitmap(): Bitmap = Bitmap.createBitmap(argb(), size, size, Bitmap.Config.ARGB_8888)

/** A face to share: enlarged, over a line that says what it is, since other apps may drop what the file says. */
fun Face.toPicture(context: Context): Bitmap {
    val paint = TextPaint(Paint.ANTI_ALIAS_FLAG)
    paint.color = Color.WHITE
    paint.textSize = 20f
    val text = context.getString(R.string.caption)
    val caption = StaticLayout.Builder.obtain(text, 0, text.length, paint, (SIDE - 2 * MARGIN).toInt())
        .setAlignment(Layout.Alignment.ALIGN_CENTER)
        .build()
    val picture = Bitmap.createBitmap(SIDE, SIDE + caption.height + (2 * MARGIN).toInt(), Bitmap.Config.ARGB_8888)
    val canvas = Canvas(picture)
    canvas.drawColor(Color.BLACK)
    canvas.drawBitmap(toBitmap(), null, Rect(0, 0, SIDE, SIDE), Paint(Paint.FILTER_BITMAP_FLAG))
    canvas.translate(MARGIN, SIDE + MARGIN)
    caption.draw(canvas)
    return picture
}

/** The pixels of a bitmap, row by row. */
fun Bitmap.argb(): IntArray = IntArray(width * height).also { getPixels(it, 0, width, 0, 0, width, height) }
