import commands
import numpy as np
import onnx
import onnxruntime
import pytest

from s2f_tf import config
from s2f_tf.models import trained


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("run"))
    config.save(tiny, folder)
    for name in ("speech_encoder", "face_encoder", "generator"):
        trained.save_weights(name, trained.make(name, tiny), folder)
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    result = commands.run("s2f_tf.export", "--format=onnx", f"--workdir={run}", f"--output={folder}")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{folder}\n"
    return folder


def ask(exported, name, **inputs):
    session = onnxruntime.InferenceSession(str(exported / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    (output,) = session.get_outputs()
    return output.name, session.run(None, inputs)[0]


@pytest.mark.parametrize("batch, samples", [(1, 8000), (3, 12_345)])
def test_speech_of_any_length_is_embedded_as_keras_does(exported, run, batch, samples):
    waveform = np.random.default_rng(0).normal(0.0, 0.1, (batch, samples)).astype(np.float32)
    name, embedding = ask(exported, "embed_speech", waveform=waveform)
    assert name == "embedding"
    np.testing.assert_allclose(embedding, trained.load_network("speech_encoder", run)(waveform), atol=1e-4)


def test_faces_are_embedded_as_keras_does(exported, run, tiny):
    size = tiny.data.face_size
    face = np.random.default_rng(1).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    name, embedding = ask(exported, "embed_face", face=face)
    assert name == "embedding"
    np.testing.assert_allclose(embedding, trained.load_network("face_encoder", run)(face), atol=1e-4)


def test_faces_are_drawn_as_keras_does(exported, run, tiny):
    rng = np.random.default_rng(2)
    embedding = rng.normal(size=(3, tiny.embedding_size)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    z = rng.normal(size=(3, tiny.generator.z_size)).astype(np.float32)
    name, image = ask(exported, "generate", embedding=embedding, z=z)
    assert name == "image" and image.dtype == np.uint8
    levels = (trained.load_network("generator", run)(z, embedding).numpy() + 1) * 127.5
    np.testing.assert_allclose(image, levels, atol=0.5 + 1e-4 * 127.5)


def test_the_models_are_valid_and_say_what_they_are(exported, tiny):
    for name in ("embed_speech", "generate", "embed_face"):
        model = onnx.load(exported / f"{name}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert {opset.domain: opset.version for opset in model.opset_import}[""] == 17
        assert {property.key: property.value for property in model.metadata_props}["license"] == "Apache-2.0"
    assert config.load(str(exported)) == tiny
    assert (exported / "model_card.md").exists() and not list(exported.glob("*.part"))
