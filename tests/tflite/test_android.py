"""The app, as far as it can be checked without a phone: `verify.sh` runs its own tests, Python looks at the rest."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import s2f_tf
from s2f_tf import config
from s2f_tf.data import png, synthetic
from s2f_tf.data.audio import resample
from s2f_tf.errors import UserError
from s2f_tf.latent import z_from_seed
from s2f_tf.models import trained
from tflite import conversion, golden, metadata
from tflite.window import loudest_window

HERE = pathlib.Path(__file__).parent
ANDROID = HERE.parent.parent / "tflite" / "android"
ASSETS = ANDROID / "app" / "src" / "main" / "assets"
MODEL = ASSETS / "s2f_float16.tflite"
DESCRIPTION = json.loads((ASSETS / "s2f.json").read_text())
CATALOG = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())

# What `verify.sh` runs.
needs_android = pytest.mark.tools("java", "javac", "jar", "keytool", "mvn", "aapt2", "zipalign", "apksigner")


def recorded(waveform, rate):
    """int16 [S]: a voice of 16 kHz as a microphone of another rate hears it, with sounds above 8 kHz in the room."""
    samples = len(waveform) * rate // 16_000
    spectrum = np.fft.rfft(waveform)
    spectrum = np.pad(spectrum, (0, samples // 2 + 1 - len(spectrum)))
    sound = np.fft.irfft(spectrum, samples) * samples / len(waveform)
    time = np.arange(samples) / rate
    sound += 0.1 * np.sin(2 * np.pi * 9_000 * time) + 0.1 * np.sin(2 * np.pi * 13_500 * time)
    return np.clip(np.rint(sound * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)


@pytest.fixture(scope="module")
def voice():
    """float32 [S], a synthetic speaker, for longer than the window and with a pause."""
    shipped = config.load(trained.SHIPPED)
    clips = [synthetic.make_clip(shipped.synthetic, shipped.data.face_size, 77, 0, clip).waveform for clip in range(3)]
    voice = np.concatenate([0.3 * clips[0], np.zeros(4_000, np.float32), clips[1], clips[2]])
    assert len(voice) > 1.5 * DESCRIPTION["window"]
    return voice


@pytest.fixture(scope="module")
def sound(voice, tmp_path_factory):
    """A function from a rate to a file of the voice, recorded at it."""

    def write(rate):
        path = tmp_path_factory.mktemp("sound") / f"{rate}.i16"
        recorded(voice, rate).astype("<i2").tofile(path)
        return path

    return write


@pytest.fixture(scope="module")
def verified(sound):
    """The app's build folder, after `verify.sh` has filled it; its tests of the screen heard the voice at 48 kHz."""
    environment = os.environ | {"MODEL": f"{sys.executable} {HERE / 'answer.py'} {MODEL}", "SOUND": str(sound(48_000))}
    result = subprocess.run([ANDROID / "verify.sh"], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, (result.stdout + result.stderr)[-8_000:]
    return ANDROID / "build"


def python_window(pcm, rate):
    waveform = resample(tf.constant(pcm / 2.0**15, tf.float32), rate).numpy()
    return loudest_window(waveform, DESCRIPTION["window"])[None]


def runners():
    interpreter = Interpreter(str(MODEL))
    return interpreter.get_signature_runner("embed_speech"), interpreter.get_signature_runner("generate")


@needs_android
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_voice_goes_through_kotlin_and_python_to_the_same_embedding(verified, sound, tmp_path, rate):
    path, window = sound(rate), tmp_path / "window.f32"
    stdlib = next(p for p in (verified / "libraries" / "device").read_text().split(":") if "kotlin-stdlib" in p)
    classes = ":".join([str(verified / "out" / "core"), str(verified / "out" / "core-test"), stdlib])
    command = ["java", "-cp", classes, "s2f.core.ListenKt", str(rate), str(DESCRIPTION["window"]), path, window]
    subprocess.run(command, check=True)
    by_kotlin = np.fromfile(window, "<f4")[None]
    by_python = python_window(np.fromfile(path, "<i2"), rate)
    np.testing.assert_allclose(by_kotlin, by_python, atol=1e-4)
    embed, _ = runners()
    one, other = (embed(waveform=w)["embedding"][0] for w in (by_kotlin, by_python))
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.999


@needs_android
def test_the_screen_shows_the_faces_that_python_draws_from_the_same_voice_and_seeds(verified, sound):
    embed, generate = runners()
    embedding = embed(waveform=python_window(np.fromfile(sound(48_000), "<i2"), 48_000))["embedding"]
    z = z_from_seed(np.arange(9), DESCRIPTION["z_size"]).numpy()
    expected = np.concatenate([generate(embedding=embedding, z=z[i : i + 1])["image"] for i in range(9)])
    shown = np.fromfile(verified / "faces.rgb", np.uint8).reshape(expected.shape)
    # The windows differ by a hundred-thousandth, and so may the rounding of a level.
    assert np.abs(shown.astype(int) - expected).max() <= 2
    assert expected.std(axis=0).mean() > 5  # which other seeds would not pass


@needs_android
def test_a_shared_face_says_that_it_is_synthetic(verified):
    with Image.open(verified / "shared.png") as image:
        image.load()
        assert image.text == png.TEXT
        assert image.width == 480 < image.height  # a line of text is below the face


@needs_android
def test_the_package_asks_for_the_microphone_alone_and_holds_the_model_as_it_is(verified):
    apk = verified / "s2f.apk"
    listing = subprocess.run(["aapt2", "dump", "badging", apk], check=True, capture_output=True, text=True).stdout
    assert re.findall(r"uses-permission: name='(.*?)'", listing) == ["android.permission.RECORD_AUDIO"]
    assert f"versionName='{s2f_tf.__version__}'" in listing
    with zipfile.ZipFile(apk) as package:
        info = package.getinfo(f"assets/{MODEL.name}")
        assert info.compress_type == zipfile.ZIP_STORED and package.read(info) == MODEL.read_bytes()
        libraries = {name.split("/")[1] for name in package.namelist() if name.endswith("/libtensorflowlite_jni.so")}
        assert libraries == {"arm64-v8a", "armeabi-v7a", "x86", "x86_64"}
        assert {"classes.dex", "AndroidManifest.xml", "resources.arsc"} <= set(package.namelist())


@needs_android
@pytest.mark.parametrize(
    "file, code, missing",
    [
        ("core/src/main/kotlin/s2f/core/Phone.kt", "android.os.Build.MODEL", "android"),
        ("app/src/main/kotlin/s2f/app/Options.kt", "org.tensorflow.lite.Interpreter.Options().setTurbo()", "setTurbo"),
    ],
    ids=["Android in core", "an invented option of TensorFlow Lite in app"],
)
def test_what_does_not_exist_does_not_pass(verified, tmp_path, file, code, missing):
    copy = tmp_path / "android"
    shutil.copytree(ANDROID, copy, ignore=shutil.ignore_patterns("build", ".gradle"))
    shutil.copytree(verified / "libraries", copy / "build" / "libraries")
    (copy / file).write_text(f"package {'.'.join(file.split('/')[-3:-1])}\n\nval invented = {code}\n")
    result = subprocess.run([copy / "verify.sh"], capture_output=True, text=True)
    assert result.returncode != 0
    assert pathlib.Path(file).name in result.stderr and f"unresolved reference '{missing}'" in result.stderr


def test_the_assets_are_what_convert_writes(shipped_models):
    fresh = json.loads(pathlib.Path(shipped_models, "s2f.json").read_text())
    for key in ("sample_rate", "window", "embedding_size", "z_size", "face_size", "signatures"):
        assert DESCRIPTION[key] == fresh[key], key
    if DESCRIPTION["made_by"] == fresh["made_by"]:
        assert DESCRIPTION["variants"]["float16"] == fresh["variants"]["float16"]


def test_the_model_in_the_assets_is_the_one_that_is_described():
    described = DESCRIPTION["variants"]["float16"]
    assert MODEL.name == described["file"] and [path.name for path in ASSETS.glob("*.tflite")] == [MODEL.name]
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == described["sha256"]
    assert MODEL.stat().st_size < 3_000_000


def test_the_app_bundles_a_runtime_that_has_every_operation():
    bundled = CATALOG["versions"]["tensorflowLite"]
    assert bundled == conversion.BUNDLED_RUNTIME
    assert metadata.numbers(metadata.minimum_runtime(MODEL.read_bytes())) <= metadata.numbers(bundled)
    for variant in DESCRIPTION["variants"].values():
        assert metadata.numbers(variant["minimum_runtime"]) <= metadata.numbers(bundled)
    # Both builds take it from the catalog: neither names another.
    assert "libs.tensorflow.lite" in (ANDROID / "app" / "build.gradle.kts").read_text()
    versions = re.findall(
        r"<groupId>org.tensorflow</groupId>\s*<artifactId>.*?</artifactId>\s*<version>(.*?)</version>",
        (ANDROID / "verify.pom.xml").read_text(),
    )
    assert versions == ["${tensorflowLite}"] * 2


def test_the_version_of_the_app_is_that_of_the_package():
    assert CATALOG["versions"]["s2f"] == s2f_tf.__version__


def test_golden_vectors_are_not_written_where_there_is_no_app(tmp_path):
    with pytest.raises(UserError, match="resources does not exist: run this in the checkout"):
        golden.write(str(tmp_path / "resources" / "golden"))
    assert not list(tmp_path.iterdir())


def test_golden_vectors_are_what_python_computes(tmp_path):
    golden.write(str(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(os.listdir(golden.FOLDER))
    for name in names:
        kind = {".i16": "<i2", ".i64": "<i8", ".f32": "<f4"}[pathlib.Path(name).suffix]
        fresh, kept = (np.fromfile(os.path.join(folder, name), kind) for folder in (tmp_path, golden.FOLDER))
        # Transforms and sines of other processors and other releases round otherwise; z has to be exact.
        tolerance = {"waveform": 2e-6, "slerp": 2e-6, "mean": 2e-6, "voices": 1, "voiced": 0.02}.get(
            re.split(r"[_.]", name)[0], 0
        )
        np.testing.assert_allclose(fresh, kept, atol=tolerance, rtol=0, err_msg=name)
