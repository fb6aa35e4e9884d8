import functools

import numpy as np
import pillow_heif
import pytest
import soundfile
import tensorflow as tf
from PIL import Image
from same import assert_same_picture
from skimage import data
from voices import speak

from s2f_tf import face_detection
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio
from s2f_tf.data.audio import NoVoiceError, SilentError, SoundError, TooShortError
from s2f_tf.data.voice import voiced_seconds
from s2f_tf.models import trained
from s2f_tf.portrait import PictureError, find
from s2f_tf.saved_model import Signatures


@pytest.fixture(scope="module")
def voice():
    """A voice, in steps of 16 bits."""
    return np.rint(speak(1, 1.0) * 32768).astype(np.float32) / 32768


@pytest.fixture(scope="module")
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))


def test_faces_are_those_that_the_exported_graph_draws(model, voice):
    drawn = model.draw(voice, faces=3, seed=5, rate=SAMPLE_RATE)
    wav = audio.encode_wav(voice)
    exported = Signatures(trained.SHIPPED).endpoints()["serving_default"](
        tf.constant([wav] * 3), tf.constant([5, 6, 7], tf.int64)
    )
    for face, encoded in zip(drawn, exported["png_bytes"], strict=True):
        assert_same_picture(face, tf.io.decode_png(encoded))
    np.testing.assert_allclose(model.embed(voice, rate=SAMPLE_RATE), exported["embedding"][0], atol=1e-6)


def test_a_file_and_its_waveform_are_one_voice(model, voice, tmp_path):
    soundfile.write(tmp_path / "x.wav", voice, SAMPLE_RATE, subtype="PCM_16")
    for path in (tmp_path / "x.wav", str(tmp_path / "x.wav")):
        np.testing.assert_array_equal(model.embed(path), model.embed(voice, rate=SAMPLE_RATE))


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_waveform_is_heard_at_its_rate(model, voice, rate, tmp_path):
    count = round(len(voice) * rate / SAMPLE_RATE)
    there = np.fft.irfft(np.fft.rfft(voice), count) * count / len(voice)  # in float64, as libraries read it
    heard = model.embed(there, rate=rate)
    assert heard @ model.embed(voice, rate=SAMPLE_RATE) >= (0.98 if rate > SAMPLE_RATE else 0.8)
    soundfile.write(tmp_path / "x.wav", there, rate, subtype="FLOAT")
    assert heard @ model.embed(tmp_path / "x.wav") >= 0.9999
    np.testing.assert_allclose(model.embed(np.stack([there, there], axis=1), rate=rate), heard, atol=1e-5)
    faces, seconds = model.draw_growing(there, faces=1, rate=rate)
    assert seconds == pytest.approx([0.5, 1.0], abs=0.01)
    assert_same_picture(faces[:, -1], model.draw(there, faces=1, rate=rate))


def test_a_waveform_without_its_rate_is_refused(model, voice, pictures, tmp_path):
    match = functools.partial(model.match, pictures=pictures, aligned=True)
    for ask in (model.draw, model.draw_growing, model.embed, match):
        with pytest.raises(SoundError, match="the waveform comes without its rate: add rate=44_100"):
            ask(voice)
    soundfile.write(tmp_path / "x.wav", voice, SAMPLE_RATE)
    with pytest.raises(SoundError, match="x.wav is a file, which says its rate: rate=8000 goes with an array"):
        model.embed(tmp_path / "x.wav", rate=8_000)


@pytest.mark.parametrize(
    "waveform, rate, message",
    [
        (np.zeros(16_000, np.float32), 44.1, "rate=44.1: the samples a second are wanted, a whole number from 8000"),
        (np.zeros(16_000, np.float32), float("inf"), "rate=inf"),
        (np.zeros(16_000, np.int16), 16_000, r"the waveform is int16 \[16000\]: float \[n\] or \[n, C\], in \[-1, 1\]"),
        (np.zeros((2, 16_000), np.float32), 16_000, r"float32 \[2, 16000\]: .* of at most 8 channels"),
        (np.full(16_000, np.nan), 16_000, "the waveform has samples that are NaN"),
        (np.zeros(0, np.float32), 16_000, "the waveform holds no sound"),
    ],
)
def test_a_waveform_that_would_be_heard_wrong_is_refused(model, waveform, rate, message):
    with pytest.raises(SoundError, match=message):
        model.embed(waveform, rate=rate)


@pytest.mark.parametrize("decibels", [-20, -60, -79])
def test_a_quiet_voice_is_heard_as_a_loud_one(model, voice, decibels, tmp_path):
    quiet = voice / np.abs(voice).max() * 10 ** (decibels / 20)
    soundfile.write(tmp_path / "x.wav", quiet, SAMPLE_RATE, subtype="FLOAT")
    assert model.embed(voice, rate=SAMPLE_RATE) @ model.embed(tmp_path / "x.wav") > 0.999


