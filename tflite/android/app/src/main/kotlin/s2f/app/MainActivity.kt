package s2f.app

import android.Manifest
import android.annotation.SuppressLint
import android.app.Activity
import android.app.AlertDialog
import android.app.Dialog
import android.content.ActivityNotFoundException
import android.content.ClipData
import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.provider.Settings
import android.view.Menu
import android.view.MenuItem
import android.view.MotionEvent
import android.view.View
import android.view.accessibility.AccessibilityNodeInfo
import android.widget.Button
import android.widget.GridLayout
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.SeekBar
import android.widget.TextView
import android.widget.Toast
import s2f.core.Event
import s2f.core.FACES
import s2f.core.Face
import s2f.core.Phase
import s2f.core.Problem
import s2f.core.Screen
import s2f.core.Session
import s2f.core.encodePng
import java.io.IOException
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

/** The screen: shows what the session says, and tells it what fingers do. */
class MainActivity : Activity() {
    private val main = Handler(Looper.getMainLooper())
    private lateinit var inference: ExecutorService
    private lateinit var session: Session

    private lateinit var faces: List<ImageView>
    private lateinit var status: TextView
    private lateinit var latency: TextView
    private lateinit var between: View
    private lateinit var slider: SeekBar
    private lateinit var others: Button
    private lateinit var anyway: Button
    private lateinit var level: ProgressBar
    private lateinit var talk: Button

    private var shown: List<Face> = emptyList()
    private var toSave: Uri? = null // while the person chooses where
    private var dialog: Dialog? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        status = findViewById(R.id.status) as TextView
        latency = findViewById(R.id.latency) as TextView
        between = findViewById(R.id.between)
        slider = findViewById(R.id.slider) as SeekBar
        others = findViewById(R.id.others) as Button
        anyway = findViewById(R.id.anyway) as Button
        level = findViewById(R.id.level) as ProgressBar
        talk = findViewById(R.id.talk) as Button
        val grid = findViewById(R.id.faces) as GridLayout
        faces = List(FACES) { faceView(it).also(grid::addView) }

