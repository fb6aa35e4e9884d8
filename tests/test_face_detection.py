import cv2
import numpy as np
import pytest
from skimage import data

from s2f_tf import face_detection


@pytest.fixture(scope="module")
def detector():
    return face_detection.shared_detector()


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


def turned(picture, degrees, scale=1.0):
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def test_the_landmarks_lie_where_they_should(detector, astronaut):
    (face,) = detector.find([astronaut])[0]
    expected = [[203, 100], [245, 102], [224, 126], [202, 139], [244, 140]]  # by eye
    np.testing.assert_allclose(face.landmarks, expected, atol=4)
    assert face.confidence > 0.99 and face.turn < 0.3


def test_large_pictures_and_small_ones_give_the_same_face(detector, astronaut):
    (face,) = detector.find([astronaut])[0]
    for factor in (0.5, 3):
        scaled = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        (found,) = detector.find([scaled])[0]
        np.testing.assert_allclose(found.landmarks / factor, face.landmarks, atol=3)


def test_a_batch_gives_what_each_picture_gives_alone(detector, astronaut):
    batch = [astronaut, np.zeros_like(astronaut), turned(astronaut, 10), astronaut[:, ::-1].copy()]
    together, alone = detector.find(batch), [detector.find([picture])[0] for picture in batch]
    assert [len(some) for some in together] == [1, 0, 1, 1]
    for some, one in zip(together, alone, strict=True):
        for a, b in zip(some, one, strict=True):
            np.testing.assert_allclose(a.landmarks, b.landmarks, atol=0.1)


def test_pictures_that_have_nothing_to_do_with_each_other_are_each_turned_by_themselves(detector, astronaut):
    upright = [cv2.resize(astronaut[:360], size, interpolation=cv2.INTER_AREA) for size in ((512, 512), (320, 200)) * 2]
    nobody = np.zeros((100, 150, 3), np.uint8)
    shown = [*(np.ascontiguousarray(np.rot90(one, -turns)) for turns, one in enumerate(upright)), nobody]
    found = detector.find_each_upright(shown)
    for (picture, faces), one in zip(found, [*upright, nobody], strict=True):
        np.testing.assert_array_equal(picture, one)
        assert len(faces) == (one is not nobody)
        if faces:
            (alone,) = detector.find([one])[0]
            np.testing.assert_allclose(faces[0].landmarks, alone.landmarks, atol=0.5)
    assert detector.find_each_upright([]) == []


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("size", [(512, 512), (320, 200)])
def test_faces_that_stand_on_their_side_or_head_are_found_upright(detector, astronaut, turns, size):
    upright = cv2.resize(astronaut[:360], size, interpolation=cv2.INTER_AREA)
    (face,) = detector.find([upright])[0]
    shown = np.ascontiguousarray(np.rot90(upright, -turns))
    turned_by, (picture,), ((found,),) = detector.find_upright([shown])
    assert turned_by == turns
    np.testing.assert_array_equal(picture, upright)
    np.testing.assert_array_equal(found.landmarks, face.landmarks)


def test_where_no_face_is_pictures_stay_as_they_are(detector):
    noise = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8), (320, 240))
    turns, pictures, faces = detector.find_upright([noise] * 5)
    assert (turns, len(pictures), faces) == (0, 5, [[]] * 5)


def test_a_face_that_the_detector_takes_for_upright_is_looked_at_in_every_turn(detector, astronaut, monkeypatch):
    """As it does with some that stand on their head: here it is made to, once, with landmarks as if upright."""
    shown = np.ascontiguousarray(np.rot90(astronaut, 2))
    wrong = face_detection.Face((245.0, 339.0, 84.0, 112.0), np.zeros((5, 2), np.float32), 0.99)
    really, calls = detector.find, []

    def find(pictures, longest_side):
        calls.append(len(pictures))
        return [[wrong]] if len(calls) == 1 else really(pictures, longest_side)

    monkeypatch.setattr(detector, "find", find)
    turns, (picture,), ((face,),) = detector.find_upright([shown])
    assert turns == 2 and face.landmarks[:2, 1].max() < face.landmarks[3:, 1].min()
    np.testing.assert_array_equal(picture, astronaut)


def test_alignment_undoes_turning_and_scaling(detector, astronaut):
    (face,) = detector.find([astronaut])[0]
    straight = face_detection.align(astronaut, face, 64).astype(float)
    for degrees, scale in ((15, 1.0), (-15, 0.8), (0, 1.4)):
        other = turned(astronaut, degrees, scale)
        aligned = face_detection.align(other, detector.find([other])[0][0], 64).astype(float)
        assert np.corrcoef(straight[8:56, 8:56].ravel(), aligned[8:56, 8:56].ravel())[0, 1] > 0.9
    assert np.corrcoef(straight.ravel(), straight[:, ::-1].ravel())[0, 1] < 0.9  # so much is not said of any two faces


def test_a_head_that_is_turned_away_is_told():
    landmarks = np.array([[10, 10], [30, 10], [20, 22], [12, 32], [28, 32]], np.float32)
    assert face_detection.Face((0, 0, 40, 40), landmarks, 1.0).turn == pytest.approx(0)
    landmarks[2, 0] = 29
    assert face_detection.Face((0, 0, 40, 40), landmarks, 1.0).turn == pytest.approx(0.9)
    tilted = landmarks @ np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32)
    assert face_detection.Face((0, 0, 40, 40), tilted, 1.0).turn == pytest.approx(0.9, abs=1e-5)
