import base64
import json
import os
import re
import shutil

import commands
import pytest
from PIL import Image

from s2f_tf import config
from s2f_tf.evaluation import sound
from s2f_tf.models import trained


@pytest.fixture(scope="module")
def workdir(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config.save(tiny, folder)
    for name in trained.NETWORKS:
        trained.save_weights(name, trained.make(name, tiny), str(folder))
    (folder / "matching").mkdir()
    lines = [{"step": step, "loss": 2.0, "voice_to_face": 0.1 * step, "face_to_voice": 0.2} for step in range(1, 4)]
    (folder / "matching" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def corpus(tiny_corpus, tmp_path_factory):
    """The synthetic speakers, with an attribute that is in a table beside them."""
    folder = tmp_path_factory.mktemp("with_attributes") / "corpus"
    shutil.copytree(tiny_corpus, folder)
    rows = [f"s{speaker:05d},{'even' if speaker % 2 == 0 else 'odd'}" for speaker in range(40)]
    (folder / "attributes.csv").write_text("\n".join(["speaker,number", *rows]))
    return folder


def evaluate(*arguments):
    result = commands.run("s2f_tf.evaluate", *arguments)
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture(scope="module")
def evaluated(workdir, corpus):
    result = evaluate(f"--workdir={workdir}", f"--corpus={corpus}", "--split=train", "--verbose")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def metrics(evaluated, workdir):
    return json.loads((workdir / "evaluation" / "metrics.json").read_text())


def figures_in(tree):
    if isinstance(tree, dict) and "value" in tree:
        yield tree
    elif isinstance(tree, (dict, list)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from figures_in(part)


def test_every_figure_has_its_interval(metrics):
    figures = list(figures_in(metrics))
    assert len(figures) > 200
    for figure in figures:
        assert figure["low"] <= figure["value"] + 1e-9 and figure["value"] <= figure["high"] + 1e-9


def test_every_question_has_its_answer(metrics):
    directions = {**metrics["matching"], **metrics["generation"]["judge"]}
    assert set(directions) == {
        "voice_to_face",
        "face_to_voice",
        "true_factors",
        "voice_to_generated",
        "generated_to_face",
    }
    for figures in directions.values():
        measures = [f"accuracy_k{k}" for k in range(2, 11)] + ["recall_at_1", "recall_at_5", "recall_at_10"]
        assert {*measures, "mean_rank", "auc", "eer"} <= set(figures)
        assert all(figures[measure]["chance"] is not None for measure in measures)
    assert metrics["matching"]["true_factors"]["accuracy_k2"]["value"] > 0.95
    assert "accuracy_k2_same_number" in metrics["matching"]["voice_to_face"]
    assert "accuracy_k2_same_pitch" in metrics["matching"]["voice_to_face"]
    assert set(metrics["generation"]["correlation"]) == {"one_z", "a_z_each", "real"}
    assert set(metrics["generation"]["distribution"]) == {"frechet_judge", "kid_judge", "precision", "recall"}
    heard = [factor["factor"] for factor in metrics["disentanglement"] if factor["heard"]]
    assert heard == ["pitch", "tract", "age", "fullness", "nasality", "articulation"]
    for factor in metrics["disentanglement"]:
        assert sum(factor[f"due_to_{part}"]["value"] for part in ("c", "z", "both")) == pytest.approx(1.0)
        assert ("r_squared_generated" in factor) == (factor["level"] == "speaker")
    assert {part["kind"] for part in metrics["sound"]} == {condition.kind for condition in sound.conditions()}


def test_the_tables_are_printed(evaluated):
    for words in (
        "Matching",
        "K = 10",
        "recall at 1",
        "kid-judge",
        "R\u00b2 generated",
        "hair length",
        "telephone",
        "silence before",
    ):
        assert words in evaluated


def test_ten_lines_tell_a_person_how_good_it_is_and_where_the_report_is(workdir, corpus, tmp_path, monkeypatch):
    (tmp_path / "run").symlink_to(workdir)
    monkeypatch.chdir(tmp_path)  # so that no path is long
    result = evaluate("--workdir=run", f"--corpus={corpus}", "--output=out")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) <= 10 and max(map(len, lines)) <= 80
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    said = {line[:18].strip(): line[18:].split() for line in lines}

    def percent(figure):
        return f"{100 * figure['value']:.1f}"

    assert said["Does it hear?"][0] == percent(found["matching"]["voice_to_face"]["accuracy_k10"])
    assert said["Do faces follow?"][0] == percent(found["generation"]["judge"]["voice_to_generated"]["accuracy_k10"])
    assert said["Are they varied?"][0] == percent(found["generation"]["distribution"]["recall"]["generated"])
    assert said["Are they clean?"][0] == percent(found["generation"]["distribution"]["precision"]["generated"])
    telephone = next(part for part in found["sound"] if part["kind"] == "telephone")
    assert said["spoilt voices?"][2] == percent(telephone["accuracy_k10"]) + ","
    told = [f["r_squared_generated"]["value"] for f in found["disentanglement"] if f["heard"]]
    assert said["how closely?"][0] == f"{sum(told) / len(told):.2f}"
    of_z = [f["due_to_z"]["value"] for f in found["disentanglement"] if not f["heard"]]
    assert said["for one voice?"][0] == percent({"value": sum(of_z) / len(of_z)})
    assert lines[-1] == "out/report.html" and (tmp_path / "out" / "report.html").is_file()
    progress = result.stderr.splitlines()
    assert "\r" not in result.stderr and max(map(len, progress)) <= 80
    assert any(line.startswith("learning to read faces: ") for line in progress)


def test_the_report_holds_every_figure_and_asks_for_nothing_else(evaluated, workdir):
    page = (workdir / "evaluation" / "report.html").read_text()
    inside = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    names = sorted(os.listdir(workdir / "evaluation" / "figures"))
    assert sorted(map(base64.b64decode, inside)) == sorted(
        (workdir / "evaluation" / "figures" / name).read_bytes() for name in names
    )
    assert {
        "accuracy.png",
        "c_interpolated.png",
        "c_varied.png",
        "channel.png",
        "disentanglement.png",
        "held_out.png",
        "nearest.png",
        "sound.png",
        "training.png",
        "z_interpolated.png",
        "z_varied.png",
    } == set(names)
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    with Image.open(workdir / "evaluation" / "figures" / "c_varied.png") as picture:
        assert picture.text["Comment"] == "synthetic face generated from speech"


def test_a_run_compared_with_itself_differs_in_nothing(evaluated, workdir):
    result = evaluate("--compare", workdir, workdir)
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if "matching.voice_to_face.accuracy_k10 " in line]
    assert len(rows) == 1 and rows[0].rstrip().endswith("0.000 (0.000..0.000)")
    assert "*" not in result.stdout.rsplit("\n", 2)[0]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--workdir={workdir}", "--corpus=nowhere"], "nowhere/corpus.json does not exist"),
        (["--workdir=nowhere", "--corpus={corpus}"], "nowhere is not a work directory"),
        (["--workdir={workdir}", "--corpus={corpus}", "--output=/proc/no"], "--output=/proc/no cannot be made"),
        (["--workdir={workdir}", "--corpus={corpus}", "--split=dev"], "split"),
        (["--compare", "{workdir}"], "--compare takes two work directories, not 1"),
        (["--compare", "{workdir}", "nowhere"], "nowhere/evaluation/metrics.json does not exist"),
        (["{workdir}"], "unexpected argument"),
    ],
)
def test_bad_input_is_refused_with_a_message(workdir, corpus, flags, message):
    result = evaluate(*(flag.format(workdir=workdir, corpus=corpus) for flag in flags))
    assert result.returncode != 0
    assert message in result.stderr + result.stdout
