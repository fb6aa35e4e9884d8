"""One face through the pictures of an utterance: which one it is, and whether it can be told from the others."""

from collections.abc import Sequence

import numpy as np

from s2f_tf.face_detection import Face

from .reasons import Reason

_SHIFT = 1.0  # of its width: further a face does not move from one picture to the next that is looked at
_GROWTH = 1.6  # nor does its width change by more than this factor
_RIVAL = 0.5  # of the area of the face that is followed: another as large may be the one who speaks
_NEAR = 0.25  # of the longer side of the picture: a named point further from every face names none


def follow(
    found: Sequence[Sequence[Face]], point: tuple[float, float] | None, reach: float
) -> list[Face | None] | Reason:
    """The face of who speaks in each picture, None where it is not there; or why nobody can say.

    Faces are joined from picture to picture by their place and size, so that no cut to another scene brings in another
    person. Where `point` names a place, the face nearest to it, in the first picture that has one near, is followed.
    Else it is the one that fills the most of all pictures together; but where another of at least half its size is
    beside it in half of the pictures, nobody says which of them speaks. A face that is in fewer than half of the
    pictures is not trusted to be who is heard.

    Args:
        found: the faces in each picture.
        point: x and y, in pixels, or None.
        reach: the longer side of the pictures.
    """
    tracks = _joined(found)
    if not tracks:
        return Reason.NO_FACE
    if point is None:
        best = max(tracks, key=lambda track: sum(_area(face) for face in track.values()))
    else:
        near = [
            (index, distance, track)
            for track in tracks
            for index, face in track.items()
            if (distance := float(np.hypot(*(_centre(face) - point)))) <= _NEAR * reach
        ]
        if not near:
            return Reason.NO_FACE
        best = min(near, key=lambda entry: entry[:2])[2]
    if 2 * len(best) < len(found):
        return Reason.FACE_NOT_FOLLOWED
    rivals = sum(
        any(other is not face and _area(other) >= _RIVAL * _area(face) for other in found[index])
        for index, face in best.items()
    )
    if point is None and 2 * rivals >= len(best):
        return Reason.SEVERAL_FACES
    return [best.get(index) for index in range(len(found))]


def _joined(found: Sequence[Sequence[Face]]) -> list[dict[int, Face]]:
    """Faces joined to tracks: each holds the face by the number of the picture."""
    tracks: list[dict[int, Face]] = []
    for index, faces in enumerate(found):
        pairs = sorted(
            (distance, number, place)
            for number, track in enumerate(tracks)
            for place, face in enumerate(faces)
            if (distance := _distance(track[max(track)], face)) is not None
        )
        joined, taken = set(), set()
        for _, number, place in pairs:
            if number not in joined and place not in taken:
                tracks[number][index] = faces[place]
                joined.add(number)
                taken.add(place)
        tracks += [{index: face} for place, face in enumerate(faces) if place not in taken]
    return tracks


def _distance(before: Face, after: Face) -> float | None:
    """How far a face moved, in its widths; None where it cannot be the same."""
    widths = before.box[2], after.box[2]
    moved = float(np.hypot(*(_centre(before) - _centre(after)))) / max(widths)
    return moved if moved <= _SHIFT and max(widths) <= _GROWTH * min(widths) else None


def _centre(face: Face) -> np.ndarray:
    left, top, width, height = face.box
    return np.array([left + width / 2, top + height / 2])


def _area(face: Face) -> float:
    return face.box[2] * face.box[3]
