import collections
import contextlib
import io
import pathlib
import subprocess
import sys
import time
from concurrent import futures

import commands
import cv2
import numpy as np
import pillow_heif
import pytest
import soundfile
import tensorflow as tf
import videos
from files import tone, write_sound, write_still
from PIL import Image

from pipelines import job, results
from s2f_tf import face_detection
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip, reader

ROOT = pathlib.Path(__file__).parents[2]


def write_people(folder, count, sounds=1, stills=1, seconds=1.0):
    for speaker in range(count):
        for index in range(stills):
            write_still(folder / f"p{speaker:03d}" / f"{index}.png", videos.portrait(shift=8 * index))
        for index in range(sounds):
            write_sound(folder / f"p{speaker:03d}" / "sound" / f"{index}.wav", tone(seconds, 100 + speaker + index))
    return folder


def records(output):
    paths = [path for split in clip.SPLITS for path in clip.shards(str(output), split)]
    return [clip.decode(record.numpy()) for record in tf.data.TFRecordDataset(paths)]


def contents(output):
    assert not any(path.name.startswith(".") for path in output.iterdir())
    return {path.name: path.read_bytes() for path in output.iterdir()}


def pixels(face):
    return np.asarray(Image.open(io.BytesIO(face)).convert("RGB")).astype(float)


def flags(people, output, source="pairs"):
    """Of the command that makes what the fixture `prepare` does."""
    return [f"--source={source}", f"--input={people}", f"--output={output}", *videos.FLAGS]


@pytest.fixture(scope="module")
def portrait():
    """The face of every still, as it ought to come out."""
    picture = videos.portrait()
    return face_detection.align(picture, face_detection.shared_detector().find([picture])[0][0], 48).astype(float)


def test_every_kind_of_sound_becomes_a_clip_that_training_reads(prepare, tmp_path):
    people = write_people(tmp_path / "people", 8)
    for suffix in (".WAV", ".flac", ".mp3", ".ogg", ".m4a"):
        write_sound(people / "p000" / "deeper" / "still" / f"voice{suffix}", tone(1.0, rate=44_100), rate=44_100)
    description = prepare("pairs", people, tmp_path / "clips")
    assert description["dropped"] == {}
    found = {c.id: c for c in records(tmp_path / "clips")}
    assert len(found) == 8 + 5 == sum(description["clips"].values())
    for suffix in (".WAV", ".flac", ".mp3", ".ogg", ".m4a"):
        voice = found[f"p000/deeper/still/voice{suffix}"]
        assert voice.speaker == "p000"
        assert abs(len(voice.waveform) / SAMPLE_RATE - 1.0) < 0.1
        assert pixels(voice.faces[0]).shape == (48, 48, 3)
    corpus = reader.Corpus(str(tmp_path / "clips"))
    speakers = {split: {c.speaker for c in reader.clips(corpus, split, 16)} for split in clip.SPLITS}
    assert {split: len(names) for split, names in speakers.items()} == description["speakers"]
    assert len(set.union(*speakers.values())) == 8 == sum(description["speakers"].values())


def test_the_face_is_found_and_aligned_in_every_kind_of_still(prepare, portrait, tmp_path):
    people = write_people(tmp_path / "people", 4)
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the reader has to turn it back by 90 degrees clockwise
    whole = Image.fromarray(videos.portrait())
    aside = np.hstack([videos.landscape(0, 1)[0], videos.portrait()])  # the middle square holds half of the face
    grey = np.asarray(whole.convert("L"))
    for name, picture, save in (
        ("turned.jpg", whole.transpose(Image.Transpose.ROTATE_90), {"exif": exif, "quality": 95}),
        ("aside.png", aside, {}),
        ("print.jpg", whole.convert("CMYK"), {"quality": 95}),
        ("deep.png", grey.astype(np.uint16) * 257, {}),
        ("grey.PNG", grey, {}),
        ("clear.png", whole.convert("RGBA"), {}),
        ("moving.webp", whole, {"save_all": True, "append_images": [Image.new("RGB", whole.size)], "quality": 95}),
        ("unsaid.jpg", whole.transpose(Image.Transpose.ROTATE_270), {"quality": 95}),
        ("head.jfif", whole.transpose(Image.Transpose.ROTATE_180), {"format": "JPEG", "quality": 95}),
        ("floats.tiff", Image.fromarray(grey.astype(np.float32) / 255), {}),
        ("phone.heic", whole, {"format": "HEIF", "quality": 95}),
    ):
        write_still(people / name.split(".")[0] / name, picture, **save)
        write_sound(people / name.split(".")[0] / "a.wav", tone(0.6))
    description = prepare("pairs", people, tmp_path / "clips")
    assert description["dropped"] == {}
    for found in records(tmp_path / "clips"):
        face, like = pixels(found.faces[0]), portrait
        if found.speaker in ("deep", "grey", "floats"):
            like = cv2.cvtColor(portrait.astype(np.uint8), cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=2)
        assert np.corrcoef(face[8:40, 8:40].ravel(), like[8:40, 8:40].ravel())[0, 1] > 0.95, found.speaker
        assert abs(face.mean() - like.mean()) < 12, found.speaker


