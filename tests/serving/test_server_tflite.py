import concurrent.futures
import io
import os
import pathlib
import shutil

import grpc
import numpy as np
import pytest
import requests
import soundfile
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers
from google.protobuf import text_format
from grpc import StatusCode
from same import assert_same_picture
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, prediction_log_pb2
from test_server_grpc import TIMEOUT, predict_request, refusal, spec
from test_server_lifecycle import eventually

from s2f_tf import saved_model
from serving import inference, warmup
from serving.client import GrpcClient, RestClient
from serving.errors import RequestError
from serving.tflite_model import FILE, TFLiteModel

MIXED = {"words": np.array([b"one", b"\xff\x00", b""], object), "which": np.array([2, 0], np.int32)}


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """A file that lists signatures: of free and of fixed sizes, and of strings."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "x")])
        def plus(self, x):
            return {"y": 0.5 * x + 2.0}

        @tf.function(input_signature=[tf.TensorSpec([2, 3], tf.float32, "x"), tf.TensorSpec([], tf.float32, "times")])
        def scale(self, x, times):
            return {"y": times * x, "total": tf.reduce_sum(x, axis=1)}

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, "words"), tf.TensorSpec([None], tf.int32, "which")]
        )
        def pick(self, words, which):
            return {"picked": tf.gather(words, which), "words": tf.identity(words)}

        @tf.function(input_signature=[tf.TensorSpec([], tf.string, "word")])
        def echo(self, word):
            return {"word": tf.reshape(word, [1])}

    folder, model = str(tmp_path_factory.mktemp("listed")), Model()
    signatures = {"serving_default": model.plus, "scale": model.scale, "pick": model.pick, "echo": model.echo}
    tf.saved_model.save(model, folder, signatures=signatures)
    return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures)).convert()


@pytest.fixture(scope="module")
def unlisted():
    """A function that makes a file of 0.5 x + 2 which lists no signatures, as TensorFlow Serving's own test models."""

    def make(name="x"):
        v1 = tf.compat.v1
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [1, 1], name)
            y = tf.identity(0.5 * x + 2.0, name="y")
            return v1.lite.TFLiteConverter.from_session(session, [x], [y]).convert()

    return make


def in_metadata(content, **signatures):
    """A file with signatures in its metadata, where TensorFlow's converter of old put them."""
    tree = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, text in sorted(signatures.items()):
            signature = text_format.Parse(text, meta_graph_pb2.SignatureDef())
            builder.Key(key)
            builder.String(signature.SerializeToString().decode())
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = "signature_defs_metadata", len(tree.buffers)
    buffer.data = np.frombuffer(builder.Finish(), np.uint8)
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


@pytest.fixture
def load(tmp_path):
    """A function that loads a file."""

    def make(content):
        (tmp_path / FILE).write_bytes(content)
        return TFLiteModel("m", 1, str(tmp_path), threads=1)

    return make


def predict(model, signature="", **inputs):
    plan = inference.predict(model, predict_request(spec("m", signature), **inputs))
    outputs = plan.respond(model.run(plan.feeds, plan.fetches)).outputs
    return {name: tf.make_ndarray(proto) for name, proto in outputs.items()}


def test_signatures_that_a_file_lists(load, listed):
    signatures = load(listed).signatures
    assert signatures.keys() == {"serving_default", "scale", "pick", "echo"}
    text = """
        inputs { key: "x" value {
            name: "serving_default/x" dtype: DT_FLOAT tensor_shape { dim { size: -1 } dim { size: 1 } } } }
        outputs { key: "y" value {
            name: "serving_default/y" dtype: DT_FLOAT tensor_shape { dim { size: -1 } dim { size: 1 } } } }
        method_name: "tensorflow/serving/predict"
    """
    assert signatures["serving_default"] == text_format.Parse(text, meta_graph_pb2.SignatureDef())
    assert signatures["pick"].outputs["picked"].dtype == tf.string.as_datatype_enum
    assert not signatures["scale"].inputs["times"].tensor_shape.dim


