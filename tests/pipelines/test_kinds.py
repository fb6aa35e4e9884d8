"""Corpora of one kind: stills alone, and sounds alone."""

import base64
import contextlib
import io
import os
import re
import signal
import time

import commands
import corpora
import cv2
import numpy as np
import pytest
import tensorflow as tf
import videos
from files import tone, write_sound, write_still
from PIL import Image

from pipelines import exclusion, holdings, inspect, job, report, results, shards, tally
from s2f_tf import face_detection
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip, reader
from s2f_tf.data.clip import CorpusError, Kind


def examples(output):
    """What the records hold, as TensorFlow reads them."""
    paths = [path for split in clip.SPLITS for path in clip.shards(str(output), split)]
    return [tf.train.Example.FromString(r.numpy()).features.feature for r in tf.data.TFRecordDataset(paths)]


def clips(output, kind):
    paths = [path for split in clip.SPLITS for path in clip.shards(str(output), split)]
    return {one.id: one for path in paths for _, one in holdings.clips(path, kind)}


def contents(output):
    assert not any(path.name.startswith(".") for path in output.iterdir())
    return {path.name: path.read_bytes() for path in output.iterdir()}


def pixels(face):
    return np.asarray(Image.open(io.BytesIO(face)).convert("RGB")).astype(float)


@pytest.fixture(scope="module")
def stills(prepare, tmp_path_factory):
    """A corpus of photographs of six people, of whom two have a folder, and what it says of itself."""
    folder = tmp_path_factory.mktemp("stills")
    photographs, output = folder / "photographs", folder / "clips"
    for index in range(3):
        write_still(photographs / "anna" / "deeper" / f"{index}.png", videos.portrait(shift=10 * index))
    (photographs / "anna" / "voice.wav").write_bytes(b"passed over")
    write_still(photographs / "ben" / "turned.jpg", np.rot90(videos.portrait()), quality=95)
    write_still(photographs / "ben" / "large", cv2.resize(videos.portrait(), (1280, 960)), format="JPEG", quality=95)
    write_still(photographs / "ben" / "landscape.png", videos.landscape(1, 1)[0])
    write_still(photographs / "two.png", videos.two_faces(1)[0])
    write_still(photographs / "black.png", np.zeros((240, 320, 3), np.uint8))
    write_still(photographs / "blurred.png", cv2.GaussianBlur(videos.portrait(), (0, 0), 6))
    (photographs / "broken.jpg").write_bytes(b"not a still")
    for name in ("c.png", "d.png", "e.png", "f.png"):
        write_still(photographs / name, videos.portrait(zoom=0.9))
    return output, prepare("stills", photographs, output)


@pytest.fixture(scope="module")
def sounds(prepare, tmp_path_factory):
    """A corpus of sounds of six people, of whom two have a folder, and what it says of itself."""
    folder = tmp_path_factory.mktemp("sounds")
    recordings, output = folder / "recordings", folder / "clips"
    write_sound(recordings / "anna" / "long.wav", tone(10.0))
    write_sound(recordings / "anna" / "deeper" / "a.mp3", tone(1.0, 300, 44_100), 44_100)
    write_sound(recordings / "ben" / "b.m4a", tone(1.5, 250, 44_100), 44_100)
    write_sound(recordings / "ben" / "silent.wav", np.zeros(SAMPLE_RATE, np.float32))
    write_still(recordings / "ben" / "portrait.png")
    for index, name in enumerate(("c.flac", "d.ogg", "e.WAV", "f.wav")):
        write_sound(recordings / name, tone(1.0, 200 + 20 * index))
    write_sound(recordings / "short.wav", tone(0.2))
    (recordings / "broken.ogg").write_bytes(b"not a sound")
    return output, prepare("sounds", recordings, output, max_seconds=4.0)


def test_a_still_becomes_a_clip_without_a_sound(stills):
    output, description = stills
    assert description["kind"] == "stills" and clip.read_description(str(output)) == description
    for record in examples(output):
        assert record["audio/encoded"].bytes_list.value == [b""]
        assert len(record["face/encoded"].bytes_list.value) == 1
    found = clips(output, Kind.STILLS)
    assert {name: one.speaker for name, one in found.items()} == {
        **{f"anna/deeper/{index}.png": "anna" for index in range(3)},
        **dict.fromkeys(("ben/turned.jpg", "ben/large"), "ben"),
        **{name: name for name in ("c.png", "d.png", "e.png", "f.png")},
    }
    assert sum(description["clips"].values()) == 9 and sum(description["speakers"].values()) == 6
    assert set(description["seconds"].values()) == {0.0}
    picture = videos.portrait()
    like = face_detection.align(picture, face_detection.shared_detector().find([picture])[0][0], 48).astype(float)
    for name, one in found.items():
        face = pixels(one.faces[0])
        assert face.shape == (48, 48, 3)
        assert np.corrcoef(face[8:40, 8:40].ravel(), like[8:40, 8:40].ravel())[0, 1] > 0.9, name


