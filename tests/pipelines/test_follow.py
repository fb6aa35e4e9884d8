import numpy as np
import pytest

from pipelines.follow import follow
from pipelines.reasons import Reason
from s2f_tf.face_detection import Face

SIDE = 480


def face(x, y, width=60):
    landmarks = np.array([[x - 10, y - 5], [x + 10, y - 5], [x, y], [x - 8, y + 10], [x + 8, y + 10]], np.float32)
    return Face((x - width / 2, y - width / 2, width, width), landmarks, 1.0)


def test_the_largest_is_followed_where_it_moves():
    moving = [face(100 + 30 * index, 200) for index in range(6)]
    small = face(400, 100, width=30)
    assert follow([[one, small] for one in moving], None, SIDE) == moving


def test_a_cut_to_another_person_brings_in_nobody_else():
    first, second = face(100, 200), face(380, 200, width=64)
    found = [[first], [first], [first], [first], [second], [second]]
    assert follow(found, None, SIDE) == [first] * 4 + [None] * 2


def test_a_face_that_is_seldom_there_may_not_be_who_speaks():
    one = face(100, 200)
    assert follow([[one], [], [], [one], []], None, SIDE) == Reason.FACE_NOT_FOLLOWED
    assert follow([[one], [], [], [one]], None, SIDE) == [one, None, None, one]
    assert follow([[], []], None, SIDE) == Reason.NO_FACE


@pytest.mark.parametrize(("width", "expected"), [(60, True), (48, True), (36, False)])
def test_two_of_a_like_size_say_nothing_of_who_speaks(width, expected):
    found = [[face(100, 200), face(300, 200, width)]] * 4
    assert (follow(found, None, SIDE) == Reason.SEVERAL_FACES) is expected


def test_one_who_passes_by_does_not_disturb():
    one, other = face(100, 200), face(300, 200)
    assert follow([[one], [one, other], [one], [one]], None, SIDE) == [one] * 4


def test_the_face_nearest_to_the_named_point_is_followed_whatever_its_size():
    left, right = face(100, 200, width=100), face(300, 200)
    assert follow([[left, right]] * 4, (290, 210), SIDE) == [right] * 4
    assert follow([[left]] * 4, (450, 30), SIDE) == Reason.NO_FACE
