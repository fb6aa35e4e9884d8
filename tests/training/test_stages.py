import shutil

import corpora
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.config import ConfigError
from s2f_tf.data import reader
from s2f_tf.data.clip import CorpusError
from s2f_tf.errors import UserError
from s2f_tf.models import trained
from s2f_tf.training import loop, stages, validation
from s2f_tf.training.generation import GenerationTrainer
from s2f_tf.training.matching import MatchingTrainer


@pytest.mark.parametrize("heads", [stages.MATCHING_TABLE, stages.GENERATION_TABLE])
def test_tables_fit_a_terminal_of_80_columns(heads):
    table = loop.Table(heads)
    first, second = (table.row(step, dict.fromkeys(heads, 12.0) | {"best_step": 9_000}) for step in (500, 12_000))
    head, row = first.splitlines()
    assert len(head) == len(row) == len(second) < 80
    assert head.endswith(list(heads.values())[-1])
    assert (row.split()[0], second.split()[0]) == ("500", "12,000")


def test_only_what_is_measured_gets_a_column():
    row = loop.Table({"loss": "loss", "k10": "of 10"}).row(1, {"loss": 0.5, "more": 1.0})
    assert [line.split() for line in row.splitlines()] == [["step", "loss"], ["1", "0.500"]]


@pytest.fixture(scope="module")
def faces(tiny, tmp_path_factory):
    return corpora.stills(tiny, tmp_path_factory.mktemp("faces"), 9)


@pytest.fixture(scope="module")
def mixed(tiny):
    # Clean voices, of which two devices hear the same to the last bit; and without terms, graphs are made faster.
    less = {"data.channel": 0.0, "data.noise_db": -120.0, "data.babble": 0.0}
    less |= {"generation.consistency": 0.0, "generation.diversity": 0.0}
    return config.override(tiny, less | {"generation.alone": 0.5, "generation.steps": 4})


@pytest.fixture
def draw(tiny_corpus, tiny_run, strategies):
    """Trains generation alone, without a look at the validation split, and returns the generator's weights."""

    def make(settings, workdir, faces, devices=1):
        (workdir / "weights").mkdir(parents=True, exist_ok=True)
        for name in ("speech_encoder", "face_encoder"):
            shutil.copy(trained.path_of(name, tiny_run), workdir / "weights")
        stages.claim(str(workdir), settings)
        alone = stages.Alone.of(settings, [faces], [])
        corpus = reader.Corpus(tiny_corpus)
        stages.train_generation(settings, corpus, str(workdir), strategies[devices], None, alone)
        return trained.load_network("generator", str(workdir)).get_weights()

    return make


def test_a_generator_that_learns_from_faces_alone_too_is_the_same_if_it_is_stopped_and_on_two_devices(
    mixed, faces, draw, tmp_path, trained_whole_and_stopped
):
    whole, _ = trained_whole_and_stopped(lambda folder: draw(mixed, folder, faces), ["generator"], "generation", 2)
    one = trained.load_network("generator", str(whole)).get_weights()
    for a, b in zip(one, draw(mixed, tmp_path / "two", faces, devices=2), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-3)  # Adam amplifies the last bit


def test_faces_alone_in_generation_need_a_folder_of_faces(mixed, tiny_corpus, tmp_path):
    with pytest.raises(ConfigError, match="generation.alone is 0.5, and there are no faces: give --faces"):
        stages.train(mixed, reader.Corpus(tiny_corpus), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"clips": {"train": 0}}, "no clips in split 'train'"),
        ({"face_size": 8}, "holds faces of 8 pixels, and data.face_size is 16"),
    ],
)
def test_faces_that_generation_cannot_use_are_refused_before_any_work(
    mixed, faces, tiny_corpus, tmp_path, changed, message
):
    alone = stages.Alone.of(mixed, [str(corpora.copy(faces, tmp_path / "faces", **changed))], [])
    with pytest.raises(CorpusError, match=message):
        stages.train(mixed, reader.Corpus(tiny_corpus), str(tmp_path / "run"), alone)
    assert not (tmp_path / "run" / "matching").exists()


