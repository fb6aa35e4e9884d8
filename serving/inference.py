"""What each inference method makes of its request: what to run, and the response from what comes out.

A `Plan` is made and answered without waiting; who runs it in between is the caller's business, and may batch it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from grpc import StatusCode
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from . import tensors
from .errors import RequestError, invalid
from .servable import Servable

DEFAULT_SIGNATURE = "serving_default"
CLASSIFY, REGRESS, PREDICT = (f"tensorflow/serving/{method}" for method in ("classify", "regress", "predict"))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to feed and to fetch for a request, by names in the graph, and the response to make of what is fetched."""

    feeds: Mapping[str, np.ndarray]
    fetches: Sequence[str]
    respond: Callable[[Mapping[str, np.ndarray]], Any]


def predict(servable: Servable, request: predict_pb2.PredictRequest) -> Plan:
    """A plan whose response is a `PredictResponse`. Raises `RequestError`."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise RequestError(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    _check_inputs(signature, request.inputs)
    outputs = _chosen_outputs(signature, request.output_filter)
    arrays = {alias: tensors.from_proto(proto, alias) for alias, proto in request.inputs.items()}

    def respond(fetched: Mapping[str, np.ndarray]) -> predict_pb2.PredictResponse:
        response = predict_pb2.PredictResponse(model_spec=_answered(servable, name))
        for alias, tensor in outputs.items():
            response.outputs[alias].CopyFrom(tensors.to_proto(fetched[tensor]))
        return response

    return Plan(_feeds(signature, arrays), list(outputs.values()), respond)


def predict_arrays(signature: meta_graph_pb2.SignatureDef, arrays: Mapping[str, np.ndarray]) -> Plan:
    """A plan whose response is a dict of every output's array, by the names of the signature. Raises `RequestError`."""
    _check_inputs(signature, arrays)
    outputs = _chosen_outputs(signature, ())

    def respond(fetched: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {alias: fetched[tensor] for alias, tensor in outputs.items()}

    return Plan(_feeds(signature, arrays), list(outputs.values()), respond)


def classify(servable: Servable, request: classification_pb2.ClassificationRequest) -> Plan:
    """A plan whose response is a `ClassificationResponse`. Raises `RequestError`."""
    name, signature = _examples_signature(servable, request.model_spec)
    tensor, outputs = _classification(signature)
    examples = _serialized_examples(request.input)

    def respond(fetched: Mapping[str, np.ndarray]) -> classification_pb2.ClassificationResponse:
        result = _classes(outputs, fetched, len(examples))
        return classification_pb2.ClassificationResponse(model_spec=_answered(servable, name), result=result)

    return Plan({tensor: examples}, list(outputs.values()), respond)


def regress(servable: Servable, request: regression_pb2.RegressionRequest) -> Plan:
    """A plan whose response is a `RegressionResponse`. Raises `RequestError`."""
    name, signature = _examples_signature(servable, request.model_spec)
    tensor, output = _regression(signature)
    examples = _serialized_examples(request.input)

    def respond(fetched: Mapping[str, np.ndarray]) -> regression_pb2.RegressionResponse:
        result = _values(fetched[output], len(examples))
        return regression_pb2.RegressionResponse(model_spec=_answered(servable, name), result=result)

    return Plan({tensor: examples}, [output], respond)


def multi_inference(servable: Servable, request: inference_pb2.MultiInferenceRequest) -> Plan:
    """A plan whose response is a `MultiInferenceResponse`: one run for all tasks. Raises `RequestError`."""
    feeds, tasks, seen = [], [], set()
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        signature = servable.signatures.get(name)
        if signature is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name == CLASSIFY:
            tensor, outputs = _classification(signature)
        elif task.method_name == REGRESS:
            tensor, output = _regression(signature)
            outputs = {"outputs": output}
        else:
            raise RequestError(StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        feeds.append(tensor)  # a model of TensorFlow 2 has one for each signature
        tasks.append((name, task.method_name, outputs))
    examples = _serialized_examples(request.input)

    def respond(fetched: Mapping[str, np.ndarray]) -> inference_pb2.MultiInferenceResponse:
        response = inference_pb2.MultiInferenceResponse()
        for name, method, outputs in tasks:
            result = response.results.add(model_spec=_answered(servable, name))
            if method == CLASSIFY:
                result.classification_result.CopyFrom(_classes(outputs, fetched, len(examples)))
            else:
                result.regression_result.CopyFrom(_values(fetched[outputs["outputs"]], len(examples)))
        return response

    fetches = [tensor for _, _, outputs in tasks for tensor in outputs.values()]
    return Plan(dict.fromkeys(feeds, examples), fetches, respond)


def model_metadata(servable: Servable) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a model."""
    spec = model_pb2.ModelSpec(name=servable.name)
    spec.version.value = servable.version
    response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
    signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
    response.metadata["signature_def"].Pack(signatures)
    return response


def check_metadata_request(request: get_model_metadata_pb2.GetModelMetadataRequest) -> None:
    """Raises `RequestError` unless it asks for the signatures, of which alone there is metadata."""
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != "signature_def":
            raise invalid(f"Metadata field {field} is not supported")


def _answered(servable: Servable, signature_name: str) -> model_pb2.ModelSpec:
    """Which model, version and signature gave a response."""
    spec = model_pb2.ModelSpec(name=servable.name, signature_name=signature_name)
    spec.version.value = servable.version
    return spec


def _feeds(signature: meta_graph_pb2.SignatureDef, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {signature.inputs[alias].name: array for alias, array in arrays.items()}


def _check_inputs(signature: meta_graph_pb2.SignatureDef, given: Mapping[str, Any]) -> None:
    wanted, sent = sorted(signature.inputs), sorted(given)
    if len(wanted) != len(sent):
        extra, missing = (",".join(sorted(set(a) - set(b))) for a, b in ((sent, wanted), (wanted, sent)))
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({{{','.join(sent)}}}) != "
            f"len({{{','.join(wanted)}}}). Sent extra: {{{extra}}}. Missing but required: {{{missing}}}."
        )
    for alias in sent:
        if alias not in signature.inputs:
            raise invalid(
                f"input tensor alias not found in signature: {alias}. "
                f"Inputs expected to be in the set {{{','.join(wanted)}}}."
            )


def _chosen_outputs(signature: meta_graph_pb2.SignatureDef, output_filter: Sequence[str]) -> dict[str, str]:
    """Tensor names by alias: those asked for, or all."""
    for i, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{','.join(sorted(signature.outputs))}}}."
            )
        if alias in output_filter[:i]:
            raise invalid(f"duplicate output tensor alias: {alias}")
    return {alias: signature.outputs[alias].name for alias in output_filter or sorted(signature.outputs)}


def _examples_signature(servable: Servable, spec: model_pb2.ModelSpec) -> tuple[str, meta_graph_pb2.SignatureDef]:
    name = spec.signature_name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise invalid(f"No signature was found with the name: {name}")
    return name, servable.signatures[name]


def _classification(signature: meta_graph_pb2.SignatureDef) -> tuple[str, dict[str, str]]:
    """The tensor that takes examples, and those that give classes and scores, one of which may be absent."""
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise RequestError(
            StatusCode.FAILED_PRECONDITION, f"No classification inputs found in SignatureDef: {signature}"
        )
    outputs = {alias: signature.outputs[alias].name for alias in ("classes", "scores") if alias in signature.outputs}
    if not outputs:
        raise RequestError(
            StatusCode.FAILED_PRECONDITION,
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}",
        )
    return signature.inputs["inputs"].name, outputs


def _regression(signature: meta_graph_pb2.SignatureDef) -> tuple[str, str]:
    """The tensor that takes examples, and the one that gives values."""
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    for names, wanted in ((signature.inputs, "inputs"), (signature.outputs, "outputs")):
        if wanted not in names:
            raise RequestError(
                StatusCode.FAILED_PRECONDITION, f"No regression {wanted} found in SignatureDef: {signature}"
            )
    return signature.inputs["inputs"].name, signature.outputs["outputs"].name


def _serialized_examples(sent: input_pb2.Input) -> np.ndarray:
    """Examples as the graph parses them; what is in the context is in each, since protos are merged by joining them."""
    kind = sent.WhichOneof("kind")
    if kind == "example_list":
        serialized = [example.SerializeToString() for example in sent.example_list.examples]
    elif kind == "example_list_with_context":
        context = sent.example_list_with_context.context.SerializeToString()
        serialized = [context + e.SerializeToString() for e in sent.example_list_with_context.examples]
    else:
        serialized = []
    if not serialized:
        raise invalid("Input is empty.")
    return np.array(serialized, object)


def _classes(
    outputs: Mapping[str, str], fetched: Mapping[str, np.ndarray], examples: int
) -> classification_pb2.ClassificationResult:
    arrays = {alias: fetched[tensor] for alias, tensor in outputs.items()}
    for alias, kind, proto_type in (("classes", "O", "DT_STRING"), ("scores", "f", "DT_FLOAT")):
        array = arrays.get(alias)
        if array is None:
            continue
        if array.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
        if array.dtype.char != kind:
            raise invalid(f"Expected {alias} Tensor of {proto_type}. Got: {array.dtype}")
        if len(array) != examples:
            raise invalid(f"Expected {alias} output batch size of {examples}. Got: {len(array)}")
    if len({array.shape[1] for array in arrays.values()}) > 1:
        classes, scores = (arrays[alias].shape[1] for alias in ("classes", "scores"))
        raise invalid(f"Tensors class and score should match in dim_size(1). Got {classes} vs. {scores}")
    result = classification_pb2.ClassificationResult()
    for i in range(examples):
        row = result.classifications.add()
        for j in range(next(iter(arrays.values())).shape[1]):
            one = row.classes.add()
            if "classes" in arrays:
                one.label = arrays["classes"][i, j].decode("utf-8", "replace")
            if "scores" in arrays:
                one.score = arrays["scores"][i, j]
    return result


def _values(array: np.ndarray, examples: int) -> regression_pb2.RegressionResult:
    if not (array.ndim == 1 or array.ndim == 2 and array.shape[1] == 1):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(array)}"
        )
    if len(array) != examples:
        raise invalid(f"Input batch size did not match output batch size: {examples} vs. {len(array)}")
    if array.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {array.dtype}")
    result = regression_pb2.RegressionResult()
    for value in array.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
