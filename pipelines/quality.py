"""Whether a face can be learnt from: large enough, turned to the camera, sharp."""

import cv2
import numpy as np

from s2f_tf.face_detection import EYES, Face, align

from .reasons import Reason

MOST_TURNED = 0.6  # see `Face.turn`: beyond it, half of the face is hidden
MOST_STRETCHED = 2.0  # a face may be made so much larger, and no more
LEAST_SHARPNESS = 0.15  # see `sharpness`
JUDGED = 96  # pixels a side of a crop whose sharpness is told; of a smaller one it would be overrated


def crop(picture: np.ndarray, face: Face, size: int, most_turned: float = MOST_TURNED) -> np.ndarray | Reason:
    """As `face_detection.align`, or what is wrong with the face: it is too small, turned away or blurred."""
    if EYES * size > MOST_STRETCHED * np.linalg.norm(face.landmarks[1] - face.landmarks[0]):
        return Reason.FACE_TOO_SMALL
    if face.turn > most_turned:
        return Reason.TURNED_AWAY
    if sharpness(align(picture, face, JUDGED)) < LEAST_SHARPNESS:
        return Reason.BLURRED
    return align(picture, face, size)


def sharpness(crop: np.ndarray) -> float:
    """How much detail an aligned face shows, whatever its contrast: 0.5 to 0.7 in a sharp photograph.

    It is the spread of the Laplacian relative to that of the brightness, at `JUDGED` pixels a side, which the crop
    shall have at least. A face of 80 pixels that is blurred by 4 of them has 0.15.
    """
    small = cv2.resize(crop, (JUDGED, JUDGED), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    middle = grey[24:84, 24:72]
    return float(cv2.Laplacian(middle, cv2.CV_32F).std() / max(middle.std(), 1.0))
