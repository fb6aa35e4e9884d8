import os
import pathlib

import commands
import corpora
import pytest

from pipelines import exclusion, holdings, results
from s2f_tf.data import clip, reader
from s2f_tf.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]


class KilledError(BaseException):
    pass


@pytest.fixture(scope="module")
def everything(tiny_corpus):
    return contents(tiny_corpus)


@pytest.fixture
def corpus(tiny_corpus, tmp_path):
    return corpora.copy(tiny_corpus, tmp_path / "clips", examples={}, seconds={})


def contents(folder):
    """The clips of each shard."""
    paths = [path for split in clip.SPLITS for path in clip.shards(str(folder), split)]
    return {os.path.basename(path): [one for _, one in holdings.clips(path)] for path in paths}


def ids(shards, without=()):
    return {name: [c.id for c in clips if c and c.speaker not in without] for name, clips in shards.items()}


def speakers(shards, split):
    return sorted({one.speaker for name, clips in shards.items() if name.startswith(split) for one in clips})


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def delete(folder, *who):
    return exclusion.delete(str(folder), who)


def test_a_speaker_goes_and_nothing_else_does(corpus, everything):
    before = files(corpus)
    who = speakers(everything, "train")[1]
    done = delete(corpus, who)
    holding = {name for name, clips in everything.items() if any(one.speaker == who for one in clips)}
    after = files(corpus)
    assert {name for name in after if after[name] != before[name]} == holding | {"corpus.json"}
    assert done.rewritten == len(holding)
    assert done.clips == {who: sum(one.speaker == who for clips in everything.values() for one in clips)}
    assert done.clips[who] > 0 and done.others == done.damaged == 0
    assert ids(contents(corpus)) == ids(everything, without={who})
    for name in holding:
        assert who.encode() not in after[name]


def test_the_counts_are_those_of_what_is_left_and_training_reads_it(corpus, everything):
    told = corpora.description(corpus)
    first, second = speakers(everything, "train")[0], speakers(everything, "test")[0]
    done = delete(corpus, first, second)
    left = corpora.description(corpus)
    assert left == done.description
    for split, count in (("train", 1), ("validation", 0), ("test", 1)):
        assert left["speakers"][split] == told["speakers"][split] - count
    lost = done.clips[first] + done.clips[second]
    assert sum(left["clips"].values()) == sum(told["clips"].values()) - lost
    for split in clip.SPLITS:
        found = list(reader.clips(reader.Corpus(str(corpus)), split, told["face_size"]))
        assert len(found) == left["clips"][split]
        assert left["seconds"][split] == pytest.approx(sum(len(one.waveform) for one in found) / 16_000, abs=0.1)


def test_who_is_excluded_is_remembered_by_a_hash_alone(corpus, everything):
    who = speakers(everything, "train")[0]
    corpora_json = corpora.description(corpus)
    corpora_json["examples"] = {"no face": f"{who}/a.mp4", "silent": f"{who}1/a.mp4", "no voice": "b.mp4"}
    clip.write_description(str(corpus), corpora_json)
    delete(corpus, who)
    assert exclusion.remembered(str(corpus)) == {exclusion.digest(who)}
    examples = corpora.description(corpus)["examples"]
    assert examples == {"no face": "of a speaker who is excluded", "silent": f"{who}1/a.mp4", "no voice": "b.mp4"}
    delete(corpus, speakers(everything, "train")[1])
    assert len(exclusion.remembered(str(corpus))) == 2
    assert exclusion.remembered(str(corpus.parent)) == frozenset()  # no corpus is there yet


def test_nobody_of_that_name_changes_nothing(corpus, everything):
    before = files(corpus)
    with pytest.raises(exclusion.ExclusionError, match="no clip of speaker 'nobody'"):
        delete(corpus, "nobody", speakers(everything, "train")[0])
    assert files(corpus) == before


def test_the_same_again_does_nothing(corpus, everything):
    who = speakers(everything, "train")[0]
    delete(corpus, who)
    before = files(corpus)
    done = delete(corpus, who)
    assert (done.clips, done.rewritten) == ({who: 0}, 0)
    assert files(corpus) == before


