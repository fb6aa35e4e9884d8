import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving import inference

TIMEOUT = 30


@pytest.fixture(scope="module")
def stub(conformance):
    with conformance.predictions() as stub:
        yield stub


def spec(name="half", signature="", version=None, label=None):
    result = model_pb2.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        result.version.value = version
    if label is not None:
        result.version_label = label
    return result


def predict_request(model_spec=None, outputs=(), **inputs):
    request = predict_pb2.PredictRequest(model_spec=model_spec or spec(), output_filter=outputs)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(
            tf.make_tensor_proto(value, None if np.asarray(value).dtype != float else tf.float32)
        )
    return request


def with_examples(request, *values):
    for value in values:
        request.input.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return request


def refusal(method, request):
    with pytest.raises(grpc.RpcError) as error:
        method(request, timeout=TIMEOUT)
    return error.value.code(), error.value.details()


def answered_by(model_spec):
    return model_spec.name, model_spec.signature_name, model_spec.version


LATEST = ("half", "serving_default", wrappers_pb2.Int64Value(value=2))


@pytest.mark.parametrize("outputs", [[], ["y"]])
def test_predict(stub, outputs):
    response = stub.Predict(predict_request(x=[2.0], outputs=outputs), timeout=TIMEOUT)
    assert list(response.outputs) == ["y"]
    y = response.outputs["y"]
    # In a typed field, and in the shape of the request, though the signature says [None, 1].
    assert list(y.float_val) == [4.0] and not y.tensor_content
    assert [d.size for d in y.tensor_shape.dim] == [1]
    assert answered_by(response.model_spec) == LATEST


def test_a_scalar_string_is_answered_too(stub):
    response = stub.Predict(predict_request(spec(signature="both"), x=2.0), timeout=TIMEOUT)
    assert tf.make_ndarray(response.outputs["words_bytes"]).item() == b"number"


def test_an_error_that_quotes_bytes_which_are_no_text_is_told(stub):
    request = regression_pb2.RegressionRequest(model_spec=spec(signature="regress_x_to_y"))
    unknown = b"\xf1.12345678"  # a field that protobuf passes over, and TensorFlow's parser of examples does not
    features = b"\n\x0d\n\1W" + unknown
    request.input.example_list.examples.add().MergeFromString(b"\n\x0f" + features)
    code, message = refusal(stub.Regress, request)
    assert code == StatusCode.INVALID_ARGUMENT
    assert message.startswith("Could not parse example input, value: ")


def test_a_scalar_is_answered_too(stub):
    response = stub.Predict(predict_request(x=2.0), timeout=TIMEOUT)
    assert response.outputs["y"].float_val == [4.0] and not response.outputs["y"].tensor_shape.dim


@pytest.mark.parametrize(
    "chosen, y", [({"version": 1}, 3.0), ({"version": 2}, 4.0), ({"label": "stable"}, 3.0), ({"label": "canary"}, 4.0)]
)
def test_versions_and_labels_are_chosen_by_the_client(stub, chosen, y):
    response = stub.Predict(predict_request(spec(**chosen), x=[2.0]), timeout=TIMEOUT)
    assert list(response.outputs["y"].float_val) == [y]
    assert response.model_spec.version.value == (1 if y == 3.0 else 2)
    assert not response.model_spec.version_label


