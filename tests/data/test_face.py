import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from s2f_tf.config import DataConfig
from s2f_tf.data import face

SIZE = 16
NOTHING = {"flip": False, "colour_jitter": 0.0, "shift": 0.0}


def smooth(size, seed=0):
    """uint8 [size, size, 3] that no resizing or compression changes much."""
    coarse = np.random.default_rng(seed).integers(40, 215, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def picture(pixels, container="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, container, **options)
    return file.getvalue()


def decode(encoded, size=SIZE):
    return tf.function(lambda e: face.decode_face(e, size))(tf.constant(encoded)).numpy()


def test_a_face_of_the_right_size_is_decoded_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    pixels[0, 0], pixels[0, 1] = 0, 255
    decoded = decode(picture(pixels))
    assert decoded.dtype == np.float32
    assert (decoded.min(), decoded.max()) == (-1.0, 1.0)
    np.testing.assert_allclose((decoded + 1) * 127.5, pixels, atol=1e-4)


def test_jpeg_is_decoded_to_the_level_that_pillow_gives():
    jpeg = picture(smooth(SIZE), "JPEG", quality=98, subsampling=0)
    reference = np.asarray(Image.open(io.BytesIO(jpeg)))
    np.testing.assert_allclose((decode(jpeg) + 1) * 127.5, reference, atol=1e-4)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_kinds_of_picture_have_three_channels(mode):
    file = io.BytesIO()
    Image.fromarray(smooth(SIZE)).convert(mode).save(file, "PNG")
    assert decode(file.getvalue()).shape == (SIZE, SIZE, 3)


def test_a_larger_face_is_shrunk_without_aliasing():
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(decode(picture(stripes))[:, 1:-1], 0.0, atol=0.02)
    shrunk = decode(picture(smooth(96)))
    reference = np.asarray(Image.fromarray(smooth(96)).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    np.testing.assert_allclose((shrunk + 1) * 127.5, reference, atol=1.0)


@pytest.mark.parametrize("encoded", [b"", b"no picture", picture(smooth(64), "JPEG")[:700], picture(smooth(64))[:60]])
def test_what_is_no_picture_is_an_invalid_argument(encoded):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(encoded)


def augmented(pixels, count=80, **changes):
    data = DataConfig(**(NOTHING | changes))
    augment = tf.function(lambda i: face.augment_face(tf.constant(pixels), tf.stack([0, i]), data))
    return np.stack([augment(tf.constant(i)) for i in range(count)])


def plain(seed=0):
    return (smooth(SIZE, seed) / 127.5 - 1).astype(np.float32)


def test_augmentation_turned_off_changes_nothing():
    np.testing.assert_array_equal(augmented(plain()), np.tile(plain(), (80, 1, 1, 1)))


def test_half_of_the_faces_are_mirrored():
    mirrored = [np.array_equal(x, plain()[:, ::-1]) for x in augmented(plain(), flip=True)]
    assert 25 < sum(mirrored) < 55
    straight = [np.array_equal(x, plain()) for x in augmented(plain(), flip=True)]
    assert sum(straight) == 80 - sum(mirrored)


def test_shifts_span_their_range_and_reflect_the_edge():
    pixels = plain()
    padded = np.pad(pixels, [(2, 2), (2, 2), (0, 0)], mode="reflect")
    cuts = {(y, x): padded[y : y + SIZE, x : x + SIZE] for y in range(5) for x in range(5)}
    found = set()
    for shifted in augmented(pixels, 300, shift=2 / SIZE):
        found.add(next(corner for corner, cut in cuts.items() if np.array_equal(cut, shifted)))
    assert found == set(cuts)


def test_a_rectangle_of_one_colour_is_painted_over_and_the_rest_is_kept():
    pixels = plain()
    largest = 0.0
    for erased in augmented(pixels, erase=0.5):
        hidden = (erased != pixels).any(axis=-1)
        rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
        if len(rows):
            assert hidden[np.ix_(rows, columns)].all() and np.unique(erased[hidden], axis=0).shape == (1, 3)
        largest = max(largest, hidden.mean())
    assert 0.1 < largest < 0.3


def test_colours_change_no_more_than_asked():
    grey = np.zeros((SIZE, SIZE, 3), np.float32)
    brightness = augmented(grey, colour_jitter=0.1)
    assert 0.15 < np.abs(brightness).max() <= 0.2 + 1e-6
    contrast = augmented(plain(), colour_jitter=0.1).std(axis=(1, 2, 3)) / plain().std()
    assert 0.8 < contrast.min() < 0.97
    assert 1.03 < contrast.max() < 1.22


def test_faces_stay_in_range():
    extreme = np.sign(plain())
    faces = augmented(extreme, flip=True, colour_jitter=0.9, shift=0.25)
    assert faces.min() == -1.0
    assert faces.max() == 1.0


def test_the_same_seed_gives_the_same_face():
    first, again, other = (
        face.augment_face(tf.constant(plain()), tf.constant([0, i]), DataConfig()).numpy() for i in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
