import dataclasses

import corpora
import cv2
import numpy as np
import pytest
import tensorflow as tf
import videos

from benchmarks import folds, judges
from s2f_tf import face_detection
from s2f_tf.data import clip, reader
from s2f_tf.errors import UserError

SIZE = 64


@pytest.fixture(scope="module")
def face():
    """A face as drawn ones should be, float32 [64, 64, 3] in [-1, 1]."""
    picture = videos.portrait()
    (found, *_) = face_detection.shared_detector().find([picture])[0]
    return face_detection.align(picture, found, SIZE).astype(np.float32) / 127.5 - 1


def test_a_face_is_found_where_it_should_be_and_nowhere_else(face):
    shifted = np.roll(face, SIZE // 4, axis=1)
    small = np.zeros_like(face)
    small[16:48, 16:48] = cv2.resize(face, (32, 32), interpolation=cv2.INTER_AREA)
    nothing = videos.landscape(0, 1)[0][:SIZE, :SIZE].astype(np.float32) / 127.5 - 1
    shown = np.stack([face, face[:, ::-1], shifted, small, nothing])
    assert judges.faces_found(shown).tolist() == [True, True, False, False, False]


def test_pixels_of_faces_are_rounded_and_cut():
    assert judges.levels(np.array([-1.2, -1.0, 0.0, 0.999, 1.5])).tolist() == [0, 0, 128, 255, 255]


def test_who_knows_the_sex_alone_knows_nothing_within_one():
    females = np.arange(400) % 2 == 0
    own = np.random.default_rng(0).normal(size=(2, 400, 3)) * 0.2
    voices, faces = (np.where(females[:, None], 1.0, -1.0) + one for one in own)
    found = judges.both_ways(voices, faces, np.arange(400), females)
    for name in ("voice to face, 2-way", "face to voice, 2-way"):
        assert abs(found[name].value - 0.75) < 0.04
        within = found[f"{name} within one sex"]
        assert within.low < 0.5 < within.high


def test_the_distance_of_like_faces_is_none_and_of_others_is_some():
    draw = np.random.default_rng(0).normal
    real, like, other = draw(size=(300, 128)), draw(size=(500, 128)), draw(size=(500, 128)) + 0.3
    names = np.arange(300), np.arange(300, 800)
    near, far = (judges.distance(0.1 * real, 0.1 * faces, *names) for faces in (like, other))
    assert near.low < 0 < near.high < far.low


@pytest.fixture
def taught(tiny_corpus, tmp_path):
    """A corpus of which teachers said something: the number of each clip, in its order."""
    folder = tmp_path / "clips"
    corpora.copy(tiny_corpus, folder, teachers=["a", "b"])
    number = 0
    for path in folds.shards(reader.Corpus(str(folder))):
        found = list(folds.clips([path]))
        with tf.io.TFRecordWriter(path) as writer:
            for one in found:
                said = (np.full(shape, number, np.float32) for shape in ((len(one.faces), 128), 256))
                writer.write(clip.encode(dataclasses.replace(one, taught=clip.Taught(("a", "b"), *said)), "wav"))
                number += 1
    return reader.Corpus(str(folder))


def test_what_teachers_said_goes_along_with_a_clip_into_its_fold(taught, tmp_path):
    everyone = {one.id: one.taught.voice[0] for one in folds.clips(folds.shards(taught))}
    outside, tested = judges.Outside(taught, None, False), []
    for fold in range(2):
        folder = str(tmp_path / f"fold-{fold}")
        folds.write(taught, fold, 2, 0, folder)
        part = reader.Corpus(folder)
        said = judges.said(folds.clips(folds.shards(part)))
        clips = list(folds.clips(folds.shards(part)))
        assert said.voices[:, 0].tolist() == said.faces[:, 0].tolist() == [everyone[one.id] for one in clips]
        held = list(folds.clips(clip.shards(folder, "test")))
        others = {one.id for one in clips} - {one.id for one in held}
        assert sorted(outside.others(part).voices[:, 0]) == sorted(everyone[name] for name in others)
        tested += [one.id for one in held]
    assert sorted(tested) == sorted(everyone)


def test_sexes_are_told_of_a_taught_corpus_alone(tiny_corpus):
    with pytest.raises(UserError, match="pipelines.teach"):
        judges.Outside(reader.Corpus(tiny_corpus), "labels.csv", False)
