package s2f.app

import android.content.Context
import android.util.AttributeSet
import android.widget.GridLayout

/** A grid that is as wide as it is high, and as large as there is room for. */
class SquareGrid(context: Context, attributes: AttributeSet) : GridLayout(context, attributes) {
    override fun onMeasure(widthSpec: Int, heightSpec: Int) {
        val rooms = listOf(widthSpec, heightSpec).filter { MeasureSpec.getMode(it) != MeasureSpec.UNSPECIFIED }
        val side = MeasureSpec.makeMeasureSpec(rooms.minOfOrNull(MeasureSpec::getSize) ?: 0, MeasureSpec.EXACTLY)
        super.onMeasure(side, side)
    }
}