@pytest.mark.parametrize(
    "request_, code, message",
    [
        (predict_pb2.PredictRequest(), StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (predict_request(spec(name="")), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (predict_request(spec(name="m")), StatusCode.NOT_FOUND, "Servable not found for request: Latest(m)"),
        (predict_request(spec(version=9)), StatusCode.NOT_FOUND, "Servable not found for request: Specific(half, 9)"),
        (predict_request(spec(label="x")), StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: x"),
        (
            predict_request(spec(signature="x")),
            StatusCode.FAILED_PRECONDITION,
            'Serving signature key "x" not found.',
        ),
        (
            predict_request(),
            StatusCode.INVALID_ARGUMENT,
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            predict_request(x=[1.0], z=[1.0]),
            StatusCode.INVALID_ARGUMENT,
            "input size does not match signature: 2!=1 len({x,z}) != len({x}). "
            "Sent extra: {z}. Missing but required: {}.",
        ),
        (
            predict_request(z=[1.0]),
            StatusCode.INVALID_ARGUMENT,
            "input tensor alias not found in signature: z. Inputs expected to be in the set {x}.",
        ),
        (
            predict_request(x=[1.0], outputs=["z"]),
            StatusCode.INVALID_ARGUMENT,
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        ),
        (
            predict_request(x=[1.0], outputs=["y", "y"]),
            StatusCode.INVALID_ARGUMENT,
            "duplicate output tensor alias: y",
        ),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_errors_of_predict_are_upstreams(stub, request_, code, message):
    assert refusal(stub.Predict, request_) == (code, message)


def test_a_tensor_of_the_wrong_type_is_an_invalid_argument(stub):
    code, message = refusal(stub.Predict, predict_request(x=["text"]))
    assert code == StatusCode.INVALID_ARGUMENT and "float" in message and "string" in message


def test_an_error_is_cut_at_1024_characters(stub):
    code, message = refusal(stub.Predict, predict_request(spec(signature="x" * 5000)))
    assert code == StatusCode.FAILED_PRECONDITION and len(message) == 1024


def test_only_chosen_outputs_are_returned(stub):
    both = spec(signature="both")
    assert set(stub.Predict(predict_request(both, x=[2.0]), timeout=TIMEOUT).outputs) == {"y", "words_bytes"}
    response = stub.Predict(predict_request(both, x=[2.0], outputs=["words_bytes"]), timeout=TIMEOUT)
    assert list(response.outputs) == ["words_bytes"] and list(response.outputs["words_bytes"].string_val) == [b"number"]


def test_only_chosen_outputs_are_run():
    class Model:
        name, version, signatures = "m", 1, {"serving_default": meta_graph_pb2.SignatureDef()}

    for alias in ("y", "words"):
        Model.signatures["serving_default"].outputs[alias].name = f"{alias}:0"
    assert inference.predict(Model, predict_request(outputs=["words"])).fetches == ["words:0"]
    assert set(inference.predict(Model, predict_request()).fetches) == {"y:0", "words:0"}


def test_a_large_message_passes_both_ways(stub):
    # Beyond gRPC's own default of 4 MB, and one more batch than is allowed by rows.
    x = np.arange(2_000_000, dtype=np.float32)[None]
    response = stub.Predict(predict_request(x=x), timeout=TIMEOUT)
    np.testing.assert_array_equal(response.outputs["y"].float_val, 0.5 * x[0] + 3)


def test_classify(stub):
    request = classification_pb2.ClassificationRequest(model_spec=spec(signature="classify_x_to_y"))
    response = stub.Classify(with_examples(request, 2.0, 4.0), timeout=TIMEOUT)
    classes = [[(one.label, one.score) for one in row.classes] for row in response.result.classifications]
    assert classes == [[("number", 4.0)], [("number", 5.0)]]
    assert answered_by(response.model_spec) == ("half", "classify_x_to_y", LATEST[2])


def test_regress(stub):
    request = regression_pb2.RegressionRequest(model_spec=spec(signature="regress_x_to_y"))
    response = stub.Regress(with_examples(request, 2.0, 4.0), timeout=TIMEOUT)
    assert [one.value for one in response.result.regressions] == [4.0, 5.0]
    assert answered_by(response.model_spec) == ("half", "regress_x_to_y", LATEST[2])


def test_a_context_is_part_of_every_example(stub):
    request = regression_pb2.RegressionRequest(model_spec=spec(signature="regress_x_to_y"))
    sent = request.input.example_list_with_context
    sent.context.features.feature["x"].float_list.value.append(2.0)
    sent.examples.add()
    sent.examples.add()
    assert [one.value for one in stub.Regress(request, timeout=TIMEOUT).result.regressions] == [4.0, 4.0]


def test_multi_inference(stub):
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in (("regress_x_to_y", "regress"), ("classify_x_to_y", "classify")):
        request.tasks.add(model_spec=spec(signature=signature), method_name=f"tensorflow/serving/{method}")
    response = stub.MultiInference(with_examples(request, 2.0), timeout=TIMEOUT)
    assert response.results[0].regression_result.regressions[0].value == 4.0
    assert response.results[1].classification_result.classifications[0].classes[0].score == 4.0
    assert [answered_by(r.model_spec)[1:] for r in response.results] == [
        ("regress_x_to_y", LATEST[2]),
        ("classify_x_to_y", LATEST[2]),
    ]


def task(signature, method="tensorflow/serving/regress", name="half"):
    return inference_pb2.InferenceTask(model_spec=spec(name, signature), method_name=method)


@pytest.mark.parametrize(
    "tasks, code, message",
    [
        ([], StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        ([task("x")], StatusCode.INVALID_ARGUMENT, "Requested signature not found in model graph: x"),
        (
            [task("regress_x_to_y")] * 2,
            StatusCode.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: regress_x_to_y",
        ),
        ([task("regress_x_to_y", "x")], StatusCode.UNIMPLEMENTED, "Unsupported signature method_name: x"),
        (
            [task("regress_x_to_y"), task("classify_x_to_y", name="s2f")],
            StatusCode.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [task("regress_x_to_y"), task("classify_x_to_y", name="")],
            StatusCode.INVALID_ARGUMENT,
            "Found ModelSpec with an empty model name.",
        ),
    ],
)
def test_errors_of_multi_inference_are_upstreams(stub, tasks, code, message):
    request = with_examples(inference_pb2.MultiInferenceRequest(tasks=tasks), 2.0)
    assert refusal(stub.MultiInference, request) == (code, message)


def test_multi_inference_feeds_every_input_as_models_of_tensorflow_2_have_one_for_each_signature():
    class Model:
        name, version, signatures = "half", 1, {}

    tasks = [task("regress_x_to_y"), task("classify_x_to_y", "tensorflow/serving/classify")]
    for one, output in zip(tasks, ("outputs", "scores"), strict=True):
        signature = Model.signatures[one.model_spec.signature_name] = meta_graph_pb2.SignatureDef()
        signature.inputs["inputs"].name = f"{one.model_spec.signature_name}_inputs:0"
        signature.outputs[output].name = f"{output}:0"
    plan = inference.multi_inference(Model, with_examples(inference_pb2.MultiInferenceRequest(tasks=tasks), 2.0))
    assert set(plan.feeds) == {"regress_x_to_y_inputs:0", "classify_x_to_y_inputs:0"}
    assert plan.fetches == ["outputs:0", "scores:0"]


@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_errors_of_classify_and_regress_are_upstreams(stub, method):
    kind = {"Classify": classification_pb2.ClassificationRequest, "Regress": regression_pb2.RegressionRequest}[method]
    call = getattr(stub, method)
    right = {"Classify": "classify_x_to_y", "Regress": "regress_x_to_y"}[method]
    assert refusal(call, kind(model_spec=spec(signature=right))) == (StatusCode.INVALID_ARGUMENT, "Input is empty.")
    assert refusal(call, kind()) == (StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    wrong = with_examples(kind(model_spec=spec(signature="x")), 1.0)
    assert refusal(call, wrong) == (StatusCode.INVALID_ARGUMENT, "No signature was found with the name: x")
    code, message = refusal(call, with_examples(kind(model_spec=spec()), 1.0))
    assert code == StatusCode.FAILED_PRECONDITION and "inputs found in SignatureDef" in message
    no_feature = kind(model_spec=spec(signature=right))
    no_feature.input.example_list.examples.add()
    code, message = refusal(call, no_feature)
    assert code == StatusCode.INVALID_ARGUMENT and "Feature: x" in message


def test_model_metadata(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"])
    response = stub.GetModelMetadata(request, timeout=TIMEOUT)
    assert (response.model_spec.name, response.model_spec.version.value) == ("half", 2)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert default.inputs["x"].name == "x:0" and default.method_name == "tensorflow/serving/predict"
    assert {"both", "classify_x_to_y", "regress_x_to_y"} < set(signatures.signature_def)


@pytest.mark.parametrize(
    "fields, code, message",
    [
        ([], StatusCode.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field"),
        (["x"], StatusCode.INVALID_ARGUMENT, "Metadata field x is not supported"),
    ],
)
def test_metadata_is_of_signatures_alone(stub, fields, code, message):
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec(), metadata_field=fields)
    assert refusal(stub.GetModelMetadata, request) == (code, message)


def test_metadata_of_no_model(stub):
    fields = ["signature_def"]
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec("m"), metadata_field=fields)
    assert refusal(stub.GetModelMetadata, request)[0] == StatusCode.NOT_FOUND
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    assert refusal(stub.GetModelMetadata, request) == (StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def test_model_status(conformance):
    with conformance.models() as stub:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec())
        statuses = stub.GetModelStatus(request, timeout=TIMEOUT).model_version_status
        assert [(s.version, s.State.Name(s.state), s.status.error_code) for s in statuses] == [
            (2, "AVAILABLE", 0),
            (1, "AVAILABLE", 0),
        ]
        request.model_spec.CopyFrom(spec(label="stable"))
        assert [s.version for s in stub.GetModelStatus(request, timeout=TIMEOUT).model_version_status] == [1]
        for model_spec, message in (
            (spec("m"), "Could not find any versions of model m"),
            (spec(version=9), "Could not find version 9 of model half"),
        ):
            request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec)
            assert refusal(stub.GetModelStatus, request) == (StatusCode.NOT_FOUND, message)
        empty = get_model_status_pb2.GetModelStatusRequest()
        assert refusal(stub.GetModelStatus, empty) == (StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def test_a_unix_socket(conformance):
    with grpc.insecure_channel(conformance.socket) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(predict_request(x=[2.0]), timeout=TIMEOUT).outputs["y"].float_val == [4.0]


def test_health(conformance):
    with grpc.insecure_channel(conformance.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        status = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT).status
        assert status == health_pb2.HealthCheckResponse.SERVING
        code, _ = refusal(stub.Check, health_pb2.HealthCheckRequest(service="x"))
        assert code == StatusCode.NOT_FOUND


def test_bytes_that_are_no_request_are_refused_and_the_next_is_answered(conformance, stub):
    with grpc.insecure_channel(conformance.target) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        code, message = refusal(predict, b"\xff" * 100)
    assert code == StatusCode.INVALID_ARGUMENT
    assert message == "not a message that /tensorflow.serving.PredictionService/Predict takes"
    assert stub.Predict(predict_request(x=[2.0]), timeout=TIMEOUT).outputs["y"].float_val == [4.0]


def test_the_deadline_is_the_clients(conformance, voice):
    with conformance.predictions() as stub:
        request = predict_request(spec("s2f"), wav_bytes=[voice(20.0)] * 30, seed=np.arange(30))
        with pytest.raises(grpc.RpcError) as error:
            stub.Predict(request, timeout=0.1)
        assert error.value.code() == StatusCode.DEADLINE_EXCEEDED
        assert stub.Predict(predict_request(x=[2.0]), timeout=TIMEOUT).outputs["y"].float_val == [4.0]
