"""The corpus of synthetic speakers: what is shared can be read from voice and face, and nothing else is shared."""

import dataclasses
import io
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from s2f_tf.config import SAMPLE_RATE, SyntheticConfig
from s2f_tf.data import clip as clips
from s2f_tf.data import synthetic

CONFIG = SyntheticConfig(speakers=40, clips_per_speaker=2, faces_per_clip=2, seconds=0.8)
ONE_SECOND = SyntheticConfig(clips_per_speaker=1, faces_per_clip=1, seconds=1.2)


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def same(a, b):
    return a.faces == b.faces and np.array_equal(a.waveform, b.waveform) and a.factors == b.factors and a.id == b.id


def voice_statistics(waveform):
    """Means, deviations and changes of log band energies, and of the lag and height of the autocorrelation's peak."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 512)[::160] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames, 1024)) ** 2
    edges = np.unique(np.append(np.arange(2, 40, 2), np.geomspace(40, 512, 24).astype(int)))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    correlation = np.fft.irfft(power)[:, :210]
    loud = power.sum(axis=1) > np.quantile(power.sum(axis=1), 0.35)
    bands, correlation = bands[loud], correlation[loud] / correlation[loud, :1]
    lag, height = np.log(correlation[:, 55:].argmax(axis=1) + 55), correlation[:, 55:].max(axis=1)
    spread = (0.1, 0.25, 0.5, 0.75, 0.9)
    return np.concatenate(
        [bands.mean(0), bands.std(0), np.abs(np.diff(bands, axis=0)).mean(0), np.quantile(lag, spread)]
        + [np.quantile(height, spread)]
    )


def readable(statistics, factors, names, ridge):
    """R2 of a linear readout of each factor, on the last third of the speakers, which it was not fitted to."""
    fitted = len(statistics) * 2 // 3
    x = (statistics - statistics[:fitted].mean(0)) / (statistics[:fitted].std(0) + 1e-6)
    y = np.array([[speaker[name] for name in names] for speaker in factors])
    mean = y[:fitted].mean(0)
    kernel = x[:fitted] @ x[:fitted].T / x.shape[1] + ridge * np.eye(fitted)
    guess = x[fitted:] @ x[:fitted].T / x.shape[1] @ np.linalg.solve(kernel, y[:fitted] - mean) + mean
    r2 = 1 - ((guess - y[fitted:]) ** 2).mean(0) / y[fitted:].var(0)
    return dict(zip(names, r2, strict=True))


@pytest.fixture(scope="module")
def population():
    """One clip of each of 500 speakers."""
    return [synthetic.make_clip(ONE_SECOND, 32, seed=5, speaker=speaker, clip=0) for speaker in range(500)]


@pytest.fixture(scope="module")
def neutral():
    return {factor.name: (factor.low + factor.high) / 2 for factor in synthetic.FACTORS} | {"glasses": 0.0}


def test_factors_are_named_once_and_bounded():
    names = [factor.name for factor in synthetic.FACTORS]
    assert len(set(names)) == len(names)
    assert {factor.shapes for factor in synthetic.FACTORS} == {"both", "face", "voice"}
    assert {factor.level for factor in synthetic.FACTORS} == {"speaker", "utterance", "photo"}
    assert set(synthetic.SHARED) == {"pitch", "tract", "age", "fullness", "nasality", "articulation"}


def test_a_clip_is_what_it_says():
    clip = synthetic.make_clip(CONFIG, 48, seed=3, speaker=12, clip=1)
    assert (clip.id, clip.speaker) == ("s00012-c01", "s00012")
    assert clip.waveform.dtype == np.float32 and clip.waveform.ndim == 1
    assert 0.75 * CONFIG.seconds < len(clip.waveform) / SAMPLE_RATE < 1.25 * CONFIG.seconds
    assert 0.05 < np.abs(clip.waveform).max() < 1
    assert len(clip.faces) == 2 and all(pixels(face).shape == (48, 48, 3) for face in clip.faces)
    recorded = {
        "speaker": {factor.name for factor in synthetic.FACTORS if factor.level == "speaker"},
        "utterance": {factor.name for factor in synthetic.FACTORS if factor.level == "utterance"},
        "photo": {f"{factor.name}/{k}" for factor in synthetic.FACTORS if factor.level == "photo" for k in range(2)},
        "realised": {f"voice/{name}" for name in synthetic.SHARED},
    }
    assert set(clip.factors) == set().union(*recorded.values())
    for factor in synthetic.FACTORS:
        value = clip.factors[factor.name if factor.level != "photo" else f"{factor.name}/0"]
        assert factor.low <= value <= factor.high
    assert synthetic.speaker_factors(3, 12).items() <= clip.factors.items()


def test_a_clip_depends_on_seed_speaker_and_number_alone():
    clip = synthetic.make_clip(CONFIG, 32, seed=3, speaker=12, clip=1)
    synthetic.make_clip(CONFIG, 32, seed=3, speaker=13, clip=0)
    assert same(clip, synthetic.make_clip(CONFIG, 32, seed=3, speaker=12, clip=1))
    more = dataclasses.replace(CONFIG, speakers=4000, clips_per_speaker=5)
    assert same(clip, synthetic.make_clip(more, 32, seed=3, speaker=12, clip=1))
    assert not same(clip, synthetic.make_clip(CONFIG, 32, seed=4, speaker=12, clip=1))


def test_no_two_clips_of_a_speaker_are_alike():
    made = [synthetic.make_clip(CONFIG, 32, seed=0, speaker=7, clip=clip) for clip in range(6)]
    length = min(len(clip.waveform) for clip in made)
    voices = np.corrcoef([clip.waveform[:length] for clip in made])
    assert np.abs(voices - np.eye(6)).max() < 0.5
    assert len({face for clip in made for face in clip.faces}) == 12
    realised = np.array([[clip.factors[f"voice/{name}"] for name in synthetic.SHARED] for clip in made])
    speaker = synthetic.speaker_factors(0, 7)
    assert 0.03 < (realised - [speaker[name] for name in synthetic.SHARED]).std() < 0.15


def test_the_fundamental_frequency_is_the_pitch(neutral):
    for pitch, hertz in ((-1, 85), (0, 149), (1, 260)):
        factors = neutral | {"pitch": pitch, "age": -1}
        waveform = synthetic.speak(factors, np.random.default_rng(0), 2.0)
        frames = np.lib.stride_tricks.sliding_window_view(waveform, 800)[::400]
        frames = frames[frames.std(axis=1) > waveform.std()]
        correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2048)) ** 2)
        lags = np.arange(50, 230)
        found = SAMPLE_RATE / lags[correlation[:, 50:230].argmax(axis=1)]
        assert abs(np.median(found) / hertz - 1) < 0.12


def test_every_shared_factor_is_in_the_voice_and_no_other(population):
    statistics = np.array([voice_statistics(clip.waveform[1600:17600]) for clip in population])
    factors = [clip.factors for clip in population]
    shared = readable(statistics, factors, synthetic.SHARED, ridge=0.1)
    assert min(shared.values()) > 0.7, shared
    of_face_alone = [f.name for f in synthetic.FACTORS if f.shapes == "face" and f.level == "speaker"]
    others = readable(statistics, factors, of_face_alone, ridge=3.0)
    assert {"skin", "hair_colour", "glasses"} <= set(others) and max(others.values()) < 0.05, others


def test_a_voice_is_the_same_whatever_its_speaker_looks_like(neutral):
    of_face_alone = [factor for factor in synthetic.FACTORS if factor.shapes == "face"]
    looks = [{factor.name: getattr(factor, end) for factor in of_face_alone} for end in ("low", "high")]
    one, other = (synthetic.speak(neutral | look, np.random.default_rng(0), 0.5) for look in looks)
    assert np.array_equal(one, other)


def test_every_shared_factor_is_in_the_face(population):
    statistics = np.array([pixels(clip.faces[0]).ravel() / 255 for clip in population])
    found = readable(statistics, [clip.factors for clip in population], (*synthetic.SHARED, "skin", "glasses"), 0.02)
    assert min(found.values()) > 0.5, found
    of_voice_alone = readable(statistics, [clip.factors for clip in population], ("rate", "snr", "channel"), 1.0)
    assert max(of_voice_alone.values()) < 0.1, of_voice_alone


def test_factors_are_independent_of_one_another():
    names = list(synthetic.speaker_factors(0, 0))
    values = [list(synthetic.speaker_factors(0, speaker).values()) for speaker in range(2000)]
    off_diagonal = np.corrcoef(np.transpose(values)) - np.eye(len(names))
    assert np.abs(off_diagonal).max() < 0.09


@pytest.mark.parametrize("name", [factor.name for factor in synthetic.FACTORS if factor.shapes != "voice"])
def test_every_factor_of_the_face_is_seen_at_48_pixels(neutral, name):
    low, high = (synthetic.draw(neutral | {name: value}, 48).astype(float) for value in (-1, 1))
    assert np.abs(high - low).max() > 40


@pytest.mark.parametrize("size", [16, 33, 256])
def test_a_face_is_drawn_at_any_size(neutral, size):
    face = synthetic.draw(neutral, size)
    assert face.shape == (size, size, 3) and face.dtype == np.uint8
    assert np.array_equal(face, synthetic.draw(neutral, size))
    small = np.asarray(Image.fromarray(face).resize((16, 16), Image.Resampling.BOX), float)
    assert np.abs(small - synthetic.draw(neutral, 16)).mean() < 10  # one picture, whatever its size


def test_a_face_looked_at_from_the_other_side_is_its_mirror_image(neutral):
    left = synthetic.draw(neutral | {"pose": -0.7, "light": -0.6}, 64)
    right = synthetic.draw(neutral | {"pose": 0.7, "light": 0.6}, 64)
    assert np.abs(left[:, ::-1].astype(float) - right).mean() < 3


@pytest.mark.parametrize("seconds", [0.5, 0.7, 6.0])
@pytest.mark.parametrize("extreme", [-1, 1])
def test_a_voice_never_clips_and_is_never_silent(neutral, seconds, extreme):
    edge = {name: extreme * 1.4 for name in synthetic.SHARED}  # as far as an utterance strays from its speaker
    waveform = synthetic.speak(neutral | edge | {"loudness": 4.0}, np.random.default_rng(1), seconds)
    assert waveform.dtype == np.float32 and abs(len(waveform) / SAMPLE_RATE - seconds) <= 0.01
    assert np.isfinite(waveform).all() and np.abs(waveform).max() <= 0.95 and waveform.std() > 0.01


def written(folder):
    found = {}
    for split in clips.SPLITS:
        for path in clips.shards(folder, split):
            for record in tf.data.TFRecordDataset(path):
                clip = clips.decode(record.numpy())
                found[clip.id] = (split, record.numpy())
    return found


def test_a_corpus_is_what_its_description_says(tmp_path):
    synthetic.write_corpus(CONFIG, 16, 0, str(tmp_path), "flac")
    description = clips.read_description(str(tmp_path))
    found = written(str(tmp_path))
    assert len(found) == 80 == sum(description["clips"].values())
    for split in clips.SPLITS:
        ids = [name for name, (where, _) in found.items() if where == split]
        speakers = {name.split("-")[0] for name in ids}
        assert len(ids) == description["clips"][split] and len(speakers) == description["speakers"][split] > 0
        assert {clips.split_of(speaker) for speaker in speakers} == {split}
    assert description["face_size"] == 16 and description["audio_format"] == "flac" and description["dropped"] == {}


def test_workers_change_nothing_that_is_written(tmp_path):
    config = dataclasses.replace(CONFIG, clips_per_speaker=1, faces_per_clip=1)
    synthetic.write_corpus(config, 16, 0, str(tmp_path / "one"), "flac", workers=1)
    synthetic.write_corpus(config, 16, 0, str(tmp_path / "two"), "flac", workers=2)
    assert written(str(tmp_path / "one")) == written(str(tmp_path / "two"))


def test_an_interrupted_corpus_is_made_whole_and_a_whole_one_is_kept(tmp_path):
    config = dataclasses.replace(CONFIG, clips_per_speaker=1, faces_per_clip=1)
    synthetic.write_corpus(config, 16, 0, str(tmp_path), "flac")
    before = written(str(tmp_path))
    os.remove(tmp_path / "corpus.json")
    os.remove(tmp_path / "train-00003-of-00008.tfrecord")
    (tmp_path / "train-00001-of-00008.tfrecord").write_bytes(b"cut short")
    synthetic.write_corpus(config, 16, 0, str(tmp_path), "flac")
    assert written(str(tmp_path)) == before
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    synthetic.write_corpus(config, 16, 0, str(tmp_path), "flac")
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps
    longer = dataclasses.replace(config, seconds=0.9)
    for other, difference in (
        ((config, 16, 1), "whose seed is 0, not 1:"),
        ((config, 32, 0), "whose face_size is 16, not 32:"),
        ((longer, 16, 0), "whose seconds is 0.8, not 0.9:"),
    ):
        with pytest.raises(clips.CorpusError, match=difference):
            synthetic.write_corpus(*other, str(tmp_path), "flac")


def test_too_few_speakers_are_refused_with_how_many_to_ask_for(tmp_path):
    with pytest.raises(clips.CorpusError, match="at least") as refusal:
        synthetic.write_corpus(SyntheticConfig(speakers=2), 16, 0, str(tmp_path / "few"), "flac")
    fewest = int(str(refusal.value).split()[-1])
    assert {clips.split_of(f"s{speaker:05d}") for speaker in range(fewest)} == set(clips.SPLITS)
    assert {clips.split_of(f"s{speaker:05d}") for speaker in range(fewest - 1)} != set(clips.SPLITS)
    assert not (tmp_path / "few").exists()