def test_of_faces_that_are_given_either_use_is_enough(tiny, mixed, faces):
    stages.Alone.of(mixed, [faces], [])
    stages.Alone.of(config.override(tiny, {"pretraining.face_steps": 3}), [faces], [])
    with pytest.raises(ConfigError, match="--faces is given, and pretraining.face_steps is 0, as generation.alone is"):
        stages.Alone.of(tiny, [faces], [])


@pytest.fixture
def by_a_teacher(tiny):
    return config.override(tiny, {"speech_encoder.network": "resemblyzer", "loop.checkpoint_every": 2})


def test_of_a_teachers_network_the_last_layer_is_learnt_and_a_run_that_stopped_ends_as_one_that_did_not(
    by_a_teacher, tiny_corpus, teachers, strategies, trained_whole_and_stopped
):
    corpus = reader.Corpus(tiny_corpus)
    clips = validation.load(corpus, by_a_teacher)

    def train(folder):
        stages.claim(str(folder), by_a_teacher)
        stages.train_matching(by_a_teacher, corpus, str(folder), strategies[1], clips, teachers=teachers)

    whole, _ = trained_whole_and_stopped(train, ["speech_encoder"], "matching", 4)
    ended = trained.load_network("speech_encoder", str(whole))
    fresh = trained.make("speech_encoder", by_a_teacher, teachers)
    for name, variable in ended.teacher.by_name().items():
        np.testing.assert_array_equal(variable.numpy(), fresh.teacher.by_name()[name].numpy())
    assert [variable.path for variable in ended.trainable_variables] == [
        "speech_encoder/head/kernel",
        "speech_encoder/head/bias",
    ]


def test_a_teachers_network_that_is_not_there_or_not_asked_for_is_refused_by_name(
    tiny, by_a_teacher, tiny_corpus, teachers, tmp_path
):
    corpus, workdir = reader.Corpus(tiny_corpus), str(tmp_path / "run")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "damaged" / "resemblyzer.npz").write_bytes(b"nothing")
    np.savez(tmp_path / "other" / "resemblyzer.npz", dense_bias=np.zeros(256))
    for settings, folder, message in (
        (by_a_teacher, None, "speech_encoder.network=resemblyzer takes --networks=FOLDER"),
        (by_a_teacher, tmp_path, "resemblyzer.npz does not exist: `python -m pipelines.networks"),
        (by_a_teacher, tmp_path / "damaged", "damaged/resemblyzer.npz cannot be read"),
        (by_a_teacher, tmp_path / "other", "does not hold the weights of resemblyzer's network"),
        (tiny, teachers, "--networks is given, and no setting asks for one"),
    ):
        with pytest.raises(UserError, match=message):
            stages.train(settings, corpus, workdir, teachers=folder)
    assert not (tmp_path / "run").exists()


def test_with_f_of_a_teachers_network_both_stages_learn_and_the_network_stays_as_it_is(tiny, teachers, strategies):
    settings = config.override(tiny, {"face_encoder.network": "dlib", "matching.warmup_steps": 0})
    rng, size = np.random.default_rng(0), tiny.data.face_size
    batch = {
        "waveform": tf.constant(rng.normal(size=(2, settings.window_samples)), tf.float32),
        "face": tf.constant(rng.uniform(-1, 1, size=(2, size, size, 3)), tf.float32),
        "speaker": tf.constant([0, 1], tf.int64),
    }
    with strategies[1].scope():
        matching, generation = MatchingTrainer(settings, teachers=teachers), GenerationTrainer(settings)
    head = matching.face_encoder.head.kernel.numpy()
    strategies[1].run(matching.train_step, args=(batch,))
    generation.start_from(matching.speech_encoder, matching.face_encoder)
    before = generation.generator.get_weights()
    strategies[1].run(generation.train_step, args=(batch,))
    assert np.abs(matching.face_encoder.head.kernel.numpy() - head).max() > 0
    assert any((one != other).any() for one, other in zip(before, generation.generator.get_weights(), strict=True))
    fresh = trained.make("face_encoder", settings, teachers).body.by_name()
    for network in (matching.face_encoder, generation.face_encoder):
        for name, variable in network.body.by_name().items():
            np.testing.assert_array_equal(variable.numpy(), fresh[name].numpy())
