import dataclasses
import io

import cv2
import numpy as np
import pytest
import videos
from PIL import Image

from pipelines import extract
from pipelines.reasons import Drop, Reason
from pipelines.sources import Item, Span
from s2f_tf import face_detection
from s2f_tf.config import SAMPLE_RATE


def found(path, sound=None, spans=(), **changed):
    """The clips in a video, and what else is dropped."""
    item = Item("a", "someone", str(path), sound and str(sound), spans)
    settings = dataclasses.replace(videos.SETTINGS, **changed)
    everything = list(extract.extract(item, settings, face_detection.shared_detector()))
    return [one for one in everything if not isinstance(one, Drop)], [o for o in everything if isinstance(o, Drop)]


def pixels(face):
    return np.asarray(Image.open(io.BytesIO(face)).convert("RGB")).astype(float)


def likeness(a, b):
    return np.corrcoef(a[8:40, 8:40].ravel(), b[8:40, 8:40].ravel())[0, 1]


def begin(clip):
    return float(clip.id.split("@")[1])


@pytest.fixture(scope="module")
def portrait():
    picture = videos.portrait()
    return face_detection.align(picture, face_detection.shared_detector().find([picture])[0][0], 48).astype(float)


def test_the_face_that_a_list_names_is_taken_and_only_in_its_part_of_the_video(tmp_path, portrait):
    path = tmp_path / "two.mp4"
    words = np.concatenate([videos.voice(1, 1.6), np.zeros(SAMPLE_RATE, np.float32), videos.voice(1, 1.6)])
    videos.write(path, videos.two_faces(42), [(0.0, words)])
    left, right = Span(2.4, 4.2, (0.25, 0.5)), Span(0.0, 1.8, (0.75, 0.5))
    (first, second), dropped = found(path, spans=(right, left))
    assert dropped == []
    assert begin(first) == pytest.approx(0.0, abs=0.1) and begin(second) == pytest.approx(2.5, abs=0.2)
    mirrored = portrait[:, ::-1]
    assert likeness(pixels(second.faces[0]), portrait) > 0.9 > likeness(pixels(second.faces[0]), mirrored)
    assert likeness(pixels(first.faces[0]), mirrored) > 0.9 > likeness(pixels(first.faces[0]), portrait)
    assert found(path)[1][0].reason == Reason.SEVERAL_FACES


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_video_that_stands_on_its_side_or_head_and_does_not_say_so_gives_upright_faces(tmp_path, portrait, turns):
    path, words = tmp_path / "a.mp4", [(0.0, videos.voice(1, 1.6))]
    videos.write(path, [np.ascontiguousarray(np.rot90(picture, turns)) for picture in videos.two_faces(16)], words)
    point = {1: (0.5, 0.25), 2: (0.25, 0.5), 3: (0.5, 0.75)}[turns]  # of the right one, which is mirrored
    ((clip,), dropped) = found(path, spans=(Span(0.0, 1.8, point),))
    assert dropped == [] and likeness(pixels(clip.faces[0]), portrait[:, ::-1]) > 0.9


def test_a_part_behind_the_end_of_the_video_is_told(tmp_path):
    path = tmp_path / "a.mkv"
    videos.write(path, videos.scene(1, 16), [(0.0, videos.voice(1, 1.6))])
    clips, (drop,) = found(path, spans=(Span(20.0, 25.0, (0.5, 0.5)),))
    assert clips == [] and drop.reason == Reason.NO_SOUND


def test_the_sound_beside_a_video_is_taken_and_begins_with_it(tmp_path):
    # MPEG begins at half a second, and its sound is another voice.
    videos.write(tmp_path / "a.mpg", videos.scene(1, 30), [(0.0, videos.voice(2, 2.5))], rate=25)
    videos.write(tmp_path / "a.mkv", None, [(0.0, videos.voice(1, 1.2))])
    (clip,), _ = found(tmp_path / "a.mpg", tmp_path / "a.mkv")
    assert begin(clip) == pytest.approx(0.0, abs=0.05)
    assert len(clip.waveform) / SAMPLE_RATE == pytest.approx(1.2, abs=0.15)
    assert len(clip.faces) == 2


def test_where_one_sound_track_has_no_voice_the_next_is_listened_to(tmp_path):
    path = tmp_path / "tracks.mkv"
    silence = np.zeros(round(1.6 * SAMPLE_RATE), np.float32)
    videos.write(path, videos.scene(1, 16), [(0.0, silence), (0.0, videos.voice(1, 1.6))])
    clips, dropped = found(path)
    assert len(clips) == 1 and dropped == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [  # the face that is small has 14 pixels between its eyes, and a crop of 128 has 35
        (lambda picture: cv2.GaussianBlur(picture, (0, 0), 6), Reason.BLURRED),
        (lambda picture: videos.portrait(zoom=0.4), Reason.FACE_TOO_SMALL),
    ],
    ids=["blurred", "small"],
)
def test_faces_of_no_use_are_left_out(tmp_path, change, reason):
    path = tmp_path / "a.mkv"
    videos.write(path, [change(picture) for picture in videos.scene(1, 16)], [(0.0, videos.voice(1, 1.6))])
    clips, (drop,) = found(path, face_size=128)
    assert clips == [] and drop.reason == reason
    assert len(found(path, face_size=32)[0]) == (reason == Reason.FACE_TOO_SMALL)  # small enough for a smaller crop


def test_pictures_that_end_before_the_words_do(tmp_path):
    path = tmp_path / "a.mkv"
    words = np.concatenate([videos.voice(1, 1.4), np.zeros(6 * SAMPLE_RATE, np.float32), videos.voice(2, 1.5)])
    videos.write(path, videos.scene(1, 16), [(0.0, words)])
    (clip,), (drop,) = found(path)
    assert begin(clip) < 0.1 and drop.reason == Reason.NO_PICTURE


def test_faces_of_a_long_utterance_are_spread_over_it(tmp_path, monkeypatch):
    path = tmp_path / "a.mkv"
    videos.write(path, videos.scene(1, 40), [(0.0, videos.voice(1, 4.0))])
    asked, at = [], extract.Pictures.at
    monkeypatch.setattr(extract.Pictures, "at", lambda self, times: asked.append(times) or at(self, times))
    (clip,), _ = found(path)
    seconds = len(clip.waveform) / SAMPLE_RATE
    np.testing.assert_allclose(asked[0] - begin(clip), seconds * np.array([0.125, 0.375, 0.625, 0.875]), atol=0.02)
