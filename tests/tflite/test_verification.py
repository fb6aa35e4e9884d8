import dataclasses

import commands
import keras
import pytest

from s2f_tf import config
from s2f_tf.models import trained
from tflite import conversion, verification

RUNTIMES = ("Keras", "SavedModel", "ONNX Runtime", *(f"LiteRT {variant}" for variant in conversion.VARIANTS))


def test_the_shipped_weights_converted_are_the_same_model(shipped_models, shipped_corpus, tmp_path):
    flags = [f"--models={shipped_models}", f"--corpus={shipped_corpus}", "--split=train", "--clips=40"]
    elsewhere = {"XDG_CACHE_HOME": str(tmp_path)}  # where no emulator is set up, which would take minutes
    result = commands.run("tflite.verify", *flags, environment=elsewhere)
    assert result.returncode == 0, result.stderr
    for words in ("40 clips of 40 speakers", "Not run on arm64: `python -m tflite.arm64`", "Every bar is held"):
        assert words in result.stdout
    rows = [line.split("|")[1].strip() for line in result.stdout.splitlines() if line.startswith("|")]
    assert rows == ["runtime", "---", *RUNTIMES]


def test_models_of_other_weights_are_told_from_them(tiny, tiny_models, tiny_corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # without the emulator
    config.save(tiny, str(tmp_path))
    keras.utils.set_random_seed(2)
    for name in trained.NETWORKS:
        trained.save_weights(name, trained.make(name, tiny), str(tmp_path))
    with pytest.raises(verification.VerificationError, match="LiteRT float32: an embedding is off") as error:
        verification.verify(str(tmp_path), tiny_models, tiny_corpus, "train", 20)
    assert "SavedModel" not in str(error.value)  # which is made of the run that was named


def test_too_few_speakers_are_refused(tiny_run, tiny_models, tiny_corpus):
    with pytest.raises(verification.VerificationError, match="3 speakers in what was read of split 'train': 10 are"):
        verification.verify(tiny_run, tiny_models, tiny_corpus, "train", 6)


GOOD = verification.Measured(1000, (1e-6, 1e-7), (1.0, 0.001), (0.95, 0.8), (0.9, 0.7))


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("LiteRT float32", {"embedding": (2e-4, 1e-6)}, "LiteRT float32: an embedding is off by 0.0002"),
        ("LiteRT float32", {"embedding": (float("nan"), 0.0)}, "LiteRT float32: an embedding is off by nan"),
        ("SavedModel", {"image": (2.0, 0.001)}, "SavedModel: faces are off by 2 levels"),
        ("ONNX Runtime", {"image": (1.0, 0.1)}, "ONNX Runtime: faces are off by 1 levels, 0.1 in the mean"),
        ("LiteRT float16", {"image": (3.0, 0.1)}, "LiteRT float16: faces are off by 3 levels"),
        ("LiteRT arm64 float32", {"image": (3.0, 0.1)}, "LiteRT arm64 float32: faces are off by 3 levels"),
        ("LiteRT int8", {"matching": (0.95, 0.77)}, "LiteRT int8: matching at K = 10 is 3.0 points below"),
        ("LiteRT dynamic", {"matching": (0.92, 0.8)}, "LiteRT dynamic: matching at K = 2 is 3.0 points below"),
        ("LiteRT int8", {"size": 310}, "LiteRT int8: 31% of the size of float32, and 30% is allowed"),
    ],
)
def test_each_bar_can_be_missed(name, change, message):
    rows = {runtime: GOOD for runtime in RUNTIMES}
    rows["LiteRT int8"] = dataclasses.replace(GOOD, size=290, embedding=(0.1, 0.01), image=(60.0, 2.0))
    assert verification.missed_bars(rows) == []
    rows[name] = dataclasses.replace(rows.get(name, GOOD), **change)
    (missed,) = verification.missed_bars(rows)
    assert missed.startswith(message)
