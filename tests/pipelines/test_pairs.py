import collections
import dataclasses
import io
import os
import pathlib
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from pipelines import pairs
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip, reader

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = pairs.Settings(face_size=32, faces_per_clip=2, max_seconds=4.0, clips_per_shard=500, audio_format="wav")


def tone(seconds, hertz=220.0, rate=SAMPLE_RATE):
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write_sound(path, waveform, rate=SAMPLE_RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {".mp3": "mp3", ".m4a": "aac"}.get(path.suffix.lower())
    if codec is None:
        soundfile.write(path, waveform, rate)
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_still(path, colour="tan", size=(60, 80), **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    still = Image.new("RGB", size, "navy")
    ImageDraw.Draw(still).ellipse([size[0] // 6, size[1] // 6, size[0] * 5 // 6, size[1] * 5 // 6], fill=colour)
    still.save(path, **save)


def write_people(folder, count, sounds=1, stills=2, seconds=1.0):
    for speaker in range(count):
        for index in range(stills):
            write_still(folder / f"p{speaker:03d}" / f"{index}.jpg", colour=(200, 40 * (index % 6), speaker))
        for index in range(sounds):
            write_sound(folder / f"p{speaker:03d}" / "sound" / f"{index}.wav", tone(seconds, 100 + speaker + index))
    return folder


def prepare(source, output, workers=1, **changed):
    return pairs.prepare(str(source), str(output), dataclasses.replace(SETTINGS, **changed), workers=workers)


def records(output):
    import tensorflow as tf

    paths = [path for split in clip.SPLITS for path in clip.shards(str(output), split)]
    return [clip.decode(record.numpy()) for record in tf.data.TFRecordDataset(paths)]


def contents(output):
    assert not any(path.name.startswith(".") for path in output.iterdir())
    return {path.name: path.read_bytes() for path in output.iterdir()}


def pixels(face):
    return np.asarray(Image.open(io.BytesIO(face)).convert("RGB")).astype(int)


def test_every_kind_of_file_becomes_a_clip_that_training_reads(tmp_path):
    people = write_people(tmp_path / "people", 12)
    for suffix in (".WAV", ".flac", ".mp3", ".ogg", ".m4a"):
        write_sound(people / "p000" / "deeper" / "still" / f"voice{suffix}", tone(1.0, rate=44_100), rate=44_100)
    write_still(people / "p000" / "deeper" / "photo.PNG")
    write_still(people / "p000" / "photo.jpeg")
    description = prepare(people, tmp_path / "clips")
    assert description["dropped"] == {}
    found = {c.id: c for c in records(tmp_path / "clips")}
    assert len(found) == 12 + 5 == sum(description["clips"].values())
    for suffix in (".WAV", ".flac", ".mp3", ".ogg", ".m4a"):
        voice = found[f"p000/deeper/still/voice{suffix}"]
        assert voice.speaker == "p000"
        assert abs(len(voice.waveform) / SAMPLE_RATE - 1.0) < 0.1
        assert len(voice.faces) == 2
        assert all(pixels(face).shape == (32, 32, 3) for face in voice.faces)
    corpus = reader.Corpus(str(tmp_path / "clips"))
    decoded = list(reader.clips(corpus, "train", 16))
    assert len(decoded) == description["clips"]["train"]


def test_stills_are_dealt_out_in_turn(tmp_path):
    people = write_people(tmp_path / "people", 4)
    for index in range(7):
        write_still(people / "many" / f"{index}.png", colour=(20 * index, 0, 0))
        write_sound(people / "many" / f"{index}.wav", tone(0.6))
    prepare(people, tmp_path / "clips", faces_per_clip=3)
    used = collections.Counter(f for c in records(tmp_path / "clips") if c.speaker == "many" for f in c.faces)
    assert sorted(used.values()) == [3] * 7


def test_a_still_is_turned_upright_and_cropped_in_its_middle(tmp_path):
    people = write_people(tmp_path / "people", 4)
    still = Image.new("RGB", (300, 100), "red")
    still.paste("blue", (100, 0, 200, 50))  # the middle square: blue above, green below
    still.paste("green", (100, 50, 200, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the reader has to turn it back by 90 degrees clockwise
    (people / "turned").mkdir()
    still.transpose(Image.Transpose.ROTATE_90).save(people / "turned" / "a.jpg", exif=exif, quality=95, subsampling=0)
    write_sound(people / "turned" / "a.wav", tone(0.6))
    prepare(people, tmp_path / "clips")
    (turned,) = [c for c in records(tmp_path / "clips") if c.speaker == "turned"]
    face = pixels(turned.faces[0])
    assert np.abs(face[4:12, 4:28].mean((0, 1)) - [0, 0, 255]).max() < 12
    assert np.abs(face[20:28, 4:28].mean((0, 1)) - [0, 128, 0]).max() < 12


def test_a_long_sound_is_cut_into_equal_pieces(tmp_path):
    people = write_people(tmp_path / "people", 4)
    write_sound(people / "p000" / "long.wav", tone(10.0))
    prepare(people, tmp_path / "clips")
    pieces = [c for c in records(tmp_path / "clips") if c.id.startswith("p000/long.wav")]
    assert [c.id for c in pieces] == [f"p000/long.wav#{i}" for i in range(3)]
    assert max(abs(len(c.waveform) - 10 * SAMPLE_RATE / 3) for c in pieces) <= 1
    np.testing.assert_allclose(np.concatenate([c.waveform for c in pieces]), tone(10.0), atol=2**-14)


def test_what_cannot_be_used_is_named_and_counted_and_stops_nothing(tmp_path):
    people = write_people(tmp_path / "people", 6)
    write_still(people / "mute" / "a.jpg")
    write_sound(people / "unseen" / "a.wav", tone(1.0))
    first = people / "p000"
    (first / "not-a-still.jpg").write_bytes(b"not a still")
    whole = (first / "0.jpg").read_bytes()
    (first / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    write_still(first / "tiny.png", size=(15, 90))
    (first / "empty.wav").write_bytes(b"")
    (first / "noise.mp3").write_bytes(bytes(range(256)) * 8)
    write_sound(first / "silent.wav", np.zeros(SAMPLE_RATE, np.float32))
    write_sound(first / "faint.wav", tone(1.0) / 1000)
    write_sound(first / "short.flac", tone(0.3))
    write_sound(people / "faceless" / "a.wav", tone(1.0))
    (people / "faceless" / "a.png").write_bytes(b"")
    (people / ".hidden").mkdir()
    (people / "a file beside the folders.txt").write_text("passed over")
    description = prepare(people, tmp_path / "clips", faces_per_clip=4)
    assert description["dropped"] == {
        "no stills": 1,
        "no sound": 1,
        "undecodable still": 3,
        "still too small": 1,
        "no usable still": 1,
        "undecodable sound": 2,
        "silent": 2,
        "too short": 1,
    }
    assert description["examples"] == {
        "no stills": "unseen",
        "no sound": "mute",
        "undecodable still": "faceless/a.png",
        "still too small": "p000/tiny.png",
        "no usable still": "faceless/a.wav",
        "undecodable sound": "p000/empty.wav",
        "silent": "p000/faint.wav",
        "too short": "p000/short.flac",
    }
    assert sum(description["clips"].values()) == len(records(tmp_path / "clips")) == 6
    assert all(len(c.faces) == 2 for c in records(tmp_path / "clips"))
    text = pairs.summary(description)
    assert "3 undecodable still (such as faceless/a.png)" in text


@pytest.mark.parametrize("count", [4, 7, 8, 10, 25, 300])
def test_splits_are_by_speaker_and_none_is_left_empty(count):
    names = {f"someone-{i}": [1] for i in range(count)}
    splits, split_by = pairs._split(names)
    assert sorted(sum(splits.values(), [])) == sorted(names)
    fewest = 1 if count < 8 else 2
    assert all(len(splits[split]) >= fewest for split in ("validation", "test"))
    assert len(splits["train"]) >= count / 2
    if count == 300:
        assert split_by == "hash"
        assert all(clip.split_of(name) == split for split in splits for name in splits[split])


def test_no_speaker_is_in_two_splits(tmp_path):
    prepare(write_people(tmp_path / "people", 10, sounds=3), tmp_path / "clips")
    corpus = reader.Corpus(str(tmp_path / "clips"))
    speakers = {split: {c.speaker for c in reader.clips(corpus, split, 16)} for split in clip.SPLITS}
    assert {split: len(names) for split, names in speakers.items()} == {"train": 6, "validation": 2, "test": 2}
    assert len(set.union(*speakers.values())) == 10


def test_folders_may_be_links_and_lead_back_up(tmp_path):
    people = write_people(tmp_path / "people", 4)
    elsewhere = tmp_path / "elsewhere"
    write_still(elsewhere / "a.jpg")
    (people / "linked").mkdir()
    (people / "linked" / "stills").symlink_to(elsewhere)
    (people / "linked" / "again").symlink_to(people / "linked")
    write_sound(people / "linked" / "a.wav", tone(0.6))
    prepare(people, tmp_path / "clips")
    assert [c.id for c in records(tmp_path / "clips") if c.speaker == "linked"] == ["linked/a.wav"]


def test_the_output_does_not_depend_on_the_number_of_workers(tmp_path, capsys):
    people = write_people(tmp_path / "people", 10, sounds=5, seconds=0.6)
    prepare(people, tmp_path / "one", workers=1, clips_per_shard=7)
    prepare(people, tmp_path / "two", workers=2, clips_per_shard=7)
    assert len(contents(tmp_path / "one")) > 5
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert "50 of 50 sounds" in capsys.readouterr().err


def test_the_same_again_does_nothing_and_another_is_refused(tmp_path, capsys):
    people = write_people(tmp_path / "people", 4)
    description = prepare(people, tmp_path / "clips")
    before = contents(tmp_path / "clips")
    assert prepare(people, tmp_path / "clips") == description
    assert "already made" in capsys.readouterr().err
    with pytest.raises(pairs.PairsError, match="other files or other settings"):
        prepare(people, tmp_path / "clips", face_size=48)
    write_sound(people / "p000" / "new.wav", tone(1.0))
    with pytest.raises(pairs.PairsError, match="other files or other settings"):
        prepare(people, tmp_path / "clips")
    assert contents(tmp_path / "clips") == before


def test_what_cannot_work_is_refused_before_any_work(tmp_path):
    people = write_people(tmp_path / "people", 3)
    output = tmp_path / "clips"
    with pytest.raises(pairs.PairsError, match="is not a folder"):
        prepare(tmp_path / "nowhere", output)
    (tmp_path / "empty").mkdir()
    with pytest.raises(pairs.PairsError, match="one a speaker is expected"):
        prepare(tmp_path / "empty", output)
    write_still(people / "mute" / "a.jpg")
    with pytest.raises(pairs.PairsError, match=r"3 speakers .* 4 are needed.*1 no sound \(such as mute\)"):
        prepare(people, output)
    with pytest.raises(pairs.PairsError, match="would be taken for a speaker"):
        prepare(people, people / "clips")
    write_people(people, 4)
    assert not output.exists()
    output.mkdir()
    (output / "thesis.txt").write_text("do not lose")
    with pytest.raises(pairs.PairsError, match="not empty"):
        prepare(people, output)
    assert [path.name for path in output.iterdir()] == ["thesis.txt"]


def test_a_split_that_is_left_without_clips_makes_no_corpus(tmp_path):
    people = write_people(tmp_path / "people", 4)
    for path in people.rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(pairs.PairsError, match=r"split 'train' is left with 0 of 2 speakers.*4 undecodable sound"):
        prepare(people, tmp_path / "clips")
    with pytest.raises(clip.CorpusError, match="is no corpus"):
        reader.Corpus(str(tmp_path / "clips"))


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clip, "write_shard", full)
    with pytest.raises(pairs.PairsError, match="clips cannot be written: .*No space left"):
        prepare(write_people(tmp_path / "people", 4), tmp_path / "clips")


def command(people, output, *flags):
    settings = [f"--{name}={value}" for name, value in dataclasses.asdict(SETTINGS).items()]
    job = [sys.executable, "-m", "pipelines.prepare", "--source=pairs", f"--input={people}", f"--output={output}"]
    return [*job, *settings, *flags]


@pytest.fixture
def slow_job(tmp_path):
    """A job of 12 shards, long enough to be killed in its middle."""
    people = write_people(tmp_path / "people", 8, sounds=6, seconds=20.0)
    job = command(people, tmp_path / "clips", "--workers=2", "--clips_per_shard=20")
    return people, tmp_path / "clips", job


def wait_for(condition, job):
    while not condition():
        assert job.poll() is None, "the job ended first"
        time.sleep(0.01)


def test_a_killed_job_leaves_nothing_half_and_goes_on(slow_job, tmp_path):
    people, output, job = slow_job
    killed = subprocess.Popen(job, cwd=ROOT, stderr=subprocess.PIPE)
    wait_for(lambda: any(output.glob("*.tfrecord")), killed)
    killed.kill()
    killed.communicate(timeout=30)  # its workers hold the other end of stderr: this returns when they have ended too
    with pytest.raises(clip.CorpusError, match="is no corpus"):
        reader.Corpus(str(output))
    with pytest.raises(pairs.PairsError, match="was begun with other files or other settings"):
        prepare(people, output, clips_per_shard=20, face_size=48)
    whole = {path.name: path.read_bytes() for path in output.glob("*.tfrecord")}
    prepare(people, tmp_path / "undisturbed", clips_per_shard=20)
    undisturbed = contents(tmp_path / "undisturbed")
    assert whole.items() <= undisturbed.items()
    assert len(whole) < len(undisturbed) - 1
    again = subprocess.run(job, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert contents(output) == undisturbed
    assert again.stdout.splitlines()[0].split() == ["train", "120", "clips", "4", "speakers", "0.13", "h"]


def test_a_worker_that_is_killed_ends_the_job_with_a_word(slow_job):
    _, output, job = slow_job
    running = subprocess.Popen(job, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    workers = []
    wait_for(lambda: workers.extend(int(path.name) for path in output.glob(".unfinished/[0-9]*")) or workers, running)
    os.kill(workers[0], signal.SIGKILL)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "error: a worker was killed" in said
    assert "Traceback" not in said


def test_the_command_says_what_is_wrong(tmp_path):
    ended = subprocess.run(
        command(tmp_path / "nowhere", tmp_path / "clips"), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"error: {tmp_path / 'nowhere'} is not a folder"
