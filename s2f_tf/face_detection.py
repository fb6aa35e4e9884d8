"""Faces in pictures: found and aligned. The detector is MTCNN, whose weights come in its package."""

import collections
import dataclasses
import functools
import threading
from collections.abc import Sequence

import cv2
import numpy as np

SMALLEST = 20  # pixels: MTCNN, told to begin with larger faces, which would be quicker, in version 1.0.0 finds none
EYES = 0.27  # of the side of a crop lies between the eyes; see `align`

_CONFIDENCE = 0.9
_JPEG_QUALITY = 95
_LOOKED_AT = 3  # pictures of those in which no face is upright: of many, that will do
_SURER = 0.5  # another turn has to leave so much of the doubt: most pictures are upright
_AROUND = 160  # pixels a side of what is around a face
_TOGETHER = 1_000_000  # pixels that are looked at together: eight pictures of a video, 25 small photographs
# Where the eyes, the nose and the corners of the mouth shall be, as shares of the side: the crop holds hair and chin,
# and the eyes are where those of the synthetic speakers are.
_PLACES = np.array([[0.365, 0.46], [0.635, 0.46], [0.5, 0.61], [0.39, 0.72], [0.61, 0.72]], np.float32)


@dataclasses.dataclass(frozen=True)
class Face:
    """A face in a picture, in its pixels.

    Attributes:
        box: left, top, width and height; it may reach over the edge of the picture.
        landmarks: float32 [5, 2], x and y of the left and right eye (as one looks at them), the nose, and the left and
            right corner of the mouth.
        confidence: of the detector, from 0.9 up to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray
    confidence: float

    @property
    def turn(self) -> float:
        """How far the head is turned: 0 looks at the camera, 1 or more is a profile."""
        left, right, nose = self.landmarks[:3]
        along = (right - left) / max(np.linalg.norm(right - left), 1e-6)
        return float(abs(2 * (nose - (left + right) / 2) @ along) / max(np.linalg.norm(right - left), 1e-6))


class Detector:
    """Finds faces. Loading takes some seconds; threads may share it, and take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # a runner may use several threads in one process
        # They bring Keras along, which those who only align do without.
        import tensorflow as tf
        from mtcnn import MTCNN

        self._mtcnn = MTCNN()
        # MTCNN calls its three networks layer by layer, which costs more than what they compute. As graphs they give
        # the same numbers.
        for stage, side in zip(self._mtcnn.stages, (None, 24, 48), strict=True):
            shape = tf.TensorSpec([None, side, side, 3], tf.float32)
            stage._model = tf.function(stage.model, input_signature=[shape], autograph=False)

    def find(self, pictures: Sequence[np.ndarray], longest_side: int = 480) -> list[list[Face]]:
        """The faces in each picture, the largest first.

        Args:
            pictures: uint8 [H, W, 3], RGB, all of one size; they are looked at together.
            longest_side: pictures are made so small before; faces of `SMALLEST` of those pixels are found.
        """
        height, width = pictures[0].shape[:2]
        scale = min(1.0, longest_side / max(height, width))
        size = max(12, round(width * scale)), max(12, round(height * scale))
        # MTCNN would make integers float64, and copy them as such for each size at which it looks for faces.
        small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) for picture in pictures]
        with self._turn:
            found = np.asarray(self._mtcnn.detect_faces(small, fit_to_image=False, output_type="numpy"))
        stretch = np.array([width / size[0], height / size[1]], np.float32)
        faces: list[list[Face]] = [[] for _ in pictures]
        for row in found.reshape(-1, 16):  # picture, box, confidence, five x, five y
            if row[5] >= _CONFIDENCE:
                left, top, wide, high = (float(x) for x in row[1:5] * np.tile(stretch, 2))
                # To a quarter of a pixel: a batch of another size, or another processor, differs by less.
                landmarks = np.round(4 * row[6:].reshape(2, 5).T.astype(np.float32) * stretch) / 4
                faces[int(row[0])].append(Face((left, top, wide, high), landmarks, float(row[5])))
        return [sorted(some, key=lambda face: (-face.box[2] * face.box[3], face.box)) for some in faces]

    def find_upright(
        self, pictures: Sequence[np.ndarray], longest_side: int = 480
    ) -> tuple[int, list[np.ndarray], list[list[Face]]]:
        """As `find`, in pictures that all stand on their feet, on one side or on their head.

        Where no face is found, some of the pictures are looked at in all four turns. Where one is found, what is around
        the surest of all is: the detector takes some faces that stand on their side or head for upright ones.

        Returns:
            By how many quarter turns anticlockwise the pictures had to be turned, the pictures so turned, and the faces
            in each.
        """
        found = self.find(pictures, longest_side)
        (turns,) = self._turns([(pictures, found)], longest_side)
        turned = _turned(pictures, turns)
        return turns, turned, self.find(turned, longest_side) if turns else found

    def find_each_upright(
        self, pictures: Sequence[np.ndarray], longest_side: int = 480
    ) -> list[tuple[np.ndarray, list[Face]]]:
        """As `find_upright`, in pictures of any sizes that have nothing to do with each other.

        Pictures that are looked at together take less time each, and change each other's landmarks in the
        last bits. The same pictures in the same order give the same.

        Returns:
            Each picture, turned so that it stands on its feet, and the faces in it.
        """
        found = self._find_any(pictures, longest_side)
        turns = self._turns([([one], [faces]) for one, faces in zip(pictures, found, strict=True)], longest_side)
        upright = [_turned([one], by)[0] for one, by in zip(pictures, turns, strict=True)]
        again = iter(self._find_any([one for one, by in zip(upright, turns, strict=True) if by], longest_side))
        seen = [next(again) if by else faces for faces, by in zip(found, turns, strict=True)]
        return list(zip(upright, seen, strict=True))

    def _turns(
        self, groups: Sequence[tuple[Sequence[np.ndarray], Sequence[Sequence[Face]]]], longest_side: int
    ) -> list[int]:
        """By how many quarter turns anticlockwise to turn each group, which is of pictures and the faces in each."""
        looked_at = [_looked_at(pictures, found) for pictures, found in groups]
        looks = [picture for some in looked_at for turns in range(4) for picture in _turned(some, turns)]
        doubts = iter(
            [min((1 - face.confidence for face in faces), default=1) for faces in self._find_any(looks, longest_side)]
        )
        chosen = []
        for some in looked_at:
            doubt = [min(next(doubts) for _ in some) for _ in range(4)]
            turns = int(np.argmin(doubt))  # the first of equals
            chosen.append(0 if doubt[turns] > _SURER * doubt[0] else turns)
        return chosen

    def _find_any(self, pictures: Sequence[np.ndarray], longest_side: int) -> list[list[Face]]:
        """As `find`, in pictures of any sizes: those of one size are looked at together."""
        by_shape = collections.defaultdict(list)
        for index, picture in enumerate(pictures):
            by_shape[picture.shape].append(index)
        found: list[list[Face]] = [[] for _ in pictures]
        for (height, width, _), of_shape in by_shape.items():
            scale = min(1.0, longest_side / max(height, width))
            count = max(1, int(_TOGETHER / (height * width * scale**2)))
            for start in range(0, len(of_shape), count):
                some = of_shape[start : start + count]
                for index, faces in zip(some, self.find([pictures[i] for i in some], longest_side), strict=True):
                    found[index] = faces
        return found


