import json
import subprocess
import sys

import pytest

from s2f_tf import config
from s2f_tf.models import trained


@pytest.fixture(scope="module")
def workdir(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config.save(tiny, folder)
    for name in trained.NETWORKS:
        trained.save_weights(name, trained.make(name, tiny), str(folder))
    return folder


def evaluate(*flags):
    command = [sys.executable, "-m", "s2f_tf.evaluate", *map(str, flags)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in result.stderr
    return result


def test_it_prints_and_writes_every_figure_with_its_interval_and_chance(workdir, tiny_corpus, tmp_path):
    result = evaluate(
        f"--workdir={workdir}", f"--corpus={tiny_corpus}", f"--out={tmp_path / 'm.json'}", "--split=train"
    )
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "m.json").read_text())
    directions = {
        **metrics["matching"],
        **metrics["judge"],
        **metrics["ceiling"],
    }
    assert set(directions) == {
        "voice_to_face",
        "face_to_voice",
        "voice_to_generated",
        "generated_to_face",
        "true_factors",
    }
    for name, figures in directions.items():
        assert name in result.stdout
        assert set(figures) == {f"accuracy_k{k}" for k in (2, 5, 10)} | {f"recall_at_{r}" for r in (1, 5, 10)}
        for figure in figures.values():
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
            assert 0 < figure["chance"] < 1
    assert metrics["ceiling"]["true_factors"]["accuracy_k2"]["value"] > 0.95


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--workdir={workdir}", "--corpus=nowhere"], "nowhere/corpus.json does not exist"),
        (["--workdir=nowhere", "--corpus={corpus}"], "nowhere is not a work directory"),
        (["--workdir={workdir}", "--corpus={corpus}", "--out=/proc/no/m.json"], "/proc/no/m.json cannot be written"),
        (["--workdir={workdir}", "--corpus={corpus}", "--split=dev"], "split"),
    ],
)
def test_bad_input_is_refused_with_a_message(workdir, tiny_corpus, flags, message):
    result = evaluate(*(flag.format(workdir=workdir, corpus=tiny_corpus) for flag in flags))
    assert result.returncode != 0
    assert message in result.stderr + result.stdout
