import collections

import numpy as np
import pytest
import tensorflow as tf

from pipelines import results, shards, splits
from pipelines.extract import Settings
from pipelines.reasons import Drop, Reason
from pipelines.sources import Item
from s2f_tf.data import clip

SETTINGS = Settings(face_size=16, faces_per_clip=1, max_seconds=5.0, audio_format="wav")
VIDEOS, CLIPS, SPEAKERS = 90, 5, 30


def made(aside):
    """Results of made-up videos, as the job leaves them."""
    rows = [(f"s{index % SPEAKERS}", {"name": f"v{index}", "path": "v"}) for index in range(VIDEOS)]
    results.write_items(str(aside), rows)
    for part in results.buckets(str(aside)):
        for item in results.items(str(aside), "folder", part):
            rng = np.random.default_rng(int(item.name[1:]))
            found = [
                clip.Clip(f"{item.name}#{n}", item.speaker, np.zeros(rng.integers(50, 400), np.float32), (b"face",))
                for n in range(CLIPS)
            ]
            drop = Drop(Reason.NO_VOICE, f"{item.name} at 9.0-9.5 s")
            results.write(str(aside), item, results.key(item, SETTINGS), [*found, drop], "wav")


def written(aside, output, shard_bytes):
    output.mkdir(exist_ok=True)
    summaries = [shards.summary(str(aside), "folder", part) for part in results.buckets(str(aside))]
    planned = shards.plan(str(aside), "folder", reversed(summaries), shard_bytes)
    for shard in planned:
        shards.write(str(aside), "folder", str(output), shard)
    return planned


def ids(path):
    return [clip.decode(record.numpy()).id for record in tf.data.TFRecordDataset(str(path))]


@pytest.mark.parametrize("shard_bytes", [9_000, 1_000_000])
def test_every_clip_is_in_one_shard_of_its_split_and_none_is_too_large(tmp_path, shard_bytes):
    made(tmp_path / "aside")
    planned = written(tmp_path / "aside", tmp_path / "out", shard_bytes)
    found = {path: ids(path) for split in clip.SPLITS for path in clip.shards(str(tmp_path / "out"), split)}
    assert collections.Counter(sum(found.values(), [])) == {f"v{i}#{n}": 1 for i in range(VIDEOS) for n in range(CLIPS)}
    assert [shard.name for shard in planned] == [path.split("/")[-1] for path in found]
    largest = max((tmp_path / "out" / shard.name).stat().st_size for shard in planned)
    assert largest <= shard_bytes + 1_200  # one clip more, at most
    held = shards.corpus(str(tmp_path / "aside"))
    for split in clip.SPLITS:
        of_split = [id_ for path, some in found.items() if f"/{split}-" in path for id_ in some]
        speakers = {int(id_[1:].split("#")[0]) % SPEAKERS for id_ in of_split}
        assert held["clips"][split] == len(of_split) and held["speakers"][split] == len(speakers)
        assert all((len(of_split) >= 16) or shard.count == 1 for shard in planned if shard.split == split)
    assert held["dropped"] == {"no voice": VIDEOS} and held["examples"] == {"no voice": "v0 at 9.0-9.5 s"}


def test_a_shard_that_is_there_is_left_and_one_of_other_results_is_written_again(tmp_path):
    made(tmp_path / "aside")
    planned = written(tmp_path / "aside", tmp_path / "out", 9_000)
    before = {shard.name: (tmp_path / "out" / shard.name).stat().st_mtime_ns for shard in planned}
    written(tmp_path / "aside", tmp_path / "out", 9_000)
    assert before == {shard.name: (tmp_path / "out" / shard.name).stat().st_mtime_ns for shard in planned}
    item = Item("v7", "s7", "v")
    again = clip.Clip("v7#new", "s7", np.zeros(100, np.float32), (b"face",))
    results.write(str(tmp_path / "aside"), item, "other", [again], "wav")
    planned = written(tmp_path / "aside", tmp_path / "out", 9_000)
    shards.remove_others(str(tmp_path / "out"), [shard.name for shard in planned])
    found = [id_ for split in clip.SPLITS for path in clip.shards(str(tmp_path / "out"), split) for id_ in ids(path)]
    assert len(found) == VIDEOS * CLIPS - CLIPS + 1 and "v7#new" in found
    assert not list((tmp_path / "aside").rglob("*.part"))


def test_the_row_of_the_corpus_is_that_of_the_speakers(tmp_path):
    made(tmp_path / "aside")
    parts = results.buckets(str(tmp_path / "aside"))
    order = [item.speaker for part in parts for item in results.items(str(tmp_path / "aside"), "folder", part)]
    assert order == sorted(order, key=splits.place) and len(order) == VIDEOS
