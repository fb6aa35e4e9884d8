"""Requests that a model brings along and that are answered before it serves: the first run of a graph is slow."""

import os

import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import prediction_log_pb2

from . import inference
from .errors import RequestError, invalid
from .servable import Servable

FILE = "tf_serving_warmup_requests"

_MAX_RECORDS = 1000
_PLANS = {
    "predict_log": inference.predict,
    "classify_log": inference.classify,
    "regress_log": inference.regress,
    "multi_inference_log": inference.multi_inference,
}


def warm_up(servable: Servable, iterations: int = 1) -> None:
    """Answers every request in the model's `assets.extra`, so many times; without such a file, none.

    Raises `RequestError` or `tf.errors.OpError` where a record is damaged or cannot be answered.
    """
    path = servable.extra(FILE)
    if not os.path.exists(path):
        return
    try:
        for count, record in enumerate(tf.data.TFRecordDataset(path).as_numpy_iterator(), 1):
            if count > _MAX_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {path}")
            for _ in range(iterations):
                _answer(servable, record, path)
    except tf.errors.DataLossError as error:
        message = f"{error.message}. Please verify your warmup data is in TFRecord format: {path}"
        raise RequestError(StatusCode.DATA_LOSS, message) from None


def _answer(servable: Servable, record: bytes, path: str) -> None:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except Exception:
        raise invalid(f"Failed to parse warmup record from {path}") from None
    kind = log.WhichOneof("log_type")
    if kind not in _PLANS:
        raise RequestError(StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind} in {path}")
    plan = _PLANS[kind](servable, getattr(log, kind).request)
    plan.respond(servable.run(plan.feeds, plan.fetches))
