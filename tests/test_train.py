import json
import os
import platform
import re
import shutil
import signal
import socket
import time

import commands
import corpora
import h5py
import numpy as np
import pytest
import soundfile
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import extract, job
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio, synthetic

MODEST = ["--matching.steps=4", "--matching.judge_steps=3", "--generation.steps=4", "--loop.checkpoint_every=2"]
MODEST += ["--loop.picture_every=4", "--loop.validate_every=1"]
MODEST += ["--data.babble=0"]  # other voices of a worker's own share
WITHOUT_TERMS = ["--generation.consistency=0", "--generation.diversity=0"]  # the graph of a step is made sooner


def train(*flags, environment=None):
    return commands.Command("s2f_tf.train", "--preset=tiny", *flags, environment=environment)


def finish(process):
    result = process.result()
    return result.returncode, result.stdout + result.stderr


def ended(*flags, environment=None):
    return finish(train(*flags, environment=environment))


def weights(workdir):
    return {
        (path.name, name): value
        for path in sorted((workdir / "weights").glob("*.h5"))
        for name, value in datasets(path).items()
    }


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name: node[()]} if isinstance(node, h5py.Dataset) else {}))
    return found


def assert_equal(found, expected):
    assert found.keys() == expected.keys() and found
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=str(name))


@pytest.fixture(scope="module")
def undisturbed(tiny_corpus, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    status, output = ended(f"--corpus={tiny_corpus}", f"--workdir={workdir}", *MODEST)
    assert status == 0, output
    return workdir, output


def test_training_leaves_weights_logs_and_pictures_and_shows_where_it_is(undisturbed):
    workdir, output = undisturbed
    for stage, steps in (("matching", 4), ("generation", 4), ("judge", 3)):
        lines = [json.loads(line) for line in (workdir / stage / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == list(range(1, steps + 1))
        shown = rf"^{stage}: {steps} of {steps} steps, .* in all, .* a step, (loss|judge|consistency) "
        assert re.search(shown, output, re.MULTILINE)
        kept = re.findall(rf"{stage}: kept step (\d+),", output)
        assert kept == ([] if stage == "generation" else [str(lines[-1]["best_step"])])  # generation leaves its last
        assert (workdir / "pictures" / f"{stage}.png").read_bytes().startswith(b"\x89PNG")
    heads = re.findall(r"^ +step +([DG]? ?loss)", output, re.MULTILINE)
    assert heads == ["loss", "loss", "D loss"]
    assert "validation_judge_voice_to_drawn_k2" in (workdir / "generation" / "log.jsonl").read_text()
    assert len(list((workdir / "weights").glob("*.weights.h5"))) == 5
    assert (workdir / "pictures" / "held_out.png").read_bytes().startswith(b"\x89PNG")
    assert str(workdir / "pictures" / "held_out.png") in output
    assert "Traceback" not in output


def test_a_corpus_without_held_out_speakers_is_trained_on_and_what_is_missed_is_said(
    undisturbed, tiny_corpus, tmp_path
):
    finish_stages(tmp_path / "run", undisturbed, "judge")
    corpus = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, corpus)
    description = json.loads((corpus / "corpus.json").read_text())
    for split in ("validation", "test"):
        description["clips"][split] = description["speakers"][split] = 0
        for path in corpus.glob(f"{split}-*"):
            path.unlink()
    (corpus / "corpus.json").write_text(json.dumps(description))
    status, output = ended(f"--corpus={corpus}", f"--workdir={tmp_path / 'run'}", *MODEST, *WITHOUT_TERMS)
    assert status == 0, output
    assert output.count(f"not validated, so the last weights are kept: {corpus} has no clips in split") == 1
    assert f"no picture of held-out speakers: {corpus} has no clips in split 'test'" in output
    assert len(weights(tmp_path / "run")) > 5


STAGES = {
    "matching": ["speech_encoder", "face_encoder"],
    "generation": ["generator"],
    "judge": ["judge_speech_encoder", "judge_face_encoder"],
}


def finish_stages(workdir, undisturbed, *stages):
    """Puts the weights of finished stages into a work directory: they are not run again."""
    (workdir / "weights").mkdir(parents=True)
    for stage in stages:
        for name in STAGES[stage]:
            shutil.copy(undisturbed[0] / "weights" / f"{name}.weights.h5", workdir / "weights")


@pytest.mark.parametrize("stage", ["matching", "generation"])
def test_kill_9_in_either_stage_changes_nothing(stage, undisturbed, tiny_corpus, tmp_path):
    finish_stages(tmp_path, undisturbed, "judge", "matching" if stage == "generation" else "generation")
    flags = [f"--corpus={tiny_corpus}", f"--workdir={tmp_path}", *MODEST]
    process = train(*flags)
    log = tmp_path / stage / "log.jsonl"
    while process.is_running() and not (log.exists() and log.read_text().count("\n") >= 3):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    status, _ = finish(process)
    assert status == -signal.SIGKILL
    status, output = ended(*flags)
    assert status == 0, output
    assert f"{stage}: from step 2 on" in output
    assert_equal(weights(tmp_path), weights(undisturbed[0]))


def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(tiny_corpus, tmp_path):
    flags = [f"--corpus={tiny_corpus}", f"--workdir={tmp_path}", *MODEST, "--loop.checkpoint_every=1000"]
    flags += ["--matching.steps=100000"]
    process = train(*flags)
    log = tmp_path / "matching" / "log.jsonl"
    while process.is_running() and not (log.exists() and log.read_text().count("\n") >= 1):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    status, output = finish(process)
    assert status == 1
    stopped = re.search(r"stopped at step (\d+) of 100000: the same command goes on from there", output)
    assert stopped, output
    assert (tmp_path / "matching" / f"checkpoint-{stopped[1]}.index").exists()


def test_two_workers_on_one_machine_train_the_same_weights_as_one(undisturbed, tiny_corpus, tmp_path):
    finish_stages(tmp_path, undisturbed, "judge")  # which is matching once more
    ports = [free_port() for _ in range(2)]
    processes = []
    for index in range(2):
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        environment = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
        processes.append(train(f"--corpus={tiny_corpus}", f"--workdir={tmp_path}", *MODEST, environment=environment))
    for process in processes:
        status, output = finish(process)
        assert status == 0, output
    one, two = weights(undisturbed[0]), weights(tmp_path)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=5e-3, err_msg=str(name))  # Adam amplifies the last bit


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def refused(*flags, environment=None):
    status, output = ended(*flags, environment=environment)
    assert status != 0
    assert "Traceback" not in output
    return output


def test_an_unknown_flag_is_refused(tmp_path):
    assert "Unknown command line flag 'generation.stepz'" in refused(f"--workdir={tmp_path}", "--generation.stepz=4")


def test_an_unknown_preset_is_refused(tmp_path):
    assert "unknown preset 'huge': there are demo" in refused(f"--workdir={tmp_path}", "--preset=huge")


def test_an_impossible_setting_is_refused(tmp_path):
    output = refused(f"--workdir={tmp_path}", "--face_encoder.widths=8,x")
    assert "face_encoder.widths must be whole numbers with commas, not '8,x'" in output


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the variable is for processors by Intel and AMD")
def test_arithmetic_that_this_processor_lacks_is_refused(tmp_path):
    output = refused(
        f"--workdir={tmp_path / 'run'}", "--precision=mixed_bfloat16", environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}
    )
    assert "precision is mixed_bfloat16, which this processor cannot compute: float32 is allowed" in output
    assert not (tmp_path / "run").exists()


