"""The report of an evaluation: figures as PNG files, and one HTML page that holds them all and needs nothing else."""

import dataclasses
import html
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from PIL import Image, PngImagePlugin

from s2f_tf import pictures
from s2f_tf.aside import written_aside
from s2f_tf.data import png, reader
from s2f_tf.evaluation import charts, sound
from s2f_tf.evaluation.run import Run
from s2f_tf.evaluation.statistics import Figure, mean
from s2f_tf.evaluation.summary import Measured
from s2f_tf.latent import slerp
from s2f_tf.page import Page

_FACES = 8
_ENLARGED = 2  # grids of small faces are shown this many times as large


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of figures.

    Attributes:
        title: of the table.
        note: a sentence or two below the title.
        columns: heads; the first is that of the rows' names.
        rows: a name, and a cell for each further column: a `Figure`, words, or None for what does not exist.
        scale: figures are multiplied by it: 100 for percent.
        digits: behind the point.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Figure | str | None, ...]], ...]
    scale: float = 100.0
    digits: int = 1

    def cell(self, cell: Figure | str | None) -> str:
        """A figure as `84.3 (82.5..86.2)`."""
        return _cell(cell, self.scale, self.digits)


def _cell(cell: Figure | str | None, scale: float = 100.0, digits: int = 1) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    value, low, high = (f"{scale * x:.{digits}f}" for x in (cell.value, cell.low, cell.high))
    return f"{value} ({low}..{high})"


def _value(cell: Figure | None) -> str:
    """A figure in percent without its interval."""
    return _cell(cell).partition(" ")[0]


def tables(tree: Mapping[str, Any]) -> Iterator[Table]:
    """Every table of what `summary.measure` found, in the order of the report."""
    matching, generation = tree["matching"], tree["generation"]
    directions = {**matching, **generation["judge"]}
    yield Table(
        "Matching",
        "In percent. The judge never saw generation: it says whether a drawn face goes with its voice. "
        + ("The true factors of the speakers say what could be reached." if "true_factors" in matching else ""),
        ("", "chance", *(name.replace("_", " ") for name in directions)),
        tuple(_rows(directions, ("accuracy", "recall_at", "auc", "eer"), without="_same_")),
    )
    yield Table(
        "Mean rank of the own partner",
        "1 is best.",
        ("", "chance", *(name.replace("_", " ") for name in directions)),
        tuple(_rows(directions, ("mean_rank",))),
        scale=1,
    )
    stratified = tuple(_rows(matching, ("accuracy",), only="_same_"))
    if stratified:
        yield Table(
            "Matching among those alike",
            "In percent. All negatives share the attribute with the own partner (a fifth of the range of a factor), "
            "so it cannot help.",
            ("", "chance", *(name.replace("_", " ") for name in matching)),
            stratified,
        )
    correlation = generation["correlation"]
    yield Table(
        "Voices alike, faces alike",
        "Correlation, over pairs of speakers, of the cosine of their voices with that of their faces, by the judge.",
        ("", "one z for all", "a z each", "real faces"),
        (("correlation", (correlation["one_z"], correlation["a_z_each"], correlation["real"])),),
        scale=1,
        digits=2,
    )
    distribution = generation["distribution"]
    yield Table(
        "Generated faces as a whole",
        "In the judge's feature space: no FID or KID of elsewhere compares. Beside each figure, the same between two "
        "halves of the real faces.",
        ("", "generated", "real"),
        tuple((name.replace("_", "-"), (d["generated"], d["real"])) for name, d in distribution.items()),
        scale=1,
        digits=3,
    )
    nearest = generation["nearest_training_face"]
    yield Table(
        "Distance to the nearest training face",
        "Root mean square difference of pixels in [-1, 1]. The last column is the share of generated faces nearer to a "
        "training face than the nearest 5 % of held-out real ones.",
        ("", "generated", "held-out real", "nearer than real"),
        (("distance", (nearest["generated"], nearest["real"], nearest["nearer_than_real"])),),
        scale=1,
        digits=3,
    )
    if "disentanglement" in tree:
        yield _disentanglement(tree["disentanglement"])
    yield _sound(tree["sound"])


def _rows(
    directions: Mapping[str, Mapping[str, Figure]], measures: tuple[str, ...], only: str = "", without: str = "\0"
) -> Iterator[tuple[str, tuple[Figure | str | None, ...]]]:
    names = dict.fromkeys(
        name
        for figures_ in directions.values()
        for name in figures_
        if name.startswith(measures) and only in name and without not in name
    )
    for name in names:
        cells = [figures_.get(name) for figures_ in directions.values()]
        chance = next(cell.chance for cell in cells if cell is not None)
        scale = 1 if name == "mean_rank" else 100
        words = name.replace("accuracy_k", "K = ").replace("_same_", ", same ").replace("_", " ")
        yield words, (f"{scale * chance:.1f}", *cells)


