import dataclasses
import io
import itertools
import os
import struct

import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from PIL import Image

from s2f_tf.config import AUDIO_FORMATS, DataConfig
from s2f_tf.data import audio, clip, reader
from s2f_tf.data.clip import Clip, CorpusError, Kind

SIZE = 16
DATA = DataConfig(face_size=SIZE, window_seconds=0.5)
SHARDS = (7, 0, 5, 9)  # clips in each
COUNT = sum(SHARDS)


def flat_face(level, size=SIZE):
    file = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


def make_clip(i):
    """Clip i: its first face is of level i, its second of level 100 + i."""
    rng = np.random.default_rng(i)
    noise = rng.uniform(-0.5, 0.5, rng.integers(4000, 20_000)).astype(np.float32)
    return Clip(f"clip {i}", f"speaker {i // 2}", noise, (flat_face(i), flat_face(100 + i)), {"age": float(i)})


def write_corpus(folder, split="train", shards=SHARDS, audio_format="wav", **changes):
    numbers = itertools.count()
    for index, count in enumerate(shards):
        clips = [make_clip(next(numbers)) for _ in range(count)]
        clip.write_shard(folder, split, index, len(shards), clips, audio_format)
    description = {
        "made_by": "a test",
        "audio_format": audio_format,
        "face_size": SIZE,
        "clips": {split: sum(shards)},
        "speakers": {split: (sum(shards) + 1) // 2},
        "dropped": {},
    }
    clip.write_description(folder, description | changes)
    return str(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return reader.Corpus(write_corpus(tmp_path_factory.mktemp("corpus")))


@pytest.fixture
def warnings(monkeypatch):
    """What is said to the person who trains."""
    said = []
    monkeypatch.setattr(logging, "warning", lambda message, *values: said.append(message % values))
    return said


def take(corpus, count, **changes):
    options = {"batch_size": 4, "seed": 3} | changes
    data = options.pop("data", DATA)
    dataset = reader.batches(corpus, options.pop("split", "train"), data, **options)
    return list(dataset.take(count).as_numpy_iterator())


def levels(batches):
    """Which clips the faces are of, without augmentation."""
    return [int(round((level + 1) * 127.5)) % 100 for batch in batches for level in batch["face"][:, 0, 0, 0]]


def assert_same(some, others):
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_batch_is_what_the_docstring_says(corpus):
    dataset = reader.batches(corpus, "train", DATA, batch_size=4, seed=3)
    assert dataset.element_spec == {
        "waveform": tf.TensorSpec([4, 8000], tf.float32),
        "face": tf.TensorSpec([4, SIZE, SIZE, 3], tf.float32),
        "speaker": tf.TensorSpec([4], tf.int64),
        "position": tf.TensorSpec([4], tf.int64),
    }
    assert dataset.options().experimental_distribute.auto_shard_policy == tf.data.experimental.AutoShardPolicy.OFF
    batches = take(corpus, 12)
    np.testing.assert_array_equal(np.concatenate([b["position"] for b in batches]), range(48))
    for batch in batches:
        assert np.abs(batch["face"]).max() <= 1
        assert 0.05 < np.abs(batch["waveform"]).max() < 4


def test_voice_and_face_are_of_one_clip(corpus):
    for batch in take(corpus, 6, augment=False):
        for window, number in zip(batch["waveform"], levels([batch]), strict=True):
            whole = np.tile(clip.decode(clip.encode(make_clip(number), "wav")).waveform, 4)
            starts = np.flatnonzero(whole[:-8000] == window[0])
            assert any(np.array_equal(whole[start : start + 8000], window) for start in starts)


def test_an_epoch_holds_every_clip_once_and_each_has_its_own_order(corpus):
    numbers = levels(take(corpus, 4, batch_size=COUNT, augment=False))
    epochs = [numbers[i : i + COUNT] for i in range(0, 4 * COUNT, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs} | {tuple(range(COUNT))}) == 5


def test_every_face_of_a_clip_is_drawn(corpus):
    batches = take(corpus, 6, batch_size=COUNT, augment=False)
    drawn = {int(round((level + 1) * 127.5)) for batch in batches for level in batch["face"][:, 0, 0, 0]}
    assert len(drawn) > 1.8 * COUNT


def test_speakers_are_told_apart_and_stay_the_same(corpus):
    batches = take(corpus, 3, batch_size=COUNT, augment=False)
    hashes = {number: int(h) for batch in batches for number, h in zip(levels([batch]), batch["speaker"], strict=True)}
    assert all((hashes[a] == hashes[b]) == (a // 2 == b // 2) for a in range(COUNT) for b in range(COUNT))


def test_the_same_seed_gives_the_same_batches_and_another_gives_others(corpus):
    assert_same(take(corpus, 3), take(corpus, 3))
    other = take(corpus, 3, seed=4)
    assert not np.array_equal(other[0]["face"], take(corpus, 1)[0]["face"])


@pytest.mark.parametrize("batch", [1, 5, 6, 13])
def test_started_again_at_any_place_the_batches_are_the_same(corpus, batch):
    batches = take(corpus, batch + 3)
    start = int(batches[batch - 1]["position"].max()) + 1
    assert_same(take(corpus, 3, start=start), batches[batch:])


@pytest.mark.parametrize("start", [0, 12])
def test_workers_together_read_what_one_reads(corpus, start):
    data = dataclasses.replace(DATA, babble=0.0)  # which is of the voices of a worker's own share
    alone = take(corpus, 6, start=start, data=data)
    pair = [take(corpus, 6, start=start, data=data, batch_size=2, worker=worker, workers=2) for worker in range(2)]
    together = []
    for first, second in zip(*pair, strict=True):
        order = np.argsort(np.concatenate([first["position"], second["position"]]))
        together.append({name: np.concatenate([first[name], second[name]])[order] for name in first})
    for some, others in zip(together, alone, strict=True):
        assert some.keys() == others.keys()
        for name in others:
            np.testing.assert_allclose(some[name], others[name], atol=1e-6)  # a transform's last bit is of its batch


def test_augmentation_can_be_turned_off(corpus):
    assert all(len(np.unique(face)) == 1 for face in take(corpus, 1, augment=False)[0]["face"])
    assert not np.array_equal(take(corpus, 1)[0]["waveform"], take(corpus, 1, augment=False)[0]["waveform"])


@pytest.mark.skipif(not audio.flac_available(), reason="tensorflow-io's FLAC op does not load here")
def test_flac_gives_the_batches_that_wav_gives(corpus, tmp_path):
    flac = reader.Corpus(write_corpus(tmp_path, audio_format="flac"))
    assert_same(take(flac, 3), take(corpus, 3))


# Damage.


def spoil(path, at, data=b"\xff"):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def spoiled(folder, shard, record, inside=40):
    """Damages the data of a record."""
    corpus = reader.Corpus(folder)
    split = corpus.split("train")
    first = sum(SHARDS[:shard])
    spoil(split.paths[shard], int(split.offset[first + record]) + 12 + inside)
    return f"train-{shard:05d}-of-{len(SHARDS):05d}.tfrecord record {record}"


@pytest.mark.parametrize("start", [0, 29])
def test_a_damaged_record_is_passed_over_counted_and_named_once(tmp_path, warnings, start):
    folder = write_corpus(tmp_path)
    names = [spoiled(folder, 0, 3), spoiled(folder, 3, 0), spoiled(folder, 3, 8)]
    corpus = reader.Corpus(folder)
    damage = reader.DamageCount(corpus, "train", seed=3, start=start)
    batches = take(corpus, 16, start=start)
    seen = set()
    for batch in batches:
        damage.add(batch["position"])
        seen |= set(batch["position"].tolist())
    assert damage.count == 3
    assert sorted(warning.split(" is damaged")[0] for warning in warnings) == sorted(names)
    assert [warning.split(": ")[1] for warning in warnings] == [f"skipped ({i} so far)" for i in (1, 2, 3)]
    passed_over = set(range(start, max(seen) + 1)) - seen
    assert {corpus.locate(position, "train", 3) for position in passed_over} == set(names)
    assert not {3, 12, 20} & set(levels(take(corpus, 8, augment=False)))


def test_batches_around_damage_can_be_resumed(tmp_path):
    folder = write_corpus(tmp_path)
    spoiled(folder, 0, 3)
    corpus = reader.Corpus(folder)
    batches = take(corpus, 12)
    gaps = [i for i, batch in enumerate(batches) if np.ptp(batch["position"]) > 3]
    assert gaps
    for batch in (gaps[0], gaps[0] + 1):
        assert_same(take(corpus, 1, start=int(batches[batch - 1]["position"].max()) + 1), batches[batch : batch + 1])


def test_each_worker_counts_its_own_damage(tmp_path, warnings):
    folder = write_corpus(tmp_path)
    spoiled(folder, 0, 3)
    corpus = reader.Corpus(folder)
    for worker in range(2):
        damage = reader.DamageCount(corpus, "train", 3, 10, worker=worker, workers=2)
        for batch in take(corpus, 20, start=10, batch_size=2, worker=worker, workers=2):
            damage.add(batch["position"])
        assert damage.count == 1
    assert len(warnings) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"faces": ()},
        {"faces": (b"no picture",)},
        {"waveform": np.zeros(0, np.float32)},
        {"faces": (flat_face(0)[:50],)},
    ],
)
def test_a_record_that_is_whole_and_yet_no_clip_is_passed_over(tmp_path, warnings, change):
    write_corpus(tmp_path, shards=(1, 8))
    clip.write_shard(tmp_path, "train", 0, 2, [dataclasses.replace(make_clip(0), **change)], "wav")
    corpus = reader.Corpus(str(tmp_path))
    damage = reader.DamageCount(corpus, "train", 3)
    for batch in take(corpus, 5, augment=False):
        damage.add(batch["position"])
        assert 0 not in levels([batch])
    assert warnings == ["train-00000-of-00002.tfrecord record 0 is damaged: skipped (1 so far)"]


@pytest.mark.parametrize("where", ["length", "checksum"])
def test_behind_a_broken_header_a_shard_ends_and_that_is_said(tmp_path, warnings, where):
    folder = write_corpus(tmp_path)
    whole = reader.Corpus(folder).split("train")
    spoil(whole.paths[3], int(whole.offset[12 + 4]) + {"length": 0, "checksum": 9}[where], b"\x55\xaa")
    split = reader.Corpus(folder).split("train")
    assert len(split) == COUNT - 5
    assert split.lost == 5
    assert warnings == [
        f"{whole.paths[3]} is broken after record 3: the rest cannot be read",
        f"{folder}: 5 clips of split 'train' cannot be found in its shards",
    ]


def test_a_shard_that_is_cut_short_is_read_up_to_there(tmp_path, warnings):
    folder = write_corpus(tmp_path)
    whole = reader.Corpus(folder).split("train")
    os.truncate(whole.paths[3], int(whole.offset[12 + 6]) - 1)
    assert reader.Corpus(folder).split("train").lost == 4
    assert "broken after record 4" in warnings[0]


def test_a_tail_of_zeros_is_no_records(tmp_path):
    folder = write_corpus(tmp_path)
    path = clip.shards(folder, "train")[0]
    with open(path, "ab") as file:
        file.write(bytes(4096))
    assert len(reader.Corpus(folder).split("train")) == COUNT


def test_offsets_are_those_that_tensorflow_reads_from(corpus):
    split = corpus.split("train")
    records = [r for path in split.paths for r in tf.data.TFRecordDataset(path).as_numpy_iterator()]
    assert records == [split.read(tf.constant(i, tf.int64)).numpy() for i in range(COUNT)]


def test_the_checksum_is_tensorflows(tmp_path):
    for length in (0, 1, 77, 70_000):
        with tf.io.TFRecordWriter(str(tmp_path / "one")) as writer:
            writer.write(bytes(length))
        header = (tmp_path / "one").read_bytes()[:12]
        assert reader._masked_crc32c(struct.pack("<Q", length)) == struct.unpack("<I", header[8:])[0]


# Evaluation.


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
def test_clips_are_whole_in_order_and_once(tmp_path, audio_format):
    corpus = reader.Corpus(write_corpus(tmp_path, split="test", shards=(2, 3), audio_format=audio_format))
    found = list(reader.clips(corpus, "test", SIZE))
    assert [c.id for c in found] == [f"clip {i}" for i in range(5)]
    for i, decoded in enumerate(found):
        written = make_clip(i)
        assert decoded.speaker == written.speaker
        assert decoded.factors == written.factors
        np.testing.assert_allclose(decoded.waveform, written.waveform, atol=1 / 2**15)
        assert decoded.faces.shape == (2, SIZE, SIZE, 3)
        np.testing.assert_allclose(decoded.faces[1], (100 + i) / 127.5 - 1, atol=1e-6)


def test_clips_can_be_limited_and_cut_or_repeated_to_a_window(corpus):
    found = list(reader.clips(corpus, "train", SIZE, window=9000, limit=6))
    assert len(found) == 6
    for i, decoded in enumerate(found):
        whole = clip.decode(clip.encode(make_clip(i), "wav")).waveform
        np.testing.assert_array_equal(decoded.waveform, np.tile(whole, 3)[:9000])


def test_a_damaged_clip_is_passed_over_in_evaluation_and_named(tmp_path, warnings):
    folder = write_corpus(tmp_path)
    names = [spoiled(folder, 0, 3), spoiled(folder, 2, 0)]
    found = list(reader.clips(reader.Corpus(folder), "train", SIZE))
    assert [c.id for c in found] == [f"clip {i}" for i in range(COUNT) if i not in (3, 7)]
    assert [w.split(": ")[0] for w in warnings] == [f"{name} is damaged" for name in names]
    assert "(2 so far)" in warnings[1]


# What cannot be trained on.


def test_a_split_without_clips_is_refused(corpus):
    with pytest.raises(CorpusError, match="has no clips in split 'validation'"):
        take(corpus, 1, split="validation")
    with pytest.raises(CorpusError, match="has no clips in split 'test'"):
        next(reader.clips(corpus, "test", SIZE))


def test_a_batch_larger_than_the_split_is_refused_with_both_numbers(corpus):
    with pytest.raises(CorpusError, match=f"has {COUNT} clips in split 'train', fewer than a batch of 22"):
        take(corpus, 1, batch_size=COUNT + 1)


def test_one_speaker_is_refused(tmp_path):
    corpus = reader.Corpus(write_corpus(tmp_path, speakers={"train": 1}))
    with pytest.raises(CorpusError, match="one speaker in split 'train': no other voice to compare with"):
        take(corpus, 1)


def test_faces_that_are_too_small_are_refused_with_a_way_out(corpus):
    data = dataclasses.replace(DATA, face_size=32)
    with pytest.raises(CorpusError, match="holds faces of 16 pixels, and data.face_size is 32: make the corpus again"):
        take(corpus, 1, data=data)
    with pytest.raises(CorpusError, match="holds faces of 16 pixels"):
        next(reader.clips(corpus, "train", 32))


def test_flac_is_refused_where_it_cannot_be_read(tmp_path, monkeypatch):
    corpus = reader.Corpus(write_corpus(tmp_path, audio_format="flac"))
    monkeypatch.setattr(audio, "flac_available", lambda: False)
    with pytest.raises(CorpusError, match="holds FLAC"):
        take(corpus, 1)


def test_a_corpus_of_which_nothing_can_be_decoded_is_refused_and_does_not_hang(tmp_path, warnings):
    folder = write_corpus(tmp_path)
    corpus = reader.Corpus(folder)
    split = corpus.split("train")
    for record in range(COUNT):
        spoil(split.paths[split.shard[record]], int(split.offset[record]) + 50)
    with pytest.raises(CorpusError, match="none of 16 clips of split 'train' can be decoded"):
        take(corpus, 1)
    with pytest.raises(CorpusError, match="none of the 21 clips of split 'train' can be decoded"):
        next(reader.clips(corpus, "train", SIZE))


def test_a_missing_shard_and_a_missing_description_are_refused(tmp_path):
    folder = write_corpus(tmp_path)
    os.remove(clip.shards(folder, "train")[1])
    with pytest.raises(CorpusError, match="not one whole set"):
        reader.Corpus(folder).split("train")
    with pytest.raises(CorpusError, match="corpus.json does not exist"):
        reader.Corpus(str(tmp_path / "absent"))


def test_a_split_with_one_clip_can_be_read(tmp_path):
    corpus = reader.Corpus(write_corpus(tmp_path, shards=(1,), speakers={"train": 2}))
    assert [b["position"][0] for b in take(corpus, 3, batch_size=1)] == [0, 1, 2]


def test_every_face_comes_once_in_order_with_its_factors(tmp_path):
    corpus = reader.Corpus(write_corpus(tmp_path))
    pairs = list(reader.faces(corpus, "train", SIZE, ["age"]).as_numpy_iterator())
    levels = [round((face[0, 0, 0] + 1) * 127.5) for face, _ in pairs]
    assert levels == [level for i in range(COUNT) for level in (i, 100 + i)]
    assert [int(values[0]) for _, values in pairs] == [i for i in range(COUNT) for _ in range(2)]
    assert sum(1 for _ in reader.faces(corpus, "train", SIZE)) == 2 * COUNT


def test_a_factor_of_a_photograph_is_that_of_its_face(tiny_corpus, tiny):
    corpus = reader.Corpus(tiny_corpus)
    first = next(reader.clips(corpus, "train", tiny.data.face_size))
    pairs = reader.faces(corpus, "train", tiny.data.face_size, ["pose", "age"]).take(2).as_numpy_iterator()
    for k, (face, values) in enumerate(pairs):
        np.testing.assert_array_equal(face, first.faces[k])
        np.testing.assert_allclose(values, [first.factors[f"pose/{k}"], first.factors["age"]])


def test_a_factor_that_no_clip_has_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="holds no factor 'height'"):
        reader.faces(reader.Corpus(write_corpus(tmp_path)), "train", SIZE, ["height"])


