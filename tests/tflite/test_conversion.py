import json
import os
import shutil

import commands
import flatbuffers
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from flatbuffers.number_types import Float32Flags, Int8Flags, Uint8Flags, Uint32Flags
from packaging.version import Version
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from s2f_tf import onnx_model, saved_model
from s2f_tf.config import SAMPLE_RATE, override, save
from s2f_tf.data import audio, reader
from s2f_tf.errors import UserError
from s2f_tf.models import trained
from tflite import conversion, description, metadata

WINDOW = 48_000


def model(folder, variant):
    with open(os.path.join(folder, f"s2f_{variant}.tflite"), "rb") as file:
        return file.read()


def tree(data):
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(data))


def runners(folder, variant):
    interpreter = Interpreter(os.path.join(folder, f"s2f_{variant}.tflite"))
    return interpreter.get_signature_runner("embed_speech"), interpreter.get_signature_runner("generate")


@pytest.fixture(scope="module")
def inputs(tiny):
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(1, tiny.embedding_size)).astype(np.float32)
    return {
        "waveform": rng.normal(0.0, 0.1, (1, WINDOW)).astype(np.float32),
        "embedding": embedding / np.linalg.norm(embedding),
        "z": rng.normal(size=(1, tiny.generator.z_size)).astype(np.float32),
    }


@pytest.mark.parametrize("variant, tolerance", [("float32", 1e-4), ("float16", 1e-2), ("dynamic", 0.1), ("int8", 0.2)])
def test_each_variant_is_the_same_model(tiny_run, tiny_models, inputs, variant, tolerance):
    embed_speech, generate = runners(tiny_models, variant)
    embedding = embed_speech(waveform=inputs["waveform"])["embedding"]
    expected = trained.load_network("speech_encoder", tiny_run)(inputs["waveform"])
    np.testing.assert_allclose(embedding, expected, atol=tolerance)
    image = generate(embedding=inputs["embedding"], z=inputs["z"])["image"]
    face = trained.load_network("generator", tiny_run)(inputs["z"], inputs["embedding"])
    np.testing.assert_allclose(image / 127.5 - 1, face, atol=tolerance + 0.5 / 127.5)
    assert image.std() > 0


def test_a_layer_that_no_voice_wakes_stays_in_float(tiny_run, tiny_corpus, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "VARIANTS", ("float32", "int8"))  # which is made of the first
    run = str(tmp_path / "run")
    shutil.copytree(tiny_run, run)
    network = trained.load_network("speech_encoder", run)
    layers = {layer.path: layer for layer in network._flatten_layers() if layer.name in ("squeeze", "excite")}
    for path, layer in layers.items():
        layer.bias.assign(layer.bias - 1000 if path.endswith("squeeze") else layer.bias + 0.5)
    trained.save_weights("speech_encoder", network, run)
    conversion.convert(run, str(tmp_path), tiny_corpus)
    # With a range of nothing, this would end the process.
    embed_speech, _ = runners(tmp_path, "int8")
    np.testing.assert_allclose(
        embed_speech(waveform=inputs["waveform"])["embedding"], network(inputs["waveform"]), atol=0.2
    )


def test_an_embedding_between_two_voices_need_not_have_unit_length(tiny_models, inputs):
    _, generate = runners(tiny_models, "float32")
    half = generate(embedding=0.5 * inputs["embedding"], z=inputs["z"])["image"]
    np.testing.assert_array_equal(half, generate(embedding=inputs["embedding"], z=inputs["z"])["image"])


def test_the_level_of_a_voice_does_not_matter_in_eight_bits(tiny_models, inputs):
    embed_speech, _ = runners(tiny_models, "int8")
    quiet, loud = (embed_speech(waveform=inputs["waveform"] * np.float32(gain))["embedding"] for gain in (0.05, 1.0))
    # Some entries may come to lie one of their 256 steps apart.
    assert np.sum(quiet * loud) / np.linalg.norm(quiet) / np.linalg.norm(loud) > 0.99


def test_eight_bits_are_where_the_weights_are_and_the_waveform_is_read_in_float(tiny_models):
    found = tree(model(tiny_models, "int8"))
    kernels = []
    for graph in found.subgraphs:
        for operator in graph.operators:
            if found.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D:
                kernels.append(graph.tensors[operator.inputs[1]])
    floats = [kernel for kernel in kernels if kernel.type == schema.TensorType.FLOAT32]
    assert [kernel.shape[-1] for kernel in floats] == [1]
    assert sum(kernel.type == schema.TensorType.INT8 for kernel in kernels) == len(kernels) - 1 > 10