        @Suppress("DEPRECATION") // what comes instead is of Android 13
        toSave = savedInstanceState?.getParcelable(TO_SAVE)
        val application = application as FacesApplication
        val accelerated = accelerated()
        inference = Executors.newSingleThreadExecutor { Thread(it, "inference") }
        session = Session(
            screen = (savedInstanceState?.let(::restored) ?: Screen()).copy(live = live()),
            open = { application.openModel(accelerated) },
            microphone = application.microphone(),
            inference = inference,
            main = { main.post(it) },
            start = { Thread(it, "recording").start() },
            nanoseconds = System::nanoTime,
            show = ::show,
        )
        listen()
        show(session.screen)
    }

    override fun onPause() {
        session.on(Event.Left)
        super.onPause()
    }

    override fun onDestroy() {
        dialog?.dismiss()
        session.close()
        inference.shutdown() // after the work at hand
        super.onDestroy()
    }

    /** Voices, not faces: the same seeds draw the same faces again. */
    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        val screen = session.screen
        screen.voices.forEachIndexed { i, voice -> outState.putFloatArray("$VOICE$i", voice) }
        outState.putFloat(SHARE, screen.share)
        outState.putLong(PAGE, screen.page)
        outState.putParcelable(TO_SAVE, toSave)
    }

    private fun restored(state: Bundle) = Screen(
        voices = (0..1).mapNotNull { state.getFloatArray("$VOICE$it") },
        share = state.getFloat(SHARE),
        page = state.getLong(PAGE),
    )

    @SuppressLint("ClickableViewAccessibility") // a click does what a finger does, in two steps
    private fun listen() {
        talk.setOnTouchListener { _, motion ->
            when (motion.actionMasked) {
                MotionEvent.ACTION_DOWN -> press()
                MotionEvent.ACTION_UP, MotionEvent.ACTION_CANCEL -> session.on(Event.LetGo)
            }
            true
        }
        // By a screen reader or a keyboard, nothing can be held.
        talk.setOnClickListener { if (session.screen.phase == Phase.RECORDING) session.on(Event.LetGo) else press() }
        talk.accessibilityDelegate = ClickLabel(getString(R.string.talk_click))
        others.setOnClickListener { session.on(Event.Others) }
        anyway.setOnClickListener { session.on(Event.Anyway) }
        slider.setOnSeekBarChangeListener(
            object : SeekBar.OnSeekBarChangeListener {
                override fun onProgressChanged(bar: SeekBar, progress: Int, byPerson: Boolean) {
                    if (byPerson) session.on(Event.Slid(progress / bar.max.toFloat()))
                }

                override fun onStartTrackingTouch(bar: SeekBar) = Unit

                override fun onStopTrackingTouch(bar: SeekBar) = Unit
            },
        )
    }

    private fun show(screen: Screen) {
        val recording = screen.phase == Phase.RECORDING
        say(status, statusOf(screen))
        talk.isEnabled = recording || screen.phase == Phase.READY
        talk.isPressed = recording
        say(talk, getString(if (recording) R.string.talking else R.string.talk))
        level.progress = if (recording) (screen.level * level.max).toInt() else 0
        others.isEnabled = screen.voices.isNotEmpty()
        anyway.visibility = if (screen.problem is Problem.NoVoice) View.VISIBLE else View.GONE
        between.visibility = if (screen.voices.size == 2) View.VISIBLE else View.INVISIBLE
        if (!slider.isPressed) slider.progress = (screen.share * slider.max).toInt()
        if (screen.shown !== shown) showFaces(screen.shown)
        val (heard, drawn) = screen.heardMillis to screen.drawnMillis
        say(latency, if (heard == null || drawn == null) "" else getString(R.string.latency, heard, FACES, drawn))
    }

    private fun showFaces(drawn: List<Face>) {
        shown = drawn
        for ((i, view) in faces.withIndex()) { // none where a voice was given up while its faces came about
            view.setImageBitmap(drawn.getOrNull(i)?.toBitmap())
            view.isEnabled = i < drawn.size
        }
    }

    /** Only what is new is set, since a screen reader speaks whatever is set. */
    private fun say(view: TextView, text: String) {
        if (view.text.toString() != text) view.text = text
    }

    private fun statusOf(screen: Screen): String = when (val problem = screen.problem) {
        null -> getString(
            when (screen.phase) {
                Phase.LOADING, Phase.BROKEN -> R.string.loading
                Phase.READY -> if (screen.voices.isEmpty()) R.string.ready else R.string.ready_again
                Phase.RECORDING -> R.string.recording
                Phase.HEARING -> R.string.hearing
            },
        )
        is Problem.TooShort -> getString(R.string.too_short)
        is Problem.Silent -> getString(R.string.silent)
        is Problem.NoVoice -> getString(R.string.no_voice)
        is Problem.NoPermission -> getString(R.string.no_permission)
        is Problem.Microphone -> getString(R.string.microphone_fails, problem.detail)
        is Problem.Model -> getString(R.string.model_fails, problem.detail)
    }

    private fun faceView(number: Int) = ImageView(this).apply {
        val cell = { GridLayout.spec(GridLayout.UNDEFINED, 1f) }
        layoutParams = GridLayout.LayoutParams(cell(), cell()).apply {
            width = 0
            height = 0
            val gap = resources.displayMetrics.density.toInt()
            setMargins(gap, gap, gap, gap)
        }
        setBackgroundResource(R.color.empty)
        scaleType = ImageView.ScaleType.FIT_CENTER
        contentDescription = getString(R.string.face, number + 1, FACES)
        accessibilityDelegate = ClickLabel(getString(R.string.face_click))
        setOnClickListener { open(shown[number]) }
        isEnabled = false // until there is a face
    }

    /** A face as it would be shared. */
    private fun open(face: Face) {
        val picture = face.toPicture(this)
        val view = ImageView(this)
        view.setImageBitmap(picture)
        view.adjustViewBounds = true
        view.contentDescription = getString(R.string.caption)
        val png = { encodePng(picture.width, picture.argb(), version()) }
        ask(
            AlertDialog.Builder(this)
                .setView(view)
                .setPositiveButton(R.string.share) { _, _ -> keep(png, ::share) }
                .setNeutralButton(R.string.save) { _, _ -> keep(png, ::save) }
                .setNegativeButton(R.string.close, null),
        )
    }

    /** Keeps a picture where other apps can be let to read it, and goes on on the main thread. */
    private fun keep(png: () -> ByteArray, then: (Uri) -> Unit) = inBackground({ FaceProvider.keep(this, png()) }, then)

    private fun share(picture: Uri) {
        val send = Intent(Intent.ACTION_SEND)
            .setType("image/png")
            .putExtra(Intent.EXTRA_STREAM, picture)
            .putExtra(Intent.EXTRA_TEXT, getString(R.string.caption))
            .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        send.clipData = ClipData.newRawUri(null, picture) // which carries the grant through the chooser
        startActivity(Intent.createChooser(send, getString(R.string.share)))
    }

    /** The person chooses where, so that no permission for the storage is needed on any version of Android. */
    private fun save(picture: Uri) {
        toSave = picture
        val create = Intent(Intent.ACTION_CREATE_DOCUMENT)
            .addCategory(Intent.CATEGORY_OPENABLE)
            .setType("image/png")
            .putExtra(Intent.EXTRA_TITLE, getString(R.string.file_name))
        try {
            startActivityForResult(create, SAVE)
        } catch (_: ActivityNotFoundException) {
            toast(getString(R.string.no_app))
        }
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val from = toSave
        val to = data?.data
        toSave = null
        if (requestCode != SAVE || resultCode != RESULT_OK || from == null || to == null) return
        inBackground({ copy(from, to) }) { toast(getString(R.string.saved)) }
    }

    private fun copy(from: Uri, to: Uri) {
        val input = contentResolver.openInputStream(from) ?: throw IOException("$from")
        val output = contentResolver.openOutputStream(to) ?: throw IOException("$to")
        input.use { output.use { input.copyTo(output) } }
    }

    private fun <T> inBackground(work: () -> T, then: (T) -> Unit) = inference.execute {
        try {
            val result = work()
            main.post { if (!isDestroyed) then(result) }
        } catch (error: IOException) {
            main.post { toast(getString(R.string.not_saved, error.message)) }
        }
    }

    private fun press() {
        if (checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED) {
            session.on(Event.Pressed)
        } else {
            ask(
                AlertDialog.Builder(this)
                    .setTitle(R.string.why_title)
                    .setMessage(R.string.why)
                    .setPositiveButton(R.string.go_on) { _, _ ->
                        requestPermissions(arrayOf(Manifest.permission.RECORD_AUDIO), MICROPHONE)
                    }
                    .setNegativeButton(R.string.not_now) { _, _ -> session.on(Event.Refused) },
            )
        }
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<String>, grantResults: IntArray) {
        if (requestCode != MICROPHONE || grantResults.firstOrNull() == PackageManager.PERMISSION_GRANTED) return
        session.on(Event.Refused)
        if (!shouldShowRequestPermissionRationale(Manifest.permission.RECORD_AUDIO)) {
            ask(
                AlertDialog.Builder(this)
                    .setMessage(R.string.settings_hint)
                    .setPositiveButton(R.string.settings) { _, _ ->
                        val app = Uri.fromParts("package", packageName, null)
                        startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app))
                    }
                    .setNegativeButton(R.string.not_now, null),
            )
        }
    }

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.main, menu)
        menu.findItem(R.id.live).isChecked = live()
        val accelerator = menu.findItem(R.id.accelerator)
        accelerator.isVisible = Build.VERSION.SDK_INT >= 27 // Android 8.1, the first with NNAPI
        accelerator.isChecked = accelerated()
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        when (item.itemId) {
            R.id.live -> {
                choose(LIVE, !live())
                item.isChecked = live()
                session.on(Event.Live(live()))
            }
            R.id.accelerator -> {
                choose(ACCELERATED, !item.isChecked)
                recreate()
            }
            R.id.about -> {
                val text = getString(R.string.about_text, version(), TfliteModel.origin(assets))
                ask(AlertDialog.Builder(this).setTitle(R.string.app).setMessage(text).setPositiveButton(R.string.close, null))
            }
        }
        return super.onOptionsItemSelected(item)
    }

    private fun live() = choices().getBoolean(LIVE, true)

    private fun accelerated() = choices().getBoolean(ACCELERATED, false)

    private fun choose(name: String, isOn: Boolean) = choices().edit().putBoolean(name, isOn).apply()

    private fun choices() = getPreferences(Context.MODE_PRIVATE)

    private fun version(): String = packageManager.getPackageInfo(packageName, 0).versionName.orEmpty()

    private fun ask(question: AlertDialog.Builder) {
        dialog?.dismiss()
        dialog = question.show()
    }

    private fun toast(text: String) = Toast.makeText(this, text, Toast.LENGTH_LONG).show()

    /** Says what a click does, where a screen reader would only say that there is something to click. */
    private class ClickLabel(private val label: String) : View.AccessibilityDelegate() {
        override fun onInitializeAccessibilityNodeInfo(host: View, info: AccessibilityNodeInfo) {
            super.onInitializeAccessibilityNodeInfo(host, info)
            info.addAction(AccessibilityNodeInfo.AccessibilityAction(AccessibilityNodeInfo.ACTION_CLICK, label))
        }
    }

    private companion object {
        const val VOICE = "voice"
        const val SHARE = "share"
        const val PAGE = "page"
        const val TO_SAVE = "to_save"
        const val LIVE = "live"
        const val ACCELERATED = "accelerated"
        const val MICROPHONE = 1
        const val SAVE = 2
    }
}