def test_inputs_and_outputs_of_a_file_without_signatures_are_its_default(load, unlisted):
    model = load(unlisted())
    text = """
        inputs { key: "x" value { name: "x" dtype: DT_FLOAT tensor_shape { dim { size: 1 } dim { size: 1 } } } }
        outputs { key: "y" value { name: "y" dtype: DT_FLOAT tensor_shape { dim { size: 1 } dim { size: 1 } } } }
        method_name: "tensorflow/serving/predict"
    """
    assert model.signatures == {"serving_default": text_format.Parse(text, meta_graph_pb2.SignatureDef())}
    for x in ([1.0, 2.0, 3.0], [2.0], [[4.0], [6.0]]):  # other sizes than the file's, as TensorFlow Serving takes them
        np.testing.assert_array_equal(predict(model, x=x)["y"], 0.5 * np.array(x) + 2.0)


def test_signatures_in_the_metadata_are_found(load, unlisted):
    half = 'inputs { key: "x" value { name: "tflite_input:0" } } outputs { key: "y" value { name: "y:0" } }'
    model = load(in_metadata(unlisted("tflite_input"), serving_default=half, regress=half + 'method_name: "r"'))
    assert model.signatures["serving_default"].inputs["x"].name == "tflite_input"
    assert model.signatures["regress"].outputs["y"].dtype == tf.float32.as_datatype_enum
    assert model.signatures["regress"].method_name == "r"
    assert predict(model, "regress", x=[2.0])["y"] == [3.0]


def without_operation(content):
    tree = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    code = tree.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "Unheard"
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda content: content[:-1], "not a valid Flatbuffer"),
        (lambda content: b"", "must be specified"),
        (without_operation, "unresolved custom op: Unheard"),
        (
            lambda content: in_metadata(content, s='inputs { key: "x" value { name: "z:0" } }'),
            "a signature names z:0, and there are ['x']",
        ),
        (
            lambda content: in_metadata(content, s='outputs { key: "y" value { name: "y" } }'),
            "a signature leaves out the inputs ['x']",
        ),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(load, unlisted, tmp_path, damage, message):
    with pytest.raises(RequestError) as error:
        load(damage(unlisted()))
    assert error.value.code == StatusCode.INVALID_ARGUMENT
    assert error.value.message.startswith(f"LiteRT cannot run {tmp_path}/model.tflite: ")
    assert message in error.value.message


def test_sizes_may_change_where_the_file_says_so(load, listed):
    model = load(listed)
    for rows in (1, 3, 0, 2):
        x = np.arange(rows, dtype=np.float32)[:, None]
        np.testing.assert_array_equal(predict(model, x=x)["y"], 0.5 * x + 2.0)
    scaled = predict(model, "scale", x=np.ones((2, 3), np.float32), times=np.float32(4.0))
    np.testing.assert_array_equal(scaled["y"], np.full((2, 3), 4.0))
    np.testing.assert_array_equal(scaled["total"], [3.0, 3.0])


def test_strings_go_in_and_come_out_whatever_bytes_they_are(load, listed):
    answer = predict(load(listed), "pick", **MIXED)
    assert answer["picked"].tolist() == [b"", b"one"] and answer["words"].tolist() == MIXED["words"].tolist()


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("", {"x": np.ones((2, 1), np.int32)}, "x takes float32 of shape (None, 1), not int32 of shape (2, 1)"),
        ("", {"x": np.ones(2, np.float32)}, "x takes float32 of shape (None, 1), not float32 of shape (2,)"),
        ("", {"x": np.array([b"1"], object)}, "x takes float32 of shape (None, 1), not string of shape (1,)"),
        (
            "scale",
            {"x": np.ones((1, 3), np.float32), "times": np.float32(1.0)},
            "x takes float32 of shape (2, 3), not float32 of shape (1, 3)",
        ),
        (
            "pick",
            {**MIXED, "which": np.array([3], np.int32)},
            "run the model on which of shape (1,), words of shape (3,): ",
        ),
        ("echo", {"word": b"one"}, "word is a scalar string, which LiteRT cannot be given"),
    ],
)
def test_arrays_that_a_model_does_not_take_are_refused_and_it_goes_on(load, listed, signature, inputs, message):
    model = load(listed)
    for _ in range(2):
        with pytest.raises(RequestError) as error:
            predict(model, signature, **inputs)
        assert error.value.code == StatusCode.INVALID_ARGUMENT and message in error.value.message
        assert predict(model, x=np.full((1, 1), 2.0, np.float32))["y"] == [[3.0]]
        assert predict(model, "pick", **MIXED)["picked"].tolist() == [b"", b"one"]