def test_killed_at_any_moment_each_shard_is_before_or_after_and_the_same_command_completes_it(
    corpus, everything, tmp_path, monkeypatch
):
    who = (speakers(everything, "train")[0], speakers(everything, "test")[0])
    undisturbed = corpora.copy(corpus, tmp_path / "undisturbed")
    delete(undisturbed, *who)
    expected, before, after = files(undisturbed), ids(everything), ids(everything, without=who)
    replace = os.replace
    changed = sum(before[name] != after[name] for name in before)
    for moment in range(changed + 2):  # corpus.json, each shard, and corpus.json again
        folder = corpora.copy(corpus, tmp_path / f"at-{moment}")
        left = iter(range(moment))

        def killed(source, target, left=left):
            if next(left, None) is None:
                raise KilledError
            replace(source, target)

        with monkeypatch.context() as patch, pytest.raises(KilledError):
            patch.setattr(os, "replace", killed)
            patch.setattr(os, "remove", lambda path: None)  # what is killed tidies nothing up
            delete(folder, *who)
        for name, found in ids(contents(folder)).items():
            assert found in (before[name], after[name]), f"{name} before rename {moment}"
        delete(folder, *who)
        assert files(folder) == expected


def test_an_interrupted_deletion_is_completed_by_the_next_of_anybody(corpus, everything, monkeypatch):
    first, second = speakers(everything, "train")[:2]
    with monkeypatch.context() as patch:
        patch.setattr(exclusion, "_rewrite", lambda *_: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            delete(corpus, first)
    assert exclusion.remembered(str(corpus)) == {exclusion.digest(first)}
    done = delete(corpus, second)
    assert done.others > 0
    assert ids(contents(corpus)) == ids(everything, without={first, second})


def test_what_is_damaged_goes_as_well_since_nobody_can_tell_whose_it_was(corpus, everything):
    shard = corpus / next(name for name in everything if name.startswith("test"))
    corpora.flip(shard, 100)
    shard.write_bytes(shard.read_bytes()[:-10])
    done = delete(corpus, speakers(everything, "train")[0])
    assert done.damaged == 2
    assert ids(contents(corpus))[shard.name] == ids(everything)[shard.name][1:-1]
    assert not holdings.ends_broken(str(shard))


def test_what_the_making_of_the_corpus_left_behind_goes_too(corpus, everything):
    (corpus / results.FOLDER / "videos").mkdir(parents=True)
    (corpus / results.FOLDER / "videos" / "somebody.tfrecord").write_bytes(b"a face")
    (corpus / "train-00000-of-00001.tfrecord.part").write_bytes(b"a face")
    (corpus / "notes.txt").write_text("kept")
    delete(corpus, speakers(everything, "train")[0])
    left = {path.name for path in corpus.iterdir()}
    assert left == {*everything, "corpus.json", "notes.txt"}


def test_a_folder_that_is_no_corpus_and_one_with_broken_memory_are_refused(corpus, tmp_path):
    with pytest.raises(clip.CorpusError, match="does not exist"):
        delete(tmp_path, "anybody")
    clip.write_description(str(corpus), corpora.description(corpus) | {"excluded": ["anna"]})
    with pytest.raises(clip.CorpusError, match="holds hashes of speakers"):
        delete(corpus, "anybody")


def test_speakers_are_named_one_by_one_or_in_a_file(tmp_path):
    listed = tmp_path / "ids.txt"
    listed.write_text("id10001\n\nanna maria\r\nÉmile\n", encoding="utf-8")
    assert exclusion.read_speakers(["ben", f"@{listed}"]) == {"ben", "id10001", "anna maria", "Émile"}
    listed.write_bytes(b"\xef\xbb\xbfben\r\n")
    assert exclusion.read_speakers([f"@{listed}"]) == {"ben"}
    listed.write_bytes(b"\xff\xfe")
    for value, said in ((f"@{listed}", "UTF-16"), (f"@{tmp_path / 'nowhere'}", "cannot be read")):
        with pytest.raises(UserError, match=said):
            exclusion.read_speakers([value])
    with pytest.raises(exclusion.ExclusionError, match="without a name"):
        exclusion.read_speakers([""])


def test_the_command_says_what_went(corpus, everything):
    *_, who, last = speakers(everything, "validation")
    ended = commands.run("pipelines.exclude", f"--corpus={corpus}", f"--speaker={who}", f"--speaker={last}")
    assert ended.returncode == 0, ended.stderr
    count = sum(one.speaker == who for clips in everything.values() for one in clips)
    assert f"{who}: {count} clips deleted\n" in ended.stdout
    assert "2 speakers are excluded" in ended.stdout
    left = corpora.description(corpus)["speakers"]["validation"]
    assert (f"split 'validation' is left with {left} speakers" in ended.stdout) == (left < 1)
