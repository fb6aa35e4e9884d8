import pytest

from s2f_tf import config
from s2f_tf.models import trained
from tflite import conversion


@pytest.fixture(scope="session")
def tiny_run(tiny, tmp_path_factory):
    """A run of the smallest preset, whose weights are fresh."""
    folder = str(tmp_path_factory.mktemp("run"))
    config.save(tiny, folder)
    for name in trained.NETWORKS:
        trained.save_weights(name, trained.make(name, tiny), folder)
    return folder


@pytest.fixture(scope="session")
def tiny_models(tiny_run, tiny_corpus, tmp_path_factory):
    """A folder with that run, converted; not to be written to."""
    folder = str(tmp_path_factory.mktemp("models"))
    conversion.convert(tiny_run, folder, tiny_corpus)
    return folder
