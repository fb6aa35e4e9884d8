import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.config import ConfigError
from s2f_tf.data import reader
from s2f_tf.models import trained
from s2f_tf.training import loop, stages
from s2f_tf.training.pretraining import HALVES, PretrainingTrainer

# Other voices, of a worker's own share, would tell one device from two.
CLEAN = {"pretraining.channel": 0.0, "pretraining.noise_db": -120.0, "pretraining.babble": 0.0}
SETTINGS = CLEAN | {"pretraining.voice_steps": 4, "pretraining.face_steps": 4, "pretraining.batch_size": 8}
SETTINGS |= {"pretraining.warmup_steps": 1, "loop.checkpoint_every": 2, "matching.steps": 2}


@pytest.fixture(scope="module")
def settings(tiny):
    return config.override(tiny, SETTINGS)


def make_trainer(settings, strategy, half, steps=4):
    keras.utils.set_random_seed(3)
    with strategy.scope():
        return PretrainingTrainer(settings, half, steps, "pretraining")


def batch_of(corpus, half, settings):
    dataset = reader.views(reader.Corpus(corpus), "train", settings.data, half, batch_size=8, seed=1)
    return next(iter(dataset.take(1)))


@pytest.mark.parametrize("half", HALVES)
def test_two_views_learn_to_find_each_other(settings, tiny_corpus, strategies, half):
    trainer = make_trainer(settings, strategies[1], half, steps=40)
    batch = batch_of(tiny_corpus, half, settings)
    step = tf.function(lambda: strategies[1].run(trainer.train_step, args=(batch,)))
    told = [{name: float(value) for name, value in step().items()} for _ in range(40)]
    assert told[-1]["loss"] < 0.7 * told[0]["loss"]
    assert 0 <= told[0]["agreement"] <= told[-1]["agreement"] <= 1


@pytest.mark.parametrize("half", HALVES)
def test_two_devices_make_the_step_of_one(settings, tiny_corpus, strategies, half):
    batch = batch_of(tiny_corpus, half, settings)
    found = []
    for devices in (1, 2):
        trainer = make_trainer(settings, strategies[devices], half)
        shares = strategies[devices].experimental_distribute_values_from_function(
            lambda context, n=devices: {k: tf.split(v, n)[context.replica_id_in_sync_group] for k, v in batch.items()}
        )
        told = strategies[devices].run(trainer.train_step, args=(shares,))
        found.append({name: float(strategies[devices].reduce("SUM", value, None)) for name, value in told.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def run(settings, corpus, workdir, strategy):
    """Matching, with what goes before it."""
    stages.train_matching(settings, corpus, workdir, strategy, clips=None)


def test_matching_goes_on_from_what_pretraining_left_and_a_run_that_stopped_ends_as_one_that_did_not(
    settings, tiny_corpus, strategies, tmp_path, monkeypatch
):
    corpus = reader.Corpus(tiny_corpus)
    ended = []
    for name in ("whole", "stopped"):
        workdir = str(tmp_path / name)
        stages.claim(workdir, settings)
        if name == "stopped":
            # What S learns before is not stopped.
            shutil.copytree(tmp_path / "whole" / "pretraining_waveform", tmp_path / name / "pretraining_waveform")
            save = loop.Loop._save

            def stop(self, step, positions, save=save):
                save(self, step, positions)
                if step == 2 and self.trainer.name == "pretraining_face":
                    raise loop.Interrupted("as by a signal")

            with monkeypatch.context() as patch, pytest.raises(loop.Interrupted):
                patch.setattr(loop.Loop, "_save", stop)
                run(settings, corpus, workdir, strategies[1])
        run(settings, corpus, workdir, strategies[1])
        ended.append([trained.load_network(name, workdir).get_weights() for name in HALVES.values()])
        for half in HALVES:
            assert (tmp_path / name / f"pretraining_{half}" / "log.jsonl").read_text().count("agreement") == 4
    for one, other in zip(*ended, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    afresh = config.override(settings, {"pretraining.voice_steps": 0, "pretraining.face_steps": 0})
    stages.claim(str(tmp_path / "afresh"), afresh)
    run(afresh, corpus, str(tmp_path / "afresh"), strategies[1])
    assert not np.array_equal(
        trained.load_network("face_encoder", str(tmp_path / "afresh")).get_weights()[0], ended[0][1][0]
    )


def test_faces_that_nothing_would_learn_from_are_refused_before_any_work(tiny, tiny_corpus, tmp_path):
    corpus = reader.Corpus(tiny_corpus)
    for name, one in (("faces", "face"), ("voices", "voice")):
        with pytest.raises(ConfigError, match=f"--{name} is given, and pretraining.{one}_steps is 0"):
            stages.train(tiny, corpus, str(tmp_path), stages.Alone(**{name: [corpus]}))


def test_an_old_config_has_no_pretraining(tiny, tmp_path):
    config.save(tiny, str(tmp_path))
    path = tmp_path / "config.json"
    tree = json.loads(path.read_text())
    del tree["pretraining"]
    path.write_text(json.dumps(tree))
    assert config.load(str(tmp_path)) == tiny
