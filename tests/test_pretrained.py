"""The weights that come with the package: small, whole, and as good as they are said to be."""

import glob
import io
import os

import commands
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from s2f_tf import config
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio, face, synthetic
from s2f_tf.evaluation import generation, matching
from s2f_tf.latent import z_from_seed
from s2f_tf.models import trained
from serving import demo_model


@pytest.fixture(scope="module")
def settings():
    return config.load(trained.SHIPPED)


@pytest.fixture(scope="module")
def strangers(settings):
    """Clips of speakers from another seed than the training's."""
    speakers = config.override(settings, {"synthetic.faces_per_clip": 1}).synthetic
    return [synthetic.make_clip(speakers, settings.data.face_size, 987_654, speaker, 0) for speaker in range(60)]


@pytest.fixture(scope="module")
def embed(strangers, settings):
    faces = np.stack([face.decode_face(tf.constant(clip.faces[0]), settings.data.face_size) for clip in strangers])

    def embed(speech, faces_by):
        voices = np.concatenate([speech(clip.waveform[None]).numpy() for clip in strangers])
        return voices, faces_by(faces).numpy()

    return embed


@pytest.fixture(scope="module")
def signatures():
    """Of the SavedModel."""
    return tf.saved_model.load(f"{demo_model.base_path()}/1").signatures


def test_they_are_under_8_megabytes_and_say_what_made_them():
    files = [path for path in glob.glob(f"{trained.SHIPPED}/**", recursive=True) if os.path.isfile(path)]
    assert sum(map(os.path.getsize, files)) < 8e6
    with open(os.path.join(trained.SHIPPED, "MADE_BY.txt")) as file:
        assert "s2f_tf.train" in file.read()


def test_they_match_speakers_of_another_seed(embed, strangers):
    voices, faces = embed(*(trained.load_network(n, trained.SHIPPED) for n in ("speech_encoder", "face_encoder")))
    names = np.array([clip.speaker for clip in strangers])
    for queries, gallery in ((voices, faces), (faces, voices)):
        result = matching.score(matching.cosine(queries, gallery), names)
        assert result["accuracy_k2"].value > 0.95
        assert result["accuracy_k10"].value > 0.75


def test_the_judge_picks_the_faces_drawn_from_their_voices(embed, strangers, settings):
    networks = {name: trained.load_network(name, trained.SHIPPED) for name in trained.NETWORKS}
    judge = networks["judge_face_encoder"]
    judge_voices, judge_faces = embed(networks["judge_speech_encoder"], judge)
    names = np.array([clip.speaker for clip in strangers])
    voices, _ = embed(networks["speech_encoder"], networks["face_encoder"])
    drawn = networks["generator"](z_from_seed(tf.range(60, dtype=tf.int64), settings.generator.z_size), voices)
    figures = generation.judge(judge_voices, judge_faces, judge(drawn).numpy(), names)
    for direction in ("voice_to_generated", "generated_to_face"):
        assert figures[direction]["accuracy_k10"].value > 0.6, direction


def test_a_voice_is_the_same_in_every_wav_file(strangers, signatures):
    def wav(decibels, subtype, channels=1):
        file, waveform = io.BytesIO(), strangers[0].waveform
        scaled = waveform / np.abs(waveform).max() * 10 ** (decibels / 20)
        soundfile.write(file, np.stack([scaled] * channels, axis=1), SAMPLE_RATE, format="WAV", subtype=subtype)
        return file.getvalue()

    wavs = [wav(-0.1, "PCM_16")]
    wavs += [wav(-0.1, subtype) for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW")]
    wavs += [wav(-20, "ALAW"), wav(-20, "ULAW"), wav(-40, "PCM_16"), wav(-40, "PCM_16", channels=8)]
    wavs += [wav(-80, subtype) for subtype in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")] + [wav(40, "FLOAT")]
    embeddings = signatures["embed_speech"](wav_bytes=tf.constant(wavs))["embedding"].numpy()
    assert (embeddings @ embeddings[0]).min() > 0.999


def test_match_ranks_the_face_of_a_voice_above_another(strangers, signatures):
    match, right = signatures["match"], []
    for own, other in zip(strangers[:15], strangers[15:30], strict=True):
        voice = tf.constant(audio.encode_wav(own.waveform))
        there, back = (
            match(wav_bytes=voice, jpeg_bytes=tf.constant(faces))["probability"]
            for faces in ([own.faces[0], other.faces[0]], [other.faces[0], own.faces[0]])
        )
        np.testing.assert_allclose(there, back[::-1], atol=1e-5)  # wherever it stands
        right.append(there[0] > 0.5)
    assert np.mean(right) > 0.9


def test_generate_needs_no_work_directory(strangers, settings, tmp_path):
    soundfile.write(tmp_path / "voice.wav", strangers[0].waveform, SAMPLE_RATE)
    result = commands.run("s2f_tf.generate", f"--voice={tmp_path}/voice.wav", f"--out={tmp_path}/faces.png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "faces.png") as picture:
        assert picture.size == (3 * settings.data.face_size, 2 * settings.data.face_size)
