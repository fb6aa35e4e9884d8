"""The request that the load on a server is made of: one face for a voice, in the form of either API."""

import base64
import json

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio


def voice(seconds: float, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file of noise, which takes as long as any voice."""
    return audio.encode_wav(np.random.default_rng(0).normal(0.0, 0.1, round(seconds * rate)), rate)


def for_grpc(model_name: str, wav: bytes) -> bytes:
    """A serialized `PredictRequest`."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.inputs["wav_bytes"].CopyFrom(tf.make_tensor_proto([wav]))
    request.inputs["seed"].CopyFrom(tf.make_tensor_proto([1], tf.int64))
    return request.SerializeToString()


def for_rest(wav: bytes) -> bytes:
    """A JSON document."""
    return json.dumps({"inputs": {"wav_bytes": [{"b64": base64.b64encode(wav).decode()}], "seed": [1]}}).encode()
