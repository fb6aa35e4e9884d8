package s2f.app

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.os.SystemClock
import android.view.MotionEvent
import android.view.View
import android.widget.Button
import android.widget.GridLayout
import android.widget.ImageView
import android.widget.SeekBar
import android.widget.TextView
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowAlertDialog
import org.robolectric.shadows.ShadowAudioRecord
import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The whole app but TensorFlow Lite's library, on Android's own classes. */
@RunWith(RobolectricTestRunner::class)
@Config(application = TestApplication::class, sdk = [34], qualifiers = "w360dp-h720dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class MainActivityTest {
    private val controller = Robolectric.buildActivity(MainActivity::class.java)
    private val activity get() = controller.get()
    private val application = RuntimeEnvironment.getApplication()

    private lateinit var sound: ShortArray

    @Volatile
    private var heard = 0
    private var pause = 1L // ms, between the blocks of silence behind the sound

    @Before
    fun speak() {
        val path = System.getProperty("s2f.sound").orEmpty()
        sound =
            if (path.isEmpty()) {
                humming { Math.sin(it * 0.0003) } // gets louder and quieter, as a voice does
            } else {
                val shorts = ByteBuffer.wrap(File(path).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer()
                ShortArray(shorts.remaining()).also { shorts.get(it) }
            }
        val source = object : ShadowAudioRecord.AudioRecordSource {
            override fun readInShortArray(into: ShortArray, offset: Int, count: Int, blocking: Boolean): Int {
                for (i in 0 until count) into[offset + i] = sound.getOrElse(heard + i) { 0 }
                heard += count
                if (heard >= sound.size) Thread.sleep(pause) // silence, until the button is let go
                return count
            }
        }
        ShadowAudioRecord.setSourceProvider { source }
    }

    /** Two seconds of 153 Hz, so loud. */
    private fun humming(level: (Int) -> Double) =
        ShortArray(96_000) { (16_000 * level(it) * Math.sin(it * 0.02)).toInt().toShort() }

    @After
    fun close() {
        controller.close()
    }

    /** With faces at the end alone, so that whoever waits for faces waits for those. */
    private fun start() {
        activity.getPreferences(Activity.MODE_PRIVATE).edit().putBoolean("live", false).commit()
        shadowOf(application).grantPermissions(Manifest.permission.RECORD_AUDIO)
        controller.setup()
        until { talk.isEnabled }
    }

    private val talk get() = activity.findViewById<Button>(R.id.talk)
    private val status get() = activity.findViewById<TextView>(R.id.status).text.toString()
    private val faces: List<ImageView>
        get() = activity.findViewById<GridLayout>(R.id.faces).let { grid -> List(grid.childCount) { grid.getChildAt(it) as ImageView } }

    /** Lets the main thread work until something is so. */
    private fun until(reached: () -> Boolean) {
        val end = System.nanoTime() + 60_000_000_000
        while (!reached()) {
            check(System.nanoTime() < end) { "it never came; the status is: $status" }
            shadowOf(Looper.getMainLooper()).idle()
            Thread.sleep(2)
        }
    }

    private fun touch(view: View, action: Int) {
        val now = SystemClock.uptimeMillis()
        view.dispatchTouchEvent(MotionEvent.obtain(now, now, action, 5f, 5f, 0))
    }

    private fun say() {
        hold()
        until { talk.isEnabled && faces.all { it.isEnabled } }
    }

    private fun hold() {
        heard = 0
        touch(talk, MotionEvent.ACTION_DOWN)
        until { heard >= sound.size }
        touch(talk, MotionEvent.ACTION_UP)
    }

    private fun pixels() = faces.map { (it.drawable as android.graphics.drawable.BitmapDrawable).bitmap.argb() }

    @Test
    fun `hold, talk and let go, and there are nine faces`() {
        start()
        assertEquals(activity.getString(R.string.ready), status)
        say()
        assertEquals(9, pixels().map { it.toList() }.distinct().size)
        assertTrue(activity.findViewById<TextView>(R.id.latency).text.matches(Regex("Heard in \\d+ ms, 9 faces drawn in \\d+ ms")))
        File(System.getProperty("s2f.output"), "faces.rgb").writeBytes(
            pixels().flatMap { face -> face.flatMap { listOf(it shr 16, it shr 8, it).map(Int::toByte) } }.toByteArray(),
        )
        val first = pixels().first()
        activity.findViewById<View>(R.id.others).performClick()
        until { !pixels().first().contentEquals(first) }
    }

    @Test
    fun `faces come about while somebody speaks, and in the end are those of the whole recording`() {
        start()
        say()
        val whole = pixels()
        val before = faces.first().drawable
        shadowOf(activity).clickMenuItem(R.id.live)
        assertTrue(activity.getPreferences(Activity.MODE_PRIVATE).getBoolean("live", false))
        heard = 0
        pause = 30 // as long as they last
        touch(talk, MotionEvent.ACTION_DOWN)
        until { faces.first().drawable !== before }
        assertEquals(activity.getString(R.string.recording), status)
        draw("live.png")
        until { heard >= sound.size }
        touch(talk, MotionEvent.ACTION_UP)
        until { talk.isEnabled && status != activity.getString(R.string.hearing) && near(pixels(), whole) }
    }

    /** Two recordings of one sound begin and end together, but for the silence behind it, and half way between is rounded. */
    private fun near(some: List<IntArray>, others: List<IntArray>) = some.zip(others).all { (one, other) ->
        one.indices.all { i -> listOf(16, 8, 0).all { Math.abs((one[i] shr it and 255) - (other[i] shr it and 255)) <= 2 } }
    }

    @Test
    fun `a recording without a voice is said, and brings faces only where that is wanted`() {
        sound = humming { 1.0 }
        start()
        hold()
        until { status == activity.getString(R.string.no_voice) }
        assertTrue(faces.none { it.isEnabled })
        draw("no_voice.png")
        val anyway = activity.findViewById<View>(R.id.anyway)
        assertEquals(View.VISIBLE, anyway.visibility)
        anyway.performClick()
        until { faces.all { it.isEnabled } }
        assertEquals(View.GONE, anyway.visibility)
    }

    @Test
    fun `a second voice brings the slider, whose ends are the voices`() {
        start()
        say()
        val between = activity.findViewById<View>(R.id.between)
        assertEquals(View.INVISIBLE, between.visibility)
        say()
        assertEquals(View.VISIBLE, between.visibility)
        assertEquals(100, activity.findViewById<SeekBar>(R.id.slider).progress)
        draw("screen.png")
    }

    private fun draw(name: String) {
        val root = activity.window.decorView
        val bitmap = Bitmap.createBitmap(root.width, root.height, Bitmap.Config.ARGB_8888)
        root.draw(Canvas(bitmap))
        assertTrue(bitmap.argb().distinct().size > 20)
        File(System.getProperty("s2f.output"), name).outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }

    @Test
    fun `after a rotation the same faces come back`() {
        start()
        say()
        val before = pixels()
        controller.recreate()
        until { faces.all { it.isEnabled } }
        pixels().zip(before).forEach { (now, then) -> assertArrayEquals(then, now) }
        RuntimeEnvironment.setQualifiers("+land")
        controller.recreate()
        until { faces.all { it.isEnabled } }
        assertTrue(faces.first().width > 0)
    }

    @Test
    @Config(qualifiers = "w360dp-h720dp-night-xhdpi")
    fun `it is dark at night`() {
        start()
        draw("night.png")
    }

    @Test
    fun `a screen reader starts and stops by clicks, and hears what happens`() {
        start()
        talk.performClick()
        assertEquals(activity.getString(R.string.recording), status)
        until { heard >= sound.size }
        talk.performClick()
        until { faces.all { it.isEnabled } }
        assertEquals(activity.getString(R.string.ready_again), status)
        assertEquals(View.ACCESSIBILITY_LIVE_REGION_POLITE, activity.findViewById<View>(R.id.status).accessibilityLiveRegion)
        assertEquals("Synthetic face 3 of 9", faces[2].contentDescription)
    }

    @Test
    fun `leaving the screen ends the recording`() {
        start()
        touch(talk, MotionEvent.ACTION_DOWN)
        assertEquals(activity.getString(R.string.recording), status)
        controller.pause()
        assertEquals(activity.getString(R.string.ready), status)
    }

    @Test
    fun `the microphone is asked for with a reason, and a refusal is said`() {
        controller.setup()
        until { talk.isEnabled }
        touch(talk, MotionEvent.ACTION_DOWN)
        val why = ShadowAlertDialog.getLatestAlertDialog()
        assertEquals(activity.getString(R.string.why), shadowOf(why).message)
        why.getButton(AlertDialog.BUTTON_POSITIVE).performClick()
        shadowOf(Looper.getMainLooper()).idle()
        val asked = shadowOf(activity).lastRequestedPermission
        assertEquals(listOf(Manifest.permission.RECORD_AUDIO), asked.requestedPermissions.toList())
        activity.onRequestPermissionsResult(asked.requestCode, asked.requestedPermissions, intArrayOf(-1))
        assertEquals(activity.getString(R.string.no_permission), status)
    }

    @Test
    fun `a model that does not open is said, and nothing can be pressed`() {
        shadowOf(application).grantPermissions(Manifest.permission.RECORD_AUDIO)
        activity.getPreferences(Activity.MODE_PRIVATE).edit().putBoolean("accelerated", true).commit()
        controller.setup()
        until { status == activity.getString(R.string.model_fails, "no accelerator here") }
        assertFalse(talk.isEnabled)
    }

    private fun open(button: Int) {
        start()
        say()
        faces[4].performClick()
        ShadowAlertDialog.getLatestAlertDialog().getButton(button).performClick()
    }

    @Test
    fun `a face is shared as a picture that says what it is, and nothing else can be read`() {
        open(AlertDialog.BUTTON_POSITIVE)
        until { shadowOf(activity).peekNextStartedActivity() != null }
        val chooser = shadowOf(activity).nextStartedActivity
        val send = checkNotNull(chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java))
        val uri = checkNotNull(send.getParcelableExtra(Intent.EXTRA_STREAM, Uri::class.java))
        assertTrue(send.flags and Intent.FLAG_GRANT_READ_URI_PERMISSION != 0)
        assertEquals(uri, checkNotNull(send.clipData).getItemAt(0).uri)
        val png = activity.contentResolver.openInputStream(uri)!!.use { it.readBytes() }
        File(System.getProperty("s2f.output"), "shared.png").writeBytes(png)
        for (text in listOf("Software\u0000s2f_tf 0.1.0", "Comment\u0000synthetic face generated from speech")) {
            assertTrue(String(png, Charsets.ISO_8859_1).contains("tEXt$text"))
        }
        activity.contentResolver.query(uri, null, null, null, null)!!.use {
            assertTrue(it.moveToFirst())
            assertEquals(png.size.toLong(), it.getLong(it.getColumnIndexOrThrow("_size")))
        }
        val outside = Uri.parse("content://s2f.app.faces/..%2F..%2Fshared_prefs%2FMainActivity.xml")
        for ((other, mode) in listOf(outside to "r", uri to "w", uri to "rw")) {
            assertTrue(runCatching { activity.contentResolver.openFileDescriptor(other, mode) }.isFailure)
        }
    }

    @Test
    fun `a face is saved where the person says`() {
        open(AlertDialog.BUTTON_NEUTRAL)
        until { shadowOf(activity).peekNextStartedActivityForResult() != null }
        val create = shadowOf(activity).nextStartedActivityForResult.intent
        assertEquals(Intent.ACTION_CREATE_DOCUMENT, create.action)
        val file = ByteArrayOutputStream()
        val to = Uri.parse("content://documents/1")
        shadowOf(activity.contentResolver).registerOutputStream(to, file)
        shadowOf(activity).receiveResult(create, Activity.RESULT_OK, Intent().setData(to))
        until { file.size() > 0 && org.robolectric.shadows.ShadowToast.getTextOfLatestToast() == activity.getString(R.string.saved) }
        assertEquals(listOf(0x89.toByte(), 'P'.code.toByte()), file.toByteArray().take(2))
    }
}
