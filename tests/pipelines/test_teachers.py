import dataclasses
import importlib.util
import io
import os

import commands
import corpora
import numpy as np
import pytest
import videos
from PIL import Image
from skimage import data

from pipelines import exclusion, holdings, teachers
from s2f_tf import face_detection
from s2f_tf.data import clip
from s2f_tf.data.clip import CorpusError, Kind

needs_teachers = pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None, reason="the extra `teachers` is not installed"
)

# Where the eyes, the nose and the corners of the mouth of scikit-image's cat are.
CAT = np.array([[172, 110], [270, 110], [222, 168], [190, 205], [250, 205]], np.float32)


class Colours:
    """Says the mean colour of each of so many stripes."""

    def __init__(self, name="colours 1"):
        self.name, self.asked = name, 0

    def __call__(self, face):
        self.asked += 1
        rows = np.linspace(0, len(face) - 1, clip.FACE_NUMBERS).astype(int)
        return face[rows].mean(axis=(1, 2)).astype(np.float32)


class Loudness:
    """Says the mean level of each of so many pieces."""

    name = "loudness 1"

    def __call__(self, waveform):
        pieces = np.array_split(waveform, clip.VOICE_NUMBERS)
        return np.array([np.abs(piece).mean() for piece in pieces], np.float32)


@pytest.fixture
def corpus(tiny_corpus, tmp_path):
    return corpora.copy(tiny_corpus, tmp_path / "clips", examples={}, seconds={})


def shards(folder):
    return [path for split in clip.SPLITS for path in clip.shards(str(folder), split)]


def clips(folder):
    return [one for path in shards(folder) for _, one in holdings.clips(path)]


def contents(folder):
    return {path: open(path, "rb").read() for path in shards(folder)}


def test_each_clip_gets_what_is_said_of_its_own_faces_and_voice(corpus):
    before, see, hear = clips(corpus), Colours(), Loudness()
    assert sum(teachers.teach_shard(path, see, hear) for path in shards(corpus)) == len(before)
    after = clips(corpus)
    for old, new in zip(before, after, strict=True):
        assert (new.id, new.speaker, new.faces, new.factors) == (old.id, old.speaker, old.faces, old.factors)
        np.testing.assert_array_equal(new.waveform, old.waveform)
        assert new.taught.names == ("colours 1", "loudness 1")
        pictures = [np.asarray(Image.open(io.BytesIO(face)).convert("RGB")) for face in old.faces]
        np.testing.assert_array_equal(new.taught.faces, np.stack([see(picture) for picture in pictures]))
        np.testing.assert_array_equal(new.taught.voice, hear(old.waveform))


def test_nobody_is_asked_twice_and_another_teacher_is_asked_about_all(corpus):
    first, *_ = shards(corpus)
    see = Colours()
    count = teachers.teach_shard(first, see, Loudness())
    asked, before = see.asked, contents(corpus)
    assert asked >= count
    assert teachers.teach_shard(first, see, Loudness()) == count
    assert see.asked == asked and contents(corpus) == before
    other = Colours("colours 2")
    teachers.teach_shard(first, other, Loudness())
    assert other.asked == asked
    assert {one.taught.names[0] for _, one in holdings.clips(first)} == {"colours 2"}


def test_the_same_bytes_come_of_it_wherever_it_was_interrupted(corpus, tmp_path):
    class KilledError(BaseException):
        pass

    class Killed(Colours):
        def __call__(self, face):
            if self.asked == 3:
                raise KilledError
            return super().__call__(face)

    whole = corpora.copy(corpus, tmp_path / "whole")
    for path in shards(whole):
        teachers.teach_shard(path, Colours(), Loudness())
    before = contents(corpus)
    with pytest.raises(KilledError):
        teachers.teach_shard(shards(corpus)[0], Killed(), Loudness())
    assert contents(corpus) == before
    for path in shards(corpus):
        teachers.teach_shard(path, Colours(), Loudness())
    assert list(contents(corpus).values()) == list(contents(whole).values())


def test_a_damaged_shard_is_named_and_stays(corpus):
    path = shards(corpus)[0]
    corpora.flip(corpus / os.path.basename(path), 200)
    before = contents(corpus)
    with pytest.raises(CorpusError, match=os.path.basename(path)):
        teachers.teach_shard(path, Colours(), Loudness())
    assert contents(corpus) == before


def test_who_is_excluded_takes_along_what_was_said(corpus):
    for path in shards(corpus):
        teachers.teach_shard(path, Colours(), Loudness())
    everyone = clips(corpus)
    who = everyone[0].speaker
    exclusion.delete(str(corpus), [who])
    left = clips(corpus)
    assert [one.id for one in left] == [one.id for one in everyone if one.speaker != who]
    assert all(one.taught for one in left)


@pytest.mark.parametrize("kind", [Kind.STILLS, Kind.SOUNDS])
def test_of_half_a_clip_one_teacher_is_asked(corpus, kind):
    path = shards(corpus)[0]
    halves = [
        dataclasses.replace(one, waveform=np.zeros(0, np.float32))
        if kind == Kind.STILLS
        else dataclasses.replace(one, faces=())
        for _, one in holdings.clips(path)
    ]
    clip.write_shard(str(corpus), "train", 0, int(path.split("-")[-1].split(".")[0]), halves, "wav")
    assert teachers.teach_shard(path, Colours(), Loudness(), kind) == len(halves)
    for _, one in holdings.clips(path, kind):
        assert one.taught.faces.shape == (len(one.faces), clip.FACE_NUMBERS)
        assert one.taught.voice.size == (clip.VOICE_NUMBERS if kind == Kind.SOUNDS else 0)


@needs_teachers
def test_a_corpus_is_taught_by_one_process_or_two_and_says_so(corpus, tmp_path):
    copy = corpora.copy(corpus, tmp_path / "copy")
    for folder, workers in ((corpus, 1), (copy, 2)):
        ended = commands.run("pipelines.teach", f"--corpus={folder}", f"--workers={workers}")
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("taught by: dlib 20") and "resemblyzer 0.1.4" in ended.stdout
    assert list(contents(corpus).values()) == list(contents(copy).values())
    told = corpora.description(corpus)["teachers"]
    assert all(one.taught.names == tuple(told) for one in clips(corpus))


@needs_teachers
def test_a_face_is_the_same_person_in_any_light_and_at_any_size():
    see, picture = teachers.Faces(), videos.portrait()
    face = face_detection.align(picture, face_detection.shared_detector().find([picture])[0][0], 128)
    cat = face_detection.align(data.chelsea(), face_detection.Face((0, 0, 0, 0), CAT, 1.0), 128)
    small = np.asarray(Image.fromarray(face).resize((64, 64), Image.Resampling.BOX))
    said = see(face)
    assert said.shape == (clip.FACE_NUMBERS,) and said.dtype == np.float32
    for same in (small, (face * 0.6).astype(np.uint8), face[:, ::-1]):
        assert np.linalg.norm(see(same) - said) < 0.5 < np.linalg.norm(see(cat) - said)


@needs_teachers
def test_a_voice_is_nearer_to_itself_than_to_another():
    hear = teachers.Voices()
    one, again, other = (hear(videos.voice(*what)) for what in ((1, 4.0), (1, 3.0), (6, 4.0)))
    assert one.shape == (clip.VOICE_NUMBERS,) and abs(np.linalg.norm(one) - 1) < 1e-5
    assert one @ again > one @ other