@pytest.mark.parametrize("variant", conversion.VARIANTS)
def test_the_runtime_that_the_app_bundles_has_every_operation(tiny_models, variant):
    found = tree(model(tiny_models, variant))
    assert {code.customCode for code in found.operatorCodes} == {None}
    recorded = [bytes(found.buffers[m.buffer].data) for m in found.metadata if m.name == b"min_runtime_version"]
    assert [Version(version.rstrip(b"\0").decode()) <= Version("2.16.1") for version in recorded] == [True]


def test_versions_are_compared_as_numbers():
    assert metadata.numbers("2.16.1") > metadata.numbers("2.9.0") > metadata.numbers("")


def test_a_model_that_the_app_could_not_run_is_refused(tiny_models):
    found = tree(model(tiny_models, "float32"))
    (entry,) = [entry for entry in found.metadata if entry.name == b"min_runtime_version"]
    found.buffers[entry.buffer].data = np.frombuffer(b"2.17.0", np.uint8)
    with pytest.raises(
        conversion.ConversionError, match=r"s2f_int8.tflite would need TensorFlow Lite 2\.17\.0.*2\.16\.1"
    ):
        conversion.require_built_in(bytes(flatbuffer_utils.convert_object_to_bytearray(found)), "int8")
    code = schema.OperatorCodeT()
    code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, b"FlexErf"
    found.operatorCodes.append(code)
    with pytest.raises(conversion.ConversionError, match="FlexErf"):
        conversion.require_built_in(bytes(flatbuffer_utils.convert_object_to_bytearray(found)), "int8")


class Table:
    """A flatbuffers table, read by the numbers of its fields, as any reader of metadata does."""

    def __init__(self, data, place):
        self.table = flatbuffers.table.Table(data, place)

    def _at(self, field):
        offset = self.table.Offset(4 + 2 * field)
        assert offset, f"field {field} is absent"
        return offset + self.table.Pos

    def string(self, field):
        return self.table.String(self._at(field)).decode()

    def scalar(self, field, flags):
        return self.table.Get(flags, self._at(field))

    def child(self, field):
        return Table(self.table.Bytes, self.table.Indirect(self._at(field)))

    def children(self, field):
        offset = self._at(field) - self.table.Pos
        start = self.table.Vector(offset)
        return [
            Table(self.table.Bytes, self.table.Indirect(start + 4 * i)) for i in range(self.table.VectorLen(offset))
        ]

    def number(self, field):
        offset = self._at(field) - self.table.Pos
        assert self.table.VectorLen(offset) == 1
        return self.table.Get(Float32Flags, self.table.Vector(offset))