def _disentanglement(factors: list[dict[str, Any]]) -> Table:
    columns = ("r_squared_generated", "r_squared_embedding", "r_squared_real", "due_to_c", "due_to_z", "due_to_both")
    rows = [(factor["factor"].replace("_", " "), tuple(factor.get(c) for c in columns)) for factor in factors]
    return Table(
        "What comes from the voice",
        "R² of each factor, read from generated faces, from the embedding of the voice and from real faces, against "
        "the true speaker; and the shares of the variance of generated faces. The voice shapes "
        + ", ".join(factor["factor"] for factor in factors if factor["heard"])
        + ", and nothing else.",
        ("", "R² generated", "R² embedding", "R² real", "due to c", "due to z", "due to both"),
        tuple(rows),
        scale=1,
        digits=2,
    )


def _sound(conditions: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str, tuple[Figure | str | None, ...]]] = [
        (condition["words"], (str(condition["clips"]), condition.get("accuracy_k2"), condition.get("accuracy_k10")))
        for condition in conditions
    ]
    measured = {condition["kind"] for condition in conditions}
    rows += [
        (f"{codec.name}: FFmpeg has no encoder here", ("0", None, None))
        for codec in sound.CODECS
        if codec.kind not in measured
    ]
    return Table(
        "Worse sound",
        "Voice to face accuracy in percent. All but the lengths are of voices of 2 s.",
        ("", "clips", "K = 2", "K = 10"),
        tuple(rows),
    )


def answers(tree: Mapping[str, Any]) -> str:
    """Is it any good? Eight lines of at most 80 columns for a person, or six where no factors are known.

    Where the model is taught, one more says so.
    """
    matching, judged = tree["matching"]["voice_to_face"], tree["generation"]["judge"]["voice_to_generated"]
    ways = 10 if "accuracy_k10" in matching else 2
    accuracy = f"accuracy_k{ways}"
    spoilt = {(c["kind"], c["amount"]): _value(c.get(accuracy)) for c in tree["sound"]}
    cover, clean = (tree["generation"]["distribution"][name] for name in ("recall", "precision"))
    factors = tree.get("disentanglement", [])
    told = [factor["r_squared_generated"] for factor in factors if factor["heard"]]
    left_open = [factor["due_to_z"] for factor in factors if not factor["heard"]]
    rows = [
        ("Does it hear?", _cell(matching[accuracy]), f"voices find their face of {ways} (guess: {100 // ways})"),
        (
            "  spoilt voices?",
            f"by telephone {spoilt['telephone', None]}, in loud noise {spoilt['noise', 0.0]}, "
            f"of half a second {spoilt['length', 0.5]}",
            "",
        ),
        ("Do faces follow?", _cell(judged[accuracy]), f"a judge finds the drawn one of {ways}"),
        ("  how closely?", _cell(mean(told), 1, 2) if told else "", "mean R² of what a voice tells (best: 1)"),
        ("Are they varied?", _cell(cover["generated"]), f"of real faces are covered (ideal: {_value(cover['real'])})"),
        ("  for one voice?", _cell(mean(left_open)) if left_open else "", "of what it leaves open changes with z"),
        ("Are they clean?", _cell(clean["generated"]), f"of drawn faces look real (ideal: {_value(clean['real'])})"),
    ]
    known = [row for row in rows if row[1]]
    width = max(len(found) for _, found, words in known if words)
    head = f"{tree['speakers']} speakers, {tree['clips']} clips, split '{tree['split']}'; in percent, 95 % intervals"
    lines = [head, *(f"{question:18}{found:{width}}  {words}".rstrip() for question, found, words in known)]
    return "\n".join(filter(None, [*lines, tree["taught"]]))


