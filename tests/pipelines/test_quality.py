import cv2
import numpy as np
import pytest
from skimage import data

from pipelines import quality
from s2f_tf import face_detection


def test_sharpness_falls_with_blur_and_not_with_contrast():
    astronaut = data.astronaut()
    (face,) = face_detection.shared_detector().find([astronaut])[0]
    crop = face_detection.align(astronaut, face, 128)
    blurred = [quality.sharpness(cv2.GaussianBlur(crop, (0, 0), sigma)) for sigma in (1, 2, 4)]
    assert quality.sharpness(crop) > blurred[0] > blurred[1] > blurred[2]
    assert quality.sharpness((crop * 0.5 + 60).astype(np.uint8)) == pytest.approx(quality.sharpness(crop), rel=0.1)