@pytest.mark.parametrize("variant", conversion.VARIANTS)
def test_rate_window_ranges_and_licence_are_in_the_file(tiny_models, tiny, variant):
    found = tree(model(tiny_models, variant))
    (entry,) = [entry for entry in found.metadata if entry.name == b"TFLITE_METADATA"]
    data = bytearray(found.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"
    root = Table(data, int.from_bytes(data[:4], "little"))
    assert "synthetic" in root.string(1) and root.string(5) == "Apache-2.0"
    graphs = {graph.string(0): graph for graph in root.children(3)}
    assert [graph.string(0) for graph in root.children(3)] == [g.name.decode() for g in found.subgraphs]
    (waveform,), (embedding,) = graphs["embed_speech"].children(2), graphs["embed_speech"].children(3)
    assert "48000 samples" in waveform.string(1)
    content = waveform.child(3)
    assert content.scalar(0, Uint8Flags) == 4  # sound
    assert [content.child(1).scalar(field, Uint32Flags) for field in (0, 1)] == [16_000, 1]
    (image,) = graphs["generate"].children(3)
    assert image.child(3).scalar(0, Uint8Flags) == 2  # a picture
    assert image.child(3).child(1).scalar(0, Int8Flags) == 1  # RGB
    ranges = {t.string(0): (t.child(5).number(1), t.child(5).number(0)) for t in (waveform, embedding, image)}
    assert ranges == {"waveform": (-1, 1), "embedding": (-1, 1), "image": (0, 255)}
    names = [name.string(0) for name in graphs["generate"].children(2)]
    shapes = [found.subgraphs[1].tensors[i].shape[1] for i in found.subgraphs[1].inputs]
    assert dict(zip(names, shapes, strict=True)) == {"embedding": tiny.embedding_size, "z": tiny.generator.z_size}


def test_the_description_says_what_lies_beside_it(tiny_models, tiny):
    found = description.read(tiny_models)
    assert sorted(os.listdir(tiny_models)) == sorted([*(f"s2f_{v}.tflite" for v in conversion.VARIANTS), "s2f.json"])
    assert (found["window"], found["sample_rate"]) == (WINDOW, 16_000)
    e, z, size = tiny.embedding_size, tiny.generator.z_size, tiny.data.face_size
    assert found["signatures"] == {
        "embed_speech": {
            "inputs": {"waveform": {"dtype": "float32", "shape": [1, WINDOW]}},
            "outputs": {"embedding": {"dtype": "float32", "shape": [1, e]}},
        },
        "generate": {
            "inputs": {
                "embedding": {"dtype": "float32", "shape": [1, e]},
                "z": {"dtype": "float32", "shape": [1, z]},
            },
            "outputs": {"image": {"dtype": "uint8", "shape": [1, size, size, 3]}},
        },
    }
    for variant, of in found["variants"].items():
        assert of["bytes"] == len(model(tiny_models, variant))
        assert of["minimum_runtime"] == metadata.minimum_runtime(model(tiny_models, variant))


def test_models_that_are_not_those_described_are_refused(tiny_models, tmp_path):
    with pytest.raises(description.ModelsError, match=r"s2f\.json cannot be read.*tflite.convert"):
        description.read(str(tmp_path))
    (tmp_path / "s2f.json").write_text("{}")
    with pytest.raises(description.ModelsError, match=r"s2f\.json is not what"):
        description.read(str(tmp_path))
    found = description.read(tiny_models)
    (tmp_path / "s2f.json").write_text(json.dumps(found))
    for variant in conversion.VARIANTS:
        (tmp_path / f"s2f_{variant}.tflite").write_bytes(model(tiny_models, variant))
    assert description.read(str(tmp_path)) == found
    (tmp_path / "s2f_int8.tflite").write_bytes(model(tiny_models, "int8")[:-1])
    with pytest.raises(description.ModelsError, match=r"s2f_int8\.tflite is not the model"):
        description.read(str(tmp_path))


@pytest.mark.parametrize(
    "workdir, output, corpus, message",
    [
        ("nowhere", "{tmp}/out", None, "nowhere is not a work directory"),
        ("{run}", "{tmp}/out", "nowhere", "nowhere/corpus.json does not exist"),
        ("{run}", "/proc/no", None, "--output=/proc/no cannot be made"),
    ],
)
def test_bad_input_is_refused_before_anything_is_converted(tiny_run, tmp_path, workdir, output, corpus, message):
    folders = [text and text.format(run=tiny_run, tmp=tmp_path) for text in (workdir, output, corpus)]
    with pytest.raises(UserError, match=message):
        conversion.convert(*folders)
    assert not list(tmp_path.glob("out/*"))


def test_a_window_that_no_voice_has_is_refused():
    result = commands.run("tflite.convert", "--window_seconds=0.1")
    assert result.returncode != 0 and "Traceback" not in result.stderr
    assert "window_seconds" in result.stdout + result.stderr


def test_where_s_is_a_teachers_network_floats_alone_are_made_and_every_runtime_says_the_same(
    tiny, tiny_corpus, teachers, tmp_path, capsys
):
    settings, run, folder = (
        override(tiny, {"speech_encoder.network": "resemblyzer"}),
        str(tmp_path),
        str(tmp_path / "out"),
    )
    save(settings, run)
    for name in ("speech_encoder", "face_encoder", "generator"):
        trained.save_weights(name, trained.make(name, settings, teachers), run)
    conversion.convert(run, folder, tiny_corpus, 1.0)
    assert "s2f_int8.tflite: not made" in capsys.readouterr().out
    assert sorted(os.listdir(folder)) == ["s2f.json", "s2f_float16.tflite", "s2f_float32.tflite"]
    assert settings.taught.encode() in model(folder, "float32")
    voice = next(iter(reader.clips(reader.Corpus(tiny_corpus), "test", 16, limit=1))).waveform
    waveform = np.resize(voice, SAMPLE_RATE)[None]
    expected = trained.load_network("speech_encoder", run)(waveform)
    for variant, tolerance in (("float32", 1e-4), ("float16", 1e-2)):
        embed_speech, _ = runners(folder, variant)
        np.testing.assert_allclose(embed_speech(waveform=waveform)["embedding"], expected, atol=tolerance)
    hear = onnxruntime.InferenceSession(f"{onnx_model.export(run, str(tmp_path / 'onnx'))}/embed_speech.onnx")
    for samples in (8000, SAMPLE_RATE):
        expected = trained.load_network("speech_encoder", run)(np.repeat(waveform[:, :samples], 2, axis=0))
        (embedding,) = hear.run(None, {"waveform": np.repeat(waveform[:, :samples], 2, axis=0)})
        np.testing.assert_allclose(embedding, expected, atol=1e-4)
    served = tf.saved_model.load(saved_model.export(run, str(tmp_path / "saved_model")))
    embedded = served.signatures["embed_speech"](wav_bytes=tf.constant([audio.encode_wav(waveform[0])] * 2))[
        "embedding"
    ]
    np.testing.assert_allclose(embedded, expected, atol=1e-3)  # sixteen bits
