import dataclasses
import json

import pytest

from s2f_tf import config
from s2f_tf.config import Config, ConfigError


@pytest.mark.parametrize("name", sorted(config.PRESETS))
def test_every_preset_is_possible_and_survives_json(name, tmp_path):
    preset = config.preset(name)
    config.save(preset, tmp_path)
    assert config.load(tmp_path) == preset
    assert preset.preset == name


def test_two_workers_may_save_one_config_at_once(tmp_path, monkeypatch):
    preset, dump = config.preset("tiny"), json.dump

    def dump_while_another_saves(*arguments, **options):
        monkeypatch.setattr(json, "dump", dump)
        config.save(preset, tmp_path)
        dump(*arguments, **options)

    monkeypatch.setattr(json, "dump", dump_while_another_saves)
    config.save(preset, tmp_path)
    assert config.load(tmp_path) == preset and [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_every_setting_is_documented():
    for name, field in config.settings(Config).items():
        assert field.metadata["doc"], name


def test_an_override_replaces_one_setting():
    changed = config.override(config.preset("demo"), {"generation.steps": 7, "face_encoder.widths": (8, 8)})
    assert changed.generation.steps == 7
    assert set(config.differences(changed, config.preset("demo"))) == {"generation.steps", "face_encoder.widths"}


@pytest.mark.parametrize(
    "values, message",
    [
        ({"generation.stepz": 1}, "unknown setting 'generation.stepz'"),
        ({"matching.batch_size": 1}, "matching.batch_size must be at least 2, not 1"),
        ({"matching.batch_size": 2.5}, "matching.batch_size must be a whole number, not 2.5"),
        ({"data.flip": 1}, "data.flip must be true or false, not 1"),
        ({"data.noise_db": float("nan")}, "data.noise_db must be a number, not nan"),
        ({"precision": "float8"}, "precision must be one of float32, mixed_bfloat16, not 'float8'"),
        ({"face_encoder.widths": ()}, "face_encoder.widths must be a list of at least one whole number"),
        ({"data.face_size": 50}, "data.face_size must be a multiple of 16"),
        ({"data.face_size": 32, "face_encoder.widths": (8,) * 5}, "data.face_size must be at least 64, not 32"),
        ({"speech_encoder.taps": 8001}, "speech_encoder.taps must be at most 8000"),
        ({"speech_encoder.hop": 4000}, "at most 8000 is allowed"),
        ({"data.window_seconds": 0.1}, "data.window_seconds must be at least 0.5, not 0.1"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        (
            {"speech_encoder.network": "ears"},
            "speech_encoder.network must be one of filterbank, resemblyzer, not 'ears'",
        ),
        (
            {"face_encoder.network": "dlib", "pretraining.face_steps": 9},
            "pretraining.face_steps must be 0, not 9: with face_encoder.network=dlib nothing is learnt",
        ),
        (
            {"speech_encoder.network": "resemblyzer", "pretraining.voice_steps": 9},
            "pretraining.voice_steps must be 0, not 9: with speech_encoder.network=resemblyzer nothing is learnt",
        ),
    ],
)
def test_an_impossible_setting_is_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[").replace(".", r"\.")):
        config.override(config.preset("demo"), values)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="unknown preset 'huge': there are demo, "):
        config.preset("huge")


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[:40], "config.json: "),
        (lambda text: "[]", "must be an object"),
        (lambda text: text.replace('"seed"', '"sead"'), "unknown setting 'sead'"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "seed"}), "'seed' is missing"),
    ],
)
def test_a_damaged_config_is_refused_naming_the_file(tmp_path, damage, message):
    config.save(config.preset("tiny"), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ConfigError, match=message) as error:
        config.load(tmp_path)
    assert str(path) in str(error.value)


def test_a_config_of_before_a_setting_was_there_is_read_as_it_was(tmp_path):
    config.save(config.preset("demo"), tmp_path)
    path = tmp_path / "config.json"
    tree = json.loads(path.read_text())
    assert tree.pop("schema") == config.SCHEMA
    del tree["matching"]["ema_decay"]
    path.write_text(json.dumps(tree))
    assert config.differences(config.load(tmp_path), config.preset("demo")) == {"matching.ema_decay": (0.0, 0.98)}


def test_a_config_of_before_a_setting_was_renamed_or_taken_away_is_read(tmp_path):
    config.save(config.preset("demo"), tmp_path)
    path = tmp_path / "config.json"
    tree = json.loads(path.read_text())
    old = {"matching": 0.2, "detail": 1.0, "centring": 3.0}
    del tree["generation"]["consistency"], tree["generation"]["diversity_distance"]
    path.write_text(json.dumps(tree | {"schema": 2, "generation": tree["generation"] | old}))
    found = config.load(tmp_path)
    assert config.differences(found, config.preset("demo")) == {"generation.consistency": (0.2, 0.3)}
    path.write_text(json.dumps(tree | {"generation": tree["generation"] | old}))
    with pytest.raises(ConfigError, match=r"unknown setting 'generation\.matching'"):
        config.load(tmp_path)


def test_a_config_of_a_newer_release_is_refused(tmp_path):
    config.save(config.preset("demo"), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(f'"schema": {config.SCHEMA}', f'"schema": {config.SCHEMA + 1}'))
    with pytest.raises(ConfigError, match=f"schema {config.SCHEMA + 1}: this release reads 1 to {config.SCHEMA}"):
        config.load(tmp_path)


def test_a_folder_without_config_is_no_work_directory(tmp_path):
    with pytest.raises(ConfigError, match="is not a work directory"):
        config.load(tmp_path)


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.preset("demo").seed = 1


def test_a_model_says_of_whom_it_learnt_where_that_is_not_its_clips_alone():
    said = {name: config.preset(name).taught for name in config.PRESETS}
    assert said.pop("taught") == "This model is taught: made with resemblyzer and dlib, which learnt from labels."
    assert set(said.values()) == {""}
    teacher, steps = {"pretraining.teacher": 10.0}, {"pretraining.face_steps": 3}
    people = config.preset("people")
    assert config.override(people, teacher).taught == config.override(people, steps).taught == ""
    assert config.override(people, teacher | steps).taught.startswith("This model is taught: ")
