import contextlib
import os
import subprocess

import numpy as np
import pytest
import tools

from s2f_tf.errors import UserError
from tflite import arm64, conversion, description
from tflite.runtimes import LiteRT


@pytest.fixture
def emulator(request):
    """The processor of phones."""
    if arm64.environment() is None:
        tools.lack(request.node, "the arm64 environment", "make arm64 sets it up")


@pytest.mark.tools("qemu-aarch64-static")
@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("variant", conversion.VARIANTS)
def test_the_processor_of_phones_hears_and_draws_the_same(tiny, tiny_models, variant):
    path = os.path.join(tiny_models, description.file_name(variant))
    waveform = np.random.default_rng(0).normal(0, 0.1, (1, description.read(tiny_models)["window"])).astype(np.float32)
    z = np.random.default_rng(1).normal(0, 1, (1, tiny.generator.z_size)).astype(np.float32)
    here = LiteRT(path)
    with contextlib.closing(arm64.Arm64LiteRT(path)) as phone:
        embedding = phone.embed(waveform)
        face = phone.draw(here.embed(waveform), z)
        assert phone.name == f"LiteRT arm64 {variant}" and phone.size == os.path.getsize(path)
    np.testing.assert_allclose(embedding, here.embed(waveform), atol=1e-4)
    expected = here.draw(here.embed(waveform), z)
    assert face.shape == expected.shape and face.dtype == np.uint8
    assert np.abs(face.astype(float) - expected).max() <= 1


@pytest.mark.tools("qemu-aarch64-static")
@pytest.mark.usefixtures("emulator")
def test_what_is_emulated_has_one_core_so_that_litert_chooses_the_same_kernels_whatever_this_machine_shows_of_its_own():
    folder, read = arm64.environment(), "print(open('/sys/devices/system/cpu/possible').read())"
    python = ["qemu-aarch64-static", "-L", folder, os.path.join(folder, "usr/bin/python3")]
    assert subprocess.check_output([*python, "-c", read], text=True).split() == ["0"]


@pytest.mark.tools("qemu-aarch64-static")
@pytest.mark.usefixtures("emulator")
def test_a_model_that_cannot_be_read_ends_with_a_message(tmp_path):
    path = tmp_path / "s2f_float32.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(UserError, match="ended with status"):
        arm64.Arm64LiteRT(str(path))


def test_without_the_environment_it_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(UserError, match="python -m tflite.arm64"):
        arm64.Arm64LiteRT(str(tmp_path / "x"))


def test_without_the_emulator_nothing_is_set_up(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="qemu-aarch64-static is not here"):
        arm64.set_up()
    assert os.listdir(tmp_path) == []
