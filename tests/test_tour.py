"""The tour runs from its beginning to its end, and its pictures show what its words say."""

import io
import pathlib
from base64 import b64decode

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

TOUR = pathlib.Path(__file__).parents[1] / "docs" / "tour.ipynb"
SEEN_AGAIN = "heard[:12] @ np.stack([model.embed_face(face, aligned=True) for face in drawn[:, 0]]).T"
PICTURES = {"speakers", "sound", "matrix", "match", "accuracy", "drawing", "c-z", "where", "client", "walk"}  # cells


def read():
    return nbformat.read(TOUR, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The outputs by cell, and what the cells have computed."""
    folder, tour = tmp_path_factory.mktemp("tour"), read()
    named = f"similarity=similarity, likely=likely, drawn=drawn, walk=walk, seen_again={SEEN_AGAIN}"
    tour.cells.append(nbformat.v4.new_code_cell(f"np.savez({str(folder / 'computed.npz')!r}, {named})"))
    client = nbclient.NotebookClient(tour, timeout=300, resources={"metadata": {"path": TOUR.parent}})
    with open(folder / "log", "w") as log:
        try:
            client.execute(stdout=log, stderr=log)
        except Exception as error:
            error.add_note((folder / "log").read_text())
            raise
    outputs = {cell.id: cell.outputs for cell in tour.cells if cell.cell_type == "code"}
    with np.load(folder / "computed.npz") as computed:
        return outputs, dict(computed)


def pictures(outputs):
    return [Image.open(io.BytesIO(b64decode(x.data["image/png"]))) for x in outputs if "image/png" in x.get("data", {})]


def test_it_is_kept_without_outputs():
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    kept = [cell.id for cell in cells if cell.outputs or cell.execution_count is not None]
    assert kept == [], "clear all outputs before saving it"


def test_it_shows_pictures(executed):
    for cell, outputs in executed[0].items():
        shown = pictures(outputs)
        assert bool(shown) == (cell in PICTURES), cell
        for picture in shown:
            pixels = np.asarray(picture.convert("RGB"), np.float32)
            assert pixels.shape[1] > 500 and pixels.std() > 20, cell


def test_voices_find_their_faces(executed):
    similarity, likely = executed[1]["similarity"], executed[1]["likely"]
    assert np.mean(similarity.argmax(axis=1) == np.arange(len(similarity))) > 0.8
    assert likely.sum() == pytest.approx(1)
    assert likely.argmax() == 0 and likely[2] > 0.9 * (1 - likely[0])  # as its words say


def test_drawn_faces_differ_by_voice_and_by_z(executed):
    drawn, seen_again = executed[1]["drawn"], executed[1]["seen_again"]
    by_voice, by_z = drawn.mean(axis=1).std(axis=0).mean(axis=-1), drawn.mean(axis=0).std(axis=0).mean(axis=-1)
    assert by_voice.max() > 20 and by_z.max() > 20  # of 255
    corner = slice(0, 4), slice(0, 4)  # background, which follows z alone
    assert by_voice[corner].mean() < by_z[corner].mean() / 3
    assert np.mean(seen_again.argmax(axis=1) == np.arange(len(seen_again))) > 0.6


def test_the_server_draws_what_the_model_draws(executed):
    outputs, computed = executed
    assert [x.data["text/plain"] for x in outputs["client"] if x.output_type == "execute_result"] == ["True"]
    assert [x.data["text/plain"] for x in outputs["stop"] if x.output_type == "execute_result"] == ["0"]
    ends, steps = computed["walk"][[0, -1]].astype(float), np.diff(computed["walk"].astype(float), axis=0)
    assert np.abs(ends[1] - ends[0]).mean() > np.abs(steps).mean(axis=(1, 2, 3)).max() > 0
