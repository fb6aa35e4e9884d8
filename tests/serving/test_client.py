import concurrent.futures
import io
import os
import subprocess
import sys
import time

import commands
import grpc
import numpy as np
import pillow_heif
import pytest
import soundfile
import tensorflow as tf
from PIL import Image
from same import assert_same_picture
from skimage import data
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from voices import speak

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio
from s2f_tf.errors import UserError
from s2f_tf.portrait import PictureError
from serving.client import GrpcClient, RestClient, ServerError


@pytest.fixture(scope="module", params=[GrpcClient, RestClient])
def client(request, conformance):
    with request.param(conformance.target if request.param is GrpcClient else conformance.url) as client:
        yield client


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_the_command_draws_what_generate_draws(conformance, tmp_path):
    voice = tmp_path / "voice.flac"  # stereo, 24 bits and another rate: it is converted on the client
    soundfile.write(voice, np.stack([speak(1, 2.0)] * 2, axis=1), 22_050, subtype="PCM_24")
    common = [f"--voice={voice}", "--faces=5", "--seed=3"]
    for module, name, flags in (
        ("s2f_tf.generate", "drawn", []),
        ("serving.client", "grpc", [f"--target={conformance.target}"]),
        ("serving.client", "rest", ["--rest", f"--target={conformance.url}"]),
    ):
        ended = commands.run(module, *flags, *common, f"--out={tmp_path}/{name}.png")
        assert (ended.returncode, ended.stdout.split()) == (0, [f"{tmp_path}/{name}.png"]), ended.stderr
    for name in ("grpc", "rest"):
        assert_same_picture(pixels(tmp_path / f"{name}.png"), pixels(tmp_path / "drawn.png"))


def test_every_signature_answers(client, voice):
    pictures = client.draw(voice(), range(18))  # more than go into one request
    sizes = {Image.open(io.BytesIO(picture)).size for picture in pictures}
    assert len(pictures) == 18 and len(sizes) == 1
    voice_embedding, face_embedding = client.embed_speech(voice()), client.embed_face(pictures[0], aligned=True)
    assert np.linalg.norm(voice_embedding) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(face_embedding) == pytest.approx(1, abs=1e-5)
    z = np.random.default_rng(0).standard_normal((2, 32))
    faces = client.generate(np.stack([voice_embedding] * 2), z)
    assert faces.shape == (2, *sizes.pop(), 3) and faces.dtype == np.uint8
    assert_same_picture(client.generate(voice_embedding[None], z[1:])[0], faces[1])
    np.testing.assert_array_equal(client.generate(np.stack([voice_embedding] * 2), z), faces)
    probability = client.match(voice(), pictures[:3], aligned=True)
    assert probability.shape == (3,) and probability.sum() == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def long_voice(model):
    """The pieces of a voice of 40 s, their embedding and two faces, of seeds 4 and 5."""
    waveform = np.concatenate([speak(1, 25.0), speak(2, 15.0)])
    sound = {"voice": waveform, "rate": SAMPLE_RATE}
    return list(audio.encode_voice(**sound)), model.embed(**sound), model.draw(**sound, faces=2, seed=4)


def test_a_long_voice_is_drawn_as_generate_draws_it(client, long_voice):
    pieces, embedding, faces = long_voice
    np.testing.assert_allclose(client.embed_speech(pieces), embedding, atol=1e-5)
    drawn = np.stack([tf.io.decode_png(picture) for picture in client.draw(pieces, [4, 5])])
    assert_same_picture(drawn, faces)


def test_photographs_are_seen_as_the_model_sees_them(client, model, tmp_path):
    portrait = Image.fromarray(data.astronaut())
    pillow_heif.register_heif_opener()
    portrait.save(tmp_path / "a.heic", quality=90)
    portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(90).save(tmp_path / "b.png")
    photographs = [tmp_path / "a.heic", (tmp_path / "b.png").read_bytes()]
    np.testing.assert_allclose(client.embed_face(photographs[0]), model.embed_face(photographs[0]), atol=1e-5)
    waveform = speak(1, 1.0)
    ((wav, _),) = audio.encode_voice(waveform, rate=SAMPLE_RATE)
    likely = model.match(waveform, photographs, rate=SAMPLE_RATE)
    np.testing.assert_allclose(client.match(wav, photographs), likely, atol=1e-3)
    Image.fromarray(np.tile(data.astronaut(), (1, 2, 1))).save(tmp_path / "c.jpg")
    with pytest.raises(PictureError, match="c.jpg shows 2 faces"):
        client.match(wav, [*photographs, tmp_path / "c.jpg"])