def test_what_cannot_be_used_is_named_and_counted_and_stops_nothing(prepare, tmp_path):
    people = write_people(tmp_path / "people", 6)
    first = people / "p000"
    (first / "not-a-still.jpg").write_bytes(b"not a still")
    whole = (first / "0.png").read_bytes()
    (first / "truncated.png").write_bytes(whole[: len(whole) // 2])
    write_still(first / "black.png", np.zeros((240, 320, 3), np.uint8))
    write_still(first / "landscape.png", videos.landscape(1, 1)[0])
    write_still(first / "two.png", videos.two_faces(1)[0])
    write_still(first / "far.png", cv2.resize(videos.portrait(), (96, 72), interpolation=cv2.INTER_AREA))
    write_still(first / "blurred.png", cv2.GaussianBlur(videos.portrait(), (0, 0), 6))
    (first / "empty.wav").write_bytes(b"")
    (first / "noise.mp3").write_bytes(bytes(range(256)) * 8)
    write_sound(first / "silent.wav", np.zeros(SAMPLE_RATE, np.float32))
    write_sound(first / "faint.wav", tone(1.0) / 10_000)
    write_sound(first / "short.flac", tone(0.3))
    write_still(people / "mute" / "a.png")
    write_sound(people / "unseen" / "a.wav", tone(1.0))
    write_sound(people / "faceless" / "a.wav", tone(1.0))
    (people / "faceless" / "a.png").write_bytes(b"")
    (people / ".hidden").mkdir()
    (people / "a file beside the folders.txt").write_text("passed over")
    description = prepare("pairs", people, tmp_path / "clips", face_size=96)
    assert description["dropped"] == {
        "undecodable": 5,
        "no sound": 1,
        "silent": 2,
        "too short": 1,
        "no face": 1,
        "several faces": 1,
        "face too small": 1,
        "blurred": 1,
        "blank": 1,
        "no still": 2,
    }
    assert description["examples"] == {
        "undecodable": "faceless/a.png",
        "no sound": "mute",
        "silent": "p000/faint.wav",
        "too short": "p000/short.flac",
        "no face": "p000/landscape.png",
        "several faces": "p000/two.png",
        "face too small": "p000/far.png",
        "blurred": "p000/blurred.png",
        "blank": "p000/black.png",
        "no still": "faceless",
    }
    assert sum(description["clips"].values()) == len(records(tmp_path / "clips")) == 6
    assert "5 undecodable (such as faceless/a.png)" in job.summary(description)


def test_stills_that_are_aligned_already_are_taken_as_they_are(prepare, tmp_path):
    people = write_people(tmp_path / "people", 4)
    still = Image.new("RGB", (300, 100), "red")
    still.paste("blue", (100, 0, 200, 50))  # the middle square: blue above, green below
    still.paste("green", (100, 50, 200, 100))
    write_still(people / "drawn" / "a.png", still)
    write_still(people / "drawn" / "small.png", still.resize((60, 20)))
    write_still(people / "drawn" / "black.png", Image.new("RGB", (100, 100)))
    write_sound(people / "drawn" / "a.wav", tone(0.6))
    description = prepare("pairs", people, tmp_path / "clips", align=False)
    assert description["examples"] == {"face too small": "drawn/small.png", "blank": "drawn/black.png"}
    (drawn,) = [c for c in records(tmp_path / "clips") if c.speaker == "drawn"]
    face = pixels(drawn.faces[0])
    assert np.abs(face[4:20, 4:44].mean((0, 1)) - [0, 0, 255]).max() < 12
    assert np.abs(face[28:44, 4:44].mean((0, 1)) - [0, 128, 0]).max() < 12


def test_stills_are_dealt_out_in_turn(prepare, tmp_path):
    people = write_people(tmp_path / "people", 4)
    for index in range(7):
        write_still(people / "many" / f"{index}.png", videos.portrait(shift=20 * index))
        write_sound(people / "many" / f"{index}.wav", tone(0.6))
    prepare("pairs", people, tmp_path / "clips", faces_per_clip=3, align=False)
    used = collections.Counter(f for c in records(tmp_path / "clips") if c.speaker == "many" for f in c.faces)
    assert sorted(used.values()) == [3] * 7


def test_a_long_sound_is_cut_into_equal_pieces(prepare, tmp_path):
    people = write_people(tmp_path / "people", 4)
    write_sound(people / "p000" / "long.wav", tone(10.0))
    prepare("pairs", people, tmp_path / "clips", max_seconds=4.0, align=False)
    pieces = [c for c in records(tmp_path / "clips") if c.id.startswith("p000/long.wav")]
    assert [c.id for c in pieces] == [f"p000/long.wav#{i}" for i in range(3)]
    assert max(abs(len(c.waveform) - 10 * SAMPLE_RATE / 3) for c in pieces) <= 1
    np.testing.assert_allclose(np.concatenate([c.waveform for c in pieces]), tone(10.0), atol=2**-14)


def test_a_quiet_sound_is_raised_before_it_is_rounded(prepare, tmp_path):
    people = write_people(tmp_path / "people", 4)
    soundfile.write(people / "p000" / "quiet.wav", tone(1.0) / 1000, SAMPLE_RATE, subtype="FLOAT")
    prepare("pairs", people, tmp_path / "clips", align=False)
    (quiet,) = [c for c in records(tmp_path / "clips") if c.id.startswith("p000/quiet.wav")]
    np.testing.assert_allclose(quiet.waveform, tone(1.0) / 2, atol=2**-14)


def test_folders_may_be_links_and_lead_back_up(prepare, tmp_path):
    people = write_people(tmp_path / "people", 4)
    write_still(tmp_path / "elsewhere" / "a.png")
    (people / "linked").mkdir()
    (people / "linked" / "stills").symlink_to(tmp_path / "elsewhere")
    (people / "linked" / "again").symlink_to(people / "linked")
    write_sound(people / "linked" / "a.wav", tone(0.6))
    prepare("pairs", people, tmp_path / "clips", align=False)
    assert [c.id for c in records(tmp_path / "clips") if c.speaker == "linked"] == ["linked/a.wav"]


def test_an_interrupted_job_goes_on_in_other_processes_and_two_workers_write_what_one_does(
    prepare, tmp_path, monkeypatch
):
    people = write_people(tmp_path / "people", 12, sounds=4, stills=2)
    (people / "p003" / "1.png").write_bytes(b"")
    prepare("pairs", people, tmp_path / "one")

    def done():
        found = {}
        with contextlib.suppress(FileNotFoundError):  # the job ends with removing them, and the folders
            for path in (tmp_path / "two").glob(".unfinished/videos/*/*.json"):
                found[path] = path.stat().st_mtime_ns
        return found

    write = results.write

    def write_some(*arguments):
        if len(done()) == 4:
            raise SystemExit
        write(*arguments)

    monkeypatch.setattr(results, "write", write_some)
    with pytest.raises(RuntimeError, match="SystemExit"):
        prepare("pairs", people, tmp_path / "two")
    monkeypatch.undo()
    kept = done()
    assert len(kept) == 4
    with pytest.raises(clip.CorpusError, match="is no corpus"):
        reader.Corpus(str(tmp_path / "two"))
    with futures.ThreadPoolExecutor() as pool:
        again = pool.submit(commands.run, "pipelines.prepare", *flags(people, tmp_path / "two"), "--workers=2")
        while not again.done() and (found := done()):
            assert {path: found[path] for path in kept if path in found}.items() <= kept.items()  # no work done twice
            time.sleep(0.1)
    ended = again.result()
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stderr.startswith(f"looking through {people}")
    assert "12 of 12 speakers" in ended.stderr
    assert "1 undecodable (such as p003/1.png)" in ended.stdout
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_the_command_says_something_before_it_imports_what_is_slow():
    look = "import sys; import pipelines.prepare; print({'tensorflow', 'apache_beam', 'cv2'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert told.stdout == "set()\n", told.stderr


def test_stills_alone_are_taken_as_they_are(tmp_path):
    told = commands.run("pipelines.prepare", *flags(tmp_path, tmp_path / "clips", source="folder"), "--noalign")
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].startswith("error: --noalign is for stills")
