import dataclasses
import io
import json
import os

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from s2f_tf.config import AUDIO_FORMATS, SAMPLE_RATE
from s2f_tf.data import clip
from s2f_tf.data.clip import Clip, CorpusError, Kind

DESCRIPTION = {
    "made_by": "a test",
    "audio_format": "wav",
    "face_size": 16,
    "clips": {"train": 1},
    "speakers": {"train": 1},
    "dropped": {},
}

waveforms = arrays.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1, 1, width=32))
clips = st.builds(
    Clip,
    id=st.text(),
    speaker=st.text(),
    waveform=waveforms,
    faces=st.lists(st.binary(), min_size=1, max_size=3).map(tuple),
    factors=st.dictionaries(st.text(), st.floats(width=32, allow_nan=False), max_size=3),
)
quick = settings(max_examples=40, deadline=None, derandomize=True)


def make_clip(**changes):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, SAMPLE_RATE).astype(np.float32)
    return Clip(**{"id": "clip", "speaker": "speaker", "waveform": noise, "faces": (b"face",)} | changes)


def make_taught(faces, voice=clip.VOICE_NUMBERS, names=("see 1", "hear 2")):
    draw = np.random.default_rng(faces).normal
    return clip.Taught(names, *(draw(size=s).astype(np.float32) for s in ((faces, clip.FACE_NUMBERS), voice)))


@quick
@given(clips, st.sampled_from(AUDIO_FORMATS))
def test_a_clip_is_read_as_it_was_written(written, audio_format):
    read = clip.decode(clip.encode(written, audio_format))
    assert (read.id, read.speaker, read.faces) == (written.id, written.speaker, written.faces)
    assert read.factors == written.factors and read.taught is None
    assert read.waveform.dtype == np.float32
    np.testing.assert_allclose(read.waveform, written.waveform, rtol=0, atol=1 / 2**15)


@pytest.mark.parametrize("faces, voice", [(1, clip.VOICE_NUMBERS), (3, clip.VOICE_NUMBERS), (2, 0)])
def test_what_teachers_say_is_read_as_it_was_written(faces, voice):
    taught = make_taught(faces, voice)
    written = make_clip(faces=(b"face",) * faces)
    directly = clip.encode(dataclasses.replace(written, taught=taught), "wav")
    assert clip.with_taught(clip.encode(written, "wav"), taught) == directly
    read = clip.decode(directly).taught
    assert read.names == taught.names
    np.testing.assert_array_equal(read.faces, taught.faces)
    np.testing.assert_array_equal(read.voice, taught.voice)


def test_what_teachers_say_takes_the_place_of_what_others_said():
    before = clip.encode(make_clip(taught=make_taught(1, names=("another", "one"))), "wav")
    assert clip.with_taught(before, make_taught(1)) == clip.encode(make_clip(taught=make_taught(1)), "wav")


def test_what_teachers_say_of_other_faces_is_no_clip():
    with pytest.raises(CorpusError, match="not a clip"):
        clip.decode(clip.encode(make_clip(taught=make_taught(2)), "wav"))


def test_both_formats_store_the_same_samples():
    flac, wav = (clip.decode(clip.encode(make_clip(), audio_format)) for audio_format in AUDIO_FORMATS)
    np.testing.assert_array_equal(flac.waveform, wav.waveform)


@quick
@given(st.data(), st.sampled_from(AUDIO_FORMATS))
def test_a_changed_record_is_a_clip_or_a_corpus_error(data, audio_format):
    record = bytearray(clip.encode(make_clip(waveform=np.zeros(200, np.float32), factors={"age": 0.5}), audio_format))
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(record)))
    for damaged in (bytes(record), bytes(record[:cut])):
        try:
            assert isinstance(clip.decode(damaged), Clip)
        except CorpusError as error:
            assert "not a clip" in str(error)


@quick
@given(st.binary())
def test_any_bytes_are_a_clip_or_a_corpus_error(record):
    with pytest.raises(CorpusError, match="not a clip"):
        clip.decode(record)


def with_sound(samples, rate):
    example = tf.train.Example.FromString(clip.encode(make_clip(), "wav"))
    sound = io.BytesIO()
    soundfile.write(sound, samples, rate, format="WAV")
    example.features.feature["audio/encoded"].bytes_list.value[0] = sound.getvalue()
    return example.SerializeToString()


@pytest.mark.parametrize(
    ("samples", "rate"), [(np.zeros(8000), 8000), (np.zeros((8000, 2)), SAMPLE_RATE), (np.zeros(0), SAMPLE_RATE)]
)
def test_sound_that_is_not_mono_at_16_khz_is_no_clip(samples, rate):
    with pytest.raises(CorpusError, match="mono at 16000 Hz"):
        clip.decode(with_sound(samples, rate))


