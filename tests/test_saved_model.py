import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image
from same import assert_same_picture

import s2f_tf
from s2f_tf import config, saved_model
from s2f_tf.models import trained

RUN_ALONE = """
import json, sys
sys.modules["s2f_tf"] = sys.modules["tensorflow_io"] = None  # what a server does not have
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
with open(sys.argv[2], "rb") as sound, open(sys.argv[3], "rb") as photo:
    wav, png = sound.read(), photo.read()
s = model.signatures
drawn = s["serving_default"](wav_bytes=tf.constant([wav, wav]), seed=tf.constant([1, 2], tf.int64))
embedding = drawn["embedding"]
shapes = {
    "serving_default": drawn,
    "generate": s["generate"](waveform=tf.random.normal([2, 9000]), z=tf.zeros([2, 8])),
    "generate_from_embedding": s["generate_from_embedding"](embedding=embedding, z=tf.zeros([2, 8])),
    "embed_speech": s["embed_speech"](wav_bytes=tf.constant([wav])),
    "embed_face": s["embed_face"](jpeg_bytes=tf.constant([png, png, png])),
    "match": s["match"](wav_bytes=tf.constant(wav), jpeg_bytes=tf.constant([png, png])),
}
print(json.dumps({k: {n: [v.dtype.name, v.shape.as_list()] for n, v in out.items()} for k, out in shapes.items()}))
"""


def wav(seconds=0.7, rate=16_000, seed=0):
    file = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(file, noise, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def png(size=40):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def workdir(tiny, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("run"))
    config.save(tiny, folder)
    for name in ("speech_encoder", "face_encoder", "generator"):
        trained.save_weights(name, trained.make(name, tiny), folder)
    return folder


@pytest.fixture(scope="module")
def exported(workdir, tmp_path_factory):
    return saved_model.export(workdir, str(tmp_path_factory.mktemp("models") / "s2f"))


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(exported).signatures


def test_every_signature_runs_where_s2f_tf_and_tensorflow_io_cannot_be_imported(exported, tiny, tmp_path):
    (tmp_path / "x.wav").write_bytes(wav())
    (tmp_path / "x.png").write_bytes(png())
    command = [sys.executable, "-c", RUN_ALONE, exported, str(tmp_path / "x.wav"), str(tmp_path / "x.png")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    size, e = tiny.data.face_size, tiny.embedding_size
    assert json.loads(result.stdout.splitlines()[-1]) == {
        "serving_default": {"png_bytes": ["string", [2]], "embedding": ["float32", [2, e]]},
        "generate": {"image": ["uint8", [2, size, size, 3]]},
        "generate_from_embedding": {"image": ["uint8", [2, size, size, 3]]},
        "embed_speech": {"embedding": ["float32", [1, e]]},
        "embed_face": {"embedding": ["float32", [3, e]]},
        "match": {"probability": ["float32", [2]]},
    }


def test_the_picture_depends_on_voice_and_seed_alone(signatures):
    sounds = [wav(seed=0), wav(1.3, seed=1), wav(seed=0), wav(seed=0)]
    seeds = [5, 5, 5, 6]

    def draw(sounds, seeds):
        answer = signatures["serving_default"](wav_bytes=tf.constant(sounds), seed=tf.constant(seeds, tf.int64))
        return np.stack([tf.io.decode_png(picture) for picture in answer["png_bytes"]])

    batch = draw(sounds, seeds)
    np.testing.assert_array_equal(draw(sounds, seeds), batch)
    for sound, seed, picture in zip(sounds, seeds, batch, strict=True):
        assert_same_picture(draw([sound], [seed])[0], picture)
    assert_same_picture(batch[0], batch[2])
    assert len({picture.tobytes() for picture in batch[[0, 1, 3]]}) == 3


def test_every_picture_says_what_it_is(signatures, tiny):
    answer = signatures["serving_default"](wav_bytes=tf.constant([wav()]), seed=tf.constant([1], tf.int64))
    with Image.open(io.BytesIO(answer["png_bytes"].numpy()[0])) as picture:
        picture.load()
        assert picture.size == (tiny.data.face_size, tiny.data.face_size)
        assert picture.text["Comment"] == "synthetic face generated from speech"
        assert picture.text["Software"].startswith("s2f_tf ")


def test_the_export_agrees_with_keras(signatures, workdir):
    speech_encoder = trained.load_network("speech_encoder", workdir)
    generator = trained.load_network("generator", workdir)
    waveform = tf.random.stateless_normal([2, 8000], [0, 1])
    z = tf.random.stateless_normal([2, generator.z_size], [0, 2])
    expected = generator(z, speech_encoder(waveform))
    image = signatures["generate"](waveform=waveform, z=z)["image"]
    np.testing.assert_allclose(image.numpy() / 127.5 - 1, expected, atol=1 / 127.5)


def test_match_prefers_no_face_to_its_double(signatures):
    answer = signatures["match"](wav_bytes=tf.constant(wav()), jpeg_bytes=tf.constant([png(), png()]))
    np.testing.assert_allclose(answer["probability"], [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize(
    "sound, message",
    [
        (b"no sound at all", "not a WAV"),
        (wav(0.2), "too short"),
        (wav(31.0), "too long"),
        (wav(rate=96_000), "8000 to 48000 Hz"),
    ],
)
def test_a_bad_sound_is_an_invalid_argument_that_says_why(signatures, sound, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["embed_speech"](wav_bytes=tf.constant([sound]))


def test_a_waveform_of_the_wrong_length_is_an_invalid_argument(signatures, tiny):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"100 samples.*8000 to 480000"):
        signatures["generate"](waveform=tf.zeros([1, 100]), z=tf.zeros([1, tiny.generator.z_size]))


def test_versions_are_numbered_whole_and_carry_config_and_model_card(exported, workdir, tiny):
    output = exported.rsplit("/", 1)[0]
    again = saved_model.export(workdir, output)
    assert exported.endswith("/1") and again.endswith("/2")
    assert config.load(f"{again}/assets.extra") == tiny
    with open(f"{again}/assets.extra/model_card.md") as card:
        assert "must never be used" in card.read().lower()


def test_the_card_of_a_model_that_is_taught_says_so_and_that_of_another_is_the_packages(tiny, tmp_path):
    cards = []
    for of in (tiny, config.override(tiny, {"speech_encoder.network": "resemblyzer"})):
        saved_model.write_model_card(of, str(tmp_path))
        cards.append((tmp_path / "model_card.md").read_text())
    assert cards[0] == (pathlib.Path(s2f_tf.__file__).parent / "model_card.md").read_text()
    paragraphs = cards[1].split("\n\n")
    assert "made with resemblyzer, which learnt from labels" in paragraphs.pop(1)
    assert "\n\n".join(paragraphs) == cards[0]


def test_core_operations_alone(exported):
    with open(f"{exported}/saved_model.pb", "rb") as file:
        graph = file.read()
    assert b"IO>" not in graph  # the names of tensorflow-io's operations begin so