def test_threads_do_not_mix_up_what_they_ask(load, listed):
    model = load(listed)

    def ask(seed):
        rng = np.random.default_rng(seed)
        for _ in range(100):
            x = rng.normal(size=(rng.integers(1, 6), 1)).astype(np.float32)
            np.testing.assert_array_equal(predict(model, x=x)["y"], np.float32(0.5) * x + np.float32(2.0))
            words = rng.bytes(8), rng.bytes(3)
            which = rng.integers(0, 2, size=rng.integers(1, 4)).astype(np.int32)
            answer = predict(model, "pick", words=np.array(words, object), which=which)
            assert answer["picked"].tolist() == [words[i] for i in which]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    model.close()


def test_requests_that_a_model_brings_along_are_answered(load, listed, tmp_path):
    logs = [prediction_log_pb2.PredictionLog() for _ in range(2)]
    logs[0].predict_log.request.CopyFrom(predict_request(spec("m"), x=np.ones((1, 1), np.float32)))
    logs[1].predict_log.request.CopyFrom(predict_request(spec("m"), x=np.ones((1, 2), np.float32)))
    (tmp_path / "assets.extra").mkdir()
    for good, log in ((True, logs[0]), (False, logs[1])):
        with tf.io.TFRecordWriter(str(tmp_path / "assets.extra" / warmup.FILE)) as writer:
            writer.write(log.SerializeToString())
        if good:
            warmup.warm_up(load(listed))
        else:
            with pytest.raises(RequestError, match="x takes float32"):
                warmup.warm_up(load(listed))


def put(base_path, version, file):
    """Makes a version of a TFLite model, at once."""
    aside = pathlib.Path(f"{base_path}.part")
    aside.mkdir(parents=True)
    shutil.copyfile(file, aside / FILE)
    os.makedirs(base_path, exist_ok=True)
    os.rename(aside, os.path.join(base_path, str(version)))


@pytest.fixture(scope="module")
def served(start_server, tiny_models, tiny_run, tmp_path_factory):
    """A server that prefers TFLite models, of which one model has none."""
    folder = tmp_path_factory.mktemp("served")
    for variant in ("float32", "int8"):
        put(folder / variant, 1, f"{tiny_models}/s2f_{variant}.tflite")
    saved_model.export(tiny_run, str(folder / "saved_model"))
    models = [
        f'config {{ name: "{name}" base_path: "{folder}/{name}" model_platform: "tensorflow" }}'
        for name in ("float32", "int8", "saved_model")
    ]
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(models)} }}")
    server = start_server(
        "--prefer_tflite_model",
        f"--model_config_file={folder}/models.config",
        "--load_retry_interval_micros=100000",
        "--enable_batching",
    )
    server.folder = folder
    return server


