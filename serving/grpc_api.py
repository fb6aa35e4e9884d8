"""TensorFlow Serving's gRPC services."""
# ruff: noqa: N802  (the names of the methods are gRPC's)

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from . import inference
from .errors import RequestError, from_exception, invalid
from .limits import Intake
from .models import Models
from .service import Service

_MAX_MESSAGE = 1024  # characters of an error, which travels in a header

Context = grpc.aio.ServicerContext


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def Predict(self, request: predict_pb2.PredictRequest, context: Context) -> predict_pb2.PredictResponse:
        """Runs any signature on tensors."""
        return await self._infer(inference.predict, request, context, "Predict")

    async def Classify(
        self, request: classification_pb2.ClassificationRequest, context: Context
    ) -> classification_pb2.ClassificationResponse:
        """Runs a classification on examples."""
        return await self._infer(inference.classify, request, context, "Classify")

    async def Regress(
        self, request: regression_pb2.RegressionRequest, context: Context
    ) -> regression_pb2.RegressionResponse:
        """Runs a regression on examples."""
        return await self._infer(inference.regress, request, context, "Regress")

    async def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: Context
    ) -> inference_pb2.MultiInferenceResponse:
        """Runs several of them on the same examples, at once."""
        async with _answering(context):
            spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
            plan = functools.partial(inference.multi_inference, request=request)
            return await self._service.infer(spec, plan, "MultiInference", "GRPC")

    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: Context
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a model."""
        async with _answering(context):
            inference.check_metadata_request(request)
            with self._service.models.use(request.model_spec) as servable:
                return inference.model_metadata(servable)

    async def _infer(self, plan: Callable, request: Any, context: Context, api: str) -> Any:
        async with _answering(context):
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            return await self._service.infer(request.model_spec, functools.partial(plan, request=request), api, "GRPC")


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: Context
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of every version of a model, or of one."""
        async with _answering(context):
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            return self._models.status(request.model_spec)

    async def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: Context
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serves another list of models; those left out are unloaded."""
        async with _answering(context):
            await self._models.reload(request.config)
            return model_management_pb2.ReloadConfigResponse(status={})


class Reading(grpc.aio.ServerInterceptor):
    """Reads the message of each call itself, to refuse one that does not come in time, or for which there is no room,
    and bytes that are no message with INVALID_ARGUMENT; gRPC alone would wait for ever, and call those UNKNOWN.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def intercept_service(
        self, continuation: Callable, details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Answers a call of one message as if it were a stream, of which a handler reads what it wants."""
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def answer(messages: Any, context: Context) -> Any:
            message = await self._read(context)
            with self._intake.counting() as count:
                async with _answering(context):
                    count(len(message))
                try:
                    request = handler.request_deserializer(message)
                except DecodeError:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a message that {details.method} takes")
                return await handler.unary_unary(request, context)

        return grpc.stream_unary_rpc_method_handler(answer, response_serializer=handler.response_serializer)

    async def _read(self, context: Context) -> bytes:
        reading = asyncio.ensure_future(context.read())
        # It ends with the call. To cancel it would free memory that gRPC still writes to.
        reading.add_done_callback(lambda _: reading.exception())
        seconds = self._intake.limits.body_seconds
        done, _ = await asyncio.wait([reading], timeout=seconds)
        if not done:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"the message did not come within {seconds:g} s")
        if (message := reading.result()) is grpc.aio.EOF:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "there is no message")
        return message


def add_to_server(service: Service, server: grpc.aio.Server) -> None:
    """Makes a server answer both services."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(service), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(service.models), server)


@contextlib.asynccontextmanager
async def _answering(context: Context) -> AsyncIterator[None]:
    """Whatever is raised inside becomes the status of the call."""
    try:
        yield
    except Exception as error:
        failure: RequestError = from_exception(error)
        await context.abort(failure.code, failure.message[:_MAX_MESSAGE])
