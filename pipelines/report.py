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
        kind = clip.kind(found.description)
        halves = [name for name, there in (("faces", kind.has_faces), ("sound", kind.has_sound)) if there]
        caption = f"Drawn at random: of each clip {' and '.join(halves)}, and the speaker."
        page.figure(contact_sheet.draw(found.sample), caption)
        page.add(f"<h2>{' and '.join(halves).capitalize()}</h2>")
        page.figure(_distributions(found, kind), _sizes(found, kind))
    _dropped(page, found)
    try:
        page.write(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _splits(page: Page, found: Holdings) -> None:
    rows, has_sound = [], clip.kind(found.description).has_sound
    for split in clip.SPLITS:
        speakers = found.description["speakers"].get(split, 0)
        hours = [f"{found.seconds[split] / 3600:.2f}"] if has_sound else []
        rows.append((split, f"{found.clips[split]:,}", f"{speakers:,}", *hours, f"{found.lost[split]:,}"))
    page.table(("split", "clips", "speakers", *(["hours"] if has_sound else []), "lost"), rows)
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


def _distributions(found: Holdings, kind: clip.Kind) -> bytes:
    rows = kind.has_faces + kind.has_sound
    canvas = Canvas(figsize=(9.2, 2.7 * rows), dpi=110, layout="constrained")
    places = iter(canvas.subplots(rows, 2).ravel())
    of_sound = (
        (found.durations, "seconds of a clip", _COLOURS[0], "clips"),
        (found.levels, "dB below full scale", _COLOURS[3], "clips"),
    )
    of_faces = ((found.face_bytes, "kB of a face", _COLOURS[2], "faces"),)
    for counts, label, colour, counted in of_sound * kind.has_sound + of_faces * kind.has_faces:
        axes = next(places)
        edges, heights = _bars(counts)
        axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=colour, edgecolor="white", linewidth=0.4)
        axes.set(xlabel=label, ylabel=counted)
    if kind.has_faces:
        axes, numbers = next(places), sorted(found.faces)
        axes.bar([str(number) for number in numbers], [found.faces[n] for n in numbers], 0.7, color=_COLOURS[1])
        axes.set(xlabel="faces of a clip", ylabel="clips", xlim=(-1, len(numbers)))
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


def _sizes(found: Holdings, kind: clip.Kind) -> str:
    told = []
    if kind.has_sound:
        told.append(f"Half of the clips are shorter than {found.durations.quantile(0.5):.1f} s.")
    if kind.has_faces:
        sides = ", ".join(f"{count:,} of {width} x {height}" for (width, height), count in sorted(found.sides.items()))
        told.append(f"Faces in pixels: {sides}.")
    return " ".join(told)


def _png(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format="png")
    return file.getvalue()
