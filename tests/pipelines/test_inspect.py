import io
import os

import commands
import corpora
import numpy as np
import pytest
from PIL import Image

from pipelines import contact_sheet, holdings
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import clip
from s2f_tf.data.clip import Clip


@pytest.fixture(scope="module")
def found(tiny_corpus):
    return holdings.look(tiny_corpus, sample=8, seed=3)


@pytest.fixture(scope="module")
def everything(tiny_corpus):
    paths = [path for split in clip.SPLITS for path in clip.shards(tiny_corpus, split)]
    return [one for path in paths for _, one in holdings.clips(path)]


def test_what_is_counted_is_what_is_there(found, everything, tiny_corpus):
    assert found.clips == clip.read_description(tiny_corpus)["clips"]
    assert found.damaged == 0 and not any(found.lost.values())
    seconds = np.array([len(one.waveform) / SAMPLE_RATE for one in everything])
    assert sum(found.seconds.values()) == pytest.approx(seconds.sum())
    for share in (0.05, 0.5, 0.95):
        assert found.durations.quantile(share) == pytest.approx(np.quantile(seconds, share), abs=0.1)
    assert found.faces.total() == len(everything)
    assert sum(n * count for n, count in found.faces.items()) == found.sides.total() == found.face_bytes.bins.sum()
    size = clip.read_description(tiny_corpus)["face_size"]
    assert set(found.sides) == {(size, size)}


def test_the_same_seed_draws_the_same_clips_and_another_others(found, tiny_corpus):
    ids = [one.id for one in found.sample]
    assert len(set(ids)) == 8
    assert [one.id for one in holdings.look(tiny_corpus, 8, 3).sample] == ids
    assert [one.id for one in holdings.look(tiny_corpus, 8, 4).sample] != ids


def test_every_clip_is_drawn_where_more_are_asked_for_than_there_are(tiny_corpus, everything):
    sample = holdings.look(tiny_corpus, len(everything) + 5, 1).sample
    assert sorted(one.id for one in sample) == sorted(one.id for one in everything)


def test_quantiles_of_counts():
    counts = holdings.Counts(holdings.Scale(0.5, 10))
    assert np.isnan(counts.quantile(0.5))
    for value in (0.1, 1.1, 1.2, 99.0):
        counts.add(value)
    assert [counts.quantile(share) for share in (0, 0.25, 0.5, 1)] == [0.25, 0.25, 1.25, 4.75]


def test_the_sheet_shows_faces_and_sound(everything):
    loud_in_its_second_half = np.repeat([0, 1], 8000).astype(np.float32) * np.tile([1, -1], 8000)
    one = everything[0]
    clips = [Clip("a", "a speaker\n" * 20, loud_in_its_second_half, (one.faces[0], b"no picture")), one, one, one]
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet.draw(clips)))).astype(int)
    alone = np.asarray(Image.open(io.BytesIO(contact_sheet.draw(clips[:1]))))
    assert sheet.shape[1] == alone.shape[1] and sheet.shape[0] > 1.7 * alone.shape[0]
    face = np.asarray(Image.open(io.BytesIO(one.faces[0])).resize((72, 72), Image.Resampling.LANCZOS)).astype(int)
    np.testing.assert_array_equal(sheet[12:84, 12:84], face)
    blue = (sheet[84:120, 12:300] == (0x2F, 0x6F, 0x9F)).all(-1).sum(0)
    assert blue[:140].max() <= 2 and blue[150:].min() >= 10


def test_the_command_tells_what_a_person_wants_to_know(tiny_corpus, tmp_path, monkeypatch):
    folder = corpora.copy(
        tiny_corpus, tmp_path / "clips", dropped={"no face": 3, "no voice": 1}, examples={"no face": "a.mp4"}
    )
    first = folder / os.path.basename(clip.shards(str(folder), "train")[0])
    corpora.flip(first, 100)
    last = folder / os.path.basename(clip.shards(str(folder), "test")[-1])
    last.write_bytes(last.read_bytes()[:-10])
    monkeypatch.chdir(tmp_path)
    ended = commands.run("pipelines.inspect", "clips", "--clips=5", "--out=sheet.png")
    assert ended.returncode == 0, ended.stderr
    told = corpora.description(folder)
    lines = {line[:11].strip(): line for line in ended.stdout.splitlines()}
    assert f"{told['clips']['train'] - 1:,} clips" in lines["train"] and "lost" not in lines["train"]
    assert f"{told['clips']['test'] - 1:,} clips" in lines["test"] and "1 clips lost" in lines["test"]
    assert f"{told['speakers']['validation']} speakers" in lines["validation"]
    assert f"damaged    1 records: {first.name} record 0" in ended.stdout
    assert "dropped    3 no face (such as a.mp4)" in ended.stdout and "dropped    1 no voice\n" in ended.stdout
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 800 and sheet.height > 200
    assert sorted(os.listdir(tmp_path)) == ["clips", "sheet.png"]


def test_a_folder_that_is_no_corpus_and_a_missing_shard_are_refused(tiny_corpus, tmp_path):
    with pytest.raises(clip.CorpusError, match="does not exist"):
        holdings.look(str(tmp_path), 1, 1)
    folder = corpora.copy(tiny_corpus, tmp_path / "clips")
    os.remove(clip.shards(str(folder), "test")[0])
    os.remove(clip.shards(str(folder), "train")[0])
    with pytest.raises(clip.CorpusError, match="not one whole set"):
        holdings.look(str(folder), 1, 1)
