import base64
import concurrent.futures
import io
import os
import pathlib
import signal

import numpy as np
import pillow_heif
import pytest
import requests
from PIL import Image
from skimage import data

from serving.photographs import MAX_BYTES

TIMEOUT = 120  # the detector loads once


def encoded(pixels, format="JPEG", **options):
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, format, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def faces(conformance):
    return lambda body: requests.post(f"{conformance.url}/faces", data=body, timeout=TIMEOUT)


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


def test_a_face_is_found_and_aligned(faces, astronaut):
    found = faces(encoded(astronaut)).json()["faces"]
    assert len(found) == 1
    left, top, width, height = found[0]["box"]
    assert left == pytest.approx(0.36, abs=0.02) and top == pytest.approx(0.12, abs=0.02)
    assert width == pytest.approx(0.165, abs=0.02) and height == pytest.approx(0.22, abs=0.02)
    crop = Image.open(io.BytesIO(base64.b64decode(found[0]["jpeg_b64"])))
    assert crop.size == (192, 192)
    again = faces(base64.b64decode(found[0]["jpeg_b64"])).json()["faces"]  # the crop holds the whole face, upright
    assert len(again) == 1 and again[0]["box"][0] == pytest.approx(1 - again[0]["box"][0] - again[0]["box"][2], abs=0.1)


def test_every_way_to_write_a_photograph_gives_the_same_face(faces, astronaut):
    boxes = []
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn to the right
    for body in (
        encoded(astronaut, "PNG"),
        encoded(astronaut, "WEBP", lossless=True),
        encoded(np.rot90(astronaut), "JPEG", exif=exif.tobytes(), quality=95),
        encoded(astronaut, "HEIF", quality=95),
        encoded(astronaut, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (512, 512))]),
        encoded(Image.fromarray(astronaut).convert("CMYK"), "JPEG", quality=95),
        encoded(np.asarray(Image.fromarray(astronaut).convert("L")).astype(np.uint16) * 257, "PNG"),
        encoded(np.dstack([astronaut, np.full_like(astronaut[..., :1], 255)]), "PNG"),
        encoded(np.kron(astronaut, np.ones((6, 6, 1), np.uint8)), "JPEG"),
    ):
        found = faces(body).json()["faces"]
        assert len(found) == 1
        boxes.append(found[0]["box"])
    np.testing.assert_allclose(boxes, boxes[:1] * len(boxes), atol=0.02)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photograph_that_says_nothing_of_its_side_is_turned_upright(faces, astronaut, turns):
    (upright,), (found,) = (faces(encoded(np.rot90(astronaut, k), quality=95)).json()["faces"] for k in (0, turns))
    one, other = (np.asarray(Image.open(io.BytesIO(base64.b64decode(face["jpeg_b64"])))) for face in (upright, found))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98
    left, top, width, height = found["box"]
    for _ in range(turns):  # back, a quarter clockwise each
        left, top, width, height = 1 - top - height, left, height, width
    np.testing.assert_allclose([left, top, width, height], upright["box"], atol=0.02)


def test_the_largest_face_comes_first_and_a_picture_may_hold_none(faces, astronaut):
    small = np.array(Image.fromarray(astronaut).resize((256, 256)))
    pair = np.zeros((512, 768, 3), np.uint8)
    pair[:256, :256], pair[:, 256:] = small, astronaut
    found = faces(encoded(pair)).json()["faces"]
    assert len(found) == 2
    assert found[0]["box"][0] > 1 / 3 > found[1]["box"][0]
    assert faces(encoded(np.full((300, 200, 3), 128, np.uint8))).json() == {"faces": []}


@pytest.mark.parametrize(
    "body, status, message",
    [
        (b"", 400, "not a photograph: JPEG, PNG, WEBP, HEIF, AVIF, GIF, TIFF, BMP are allowed"),
        (b"%PDF-1.7" + b"\0" * 100, 400, "not a photograph"),
        (encoded(data.astronaut())[:9000], 400, "damaged JPEG"),
        (encoded(np.zeros((1, 1, 3), np.uint8)), 200, None),
        (b"\xff\xd8\xff" * (MAX_BYTES // 3 + 1), 413, "larger than"),
        (encoded(np.zeros((8000, 8000), np.uint8), "PNG"), 400, "8000 by 8000 pixels: 50 million are allowed"),
    ],
    ids=["empty", "pdf", "cut", "a pixel", "bytes", "pixels"],
)
def test_what_is_no_photograph_is_refused(faces, body, status, message):
    answer = faces(body)
    assert answer.status_code == status, answer.text
    assert message is None or message in answer.json()["error"]


def test_beyond_a_few_photographs_others_are_told_to_wait(faces, astronaut):
    body = encoded(astronaut)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(faces, [body] * 8))
    assert statuses[0] == 200 and statuses[-1] == 429 and set(statuses) == {200, 429}


@pytest.mark.skipif(not os.path.exists("/proc"), reason="Linux alone tells whose children processes are")
def test_a_detector_that_dies_is_replaced(conformance, faces, astronaut):
    body = encoded(astronaut)
    assert len(faces(body).json()["faces"]) == 1
    (detector,) = [pid for pid in children(conformance.process.pid) if "spawn_main" in command_line(pid)]
    os.kill(detector, signal.SIGKILL)
    died = faces(body)
    assert died.status_code == 500 and "died" in died.json()["error"]
    assert len(faces(body).json()["faces"]) == 1


def children(parent):
    listings = pathlib.Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for listing in listings for pid in listing.read_text().split()]


def command_line(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
