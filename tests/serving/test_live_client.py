"""`serving.client --live`, as a process of its own, before a server, with a pipe as it comes in life."""

import functools
import io
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image
from same import assert_same_picture
from voices import speak

from s2f_tf import pictures
from s2f_tf.config import SAMPLE_RATE

FACES = ["--faces=2", "--seed=3"]


@pytest.fixture
def listen(conformance, tmp_path):
    """Starts the command with flags; it writes `faces.png`."""
    started = []

    def start(*flags):
        command = [sys.executable, "-m", "serving.client", "--live", f"--target={conformance.target}", *FACES]
        command += [f"--out={tmp_path}/faces.png", *flags]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(command, bufsize=0, **pipes))
        return started[-1]

    yield start
    for process in started:
        with process:  # which closes its pipes
            process.kill()


def pixels(path):
    with Image.open(path) as picture:
        assert picture.text["Comment"] == "synthetic face generated from speech"
        return np.asarray(picture)


@pytest.fixture
def drawn(model):
    """What is drawn of a voice of up to 3 s, which is heard in one piece."""
    return functools.partial(model.draw, faces=2, seed=3, rate=SAMPLE_RATE)


def pcm(waveform):
    return np.clip(np.rint(waveform * 32768), -32768, 32767).astype("<i2").tobytes()


def until(process, words):
    """Reads what it says up to a line with these words."""
    for line in process.stderr:
        if words in line.decode():
            return
    raise AssertionError(f"it ended without saying {words}")


def test_a_slow_pipe_of_samples_is_drawn_after_each_second_and_at_its_end(listen, drawn, tmp_path):
    waveform = speak(1, 2.5)
    sound = pcm(waveform) + b"\0"  # it breaks off in the middle of a sample
    process = listen("--rate=16000")
    process.stdin.write(sound[:32_003])
    until(process, "1.0 s heard")  # though nothing more comes
    first = pixels(tmp_path / "faces.png")
    assert_same_picture(first, pictures.near_square(drawn(waveform[:SAMPLE_RATE])))
    for start in range(32_003, len(sound), 5_001):
        process.stdin.write(sound[start : start + 5_001])
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, said.decode().split()) == (0, [f"{tmp_path}/faces.png"])
    assert [line.split()[0] for line in errors.decode().splitlines() if line.endswith("heard")] == ["2.0", "2.5"]
    assert "standard input broke off: 1 bytes are missing" in errors.decode()
    assert_same_picture(pixels(tmp_path / "faces.png"), pictures.near_square(drawn(waveform)))


def test_of_a_wav_file_that_breaks_off_what_came_is_drawn(listen, drawn, tmp_path):
    waveform = speak(2, 2.0)
    wav = io.BytesIO()
    soundfile.write(wav, np.stack([waveform] * 2, axis=1), SAMPLE_RATE, format="WAV", subtype="FLOAT")
    process = listen()
    _, errors = process.communicate(wav.getvalue()[:-80_000], timeout=60)
    assert process.returncode == 0, errors
    assert "standard input broke off: 80000 bytes are missing" in errors.decode()
    assert_same_picture(pixels(tmp_path / "faces.png"), pictures.near_square(drawn(waveform[:-10_000])))


def test_a_pipe_that_never_ends_is_ended_by_ctrl_c_with_its_strip_whole(listen, drawn, model, tmp_path):
    process = listen("--rate=16000", "--strip")
    second = pcm(speak(1, 1.0))
    process.stdin.write(second * 5)
    until(process, "5.0 s heard")
    assert not (tmp_path / "faces.png").exists()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "ended by a signal" in errors.decode()
    assert "columns: after 1, 2, 4, 5 s of sound" in errors.decode()
    size = model.config.data.face_size
    strip = pixels(tmp_path / "faces.png")
    assert strip.shape == (2 * size, 4 * size, 3)
    assert_same_picture(strip[:size, :size], drawn(speak(1, 1.0))[0])
    assert [path.name for path in tmp_path.iterdir()] == ["faces.png"]


def test_a_pipe_that_never_ends_is_not_held_in_memory_and_sigterm_leaves_a_whole_picture(listen, tmp_path):
    process = listen("--rate=48000", "--channels=2")

    def memory():
        with open(f"/proc/{process.pid}/status") as status:
            return 1024 * int(status.read().split("VmRSS:")[1].split()[0])

    second = pcm(np.repeat(np.repeat(speak(1, 1.0), 3), 2))
    for _ in range(10):
        process.stdin.write(second)
    until(process, "8.0 s heard")
    before = memory()
    for _ in range(60):
        process.stdin.write(second)
    until(process, "68.0 s heard")
    assert memory() - before < 40 * len(second)
    process.send_signal(signal.SIGTERM)
    until(process, "ended by a signal")
    assert process.wait(60) == 0
    assert pixels(tmp_path / "faces.png").any()
    assert [path.name for path in tmp_path.iterdir()] == ["faces.png"]


def test_a_pipe_without_a_voice_is_refused(listen, tmp_path):
    process = listen("--rate=16000")
    _, errors = process.communicate(bytes(96_000), timeout=60)
    assert process.returncode == 1 and "error: standard input holds no voice" in errors.decode()
    assert not list(tmp_path.iterdir())