def test_a_teachers_network_that_is_not_there_is_refused_before_any_work(tmp_path):
    workdir, network = f"--workdir={tmp_path / 'run'}", "--speech_encoder.network=resemblyzer"
    assert "takes --networks=FOLDER" in refused(workdir, network)
    assert "resemblyzer.npz does not exist" in refused(workdir, network, f"--networks={tmp_path}")
    assert not (tmp_path / "run").exists()


def test_a_stray_argument_is_refused(tmp_path):
    assert "unexpected argument 'demo'" in refused(f"--workdir={tmp_path}", "demo")


def test_the_work_directory_of_another_config_is_refused(undisturbed, tiny_corpus):
    output = refused(f"--corpus={tiny_corpus}", f"--workdir={undisturbed[0]}", *MODEST, "--seed=4")
    assert "holds a run with another config: seed is 0 there and 4 here" in output


def test_a_batch_larger_than_the_corpus_is_refused_before_any_work(tiny_corpus, tmp_path):
    output = refused(f"--corpus={tiny_corpus}", f"--workdir={tmp_path}", "--generation.batch_size=1000")
    assert re.search(r"has \d+ clips in split 'train', fewer than a batch of 1000", output)
    assert not (tmp_path / "matching").exists()


def test_a_corpus_of_smaller_faces_is_refused(tiny_corpus, tmp_path):
    output = refused(f"--corpus={tiny_corpus}", f"--workdir={tmp_path}", "--data.face_size=32")
    assert "holds faces of 16 pixels, and data.face_size is 32" in output