@pytest.mark.parametrize("variant, tolerance", [("float32", 1e-4), ("int8", 0.2)])
def test_a_converted_model_answers_as_its_interpreter_and_as_the_saved_model(
    served, tiny_models, tiny, variant, tolerance, voice
):
    wav = voice(3.0)
    waveform = soundfile.read(io.BytesIO(wav), dtype="float32")[0][None]
    z = np.random.default_rng(0).normal(size=(1, tiny.generator.z_size)).astype(np.float32)
    interpreter = Interpreter(os.path.join(tiny_models, f"s2f_{variant}.tflite"))
    embedding = interpreter.get_signature_runner("embed_speech")(waveform=waveform)["embedding"]
    image = interpreter.get_signature_runner("generate")(embedding=embedding, z=z)["image"]
    for make, place in ((GrpcClient, served.target), (RestClient, served.url)):
        with make(place, model_name=variant) as client, make(place, model_name="saved_model") as other:
            heard = client.predict("embed_speech", {"waveform": waveform})["embedding"]
            np.testing.assert_allclose(heard, embedding, atol=1e-6)
            drawn = client.predict("generate", {"embedding": embedding, "z": z})["image"]
            assert_same_picture(np.asarray(drawn, np.uint8), image)
            heard = other.predict("embed_speech", {"wav_bytes": [wav]})["embedding"]
            np.testing.assert_allclose(heard, embedding, atol=tolerance)
            drawn = np.asarray(other.predict("generate_from_embedding", {"embedding": embedding, "z": z})["image"])
            np.testing.assert_allclose(drawn / 127.5, image / 127.5, atol=tolerance + 1 / 127.5)


def test_signatures_and_errors_are_told_as_those_of_any_model(served, tiny):
    with served.predictions() as stub:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec("int8"))
        request.metadata_field.append("signature_def")
        told = stub.GetModelMetadata(request, timeout=TIMEOUT)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        told.metadata["signature_def"].Unpack(signatures)
        z = signatures.signature_def["generate"].inputs["z"]
        assert [d.size for d in z.tensor_shape.dim] == [1, tiny.generator.z_size]
        waveform = np.zeros((1, 16_000), np.float32)
        for model_spec, inputs, code, message in (
            (spec("int8"), {}, StatusCode.FAILED_PRECONDITION, 'signature key "serving_default" not found'),
            (
                spec("int8", "embed_speech"),
                {"waveform": waveform},
                StatusCode.INVALID_ARGUMENT,
                "waveform takes float32 of shape (1, 48000), not float32 of shape (1, 16000)",
            ),
            (spec("int8", "embed_speech"), {"wav": waveform}, StatusCode.INVALID_ARGUMENT, "alias not found"),
        ):
            told_code, told_message = refusal(stub.Predict, predict_request(model_spec, **inputs))
            assert told_code == code and message in told_message
    body = {"signature_name": "embed_speech", "instances": waveform.tolist()}
    answer = requests.post(f"{served.url}/v1/models/int8:predict", json=body, timeout=TIMEOUT)
    assert answer.status_code == 400 and "waveform takes float32" in answer.json()["error"]


def test_a_damaged_version_is_passed_over_and_a_whole_one_takes_over(served, tiny_models, tiny):
    base_path = served.folder / "int8"
    inputs = {"embedding": np.ones((1, tiny.embedding_size), np.float32), "z": np.ones((1, tiny.generator.z_size))}
    request = predict_request(spec("int8", "generate"), **inputs)

    def version():
        return stub.Predict(request, timeout=TIMEOUT).model_spec.version.value

    def told(number):
        asked = get_model_status_pb2.GetModelStatusRequest(model_spec=spec("int8", version=number))
        try:
            return models.GetModelStatus(asked, timeout=TIMEOUT).model_version_status[0].status
        except grpc.RpcError:
            return None

    with served.predictions() as stub, served.models() as models:
        (served.folder / "cut").write_bytes(pathlib.Path(tiny_models, "s2f_int8.tflite").read_bytes()[:-1])
        put(base_path, 2, served.folder / "cut")
        eventually(lambda: told(2) and told(2).error_code)
        assert told(2).error_code == 3 and "/int8/2/model.tflite" in told(2).error_message
        assert version() == 1
        put(base_path, 3, f"{tiny_models}/s2f_float16.tflite")
        eventually(lambda: version() == 3)


def test_litert_is_loaded_where_it_is_asked_for_alone(served, conformance):
    loaded = ["litert" in pathlib.Path(f"/proc/{s.process.pid}/maps").read_text() for s in (served, conformance)]
    assert loaded == [True, False]