def _looked_at(pictures: Sequence[np.ndarray], found: Sequence[Sequence[Face]]) -> list[np.ndarray]:
    """What tells which way a group of pictures stands: what is around its surest face, or else some of the pictures."""
    surest = max(
        ((face.confidence, index, face) for index, faces in enumerate(found) for face in faces),
        key=lambda entry: entry[:2],
        default=None,
    )
    if surest is None:
        return list(pictures[:: -(-len(pictures) // _LOOKED_AT)])
    return [_around(pictures[surest[1]], surest[2])]


def _turned(pictures: Sequence[np.ndarray], turns: int) -> list[np.ndarray]:
    return [np.ascontiguousarray(np.rot90(picture, turns)) for picture in pictures]


def _around(picture: np.ndarray, face: Face) -> np.ndarray:
    """A small square with a face in its middle, as large as the detector likes it, and room around it."""
    left, top, width, height = face.box
    matrix = np.eye(2, 3) * _AROUND / (2 * max(width, height))
    matrix[:, 2] = _AROUND / 2 - matrix[:, :2] @ (left + width / 2, top + height / 2)
    return cv2.warpAffine(picture, matrix, (_AROUND, _AROUND), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)


def align(picture: np.ndarray, face: Face, size: int) -> np.ndarray:
    """A square crop with the eyes, the nose and the mouth always in the same places, upright, with hair and chin.

    What lies beyond the edge of the picture is mirrored.

    Args:
        picture: uint8 [H, W, 3].
        face: in it.
        size: of the crop, in pixels.

    Returns:
        uint8 [size, size, 3].
    """
    # Pixels are counted from the middle of the first, half a one from the edge: so a crop shows the same at any size.
    matrix = _similarity(face.landmarks, _PLACES * size - 0.5)
    shrink = 1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink > 1:  # or single pixels would be picked out of many
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * shrink)
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def is_in_place(face: Face, size: int) -> bool:
    """Whether a face that was found in a crop of so many pixels a side is where `align` puts faces."""
    return bool(np.linalg.norm(face.landmarks / size - _PLACES, axis=1).mean() < EYES / 4)


def encode(face: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as a JPEG file."""
    bgr = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _similarity(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The turn, scale and shift that bring points nearest to places by least squares, [2, 3]."""
    a = np.zeros((2 * len(points), 4))
    a[0::2] = np.stack([points[:, 0], -points[:, 1], np.ones(len(points)), np.zeros(len(points))], axis=1)
    a[1::2] = np.stack([points[:, 1], points[:, 0], np.zeros(len(points)), np.ones(len(points))], axis=1)
    cosine, sine, x, y = np.linalg.lstsq(a, places.reshape(-1).astype(np.float64), rcond=None)[0]
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


@functools.cache
def shared_detector() -> Detector:
    """One detector for each process."""
    return Detector()
