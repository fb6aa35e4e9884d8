import json
import pathlib
import resource
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.config import ConfigError
from s2f_tf.data import audio, clip, reader
from s2f_tf.training import loop
from s2f_tf.training.matching import MatchingTrainer
from s2f_tf.training.validation import MatchingValidation, load


@pytest.fixture(scope="module")
def make_loop(tiny, tiny_corpus, strategies):
    # Clean voices: in noise gradients are next to nothing, and Adam makes steps of their last bits.
    clean = {"data.channel": 0.0, "data.noise_db": -30.0, "data.noise_fall_db": 0.0, "data.babble": 0.0}

    def make(folder, devices=1, steps=4, corpus=tiny_corpus, validated=False, **settings):
        changed = config.override(tiny, {"loop.checkpoint_every": 2} | clean | settings)
        keras.utils.set_random_seed(3)
        with strategies[devices].scope():
            trainer = MatchingTrainer(changed)
        return loop.Loop(
            strategy=strategies[devices],
            trainer=trainer,
            corpus=reader.Corpus(corpus),
            config=changed,
            batch_size=changed.matching.batch_size,
            steps=steps,
            folder=str(folder),
            validate=MatchingValidation(changed, load(reader.Corpus(corpus), changed)) if validated else None,
            best_by="k2" if validated else None,
        )

    return make


@pytest.fixture(scope="module")
def whole(make_loop, tmp_path_factory):
    """A stage that has run its four steps; its folder is not to be written to."""
    stage = make_loop(tmp_path_factory.mktemp("whole"))
    stage.run()
    return stage


@pytest.fixture(scope="module")
def half_way(make_loop, tmp_path_factory):
    stage = make_loop(tmp_path_factory.mktemp("half"), steps=2)
    stage.run()
    return stage.folder


@pytest.fixture
def half(half_way, tmp_path):
    """A folder of a stage after two of those steps."""
    return shutil.copytree(half_way, tmp_path / "half")


@pytest.fixture
def misleading_corpus(tiny, tiny_corpus, tmp_path):
    """In the training split every voice has another's face, so that what is learnt by heart is of no use elsewhere."""
    folder = tmp_path / "misleading"
    shutil.copytree(tiny_corpus, folder)
    clips = list(reader.clips(reader.Corpus(tiny_corpus), "train", tiny.data.face_size))
    for path in folder.glob("train-*"):
        path.unlink()
    misled = []
    for found, other in zip(clips, clips[5:] + clips[:5], strict=True):
        faces = tuple(tf.io.encode_jpeg(tf.cast((face + 1) * 127.5, tf.uint8)).numpy() for face in other.faces)
        misled.append(clip.Clip(found.id, found.speaker, found.waveform, faces))
    clip.write_shard(str(folder), "train", 0, 1, misled, audio.default_format())
    return str(folder)


def weights(stage):
    return [v.numpy() for v in stage.trainer.state()]


def log(stage):
    with open(f"{stage.folder}/log.jsonl") as file:
        return [json.loads(line) for line in file]