def test_a_record_without_a_face_is_no_clip():
    with pytest.raises(CorpusError, match="no face"):
        clip.decode(clip.encode(make_clip(faces=()), "wav"))


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
def test_of_one_kind_the_other_half_is_empty(audio_format):
    still, sound = make_clip(waveform=np.zeros(0, np.float32)), make_clip(faces=())
    records = {Kind.STILLS: clip.encode(still, audio_format), Kind.SOUNDS: clip.encode(sound, audio_format)}
    feature = tf.train.Example.FromString(records[Kind.STILLS]).features.feature
    assert feature["audio/encoded"].bytes_list.value == [b""] and "face/encoded" in feature
    read = clip.decode(records[Kind.STILLS], Kind.STILLS)
    assert read.waveform.shape == (0,) and read.waveform.dtype == np.float32 and read.faces == still.faces
    read = clip.decode(records[Kind.SOUNDS], Kind.SOUNDS)
    assert read.faces == ()
    np.testing.assert_allclose(read.waveform, sound.waveform, rtol=0, atol=1 / 2**15)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (Kind.PAIRS, {"waveform": np.zeros(0, np.float32)}, "it has no sound"),
        (Kind.SOUNDS, {"waveform": np.zeros(0, np.float32), "faces": ()}, "it has no sound"),
        (Kind.STILLS, {"waveform": np.zeros(0, np.float32), "faces": ()}, "it has no face"),
        (Kind.STILLS, {}, "it has a sound, in a corpus of stills alone"),
        (Kind.SOUNDS, {}, "it has a face, in a corpus of sounds alone"),
    ],
)
def test_a_clip_that_is_not_of_the_kind_of_its_corpus_is_refused(kind, changes, said):
    with pytest.raises(CorpusError, match=said):
        clip.decode(clip.encode(make_clip(**changes), "wav"), kind)


def test_the_split_of_a_speaker_is_stable_and_has_the_shares_asked_for():
    splits = [clip.split_of(f"speaker {i}") for i in range(4000)]
    assert [clip.split_of(name) for name in ("a", "b", "c", "Ada")] == ["train", "train", "train", "train"]
    assert splits == [clip.split_of(f"speaker {i}") for i in range(4000)]
    assert {name: round(splits.count(name) / 4000, 1) for name in clip.SPLITS} == {
        "train": 0.8,
        "validation": 0.1,
        "test": 0.1,
    }


def test_shards_are_found_in_order_and_only_when_whole(tmp_path):
    for index in (2, 0, 1):
        assert clip.write_shard(tmp_path, "train", index, 3, [make_clip()] * index, "wav") == index
    clip.write_shard(tmp_path, "test", 0, 1, [], "wav")
    names = [os.path.basename(path) for path in clip.shards(tmp_path, "train")]
    assert names == [f"train-0000{i}-of-00003.tfrecord" for i in range(3)]
    assert clip.shards(tmp_path, "validation") == []

    os.rename(tmp_path / names[1], tmp_path / "aside")
    with pytest.raises(CorpusError, match="not one whole set: train-00000-of-00003"):
        clip.shards(tmp_path, "train")
    os.rename(tmp_path / "aside", tmp_path / names[1])
    clip.write_shard(tmp_path, "train", 0, 4, [], "wav")
    with pytest.raises(CorpusError, match="not one whole set"):
        clip.shards(tmp_path, "train")


def test_a_shard_that_is_being_written_is_not_taken_for_one(tmp_path):
    def failing():
        yield make_clip()
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        clip.write_shard(tmp_path, "train", 0, 1, failing(), "wav")
    assert clip.shards(tmp_path, "train") == []


def test_a_description_is_read_as_it_was_written(tmp_path):
    clip.write_description(tmp_path, DESCRIPTION)
    assert clip.read_description(tmp_path) == DESCRIPTION


@pytest.mark.parametrize("field", DESCRIPTION)
def test_a_description_that_lacks_a_field_or_has_a_wrong_one_is_refused_by_name(tmp_path, field):
    clip.write_description(tmp_path, {k: v for k, v in DESCRIPTION.items() if k != field})
    with pytest.raises(CorpusError, match=f"corpus.json has no field '{field}'"):
        clip.read_description(tmp_path)
    clip.write_description(tmp_path, DESCRIPTION | {field: None})
    with pytest.raises(CorpusError, match=f"corpus.json: field '{field}' cannot be None"):
        clip.read_description(tmp_path)


@pytest.mark.parametrize("kind", ["faces", None, []])
def test_a_kind_that_there_is_not_is_refused(tmp_path, kind):
    clip.write_description(tmp_path, DESCRIPTION | {"kind": kind})
    with pytest.raises(CorpusError, match="corpus.json: field 'kind' cannot be .*: pairs, stills, sounds are allowed"):
        clip.read_description(tmp_path)


def test_a_corpus_that_does_not_say_its_kind_is_of_pairs():
    assert clip.kind(DESCRIPTION) is Kind.PAIRS and clip.kind(DESCRIPTION | {"kind": "stills"}) is Kind.STILLS


@pytest.mark.parametrize("text", ["", "{", "5", "null", "[]", json.dumps(DESCRIPTION | {"clips": {"train": "x"}})])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "corpus.json").write_text(text)
    with pytest.raises(CorpusError, match="corpus.json"):
        clip.read_description(tmp_path)


def test_a_folder_without_description_is_no_corpus(tmp_path):
    with pytest.raises(CorpusError, match="is no corpus"):
        clip.read_description(tmp_path)
