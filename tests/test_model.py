import numpy as np
import pytest
import soundfile
import tensorflow as tf
from same import assert_same_picture
from voices import speak

import s2f_tf
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio
from s2f_tf.data.audio import NoVoiceError, SilentError, TooShortError
from s2f_tf.data.voice import voiced_seconds
from s2f_tf.model import PictureError
from s2f_tf.models import trained
from s2f_tf.saved_model import Signatures


@pytest.fixture(scope="module")
def model():
    return s2f_tf.load()


@pytest.fixture(scope="module")
def voice():
    """A voice, in steps of 16 bits."""
    return np.rint(speak(1, 1.0) * 32768).astype(np.float32) / 32768


@pytest.fixture(scope="module")
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))


def test_faces_are_those_that_the_exported_graph_draws(model, voice):
    drawn = model.draw(voice, faces=3, seed=5)
    wav = audio.encode_wav(voice)
    exported = Signatures(trained.SHIPPED).endpoints()["serving_default"](
        tf.constant([wav] * 3), tf.constant([5, 6, 7], tf.int64)
    )
    for face, encoded in zip(drawn, exported["png_bytes"], strict=True):
        assert_same_picture(face, tf.io.decode_png(encoded))
    np.testing.assert_allclose(model.embed(voice), exported["embedding"][0], atol=1e-6)


def test_a_file_and_its_waveform_are_one_voice(model, voice, tmp_path):
    soundfile.write(tmp_path / "x.wav", voice, SAMPLE_RATE, subtype="PCM_16")
    for path in (tmp_path / "x.wav", str(tmp_path / "x.wav")):
        np.testing.assert_array_equal(model.embed(path), model.embed(voice))


@pytest.mark.parametrize("decibels", [-20, -60, -79])
def test_a_quiet_voice_is_heard_as_a_loud_one(model, voice, decibels, tmp_path):
    quiet = voice / np.abs(voice).max() * 10 ** (decibels / 20)
    soundfile.write(tmp_path / "x.wav", quiet, SAMPLE_RATE, subtype="FLOAT")
    assert model.embed(voice) @ model.embed(tmp_path / "x.wav") > 0.999


def test_a_long_voice_is_heard_whole(model, voice, tmp_path):
    pause = np.zeros(60 * SAMPLE_RATE, np.float32)
    pieces = [np.tile(voice, 30), np.tile(speak(2, 10.0), 3), pause, np.concatenate([voice, pause[: 29 * SAMPLE_RATE]])]
    weights = [voiced_seconds(piece) for piece in pieces]
    assert weights[0] > 10 * weights[3] > 0 == weights[2]
    mean = sum(weight * model.embed(piece) for piece, weight in zip(pieces, weights, strict=True) if weight)
    long = np.concatenate(pieces)
    np.testing.assert_allclose(model.embed(long), mean / np.linalg.norm(mean), atol=1e-6)
    soundfile.write(tmp_path / "x.flac", np.repeat(long[:, None], 2, axis=1), SAMPLE_RATE)
    np.testing.assert_allclose(model.embed(tmp_path / "x.flac"), model.embed(long), atol=1e-3)
    assert (model.draw(long, faces=1) != model.draw(voice, faces=1)).any()


def test_what_holds_no_voice_is_refused_unless_any_sound_is_wanted(model, pictures):
    hum = np.sin(2 * np.pi * 50 * np.arange(45 * SAMPLE_RATE) / SAMPLE_RATE)
    for ask in (model.draw, model.embed, lambda sound, **options: model.match(sound, pictures, **options)):
        with pytest.raises(NoVoiceError, match="the waveform holds no voice"):
            ask(hum)
        assert np.isfinite(ask(hum, any_sound=True)).all()


def test_pictures_are_files_or_arrays(model, voice, pictures, tmp_path):
    paths = []
    for i, picture in enumerate(pictures):
        paths.append(tmp_path / f"{i}.png")
        paths[-1].write_bytes(tf.io.encode_png(picture).numpy())
    likely = model.match(voice, pictures)
    assert likely.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(model.match(voice, paths), likely)
    scores = [float(model.embed(voice) @ model.embed_face(picture)) for picture in pictures]
    assert np.argsort(scores).tolist() == np.argsort(likely).tolist()


def test_what_cannot_be_used_is_refused_by_name(model, voice, tmp_path):
    with pytest.raises(SilentError, match="the waveform is silent"):
        model.draw(0 * voice)
    with pytest.raises(TooShortError, match="the waveform lasts 0.1 s"):
        model.embed(voice[:1600])
    with pytest.raises(ValueError, match="faces must be at least 1, not 0"):
        model.draw(voice, faces=0)
    with pytest.raises(PictureError, match="absent.png cannot be read"):
        model.embed_face("absent.png")
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="x.png cannot be read as JPEG or PNG"):
        model.embed_face(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes(tf.io.encode_png(np.zeros((1, 4097, 3), np.uint8)).numpy())
    with pytest.raises(PictureError, match="at most 4096 a side are allowed"):
        model.embed_face(tmp_path / "x.png")
