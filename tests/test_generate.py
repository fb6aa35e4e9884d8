import commands
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image
from same import assert_same_picture
from voices import speak

from s2f_tf import config
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.models import trained


@pytest.fixture(scope="module")
def workdir(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config.save(tiny, folder)
    for name in ("speech_encoder", "face_encoder", "generator"):
        trained.save_weights(name, trained.make(name, tiny), str(folder))
    return folder


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    path = tmp_path_factory.mktemp("voice") / "x.flac"
    soundfile.write(path, np.stack([speak(1, 2.0)] * 2, axis=1), SAMPLE_RATE)
    return path


def generate(*flags):
    result = commands.run("s2f_tf.generate", *flags)
    assert "Traceback" not in result.stderr
    return result


def pixels(path):
    with Image.open(path) as picture:
        assert picture.text["Comment"] == "synthetic face generated from speech"
        return np.asarray(picture)


def test_a_grid_and_single_files_hold_the_same_faces(workdir, voice, tiny, tmp_path):
    size = tiny.data.face_size
    flags = [f"--workdir={workdir}", f"--voice={voice}", "--faces=5", "--seed=7"]
    assert generate(*flags, f"--out={tmp_path / 'grid.png'}").returncode == 0
    result = generate(*flags, f"--out={tmp_path / 'face.png'}", "--separate")
    if tf.__version__.startswith("2.17."):  # later ones cannot be quieted: they log before they read their settings
        assert result.stderr == ""
    assert result.stdout.split() == [str(tmp_path / f"face-{i}.png") for i in range(1, 6)]
    grid = pixels(tmp_path / "grid.png")
    assert grid.shape == (2 * size, 3 * size, 3)
    for i in range(5):
        row, column = divmod(i, 3)
        expected = grid[row * size : (row + 1) * size, column * size : (column + 1) * size]
        assert_same_picture(pixels(tmp_path / f"face-{i + 1}.png"), expected)
    assert (grid[size:, 2 * size :] == 255).all()


def test_a_face_depends_on_its_seed_alone(workdir, voice, tmp_path):
    flags = [f"--workdir={workdir}", f"--voice={voice}", "--separate", f"--out={tmp_path / 'a.png'}"]
    generate(*flags, "--faces=2", "--seed=1")
    second = pixels(tmp_path / "a-2.png")
    generate(*flags, "--faces=1", "--seed=2")
    assert_same_picture(pixels(tmp_path / "a-1.png"), second)


def test_a_strip_tells_how_the_faces_come_about(workdir, voice, tiny, tmp_path):
    size = tiny.data.face_size
    flags = [f"--workdir={workdir}", "--faces=2", "--seed=7"]
    result = generate(*flags, f"--voice={voice}", f"--out={tmp_path / 'strip.png'}", "--strip")
    assert (result.returncode, result.stdout.split()) == (0, [str(tmp_path / "strip.png")])
    assert "columns: after 0.5, 1, 2 s of sound" in result.stderr
    strip = pixels(tmp_path / "strip.png")
    assert strip.shape == (2 * size, 3 * size, 3)
    soundfile.write(tmp_path / "start.flac", soundfile.read(voice)[0][: SAMPLE_RATE // 2], SAMPLE_RATE)
    for name, column in ((tmp_path / "start.flac", 0), (voice, 2)):
        generate(*flags, f"--voice={name}", f"--out={tmp_path / 'a.png'}")
        rows = strip[:, column * size : (column + 1) * size]
        assert_same_picture(np.concatenate([rows[:size], rows[size:]], axis=1), pixels(tmp_path / "a.png"))


def test_what_holds_no_voice_is_refused_unless_any_sound_is_wanted(workdir, tmp_path):
    soundfile.write(tmp_path / "hum.wav", np.sin(2 * np.pi * 50 * np.arange(SAMPLE_RATE) / SAMPLE_RATE), SAMPLE_RATE)
    flags = [f"--workdir={workdir}", f"--voice={tmp_path / 'hum.wav'}", f"--out={tmp_path / 'a.png'}", "--faces=1"]
    refused = generate(*flags)
    assert refused.returncode == 1 and "hum.wav holds no voice" in refused.stderr
    assert generate(*flags, "--any_sound").returncode == 0


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--voice=absent.wav"], "absent.wav"),
        (["--voice={voice}", "--out=faces.jpg"], "--out=faces.jpg must end in .png"),
        (["--voice={voice}", "--out=/proc/no/faces.png"], "/proc/no/faces.png cannot be written"),
        (["--voice={voice}", "--workdir=nowhere"], "nowhere is not a work directory"),
        (["--voice={voice}", "--faces=0"], "faces"),
        (["--voice={voice}", "--strip", "--separate"], "--strip and --separate exclude each other"),
        ([], "--voice"),
    ],
)
def test_bad_input_is_refused_with_a_message(workdir, voice, flags, message):
    flags = [flag.format(voice=voice) for flag in flags]
    if not any("workdir" in flag for flag in flags):
        flags.append(f"--workdir={workdir}")
    result = generate(*flags)
    assert result.returncode != 0
    assert message in result.stderr + result.stdout


def test_weights_of_another_config_are_refused(workdir, voice, tiny, tmp_path):
    other = config.override(tiny, {"embedding_size": 8})
    config.save(other, tmp_path)
    trained.save_weights("speech_encoder", trained.make("speech_encoder", tiny), str(tmp_path))
    result = generate(f"--workdir={tmp_path}", f"--voice={voice}")
    assert result.returncode == 1
    assert "speech_encoder.weights.h5 does not hold the weights" in result.stderr