def test_errors_carry_the_servers_code_and_words(client):
    with pytest.raises(ServerError, match="INVALID_ARGUMENT: .*WAV") as error:
        client.draw(b"no sound", [1])
    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "model, served", [({"version": 2}, 4), ({"label": "stable"}, 3), ({"label": "canary"}, 4), ({}, 4)]
)
def test_a_version_or_a_label_is_chosen(conformance, model, served):
    for client in (
        GrpcClient(conformance.target, model_name="half", **model),
        RestClient(conformance.url, model_name="half", **model),
    ):
        with client:
            assert client.predict("serving_default", {"x": [2.0]}) == {"y": [served]}
            assert set(client.predict("both", {"x": [2.0]})) == {"y", "words_bytes"}


def test_a_version_and_a_label_exclude_each_other():
    with pytest.raises(UserError, match="not by both"):
        GrpcClient(version=1, label="stable")


class Unsteady(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Fails a few times, then answers."""

    def __init__(self, failures, code):
        self.failures, self.code, self.asked = failures, code, 0

    def Predict(self, request, context):  # noqa: N802
        self.asked += 1
        if self.asked <= self.failures:
            context.abort(self.code, "not now")
        return predict_pb2.PredictResponse()


@pytest.mark.parametrize(
    "code, failures, asked",
    [("UNAVAILABLE", 3, 4), ("RESOURCE_EXHAUSTED", 3, 1), ("INVALID_ARGUMENT", 3, 1), ("INTERNAL", 3, 1)],
)
def test_only_unavailable_is_tried_again(code, failures, asked):
    service = Unsteady(failures, grpc.StatusCode[code])
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    with GrpcClient(f"localhost:{port}") as client:
        if asked > failures:
            assert client.predict("serving_default", {}) == {}
        else:
            with pytest.raises(ServerError, match=f"{code}: not now"):
                client.predict("serving_default", {})
    assert service.asked == asked
    server.stop(None)


@pytest.mark.parametrize("client", [GrpcClient, RestClient])
def test_the_deadline_ends_the_retries(client):
    place = "localhost:9" if client is GrpcClient else "http://localhost:9"
    start = time.monotonic()
    with client(place, deadline=0.5) as absent, pytest.raises(ServerError) as error:
        absent.embed_speech(b"")
    assert error.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--voice=absent.wav"], "error: absent.wav does not exist"),
        (["--voice=absent.wav", "--out=faces.jpg"], "error: --out=faces.jpg must end in .png"),
        (
            ["--voice={voice}", "--client_cert_file=a.pem"],
            "error: --client_cert_file and --client_key_file go together",
        ),
        (["--voice={voice}", "--rest", "--target=localhost:9", "--deadline=0.2"], "error: UNAVAILABLE: "),
        ([], "error: a voice comes either from a file, by --voice, or from standard input, by --live"),
        (["--voice={voice}", "--live"], "error: a voice comes either from a file, by --voice, or"),
        (["--live"], "error: standard input is empty"),
        (["--live", "--any_sound"], "error: --any_sound goes with --voice"),
        (["--voice={voice}", "--rate=16000"], "error: --rate goes with --live"),
        (["--voice={hum}"], "hum.wav holds no voice: hum, noise or music alone (--any_sound draws all the same)"),
        (["--voice={hum}", "--any_sound", "--target=localhost:9", "--deadline=0.2"], "error: UNAVAILABLE: "),
    ],
)
def test_bad_input_is_refused_with_a_message(flags, message, tmp_path):
    paths = {name: tmp_path / f"{name}.wav" for name in ("voice", "hum")}
    soundfile.write(paths["voice"], speak(1, 1.0), SAMPLE_RATE)
    soundfile.write(paths["hum"], np.sin(2 * np.pi * 50 * np.arange(SAMPLE_RATE) / SAMPLE_RATE), SAMPLE_RATE)
    ended = commands.run("serving.client", *(flag.format(**paths) for flag in flags))
    assert ended.returncode == 1
    assert message in ended.stderr and "Traceback" not in ended.stderr


def test_a_command_says_its_error_alone():
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", "serving.client", "--voice=absent.wav"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if tf.__version__.startswith("2.17."):  # later ones cannot be quieted
        assert ended.stderr == "error: absent.wav does not exist\n"
    assert ended.returncode == 1
