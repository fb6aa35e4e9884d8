import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent import futures

import commands
import cv2
import numpy as np
import pytest
import tensorflow as tf
import videos
from PIL import Image

from pipelines import exclusion, job, results, shards, tally
from pipelines.reasons import Drop, Reason
from s2f_tf import config, face_detection
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip, reader

ROOT = pathlib.Path(__file__).parents[2]


def records(output):
    paths = [path for split in clip.SPLITS for path in clip.shards(str(output), split)]
    return [clip.decode(record.numpy()) for record in tf.data.TFRecordDataset(paths)]


def by_video(output):
    return {found.id.split("#")[0]: found for found in records(output)}


def contents(output):
    assert not any(path.name.startswith(".") for path in output.iterdir())
    return {path.name: path.read_bytes() for path in output.iterdir()}


def pixels(face):
    return np.asarray(Image.open(io.BytesIO(face)).convert("RGB"))


@pytest.fixture(scope="module")
def portrait():
    """The face that every video shows, as it ought to come out."""
    picture = videos.portrait()
    return face_detection.align(picture, face_detection.shared_detector().find([picture])[0][0], 48).astype(float)


def test_what_can_be_used_comes_out_and_what_cannot_is_named(corpus, people):
    output, description = corpus
    found = by_video(output)
    usual = {str(path.relative_to(people)) for path in people.glob("person*/*")}
    assert len(usual) == 30
    assert set(found) == usual | {f"special/{name}" for name in ("turned.mp4", "variable.mkv", "late.mp4")}
    assert description["dropped"] == {
        "undecodable": 1,
        "no video": 1,
        "no sound": 1,
        "silent": 1,
        "too short": 1,
        "no face": 1,
        "several faces": 1,
    }
    examples = description["examples"]
    assert examples["undecodable"].startswith("damaged.mp4: ")
    assert (examples["no video"], examples["no sound"]) == ("sound.mkv", "mute.mkv")
    for reason, name in {
        "silent": "silent.mp4",
        "too short": "short.mp4",
        "no face": "faceless.mp4",
        "several faces": "two.mp4",
    }.items():
        assert re.fullmatch(rf"{re.escape(name)} at \d\.\d-\d\.\d s", examples[reason])
    assert sum(description["clips"].values()) == len(records(output)) == 33


def test_a_clip_holds_its_own_voice_and_the_upright_face(corpus, portrait):
    for name, found in by_video(corpus[0]).items():
        assert found.speaker == name.split("/")[0]
        assert len(found.faces) == 2
        for face in found.faces:
            assert pixels(face).shape == (48, 48, 3)
            assert np.corrcoef(pixels(face)[8:40, 8:40].ravel(), portrait[8:40, 8:40].ravel())[0, 1] > 0.9
        said = videos.voice(1 if name.startswith("special") else int(found.speaker[-1]), videos.SECONDS)
        assert len(found.waveform) / SAMPLE_RATE == pytest.approx(videos.SECONDS, abs=0.25)
        spectra = [np.abs(np.fft.rfft(x, 32_768))[100:4000:1] for x in (said, found.waveform)]
        assert np.corrcoef(*(cv2.blur(spectrum[None], (15, 1))[0] for spectrum in spectra))[0, 1] > 0.9


def test_sound_that_begins_late_goes_with_the_faces_of_its_own_time(corpus):
    late = by_video(corpus[0])["special/late.mp4"]
    assert float(late.id.split("@")[1]) == pytest.approx(1.0, abs=0.15)


def test_training_reads_it(corpus):
    read = reader.Corpus(str(corpus[0]))
    assert sum(len(list(reader.clips(read, split, 16))) for split in clip.SPLITS) == 33
    settings = config.preset("tiny")
    (batch,) = reader.batches(read, "train", settings.data, batch_size=8, seed=0).take(1)
    assert batch["face"].shape == (8, 16, 16, 3) and batch["waveform"].shape == (8, settings.window_samples)


