package s2f.app

import android.app.Application
import s2f.core.Microphone
import s2f.core.Model

/** What the screen hears and draws with. Tests, which have neither, run another application. */
open class FacesApplication : Application() {
    /** Reads the model in the assets; called on the thread that is to use it. */
    open fun openModel(accelerated: Boolean): Model = TfliteModel.open(assets, accelerated)

    /** That of the phone. */
    open fun microphone(): Microphone = PhoneMicrophone()
}
