import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from skimage import data

from s2f_tf import photograph


@pytest.fixture(scope="module")
def astronaut():
    return Image.fromarray(data.astronaut())


def read(picture, format_, longest_side=512, **options):
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    picture.save(file, format_, **options)
    file.seek(0)
    return photograph.read(file, longest_side).astype(float)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "TIFF", "BMP"])
def test_every_kind_of_file_gives_the_same_pixels(format_, astronaut):
    lossy = {"JPEG": 5, "WEBP": 5, "HEIF": 5, "AVIF": 5, "GIF": 12}
    quality = {"quality": 95} if lossy.get(format_) == 5 else {}
    assert np.abs(read(astronaut, format_, **quality) - np.asarray(astronaut)).mean() <= lossy.get(format_, 0)


def test_every_kind_of_colour_gives_the_same_pixels(astronaut):
    pixels, grey = np.asarray(astronaut).astype(float), np.asarray(astronaut.convert("L"))
    alike = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read(Image.fromarray(grey), "PNG"), alike)
    np.testing.assert_array_equal(read(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"), alike)
    np.testing.assert_array_equal(read(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF"), alike)
    for levels in (255, 1):
        floats = Image.fromarray(grey.astype(np.float32) / levels)
        np.testing.assert_array_equal(read(floats, "TIFF"), alike)
    assert np.abs(read(astronaut.convert("CMYK"), "JPEG", quality=95) - pixels).mean() < 3
    assert np.abs(read(astronaut.convert("P", palette=Image.Palette.ADAPTIVE), "PNG") - pixels).mean() < 12


def test_what_is_transparent_lies_on_white(astronaut):
    seen = astronaut.convert("RGBA")
    seen.paste((0, 0, 0, 0), (0, 0, 512, 100))
    pixels = read(seen, "PNG")
    np.testing.assert_array_equal(pixels[:100], 255)
    np.testing.assert_array_equal(pixels[100:], np.asarray(astronaut)[100:])


def test_of_an_animation_the_first_picture_counts(astronaut):
    others = [Image.new("RGB", astronaut.size, colour) for colour in ("red", "blue")]
    pixels = read(astronaut, "WEBP", save_all=True, append_images=others, lossless=True)
    np.testing.assert_array_equal(pixels, np.asarray(astronaut))


@pytest.mark.parametrize("orientation, turn", [(6, 1), (3, 2), (8, 3)])
def test_it_is_turned_upright_and_made_small(orientation, turn, astronaut):
    exif = Image.Exif()
    exif[0x0112] = orientation
    taken = Image.fromarray(np.rot90(np.asarray(astronaut), turn))
    small = np.asarray(astronaut.resize((128, 128), Image.Resampling.BOX)).astype(float)
    assert np.abs(read(taken, "JPEG", 128, exif=exif, quality=95) - small).mean() < 4


def test_what_is_no_photograph_is_refused(tmp_path, astronaut):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    with pytest.raises(photograph.PhotographError, match="not a photograph: JPEG, PNG, WEBP, HEIF"):
        photograph.read(str(path), 512)
    astronaut.save(path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(photograph.PhotographError, match="a damaged JPEG file"):
        photograph.read(str(path), 512)
    with pytest.raises(photograph.PhotographError, match="8000 by 8000 pixels: 50 million are allowed"):
        read(Image.new("L", (8000, 8000)), "PNG")
    with pytest.raises(FileNotFoundError):
        photograph.read(str(tmp_path / "nowhere.jpg"), 512)


def test_a_photograph_is_told_by_what_is_inside(tmp_path, astronaut):
    for name, format_ in (("a.jfif", "JPEG"), ("b", "PNG"), ("c.txt", "HEIF")):
        pillow_heif.register_heif_opener()
        astronaut.save(tmp_path / name, format_)
        assert photograph.is_one(str(tmp_path / name))
    (tmp_path / "d.jpg").write_bytes(b"a letter")
    assert not photograph.is_one(str(tmp_path / "d.jpg")) and not photograph.is_one(str(tmp_path / "nowhere"))
