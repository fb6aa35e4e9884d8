import io
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from skimage import data

from s2f_tf import face_detection, portrait
from s2f_tf.command import MissingExtraError
from s2f_tf.portrait import PictureError


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


def encoded(pixels, format_="JPEG", **options):
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_, **options)
    return file.getvalue()


def pixels(jpeg):
    with Image.open(io.BytesIO(jpeg)) as picture:
        return np.asarray(picture, float)


def beside(large, share):
    """The picture, and to its right the same, `share` times as large, on grey."""
    height, width = large.shape[:2]
    small = Image.fromarray(large).resize((round(share * width), round(share * height)))
    picture = np.full((height, width + small.width, 3), 128, np.uint8)
    picture[:, :width], picture[: small.height, width:] = large, small
    return picture


@pytest.fixture(scope="module")
def upright(astronaut):
    (face,) = portrait.find(astronaut)
    return face


@pytest.mark.parametrize(
    "turns, side",
    [(0, 512), (1, 512), (2, 512), (3, 512), (0, 1280), (1, 1280)],  # enlarged, some detail seems to be a small face
)
def test_a_face_is_found_upright_and_where_it_is_in_the_photograph(astronaut, upright, turns, side):
    shown = np.rot90(np.asarray(Image.fromarray(astronaut).resize((side, side))), turns)
    found, *_ = portrait.find(encoded(shown, quality=95))
    assert np.corrcoef(pixels(found.jpeg).ravel(), pixels(upright.jpeg).ravel())[0, 1] > 0.98
    left, top, width, height = upright.box
    places = {
        0: (left, top, width, height),
        1: (top, 1 - left - width, height, width),
        2: (1 - left - width, 1 - top - height, width, height),
        3: (1 - top - height, left, height, width),
    }
    np.testing.assert_allclose(found.box, places[turns], atol=0.02)


def test_files_their_bytes_and_arrays_are_one_photograph(astronaut, upright, tmp_path):
    (tmp_path / "a").write_bytes(encoded(astronaut, "PNG"))
    for given in (astronaut, tmp_path / "a", str(tmp_path / "a"), encoded(astronaut, "PNG")):
        assert portrait.encode_face(given) == upright.jpeg


def test_small_faces_are_found_beside_large_ones_and_alone(astronaut):
    crowd = beside(np.tile(astronaut, (2, 2, 1)), 0.5)
    assert len(portrait.find(crowd)) == 8
    far = np.full((1280, 1280, 3), 128, np.uint8)
    far[:210, :210] = Image.fromarray(astronaut).resize((210, 210))
    for turns in (0, 1):
        (face,) = portrait.find(np.rot90(far, turns))
        assert pixels(face.jpeg).shape == (192, 192, 3)


def test_none_and_several_faces_are_refused_by_name(astronaut, tmp_path):
    grey, pair = np.full((200, 300, 3), 128, np.uint8), beside(astronaut, 0.5)
    for name, shown, count in (("none.png", grey, "no face"), ("pair.png", pair, "2 faces")):
        (tmp_path / name).write_bytes(encoded(shown, "PNG"))
        with pytest.raises(PictureError, match=f"{name} shows {count}: one is wanted, or aligned=True"):
            portrait.encode_face(tmp_path / name)
    with pytest.raises(PictureError, match="the picture shows no face"):
        portrait.encode_face(grey)
    with pytest.raises(PictureError, match="picture 2 shows 2 faces"):
        portrait.encode_faces([astronaut, pair])


def test_who_is_far_behind_does_not_count(astronaut, upright):
    assert len(portrait.find(beside(astronaut, 0.3))) == 2
    face = pixels(portrait.encode_face(beside(astronaut, 0.3)))
    assert np.corrcoef(face.ravel(), pixels(upright.jpeg).ravel())[0, 1] > 0.98


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(
    "picture, message",
    [
        (np.zeros((64, 64), np.uint8), r"the picture: uint8 \[64, 64\]: uint8 \[H, W, 3\] is wanted"),
        (np.zeros((64, 64, 3), np.float32), r"the picture: float32 \[64, 64, 3\]: uint8"),
        (np.zeros((0, 64, 3), np.uint8), r"the picture: uint8 \[0, 64, 3\]"),
        (b"a letter", "the picture: (not a photograph|cannot be read as JPEG or PNG)"),
        (encoded(data.astronaut())[:9000], "the picture: (a damaged JPEG|cannot be read as JPEG or PNG)"),
        ("absent.jpg", "absent.jpg cannot be read: No such file"),
    ],
    ids=["grey", "floats", "nothing", "letter", "cut", "absent"],
)
def test_what_is_no_picture_is_refused(picture, message, aligned):
    with pytest.raises(PictureError, match=message):
        portrait.encode_face(picture, aligned)


def test_an_aligned_face_is_taken_as_it_is_where_that_is_said(astronaut, tmp_path):
    crop = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)  # no detector would find anything
    for given in (encoded(crop), encoded(crop, "PNG")):
        assert portrait.encode_face(given, aligned=True) == given
        (tmp_path / "a").write_bytes(given)
        assert portrait.encode_face(tmp_path / "a", aligned=True) == given
    np.testing.assert_array_equal(pixels(portrait.encode_face(crop, aligned=True)), crop)
    with pytest.raises(PictureError, match="300 by 200 pixels: an aligned face is a square"):
        portrait.encode_face(astronaut[:200, :300], aligned=True)
    with pytest.raises(PictureError, match="cannot be read as JPEG or PNG"):
        portrait.encode_face(encoded(crop, "HEIF"), aligned=True)


def test_what_is_missing_is_named(astronaut, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which is put back
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    monkeypatch.setattr(face_detection, "shared_detector", face_detection.Detector)  # one that is not loaded yet
    with pytest.raises(MissingExtraError, match=r"takes the extra `pipelines`: pip install 's2f_tf\[pipelines\]'"):
        portrait.encode_face(astronaut)
    assert portrait.encode_face(astronaut, aligned=True)