def test_a_still_that_cannot_be_used_is_named_with_its_reason(stills):
    _, description = stills
    assert description["examples"] == {
        "undecodable": "broken.jpg",
        "no face": "ben/landscape.png",
        "several faces": "two.png",
        "blurred": "blurred.png",
        "blank": "black.png",
    }
    assert set(description["dropped"].values()) == {1}
    assert "1 several faces (such as two.png)" in job.summary(description)
    assert " h\n" not in job.summary(description)


def test_a_sound_becomes_clips_without_faces(sounds):
    output, description = sounds
    assert description["kind"] == "sounds"
    assert all(not record["face/encoded"].bytes_list.value for record in examples(output))
    found = clips(output, Kind.SOUNDS)
    assert {name: one.speaker for name, one in found.items()} == {
        **{f"anna/long.wav#{piece}": "anna" for piece in range(3)},
        "anna/deeper/a.mp3": "anna",
        "ben/b.m4a": "ben",
        **{name: name for name in ("c.flac", "d.ogg", "e.WAV", "f.wav")},
    }
    assert sum(description["clips"].values()) == 9 and sum(description["speakers"].values()) == 6
    whole = np.concatenate([found[f"anna/long.wav#{piece}"].waveform for piece in range(3)])
    np.testing.assert_allclose(whole, tone(10.0), atol=2**-14)
    assert description["examples"] == {
        "undecodable": "broken.ogg",
        "silent": "ben/silent.wav",
        "too short": "short.wav",
    }
    assert sum(description["seconds"].values()) == pytest.approx(16.5, abs=0.3)