def test_speakers_are_in_one_split_each(corpus):
    read = reader.Corpus(str(corpus[0]))
    speakers = {split: {found.speaker for found in reader.clips(read, split, 16)} for split in clip.SPLITS}
    assert {split: len(names) for split, names in speakers.items()} == corpus[1]["speakers"]
    assert len(set.union(*speakers.values())) == 11 == sum(corpus[1]["speakers"].values())


def test_the_same_again_does_nothing_and_another_is_refused(corpus, people, prepare, capsys):
    before = contents(corpus[0])
    assert prepare("folder", people, corpus[0]) == corpus[1]
    assert "already made" in capsys.readouterr().err
    with pytest.raises(job.JobError, match="other files or other settings"):
        prepare("folder", people, corpus[0], face_size=32)
    assert contents(corpus[0]) == before


def test_an_output_that_holds_something_else_is_left_alone(people, prepare, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(job.JobError, match="not empty"):
        prepare("folder", people, tmp_path)
    with pytest.raises(job.JobError, match="would be taken for input"):
        prepare("folder", people, people / "clips")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"] and not (people / "clips").exists()


@pytest.fixture
def few(people, tmp_path):
    """A folder with a video of each of six people."""
    folder = tmp_path / "few"
    folder.mkdir()
    for person in range(6):
        (video,) = people.glob(f"person{person}/{person}.*")
        (folder / f"{person}.mkv").write_bytes(video.read_bytes())  # what counts is inside
    return folder


@pytest.fixture
def noted(monkeypatch):
    """The names of the videos of which this process makes results, as it goes."""
    made, write = [], results.write

    def note(aside, item, *rest):
        made.append(item.name)
        write(aside, item, *rest)

    monkeypatch.setattr(results, "write", note)
    return made


def test_results_are_used_again_unless_what_they_are_made_of_changed(few, prepare, noted, tmp_path, monkeypatch):
    output = tmp_path / "clips"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(clip, "write_description", interrupted)
        prepare("folder", few, output)
    with pytest.raises(clip.CorpusError, match="is no corpus"):
        reader.Corpus(str(output))
    noted.clear()
    (few / "3.mkv").unlink()
    (few / "4.mkv").write_bytes((few / "5.mkv").read_bytes())
    description = prepare("folder", few, output)
    assert noted == ["4.mkv"]  # of other bytes than before
    assert set(by_video(output)) == {"0.mkv", "1.mkv", "2.mkv", "4.mkv", "5.mkv"}
    assert sum(description["clips"].values()) == 5


def test_nothing_is_kept_of_who_is_excluded(few, prepare, tmp_path):
    output, gone = tmp_path / "clips", exclusion.digest("4.mkv")
    description = prepare("folder", few, output, excluded={gone})
    assert set(by_video(output)) == {"0.mkv", "1.mkv", "2.mkv", "3.mkv", "5.mkv"}
    assert description["excluded"] == [gone] and description["dropped"] == {"excluded": 1}
    assert "4.mkv" not in (output / "corpus.json").read_text()
    assert prepare("folder", few, output) == description  # remembered without being told again
    with pytest.raises(job.JobError, match="other files or other settings"):
        prepare("folder", few, output, excluded={exclusion.digest("1.mkv")})


def test_a_video_that_ends_every_process_is_dropped_at_last(few, prepare, tmp_path, monkeypatch):
    output = tmp_path / "clips"

    def crash(item, *_):
        if item.name == "2.mkv":
            raise SystemExit  # as far as what is left on disk goes, a crash
        yield Drop(Reason.NO_FACE, item.name)

    monkeypatch.setattr(job, "extract", crash)
    for _ in range(5):
        with pytest.raises(RuntimeError, match="SystemExit"):
            prepare("folder", few, output)
    with pytest.raises(shards.CorpusTooSmallError, match=r"1 crashed \(such as 2.mkv\); 5 no face"):
        prepare("folder", few, output)


def interrupted(*_):
    raise KeyboardInterrupt


def flags(people, output):
    """Of the command that makes what the fixture `prepare` does."""
    return ["--source=folder", f"--input={people}", f"--output={output}", *videos.FLAGS]


def done(output):
    return list(output.glob(".unfinished/videos/*/*.json"))


def wait_for(condition, has_ended=lambda: False):
    while not condition():
        assert not has_ended(), "the job ended first"
        time.sleep(0.02)


def workers(output):
    return tally.processes(str(output / ".unfinished" / "progress"))


def is_alive(process):
    return pathlib.Path(f"/proc/{process}").exists()


def test_a_killed_worker_and_a_killed_job_cost_nothing_but_time(people, corpus, prepare, noted, tmp_path, capsys):
    output = tmp_path / "clips"
    run = ["pipelines.prepare", *flags(people, output), "--workers=2"]

    with futures.ThreadPoolExecutor() as pool:
        first = pool.submit(commands.run, *run)
        wait_for(lambda: len(done(output)) > 4 and len(workers(output)) == 2, first.done)
        left = workers(output)
        os.kill(left[0], signal.SIGKILL)
    assert first.result().returncode == 1
    # Not the last line always: the shell around a worker that is ended with the others may say so later.
    said = first.result().stderr.splitlines()
    assert [line for line in said if line.startswith("error: a worker was lost: the same command goes on")]
    wait_for(lambda: not any(map(is_alive, left)))

    kept = {path: path.stat().st_mtime_ns for path in done(output)}
    second = subprocess.Popen(
        [sys.executable, "-m", *run], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len(done(output)) > len(kept) + 15, lambda: second.poll() is not None)
    left = workers(output)
    second.kill()
    second.wait()
    wait_for(lambda: not any(map(is_alive, left)))
    assert not (output / "corpus.json").exists()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # no work was done twice

    before = len(done(output))
    description = prepare("folder", people, output)
    assert len(noted) == 40 - before
    assert contents(output) == contents(corpus[0])
    assert "40 of 40 videos" in capsys.readouterr().err
    assert "1 several faces (such as two.mp4 at" in job.summary(description)


def test_flags_that_nobody_knows_are_refused(tmp_path):
    run = ["pipelines.prepare", *flags(tmp_path / "nowhere", tmp_path / "clips"), "--direct_num_wokers=3"]
    ended = commands.run(*run)
    assert ended.returncode == 1
    assert "knows --direct_num_wokers" in ended.stderr.splitlines()[-1]


def test_too_few_speakers_are_said_with_what_was_dropped(people, prepare, tmp_path):
    folder = tmp_path / "people"
    folder.mkdir()
    (folder / "a.mkv").symlink_to(people / "person1" / "1.mkv")
    (folder / "b.mkv").symlink_to(people / "mute.mkv")
    message = r"clips of 1 speakers, and 4 are needed.*1 no sound \(such as b.mkv\)"
    with pytest.raises(shards.CorpusTooSmallError, match=message):
        prepare("folder", folder, tmp_path / "clips")
    assert json.loads(next((tmp_path / "clips").glob(".unfinished/videos/*/*.json")).read_text())["key"]


def told(ended):
    """What a command that failed said beside how far it is."""
    assert ended.returncode == 1
    return [line for line in ended.stderr.splitlines() if not re.match(r"\d of \d videos", line)]


def test_a_mistake_is_told_in_one_line_and_beams_words_are_in_a_file(people, tmp_path):
    folder, output = tmp_path / "people", tmp_path / "clips"
    folder.mkdir()
    for person in range(4):
        (video,) = (people / f"person{person}").glob(f"{person}.*")
        (folder / video.name).symlink_to(video)
    blocked = output / "train-00000-of-00001.tfrecord"
    (blocked / "is a folder").mkdir(parents=True)
    (output / ".unfinished").mkdir()
    ended = commands.run("pipelines.prepare", *flags(folder, output), "--workers=1")
    _, error = told(ended)
    assert error.startswith("error: [Errno ") and str(blocked) in error
    log = output / ".unfinished" / "beam.log"
    assert error.endswith(f"(what Beam said of it is in {log})")
    assert "Traceback" in log.read_text()

    shutil.rmtree(blocked)
    for video in sorted(folder.iterdir())[1:]:
        video.unlink()
    ended = commands.run("pipelines.prepare", *flags(folder, output), "--workers=1")
    _, error = told(ended)
    assert error.startswith("error: the input gives clips of 1 speakers, and 4 are needed")
