"""A stage's log as a picture."""

import json
import os

from matplotlib.figure import Figure as Canvas

from s2f_tf.aside import written_aside

_VALIDATION = "validation_"
_COLUMNS = 3


def save(workdir: str, stage: str) -> None:
    """Draws `<workdir>/<stage>/log.jsonl` as `<workdir>/pictures/<stage>.png`: a panel for each number over the steps.

    What was measured on the validation split stands with the training curve of the same name, if there is one; a
    dotted line marks the step that was kept.
    """
    with open(os.path.join(workdir, stage, "log.jsonl"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            curves.setdefault(name, []).append((line["step"], value))
    kept = curves.pop("best_step", [])
    panels = sorted({name.removeprefix(_VALIDATION) for name in curves} - {"step", "damaged_records"})
    rows = -(-len(panels) // _COLUMNS)
    width, height = 3.6 * _COLUMNS, 2.4 * rows
    canvas = Canvas(figsize=(width, height), dpi=110)
    # What a layout engine finds out takes as long as all the rest, in each stage. Inches around the panels:
    canvas.subplots_adjust(0.55 / width, 0.3 / height, 1 - 0.1 / width, 1 - 0.3 / height, wspace=0.25, hspace=0.35)
    axes = list(canvas.subplots(rows, _COLUMNS, squeeze=False).flat)
    for panel, name in zip(axes, panels, strict=False):
        for full, style in ((name, {"color": "#9aa5b1"}), (_VALIDATION + name, {"color": "#d1683f", "marker": "."})):
            if full in curves:
                label = "validation" if full.startswith(_VALIDATION) else "training"
                panel.plot(*zip(*curves[full], strict=True), label=label, linewidth=1.2, **style)
        if kept:
            panel.axvline(kept[-1][1], color="#22313f", linestyle=":", linewidth=0.9, label="kept")
        panel.set_title(name.replace("_", " "), fontsize=9)
        panel.legend(fontsize=7, frameon=False)
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    path = os.path.join(workdir, "pictures", f"{stage}.png")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with written_aside(path) as part:
        canvas.savefig(part, format="png")
