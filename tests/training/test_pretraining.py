import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.config import ConfigError
from s2f_tf.data import reader
from s2f_tf.models import trained
from s2f_tf.training import stages
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


def test_matching_goes_on_from_what_pretraining_left_and_a_run_that_stopped_ends_as_one_that_did_not(
    settings, tiny_corpus, strategies, tmp_path, trained_whole_and_stopped
):
    corpus = reader.Corpus(tiny_corpus)

    def train(folder, settings=settings):
        stages.claim(str(folder), settings)
        stages.train_matching(settings, corpus, str(folder), strategies[1], clips=None)

    folders = trained_whole_and_stopped(train, HALVES.values(), "pretraining_face", 2)
    for folder in folders:
        for half in HALVES:
            assert (folder / f"pretraining_{half}" / "log.jsonl").read_text().count("agreement") == 4
    train(tmp_path / "afresh", config.override(settings, {"pretraining.voice_steps": 0, "pretraining.face_steps": 0}))
    one, other = (
        trained.load_network("face_encoder", str(folder)).get_weights() for folder in (folders[0], tmp_path / "afresh")
    )
    assert not np.array_equal(one[0], other[0])


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
