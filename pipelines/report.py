"""The page that shows a corpus: `python -m pipelines.prepare --report=report.html`."""

import html
import io
import os

import numpy as np
from matplotlib.figure import Figure as Canvas

from s2f_tf.data import clip
from s2f_tf.errors import UserError
from s2f_tf.page import Page

from . import contact_sheet, holdings
from .holdings import Counts, Holdings

_CLIPS, _SEED = 24, 1
_COLOURS = ("#2f6f9f", "#d1683f", "#4c956c", "#8a5a9e")
_BARS = 40


def write(corpus_folder: str, path: str) -> None:
    """Reads a corpus once, and writes a page that needs nothing else, aside and then renamed.

    It shows faces and names of files: whoever gets it gets data about people.

    Raises:
        CorpusError: where the folder is no corpus, or a shard is missing.
        UserError: where the page cannot be written; found out before the corpus is read.
    """
    folder = os.path.dirname(path) or "."
    if not os.access(folder, os.W_OK) or os.path.isdir(path):
        raise UserError(f"{path} cannot be written: a file in a folder that is there is expected")
    found = holdings.look(corpus_folder, _CLIPS, _SEED)
    page = Page(f"The corpus {os.path.basename(os.path.abspath(corpus_folder))}")
    made_by = html.escape(found.description["made_by"])
    page.add(
        f'<p class="note">Made by <code>{made_by}</code>. The faces, and the names of speakers and files, are data '
        "about people, unless the corpus is synthetic: whoever gets this page gets them.</p>"
    )
    _splits(page, found)
    if found.sample:
        page.add("<h2>Clips</h2>")
        caption = "Drawn at random: the faces of a clip, its sound, its speaker and how long it is."
        page.figure(contact_sheet.draw(found.sample), caption)
        page.add("<h2>Durations, faces and sound</h2>")
        page.figure(_distributions(found), _sizes(found))
    _dropped(page, found)
    try:
        page.write(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _splits(page: Page, found: Holdings) -> None:
    rows = []
    for split in clip.SPLITS:
        speakers = found.description["speakers"].get(split, 0)
        hours = f"{found.seconds[split] / 3600:.2f}"
        rows.append((split, f"{found.clips[split]:,}", f"{speakers:,}", hours, f"{found.lost[split]:,}"))
    page.table(("split", "clips", "speakers", "hours", "lost"), rows)
    if found.damaged:
        names = html.escape(", ".join(found.damaged_names))
        page.add(f'<p class="note">{found.damaged:,} records are damaged and not counted, such as {names}.</p>')


def _dropped(page: Page, found: Holdings) -> None:
    dropped, examples = found.description["dropped"], found.description.get("examples", {})
    page.add("<h2>What was dropped</h2>")
    if not dropped:
        page.add('<p class="note">Nothing.</p>')
        return
    canvas = Canvas(figsize=(9.2, 0.32 * len(dropped) + 0.9), dpi=110, layout="constrained")
    axes = canvas.subplots()
    bars = axes.barh(list(dropped), list(dropped.values()), color=_COLOURS[1], height=0.7)
    axes.bar_label(bars, [f" {count:,}" for count in dropped.values()], fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("dropped")
    axes.spines[["top", "right"]].set_visible(False)
    page.figure(_png(canvas), "How often each reason was met.")
    rows = [(html.escape(r), f"{count:,}", html.escape(examples.get(r, "-"))) for r, count in dropped.items()]
    page.table(("reason", "count", "an example"), rows)


def _distributions(found: Holdings) -> bytes:
    canvas = Canvas(figsize=(9.2, 5.4), dpi=110, layout="constrained")
    (durations, faces), (kilobytes, levels) = canvas.subplots(2, 2)
    for axes, counts, label, colour in (
        (durations, found.durations, "seconds of a clip", _COLOURS[0]),
        (kilobytes, found.face_bytes, "kB of a face", _COLOURS[2]),
        (levels, found.levels, "dB below full scale", _COLOURS[3]),
    ):
        edges, heights = _bars(counts)
        axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=colour, edgecolor="white", linewidth=0.4)
        axes.set_xlabel(label)
    numbers = sorted(found.faces)
    faces.bar([str(number) for number in numbers], [found.faces[n] for n in numbers], 0.7, color=_COLOURS[1])
    faces.set(xlabel="faces of a clip", xlim=(-1, len(numbers)))
    for axes in (durations, faces, levels):
        axes.set_ylabel("clips")
    kilobytes.set_ylabel("faces")
    for axes in canvas.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.get_major_locator().set_params(integer=True)
    return _png(canvas)


def _bars(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Up to 40 bars over the bins that hold something: edges [n + 1] and heights [n]."""
    there = np.flatnonzero(counts.bins)
    first, last = int(there[0]), int(there[-1]) + 1
    step = max(1, -(-(last - first) // _BARS))
    starts = np.arange(first, last, step)
    return np.append(starts, starts[-1] + step) * counts.scale.width, np.add.reduceat(counts.bins[:last], starts)


def _sizes(found: Holdings) -> str:
    sides = ", ".join(f"{count:,} of {width} x {height}" for (width, height), count in sorted(found.sides.items()))
    middle = found.durations.quantile(0.5)
    return f"Half of the clips are shorter than {middle:.1f} s. Faces in pixels: {sides}."


def _png(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format="png")
    return file.getvalue()