def write_half(folder, half, first, count, audio_format="wav", split="train"):
    """A corpus of stills or of sounds alone."""
    made = [make_clip(first + i) for i in range(count)]
    empty = {"waveform": np.zeros(0, np.float32)} if half == Kind.STILLS else {"faces": ()}
    halves = [dataclasses.replace(one, **empty) for one in made]
    clip.write_shard(folder, split, 0, 1, halves, audio_format)
    clip.write_description(
        folder,
        {
            "made_by": "a test",
            "kind": half,
            "audio_format": audio_format,
            "face_size": SIZE,
            "clips": {split: count},
            "speakers": {split: count},
            "dropped": {},
        },
    )
    return reader.Corpus(str(folder), half)


@pytest.fixture
def more(corpus, tmp_path):
    """The corpus with, beside it, eight faces and five voices more, by the half that they have."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "voices").mkdir()
    return {
        "face": reader.Corpora([corpus, write_half(tmp_path / "faces", Kind.STILLS, COUNT, 8)]),
        "waveform": reader.Corpora([corpus, write_half(tmp_path / "voices", Kind.SOUNDS, COUNT, 5)]),
    }


STILL = dataclasses.replace(DATA, flip=False, colour_jitter=0.0, shift=0.0)


def look(corpus, half, count, data=STILL, **changes):
    options = {"batch_size": 4, "seed": 3} | changes
    return list(reader.views(corpus, "train", data, half, **options).take(count).as_numpy_iterator())


def test_views_of_faces_are_two_of_a_clip_and_come_from_every_folder(more):
    count = COUNT + 8
    batches = look(more["face"], "face", 2 * count // 4 + 1)
    assert batches[0]["views"].shape == (4, 2, SIZE, SIZE, 3) and batches[0]["views"].dtype == np.float32
    pairs = [np.rint((v[:, 0, 0, 0] + 1) * 127.5).astype(int) for batch in batches for v in batch["views"]]
    assert all(sorted(pair % 100) == [i % 100] * 2 and pair[0] != pair[1] for pair in pairs for i in [pair.min()])
    assert {int(pair.min()) for pair in pairs} == set(range(count))
    assert (np.diff(np.concatenate([batch["position"] for batch in batches])) == 1).all()


def test_views_of_voices_are_two_windows_of_one_sound(more):
    quiet = dataclasses.replace(DATA, gain_db=0.0, channel=0.0, noise_db=-120.0, babble=0.0, polarity=False)
    batches = look(more["waveform"], "waveform", 6, quiet)
    assert batches[0]["views"].shape == (4, 2, 8000)
    sounds = [make_clip(i).waveform for i in range(COUNT + 5)]
    speakers = [speaker_hash(f"speaker {i // 2}") for i in range(COUNT + 5)]
    differ = 0
    for views, speaker in ((v, s) for batch in batches for v, s in zip(batch["views"], batch["speaker"], strict=True)):
        own = [sound for sound, of in zip(sounds, speakers, strict=True) if of == speaker]
        if min(map(len, own)) < 8000:
            continue  # it is repeated, from anywhere on
        for view in views:
            assert min(np.abs(sound[k : k + 8000] - view).max() for sound in own for k in [find(sound, view)]) < 1e-4
        differ += not np.array_equal(*views)
    assert differ > 3


def speaker_hash(name):
    return int(tf.strings.to_hash_bucket_fast(name, 2**63 - 1))


def find(whole, view):
    """Where a window begins in a sound."""
    windows = np.lib.stride_tricks.sliding_window_view(whole, 50)[: len(whole) - len(view) + 1]
    return int(np.abs(windows - view[:50]).sum(axis=1).argmin())


def test_views_depend_on_nothing_but_the_seed_and_their_place(more):
    for half, data in (("face", DATA), ("waveform", dataclasses.replace(DATA, babble=0.0))):
        whole = look(more[half], half, 4, data)
        assert_same(look(more[half], half, 4, data), whole)
        assert_same(look(more[half], half, 2, data, start=8), whole[2:])
        one, other = (look(more[half], half, 2, data, batch_size=2, worker=i, workers=2) for i in range(2))
        for i in range(2):
            together = [x for pair in zip(one[i]["position"], other[i]["position"], strict=True) for x in pair]
            assert together == whole[i]["position"].tolist()
        assert not np.array_equal(look(more[half], half, 1, data, seed=4)[0]["views"], whole[0]["views"])


def test_a_folder_of_one_half_is_refused_where_the_other_is_needed(tmp_path):
    write_half(tmp_path, Kind.STILLS, 0, 8)
    with pytest.raises(CorpusError, match="holds stills alone: --voices needs sounds; give it as --faces"):
        reader.Corpus(str(tmp_path), Kind.SOUNDS)


def test_sounds_that_are_stored_in_two_ways_are_refused(corpus, tmp_path):
    other = write_half(tmp_path, Kind.SOUNDS, 0, 4, audio_format="flac")
    with pytest.raises(CorpusError, match=f"flac in {tmp_path} and wav in .*: prepare all with one --audio_format"):
        reader.Corpora([corpus, other])


def test_damage_is_named_in_the_folder_where_it_is(more, warnings):
    corpus = more["face"]
    records = corpus.split("train")
    assert len(records) == COUNT + 8 and records.name(COUNT + 2) == "train-00000-of-00001.tfrecord record 2"


def make_mixed(corpus, folder, share=0.4):
    """The pairs, and eight faces alone among them."""
    return reader.Mixed(corpus, [write_half(folder, Kind.STILLS, COUNT, 8)], share)


@pytest.fixture
def mixed(corpus, tmp_path):
    return make_mixed(corpus, tmp_path)


def test_of_a_mixed_corpus_a_share_is_faces_alone_and_each_kind_has_its_epochs(mixed):
    count = 4 * COUNT // 3 * 10  # ten epochs of pairs and more of faces
    batches = take(mixed, count // 4, augment=False)
    heard = np.concatenate([batch["heard"] for batch in batches])
    numbers = np.array(levels(batches))
    assert heard.dtype == bool and heard.mean() == pytest.approx(0.6, abs=0.01)
    assert all(batch["heard"].sum() in (2, 3) for batch in batches)
    for kind, members in ((heard, range(COUNT)), (~heard, range(COUNT, COUNT + 8))):
        for start in range(0, kind.sum() - len(members), len(members)):
            assert sorted(numbers[kind][start : start + len(members)]) == list(members)
    silent = np.array([not window.any() for batch in batches for window in batch["waveform"]])
    np.testing.assert_array_equal(silent, ~heard)


def test_batches_of_a_mixed_corpus_depend_on_nothing_but_the_seed_and_their_place(corpus, tmp_path):
    data = dataclasses.replace(DATA, babble=0.0)
    mixed = make_mixed(corpus, tmp_path, share=0.5)  # so that of two workers one has nothing to hear
    whole = take(mixed, 6, data=data)
    assert_same(take(mixed, 6, data=data), whole)
    for batch in (1, 2, 5):
        assert_same(take(mixed, 1, data=data, start=4 * batch), whole[batch : batch + 1])
    one, other = (take(mixed, 6, data=data, batch_size=2, worker=i, workers=2) for i in range(2))
    assert {int(batch["heard"].sum()) for batch in one} | {int(batch["heard"].sum()) for batch in other} == {0, 2}
    for batch, first, second in zip(whole, one, other, strict=True):
        for name, values in batch.items():
            for share, place in ((first, 0), (second, 1)):
                np.testing.assert_allclose(share[name], values[place::2], atol=1e-6)


def test_the_other_voices_that_are_mixed_into_one_are_voices(mixed):
    quiet = dict(gain_db=0.0, channel=0.0, polarity=False, noise_db=0.0)
    clean, babbling = (
        take(mixed, 5, batch_size=COUNT, data=dataclasses.replace(DATA, babble=share, **quiet), augment=share > 0)
        for share in (0.0, 1.0)
    )
    for without, batch in zip(clean, babbling, strict=True):
        changed = np.abs(batch["waveform"] - without["waveform"]).max(axis=1)
        assert (changed[batch["heard"]] > 1e-4).all()
        assert not changed[~batch["heard"]].any()


def test_every_face_of_a_mixed_corpus_can_be_looked_at(mixed):
    faces = reader.faces(mixed, "train", SIZE).as_numpy_iterator()
    found = [round((face[0, 0, 0] + 1) * 127.5) for (face,) in faces]
    assert found == [level for i in range(COUNT + 8) for level in (i, 100 + i)]


def test_pairs_that_are_given_as_faces_are_faces_alone(corpus):
    batch = take(reader.Mixed(corpus, [corpus], 0.5), 1, batch_size=8)[0]
    assert batch["heard"].sum() == 4
    np.testing.assert_array_equal(batch["waveform"].any(axis=1), batch["heard"])


def test_a_damaged_face_among_pairs_is_passed_over_and_named(corpus, tmp_path, warnings):
    mixed = make_mixed(corpus, tmp_path)
    split = mixed.split("train")
    spoil(split.paths[-1], int(split.offset[COUNT + 5]) + 40)
    damage = reader.DamageCount(mixed, "train", 3)
    batches = take(mixed, 12, augment=False)
    for batch in batches:
        damage.add(batch["position"])
    assert warnings == ["train-00000-of-00001.tfrecord record 5 is damaged: skipped (1 so far)"]
    assert COUNT + 5 not in levels(batches)
    start = int(batches[7]["position"].max()) + 1
    assert_same(take(mixed, 4, augment=False, start=start), batches[8:])


def test_faces_alone_that_are_not_there_are_refused(corpus, tmp_path):
    faces = write_half(tmp_path, Kind.STILLS, COUNT, 8, split="test")
    with pytest.raises(CorpusError, match=f"{tmp_path}: no clips in split 'train'"):
        take(reader.Mixed(corpus, [faces], 0.5), 1)