@pytest.mark.parametrize("kind", ["stills", "sounds"])
def test_report_and_inspect_show_what_there_is(kind, request, tmp_path):
    output, description = request.getfixturevalue(kind)
    report.write(str(output), str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 3  # clips, how they are distributed, and what was dropped
    told = inspect.summary(holdings.look(str(output), 24, 1))
    assert "nan" not in told and "nan" not in page.split("base64")[0]
    for words, there in (("hours", "sounds"), ("Half of the clips are shorter", "sounds"), ("48 x 48", "stills")):
        assert (words in page) == (kind == there), words
    for words, there in (("seconds  ", "sounds"), ("sound  ", "sounds"), ("faces  ", "stills"), ("48 x 48", "stills")):
        assert (f"\n{words}" in told or f" {words}" in told) == (kind == there), words
    assert f"{description['clips']['train']} clips" in told
    sheet = Image.open(io.BytesIO(base64.b64decode(pictures[0]))).convert("RGB")
    blue = (np.asarray(sheet) == (0x2F, 0x6F, 0x9F)).all(-1).any()
    assert blue == (kind == "sounds")
    colours = np.asarray(sheet).std(-1).max()
    assert colours > 20  # of the portrait, or of the waveform


@pytest.mark.parametrize("kind", ["stills", "sounds"])
def test_a_person_is_excluded_from_both(kind, request, prepare, tmp_path):
    output, description = request.getfixturevalue(kind)
    expected = {name for name, one in clips(output, Kind(kind)).items() if one.speaker != "anna"}
    copy = corpora.copy(output, tmp_path / "deleted")
    done = exclusion.delete(str(copy), ["anna"])
    assert done.damaged == 0 and done.clips["anna"] == sum(description["clips"].values()) - len(expected) > 0
    assert set(clips(copy, Kind(kind))) == expected
    source = output.parent / ("photographs" if kind == "stills" else "recordings")
    never = prepare(kind, source, tmp_path / "never", excluded={exclusion.digest("anna")}, max_seconds=4.0)
    assert set(clips(tmp_path / "never", Kind(kind))) == expected and never["dropped"]["excluded"] == 1


def test_a_record_without_what_its_kind_has_is_damaged(stills, tmp_path):
    copy = corpora.copy(stills[0], tmp_path / "clips")
    path = clip.shards(str(copy), "train")[0]
    clip.write_shard(str(copy), "train", 0, 1, [clip.Clip("a", "a", tone(1.0), (b"face",))], "wav")
    assert path in clip.shards(str(copy), "train")
    found = holdings.look(str(copy), 24, 1)
    assert found.damaged == 1 and os.path.basename(path) in found.damaged_names[0]


def test_they_are_refused_where_pairs_are_needed(stills, sounds, tmp_path):
    for output, kind, flag in ((stills[0], "stills", "--faces"), (sounds[0], "sounds", "--voices")):
        said = f"{output} holds {kind} alone: --corpus needs clips of both; give it as {flag}"
        with pytest.raises(CorpusError, match=said):
            reader.Corpus(str(output))
        assert reader.Corpus(str(output), Kind(kind)).kind == kind
    with pytest.raises(CorpusError, match="holds sounds alone: --faces needs faces; give it as --voices"):
        reader.Corpus(str(sounds[0]), Kind.STILLS)
    ended = commands.run("s2f_tf.train", f"--corpus={stills[0]}", f"--workdir={tmp_path / 'run'}", "--preset=tiny")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"error: {stills[0]} holds stills alone: --corpus needs clips of both; " + (
        "give it as --faces"
    )


@pytest.mark.parametrize("source", ["stills", "sounds"])
def test_an_empty_and_a_tiny_folder_are_named_before_any_work(source, prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_run", lambda *_: pytest.fail("there is nothing to work on"))
    folder = tmp_path / "input"
    folder.mkdir()
    with pytest.raises(job.JobError, match=f"^.*input holds nothing that --source={source} knows.*$"):
        prepare(source, folder, tmp_path / "clips")
    for index in range(5):
        write_still(folder / "all" / f"{index}.png")
        write_sound(folder / "all" / f"{index}.wav", tone(1.0))
    with pytest.raises(
        shards.CorpusTooSmallError, match=f"^.*input holds {source} of 1 speakers, and 4 are needed: .*$"
    ):
        prepare(source, folder, tmp_path / "clips")


def test_a_folder_of_which_nothing_can_be_used_is_named_in_one_line(tmp_path):
    for name in "abcd":
        write_still(tmp_path / "input" / f"{name}.png", np.zeros((48, 48, 3), np.uint8))
    flags = [f"--input={tmp_path / 'input'}", f"--output={tmp_path / 'clips'}", "--workers=1"]
    ended = commands.run("pipelines.prepare", "--source=stills", *flags)
    assert ended.returncode == 1
    said = (
        "error: the input gives clips of 0 speakers, and 4 are needed: two to train, one each to validate and to test. "
    )
    assert ended.stderr.splitlines()[-1] == said + "Dropped: 4 blank (such as a.png)"


def write_many(folder):
    """Stills of six people, of each so many that they are looked at together: 13, of two sizes, one without a face."""
    for person in range(6):
        for index in range(12):
            size = (320, 240) if index % 3 else (240, 180)
            write_still(folder / f"p{person}" / f"{index}.png", cv2.resize(videos.portrait(shift=6 * index), size))
        write_still(folder / f"p{person}" / "none.png", videos.landscape(person, 1)[0])
    return folder


def done(output):
    found = {}
    with contextlib.suppress(FileNotFoundError):  # the job ends with removing them, and the folders
        for path in output.glob(".unfinished/videos/*/*.json"):
            found[path] = path.stat().st_mtime_ns
    return found


def is_alive(process):
    return os.path.exists(f"/proc/{process}")


def test_killed_in_the_midst_of_a_batch_two_workers_write_what_one_does(prepare, tmp_path, monkeypatch):
    people, output = write_many(tmp_path / "people"), tmp_path / "two"
    description = prepare("stills", people, tmp_path / "one")
    assert sum(description["clips"].values()) == 72 and description["dropped"] == {"no face": 6}

    write = results.write

    def write_some(*arguments):
        if len(done(output)) == 4:
            raise SystemExit
        write(*arguments)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="SystemExit"):
        patch.setattr(results, "write", write_some)
        prepare("stills", people, output)
    kept = done(output)
    assert len(kept) == 4

    flags = [f"--input={people}", f"--output={output}", "--source=stills", "--workers=2", *videos.FLAGS]
    killed = commands.Command("pipelines.prepare", *flags)
    while len(done(output)) < 10:
        assert killed.is_running(), "the job ended first"
        time.sleep(0.02)
    left = tally.processes(str(output / ".unfinished" / "progress"))
    os.kill(killed.pid, signal.SIGKILL)
    while any(map(is_alive, left)):
        time.sleep(0.02)
    assert not (output / "corpus.json").exists()
    assert kept.items() <= done(output).items()  # no work is done twice

    ended = commands.run("pipelines.prepare", *flags)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "78 of 78 stills" in ended.stderr
    assert contents(output) == contents(tmp_path / "one")


def test_sounds_go_on_too_and_two_workers_write_what_one_does(sounds, prepare, tmp_path, monkeypatch):
    recordings, output = sounds[0].parent / "recordings", tmp_path / "two"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(clip, "write_description", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        prepare("sounds", recordings, output, max_seconds=4.0)
    kept = done(output)
    assert len(kept) == 10
    flags = ["--source=sounds", f"--input={recordings}", f"--output={output}", *videos.FLAGS, "--max_seconds=4"]
    ended = commands.run("pipelines.prepare", *flags, "--workers=2")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert re.search(r"10 of 10 sounds", ended.stderr)
    assert contents(output) == contents(sounds[0])


def test_a_still_that_ends_every_process_is_dropped_alone(prepare, tmp_path, monkeypatch):
    people, output = write_many(tmp_path / "people"), tmp_path / "clips"
    read = job.pairs.read

    def crash(path, settings):
        if path.endswith("p3/7.png"):
            raise SystemExit  # as far as what is left on disk goes, a crash
        return read(path, settings)

    monkeypatch.setattr(job.pairs, "read", crash)
    for _ in range(5):
        with pytest.raises(RuntimeError, match="SystemExit"):
            prepare("stills", people, output, align=False)
    description = prepare("stills", people, output, align=False)
    assert description["dropped"] == {"crashed": 1} and description["examples"] == {"crashed": "p3/7.png"}
    assert sum(description["clips"].values()) == 77