def test_a_long_voice_is_heard_whole(model, voice, tmp_path):
    pause = np.zeros(60 * SAMPLE_RATE, np.float32)
    pieces = [np.tile(voice, 30), np.tile(speak(2, 10.0), 3), pause, np.concatenate([voice, pause[: 29 * SAMPLE_RATE]])]
    weights = [voiced_seconds(piece) for piece in pieces]
    assert weights[0] > 10 * weights[3] > 0 == weights[2]
    heard = [
        model.embed(piece, rate=SAMPLE_RATE) if weight else 0 for piece, weight in zip(pieces, weights, strict=True)
    ]
    mean = sum(weight * embedding for embedding, weight in zip(heard, weights, strict=True))
    long = np.concatenate(pieces)
    whole = model.embed(long, rate=SAMPLE_RATE)
    np.testing.assert_allclose(whole, mean / np.linalg.norm(mean), atol=1e-6)
    soundfile.write(tmp_path / "x.flac", np.repeat(long[:, None], 2, axis=1), SAMPLE_RATE)
    np.testing.assert_allclose(model.embed(tmp_path / "x.flac"), whole, atol=1e-3)
    assert (model.draw(long, faces=1, rate=SAMPLE_RATE) != model.draw(voice, faces=1, rate=SAMPLE_RATE)).any()


def test_what_holds_no_voice_is_refused_unless_any_sound_is_wanted(model, pictures):
    hum = np.sin(2 * np.pi * 50 * np.arange(45 * SAMPLE_RATE) / SAMPLE_RATE)
    match = functools.partial(model.match, pictures=pictures, aligned=True)
    for ask in (model.draw, model.embed, match):
        with pytest.raises(NoVoiceError, match="the waveform holds no voice"):
            ask(hum, rate=SAMPLE_RATE)
        assert np.isfinite(ask(hum, any_sound=True, rate=SAMPLE_RATE)).all()


@pytest.fixture(scope="module")
def seen(model):
    """What is seen of the face of the portrait, aligned as the pipelines align it."""
    portrait, detector = data.astronaut(), face_detection.shared_detector()
    face = face_detection.align(portrait, detector.find([portrait])[0][0], model.config.data.face_size)
    return model.embed_face(face, aligned=True)


@pytest.mark.parametrize(
    "shape, turns",
    [*(("square", turns) for turns in range(4)), ("wide", 0), ("wide", 1), ("high", 0), ("high", 2), ("large", 0)],
)
def test_a_photograph_is_seen_as_its_aligned_face(model, seen, shape, turns):
    portrait = data.astronaut()
    shown = {
        "square": portrait,
        "wide": portrait[:256],
        "high": portrait[:, 100:356],
        "large": np.kron(portrait, np.ones((4, 4, 1), np.uint8)),
    }[shape]
    assert model.embed_face(np.rot90(shown, turns)) @ seen >= 0.98


@pytest.mark.parametrize("format_", ["JPEG", "HEIF", "WEBP"])
def test_a_file_is_seen_as_its_aligned_face(model, seen, format_, tmp_path):
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn to the right
    Image.fromarray(np.rot90(data.astronaut())).save(tmp_path / "a", format_, exif=exif, quality=90)
    assert model.embed_face(tmp_path / "a") @ seen >= 0.98


def test_photographs_are_matched_by_their_faces(model, voice, seen):
    portrait = data.astronaut()
    photographs = [portrait[:256], np.rot90(portrait[:, ::-1]), (portrait * 0.6).astype(np.uint8)]
    likely = model.match(voice, photographs, rate=SAMPLE_RATE)
    faces = [face.jpeg for photograph in photographs for face in find(photograph)]
    np.testing.assert_array_equal(likely, model.match(voice, faces, rate=SAMPLE_RATE, aligned=True))
    heard = model.embed(voice, rate=SAMPLE_RATE)
    np.testing.assert_allclose(
        np.log(likely[0] / likely[1]),
        model.config.matching.scale * (heard @ (model.embed_face(photographs[0]) - model.embed_face(photographs[1]))),
        atol=1e-3,
    )


def test_aligned_faces_are_files_or_their_bytes_or_arrays(model, voice, pictures, tmp_path):
    paths = []
    for i, picture in enumerate(pictures):
        paths.append(tmp_path / f"{i}.png")
        paths[-1].write_bytes(tf.io.encode_png(picture).numpy())
    likely = model.match(voice, pictures, rate=SAMPLE_RATE, aligned=True)
    assert likely.sum() == pytest.approx(1.0)
    for given in (paths, [path.read_bytes() for path in paths]):
        np.testing.assert_array_equal(model.match(voice, given, rate=SAMPLE_RATE, aligned=True), likely)
    heard = model.embed(voice, rate=SAMPLE_RATE)
    scores = [float(heard @ model.embed_face(picture, aligned=True)) for picture in pictures]
    assert np.argsort(scores).tolist() == np.argsort(likely).tolist()


def test_what_cannot_be_used_is_refused_by_name(model, voice, tmp_path):
    with pytest.raises(SilentError, match="the waveform is silent"):
        model.draw(0 * voice, rate=SAMPLE_RATE)
    with pytest.raises(TooShortError, match="the waveform lasts 0.1 s"):
        model.embed(voice[:1600], rate=SAMPLE_RATE)
    with pytest.raises(ValueError, match="faces must be at least 1, not 0"):
        model.draw(voice, faces=0, rate=SAMPLE_RATE)
    for aligned in (False, True):
        with pytest.raises(PictureError, match="absent.png cannot be read"):
            model.embed_face("absent.png", aligned=aligned)
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="x.png: not a photograph: JPEG, PNG, WEBP, HEIF"):
        model.embed_face(tmp_path / "x.png")
    with pytest.raises(PictureError, match="x.png: cannot be read as JPEG or PNG"):
        model.embed_face(tmp_path / "x.png", aligned=True)
    (tmp_path / "x.png").write_bytes(tf.io.encode_png(np.zeros((1, 4097, 3), np.uint8)).numpy())
    with pytest.raises(PictureError, match="at most 4096 a side are allowed"):
        model.embed_face(tmp_path / "x.png", aligned=True)