def test_a_folder_that_is_no_corpus_is_refused(tmp_path):
    assert "corpus.json does not exist" in refused(f"--corpus={tmp_path}", f"--workdir={tmp_path / 'run'}")


def test_workers_need_a_corpus(tmp_path):
    environment = {"TF_CONFIG": '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}'}
    assert "give --corpus" in refused(f"--workdir={tmp_path}", environment=environment)


def test_a_work_directory_that_cannot_be_made_is_refused(tiny_corpus, tmp_path):
    (tmp_path / "file").write_text("")
    output = refused(f"--corpus={tiny_corpus}", f"--workdir={tmp_path / 'file' / 'run'}")
    assert "cannot be made" in output


def test_a_prepared_folder_of_stills_and_sounds_is_trained_on_with_no_change(undisturbed, tiny, tmp_path):
    finish_stages(tmp_path / "run", undisturbed, "judge")
    people = tmp_path / "people"
    for speaker in range(8):
        made = synthetic.make_clip(tiny.synthetic, 64, 1, speaker, 0)
        folder = people / made.speaker
        folder.mkdir(parents=True)
        soundfile.write(folder / "voice.ogg", np.tile(made.waveform, 2), SAMPLE_RATE)
        soundfile.write(folder / "voice.flac", made.waveform, SAMPLE_RATE)
        (folder / "face.jpg").write_bytes(made.faces[0])
    settings = extract.Settings(
        face_size=32, faces_per_clip=2, max_seconds=20.0, audio_format=audio.default_format(), align=False
    )
    what = job.Job("pairs", str(people), None, str(tmp_path / "clips"), settings)
    job.prepare(what, PipelineOptions(["--direct_running_mode=in_memory", "--direct_num_workers=1"]))
    flags = [*MODEST, *WITHOUT_TERMS, "--matching.batch_size=4", "--generation.batch_size=4"]
    status, output = ended(f"--corpus={tmp_path / 'clips'}", f"--workdir={tmp_path / 'run'}", *flags)
    assert status == 0, output
    assert (tmp_path / "run" / "weights" / "generator.weights.h5").exists()
    assert (tmp_path / "run" / "pictures" / "held_out.png").exists()


def test_faces_without_voices_are_learnt_from_before_matching(undisturbed, tiny, tiny_corpus, tmp_path):
    finish_stages(tmp_path / "run", undisturbed, "judge", "generation")
    (tmp_path / "faces").mkdir()
    faces = corpora.stills(tiny, tmp_path / "faces", 9)
    flags = [f"--corpus={tiny_corpus}", f"--workdir={tmp_path / 'run'}", *MODEST]
    assert "give it as --faces" in refused(
        f"--corpus={tiny_corpus}", f"--workdir={tmp_path / 'other'}", f"--voices={faces}"
    )
    assert not (tmp_path / "other").exists()
    flags += [f"--faces={faces}", "--pretraining.face_steps=3", "--pretraining.batch_size=8"]
    status, output = ended(*flags)
    assert status == 0, output
    assert re.search(r"^pretraining_face: 3 of 3 steps, .* agreement ", output, re.MULTILINE)
    assert re.search(r"matching: face_encoder/head/kernel begins afresh", output)
    assert (tmp_path / "run" / "pictures" / "pretraining_face.png").exists()
    assert "pretraining_waveform" not in output