def text(tree: Mapping[str, Any]) -> str:
    """Every table in columns, to be printed."""
    lines = [f"{tree['speakers']} speakers and {tree['clips']} clips of split '{tree['split']}'"]
    for table in tables(tree):
        rows = [(name, *map(table.cell, cells)) for name, cells in table.rows]
        widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]
        lines += ["", table.title]
        for row in (table.columns, *rows):
            padded = (
                word.ljust(w) if i == 0 else word.rjust(w) for i, (word, w) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def write(run: Run, corpus: reader.Corpus, measured: Measured, folder: str) -> str:
    """Leaves every figure in `<folder>/figures` and the page `<folder>/report.html`. Returns the page's path."""
    tree = measured.figures
    page = Page(f"Evaluation of {_name(run.workdir)}")
    beside = os.path.join(folder, "figures")
    os.makedirs(beside, exist_ok=True)

    def show(name: str, canvas: Canvas | np.ndarray | None, caption: str) -> None:
        if canvas is None:
            return
        data = _png(canvas)
        path = os.path.join(beside, f"{name}.png")
        with written_aside(path) as part, open(part, "wb") as file:
            file.write(data)
        page.figure(data, caption)

    by_title = {table.title: table for table in tables(tree)}

    def add(*titles: str) -> None:
        for title in titles:
            if title in by_title:
                _add_table(page, by_title[title])

    page.add(
        f'<p class="note">{tree["speakers"]} speakers and {tree["clips"]} clips of the split '
        f"<b>{html.escape(tree['split'])}</b> of <b>{html.escape(_name(corpus.folder))}</b>. "
        "In brackets, 95 % intervals from a bootstrap over speakers. Every face but those called true or training is "
        f"synthetic, drawn from a voice; none is the face of whoever spoke. {tree['taught']}</p>"
    )
    page.add("<h2>Faces from voices</h2>")
    examples = pictures.held_out_examples(run.speech_encoder, corpus, tree["split"], run.config, _FACES)
    show(
        "held_out",
        pictures.held_out_picture(run.generator, examples),
        "Held-out speakers: true, and drawn from the voice.",
    )
    z = run.z(np.arange(_FACES))
    some = slice(None, 4)
    grid = pictures.draw_faces(run.generator, examples.voices, z)
    show(
        "c_varied",
        _grid(grid.swapaxes(0, 1)[some]),
        "z fixed along each row, and the voice varied: what the voice changes.",
    )
    show("z_varied", _grid(grid[some]), "The voice fixed along each row, and z varied: what the voice leaves open.")
    shares = np.linspace(0, 1, _FACES)
    pairs = [(0, 1), (2, 3), (4, 5)]
    between = [slerp(examples.voices[a], examples.voices[b], shares) for a, b in pairs if b < len(examples.voices)]
    rows = [pictures.draw_faces(run.generator, voices, z[:1])[:, 0] for voices in between]
    show("c_interpolated", _grid(np.stack(rows)), "From one voice to another along the sphere, with z fixed.")
    between = [slerp(z[a], z[b], shares) for a, b in pairs]
    rows = [pictures.draw_faces(run.generator, examples.voices[:1], zs)[0] for zs in between]
    show("z_interpolated", _grid(np.stack(rows)), "From one z to another, with the voice fixed.")
    page.add("<h2>Matching</h2>")
    lines = {**tree["matching"], **tree["generation"]["judge"]}
    show("accuracy", charts.accuracy_against_ways(lines), _ACCURACY_CAPTION)
    add("Matching", "Mean rank of the own partner", "Matching among those alike")
    page.add("<h2>Generation</h2>")
    add("Voices alike, faces alike", "Generated faces as a whole", "Distance to the nearest training face")
    show(
        "nearest",
        _grid(measured.copies.swapaxes(0, 1)),
        "Generated faces, and below each the training face nearest to it.",
    )
    if "disentanglement" in tree:
        page.add("<h2>Disentanglement</h2>")
        show("disentanglement", charts.disentanglement(tree["disentanglement"]), "What moves each factor of a face.")
        add("What comes from the voice")
    page.add("<h2>Sound</h2>")
    show("sound", charts.sound(tree["sound"]), "Voice to face accuracy as the voice gets shorter and worse.")
    show("channel", charts.channel(tree["sound"]), "Voice to face accuracy through telephones and with pauses.")
    add("Worse sound")
    curves = charts.training(run.workdir)
    if curves is not None:
        page.add("<h2>Training</h2>")
        show("training", curves, "How the stages learnt, on batches of the training split.")
    path = os.path.join(folder, "report.html")
    page.write(path)
    return path


_ACCURACY_CAPTION = (
    "K-way accuracy against K, with 95 % bands. Grey: published voice to face accuracy of other systems on VoxCeleb, "
    "recordings of people: other data, drawn for orientation and not as a comparison."
)


def _name(folder: str) -> str:
    return os.path.basename(os.path.abspath(folder))


def _grid(faces: np.ndarray) -> np.ndarray:
    """[R, C, H, W, 3] in [-1, 1] as one picture, enlarged, uint8."""
    picture = Image.fromarray(pictures.tile(faces))
    return np.asarray(picture.resize((picture.width * _ENLARGED, picture.height * _ENLARGED), Image.Resampling.BICUBIC))


def _png(picture: Canvas | np.ndarray) -> bytes:
    """A PNG that says it is synthetic."""
    file = io.BytesIO()
    if isinstance(picture, Canvas):
        picture.savefig(file, format="png", metadata=png.TEXT)
    else:
        chunks = PngImagePlugin.PngInfo()
        for key, value in png.TEXT.items():
            chunks.add_text(key, value)
        Image.fromarray(picture).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def _add_table(page: Page, table: Table) -> None:
    page.add(f'<h3>{html.escape(table.title)}</h3><p class="note">{html.escape(table.note)}</p>')
    rows = [(html.escape(name), *(_html_cell(table, cell) for cell in cells)) for name, cells in table.rows]
    page.table(table.columns, rows)


def _html_cell(table: Table, cell: Figure | str | None) -> str:
    value, _, interval = html.escape(table.cell(cell)).partition(" ")
    return f"{value} <small>{interval}</small>" if interval else value