def test_a_run_that_goes_on_ends_with_the_weights_of_one_that_was_not_interrupted(make_loop, whole, tmp_path):
    class Killed(BaseException):
        pass

    def die(step):
        raise Killed

    broken = make_loop(tmp_path, **{"loop.picture_every": 3})
    broken.picture = die  # after step 3 is logged, before step 4's checkpoint
    with pytest.raises(Killed):
        broken.run()
    again = make_loop(tmp_path)
    again.run()

    assert int(again.step) == int(whole.step) == 4
    assert int(again.position) == int(whole.position)
    for a, b in zip(weights(whole), weights(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert log(again) == log(whole)


def test_the_best_on_validation_is_kept_and_not_the_last(make_loop, misleading_corpus, tmp_path):
    stage = make_loop(
        tmp_path,
        steps=60,
        corpus=misleading_corpus,
        validated=True,
        **{"loop.validate_every": 5, "matching.learning_rate": 0.01, "matching.steps": 60},
    )
    kept = stage.validate(stage.run())["k2"]
    looks = {line["step"]: line for line in log(stage) if "validation_loss" in line}
    scores = {step: line["validation_k2"] for step, line in looks.items()}
    best = max(scores, key=scores.get)
    assert sorted(scores) == list(range(5, 61, 5))
    assert looks[60]["best_step"] == best < 60
    assert kept == pytest.approx(scores[best])
    assert looks[60]["loss"] < looks[5]["loss"]
    assert scores[60] < scores[best]

    again = make_loop(
        tmp_path,
        steps=60,
        corpus=misleading_corpus,
        validated=True,
        **{"matching.learning_rate": 0.01, "matching.steps": 60},
    )
    again.trainer.train_step = None
    assert again.validate(again.run())["k2"] == kept


def test_a_finished_stage_is_not_run_again(make_loop, whole):
    again = make_loop(whole.folder)
    again.trainer.train_step = None
    again.run()
    assert int(again.step) == 4


def test_the_log_tells_each_step(whole):
    lines = log(whole)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all({"loss", "voice_to_face", "face_to_voice", "damaged_records"} <= set(line) for line in lines)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(make_loop, half):
    stage = make_loop(half)
    step = stage.trainer.train_step

    def poisoned(batch):
        return step(batch | {"face": batch["face"] * float("nan")})

    stage.trainer.train_step = poisoned
    with pytest.raises(loop.TrainingError, match=r"loss is not finite at step 3.*checkpoint-2"):
        stage.run()
    assert stage.manager.latest_checkpoint.endswith("checkpoint-2")


def test_weights_that_are_not_finite_are_never_saved(make_loop, tmp_path):
    stage = make_loop(tmp_path, steps=1)
    gradients = stage.trainer.gradients

    def poisoned(batch):
        found, scalars = gradients(batch)
        return [g * float("nan") for g in found], scalars

    stage.trainer.gradients = poisoned
    with pytest.raises(loop.TrainingError, match=r"weight .* is not finite at step 1; no checkpoint"):
        stage.run()
    assert stage.manager.latest_checkpoint is None


def test_a_full_disk_stops_the_run_and_keeps_the_last_good_checkpoint(make_loop, half):
    stage = make_loop(half)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    save = stage.manager.save

    def save_on_a_full_disk(**arguments):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            return save(**arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    stage.manager.save = save_on_a_full_disk
    with pytest.raises(loop.TrainingError, match=r"checkpoint of step 4 could not be written.*checkpoint-2"):
        stage.run()
    again = make_loop(half)
    again.run()
    assert int(again.step) == 4


def test_a_batch_that_the_replicas_cannot_share_is_refused(make_loop, tmp_path):
    with pytest.raises(ConfigError, match="matching.batch_size must be a multiple of the 2 replicas, not 7"):
        make_loop(tmp_path, devices=2, **{"matching.batch_size": 7})


def test_a_damaged_checkpoint_is_refused_by_name(make_loop, half):
    (data,) = half.glob("checkpoint-2.data-*")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(loop.TrainingError, match="checkpoint-2 cannot be read"):
        make_loop(half).run()


def test_two_devices_train_to_the_weights_of_one(make_loop, whole, tmp_path):
    two = make_loop(tmp_path, devices=2)
    two.run()
    for a, b in zip(whole.trainer.trainable_variables, two.trainer.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=2e-3)  # Adam amplifies the last bit
    assert [line["loss"] for line in log(whole)] == pytest.approx([line["loss"] for line in log(two)], rel=1e-3)


def test_tensorboard_has_the_losses(whole):
    (events,) = pathlib.Path(whole.folder, "tensorboard").iterdir()
    tags = {v.tag for event in tf.compat.v1.train.summary_iterator(str(events)) for v in event.summary.value}
    assert {"loss", "voice_to_face", "face_to_voice"} <= tags
