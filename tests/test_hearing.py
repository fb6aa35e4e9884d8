"""Silence, hiss and a channel upside down have no vote, on every way that a voice comes in.

The page's own way is in `tests/serving/test_page.py`.
"""

import commands
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from benchmarks import hearing
from benchmarks.server_process import ServerProcess
from s2f_tf import config
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio
from s2f_tf.evaluation import sound
from s2f_tf.models import trained
from serving import demo_model
from serving.client import GrpcClient
from tflite import conversion
from tflite.runtimes import LiteRT
from tflite.window import loudest_window

LONGEST = {"api": 60.0, "saved_model": 27.0, "client": 60.0, "phone": 60.0}  # pause in seconds, by path
MEAN, LEAST, ANTIPHASE = 0.98, 0.95, 0.99  # of the cosine with the voice alone


def rate_of(voice):
    """What has to be said of it: nothing of a file."""
    return SAMPLE_RATE if isinstance(voice, np.ndarray) else None


@pytest.fixture(scope="module")
def voices():
    """Strangers, float32 [8, S], 2.5 s each."""
    return hearing.voices(config.load(trained.SHIPPED), 8)


@pytest.fixture(scope="module")
def api(model):
    return lambda voice: model.embed(voice, rate=rate_of(voice))


@pytest.fixture(scope="module")
def saved_model():
    """The exported graph, which hears one WAV file of at most 30 s."""
    embed = tf.saved_model.load(f"{demo_model.base_path()}/1").signatures["embed_speech"]

    def hear(voice):
        wav = audio.encode_wav(voice) if isinstance(voice, np.ndarray) else voice.read_bytes()
        return embed(wav_bytes=tf.constant([wav]))["embedding"][0].numpy()

    return hear


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Of a server, which it sends what it cuts."""

    def hear(voice):
        return client.embed_speech(audio.encode_voice(voice, rate=rate_of(voice)))

    log = tmp_path_factory.mktemp("server") / "log"
    with ServerProcess(log=log) as server, GrpcClient(server.target) as client:
        yield hear


@pytest.fixture(scope="module")
def phone(shipped_models):
    """The float32 model for phones, which hears a window."""
    model = LiteRT(f"{shipped_models}/s2f_float32.tflite")
    window = round(conversion.WINDOW_SECONDS * SAMPLE_RATE)
    return lambda waveform: model.embed(loudest_window(waveform, window)[None])[0]


@pytest.fixture(scope="module", params=LONGEST)
def path(request, voices):
    """Its name, how it hears a waveform, float32 [S], or a file, and what it hears of the voices alone, [8, E]."""
    hear = request.getfixturevalue(request.param)
    return request.param, hear, np.stack([hear(voice) for voice in voices])


@pytest.mark.parametrize("seconds", [0.5, 3.0, "longest"])
@pytest.mark.parametrize("place", sound.PLACES)
@pytest.mark.parametrize("filling", sound.PAUSES)
def test_a_pause_has_no_vote(path, voices, filling, place, seconds):
    name, hear, alone = path
    seconds = LONGEST[name] if seconds == "longest" else seconds
    (condition,) = sound.pauses(filling, [place], [seconds])
    heard = [hear(voice) for voice in condition.spoil(voices, np.random.default_rng(0))]
    if name == "phone" and place == "within" and seconds >= conversion.WINDOW_SECONDS:  # it hears half of the voice
        halves = (np.split(voice, 2) for voice in voices)
        alone = np.stack([hear(max(half, key=lambda part: np.sum(part**2))) for half in halves])
    cosines = np.sum(heard * alone, axis=1)
    assert cosines.mean() >= MEAN and cosines.min() >= LEAST, cosines


# Not the phone, which hears no file.
@pytest.mark.parametrize("path", ["api", "saved_model", "client"], indirect=True)
def test_a_channel_upside_down_has_no_vote(path, voices, tmp_path):
    _, hear, alone = path
    hearing.write_antiphase(voices[0], str(tmp_path / "stereo.wav"))
    assert hear(tmp_path / "stereo.wav") @ alone[0] >= ANTIPHASE


def test_the_command_draws_the_same_faces(voices, tmp_path):
    """Pixels, 0 to 255, differ by 8 in the mean where embeddings have a cosine of 0.95; by 25 between two voices."""

    def draw(name):
        ended = commands.run("s2f_tf.generate", f"--voice={tmp_path}/{name}.wav", f"--out={tmp_path}/{name}.png")
        assert ended.returncode == 0, ended.stderr
        with Image.open(tmp_path / f"{name}.png") as picture:
            return np.asarray(picture, float)

    rng = np.random.default_rng(0)
    for name, condition in (
        ("alone", None),
        ("silence", *sound.pauses("silence", ["before"], [60.0])),
        ("hiss", *sound.pauses("hiss", ["within"], [60.0])),
    ):
        waveform = voices[0] if condition is None else condition.spoil(voices[:1], rng)[0]
        soundfile.write(tmp_path / f"{name}.wav", waveform, SAMPLE_RATE)
    hearing.write_antiphase(voices[0], str(tmp_path / "antiphase.wav"))
    alone = draw("alone")
    for name in ("silence", "hiss", "antiphase"):
        assert np.abs(draw(name) - alone).mean() <= 10, name
