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
