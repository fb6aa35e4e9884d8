"""TensorFlow Serving's REST API, on aiohttp."""

import asyncio
import functools
import inspect
import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    model_pb2,
    regression_pb2,
)

from . import inference, json_tensor
from .errors import from_exception, invalid
from .limits import Intake, RefusedBodyError
from .servable import Servable
from .service import Service

_PLACE = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_RUN = re.compile(rf"/v1/models/(?P<model>[^/:]+){_PLACE}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_SHOW = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{_PLACE}(?P<metadata>/metadata)?", re.IGNORECASE)

_HTTP_STATUS = {
    StatusCode.CANCELLED: 499,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.UNAUTHENTICATED: 401,
}
_LARGE = 2**18  # bytes of a body that is read on a thread, so that other requests go on
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
# protobuf 5 has another name for "print what is zero or empty, too".
_PRINT_ALL = "always_print_fields_with_no_presence"
if _PRINT_ALL not in inspect.signature(json_format.MessageToDict).parameters:
    _PRINT_ALL = "including_default_value_fields"


class RestApi:
    """Every path below /v1/.

    Args:
        service: answers.
        intake: reads bodies.
        timeout_seconds: after which a request that has come is given up, with 504.
        cors: whether pages of other origins may read the answers.
    """

    def __init__(self, service: Service, intake: Intake, timeout_seconds: float, cors: bool) -> None:
        self._service = service
        self._intake = intake
        self._timeout_seconds = timeout_seconds
        self._headers = _CORS if cors else {}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Takes its paths."""
        router.add_route("*", "/{v1:[vV]1}/{rest:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        if request.method == "OPTIONS" and self._headers:
            return web.Response(headers=self._headers)
        try:
            body = await self._body(request)
        except Exception as error:
            response = error_response(error)
        else:
            response = web.Response(body=body, content_type="application/json")
        response.headers.update(self._headers)
        return response

    async def _body(self, request: web.Request) -> bytes:
        path = request.rel_url.raw_path
        if request.method == "POST" and (match := _RUN.fullmatch(path)):
            run = {"predict": self._predict, "classify": self._classify, "regress": self._regress}
            with self._intake.counting() as count:
                body = await self._intake.read(request, count)
                async with asyncio.timeout(self._timeout_seconds):
                    count(await _on_thread_if_large(json_tensor.document_bytes, body))
                    document = await _on_thread_if_large(json_tensor.parse, body)
                    return await run[match["method"].lower()](_spec(match), document)
        if request.method == "GET" and (match := _SHOW.fullmatch(path)):
            if match["model"] is None:
                raise invalid("Missing model name in request.")
            return self._metadata(_spec(match)) if match["metadata"] else self._status(_spec(match))
        raise invalid(f"Malformed request: {request.method} {path}")

    async def _predict(self, spec: model_pb2.ModelSpec, document: dict) -> bytes:
        spec.signature_name = json_tensor.signature_name(document)
        name = spec.signature_name or inference.DEFAULT_SIGNATURE
        row_format = False

        def plan(servable: Servable) -> inference.Plan:
            nonlocal row_format
            if name not in servable.signatures:
                raise invalid(f'Serving signature name: "{name}" not found in signature def')
            signature = servable.signatures[name]
            row_format, arrays = json_tensor.predict_inputs(document, signature)
            return inference.predict_arrays(signature, arrays)

        arrays = await self._service.infer(spec, plan, "Predict", "REST")
        return await _on_thread_if_large(json_tensor.predict_body, arrays, row_format)

    async def _classify(self, spec: model_pb2.ModelSpec, document: dict) -> bytes:
        spec.signature_name = json_tensor.signature_name(document)
        request = classification_pb2.ClassificationRequest(model_spec=spec, input=json_tensor.examples(document))
        plan = functools.partial(inference.classify, request=request)
        return json_tensor.classification_body((await self._service.infer(spec, plan, "Classify", "REST")).result)

    async def _regress(self, spec: model_pb2.ModelSpec, document: dict) -> bytes:
        spec.signature_name = json_tensor.signature_name(document)
        request = regression_pb2.RegressionRequest(model_spec=spec, input=json_tensor.examples(document))
        plan = functools.partial(inference.regress, request=request)
        return json_tensor.regression_body((await self._service.infer(spec, plan, "Regress", "REST")).result)

    def _status(self, spec: model_pb2.ModelSpec) -> bytes:
        return json.dumps(_to_dict(self._service.models.status(spec)), indent=1).encode()

    def _metadata(self, spec: model_pb2.ModelSpec) -> bytes:
        with self._service.models.use(spec) as servable:
            response = inference.model_metadata(servable)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        body = {"model_spec": _to_dict(response.model_spec), "metadata": {"signature_def": _to_dict(signatures)}}
        return json.dumps(body, indent=1).encode()


def error_response(error: Exception) -> web.Response:
    """What a client is told of an error."""
    failure = from_exception(error)
    status = failure.status if isinstance(failure, RefusedBodyError) else _HTTP_STATUS.get(failure.code, 500)
    return web.Response(body=json_tensor.error_body(failure.message), content_type="application/json", status=status)


def _spec(match: re.Match) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(match["model"]))
    if match["version"] is not None:
        if int(match["version"]) >= 2**63:
            raise invalid(f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = int(match["version"])
    elif match["label"] is not None:
        spec.version_label = urllib.parse.unquote(match["label"])
    return spec


def _to_dict(message: Message) -> dict:
    return json_format.MessageToDict(message, preserving_proto_field_name=True, **{_PRINT_ALL: True})


async def _on_thread_if_large(function: Callable, subject: Any, *rest: Any) -> Any:
    size = len(subject) if isinstance(subject, bytes) else sum(array.nbytes for array in subject.values())
    if size < _LARGE:
        return function(subject, *rest)
    return await asyncio.to_thread(function, subject, *rest)
