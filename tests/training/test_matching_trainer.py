import keras
import numpy as np
import pytest

from s2f_tf import config
from s2f_tf.models import trained
from s2f_tf.training.matching import MatchingTrainer


@pytest.fixture
def make_trainer(tiny, strategies):
    def make(seed=0, **settings):
        keras.utils.set_random_seed(seed)
        with strategies[1].scope():
            return MatchingTrainer(config.override(tiny, settings))

    return make


def test_a_run_starts_from_the_weights_of_another_where_they_fit(make_trainer, tiny, tmp_path, capsys):
    donor = make_trainer(seed=1)
    config.save(tiny, str(tmp_path))
    for prefix in ("", "judge_"):
        trained.save_weights(f"{prefix}speech_encoder", donor.speech_encoder, str(tmp_path))
        trained.save_weights(f"{prefix}face_encoder", donor.face_encoder, str(tmp_path))
    trainer, larger = make_trainer(seed=2), make_trainer(seed=2, embedding_size=24)
    for started in (trainer, larger):
        fresh = {v.path: v.numpy() for v in started.trainable_variables}
        started.start_from(str(tmp_path), "judge_")
        said = capsys.readouterr().out
        assert ("face_encoder" in said) == ("begins afresh" in said) == (started is larger)
        for v, average, other in zip(
            started.trainable_variables, started.result(), donor.trainable_variables, strict=True
        ):
            np.testing.assert_array_equal(v, other if v.shape == other.shape else fresh[v.path])
            np.testing.assert_array_equal(v, average)


def test_a_run_that_is_not_there_cannot_be_started_from(make_trainer, tmp_path):
    with pytest.raises(config.ConfigError, match="does not exist"):
        make_trainer().start_from(str(tmp_path / "none"))
