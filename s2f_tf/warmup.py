"""The requests that an exported model brings along, for a server to answer before it serves.

The first run of each signature takes many times as long as the next, since TensorFlow optimises its graph then.
"""

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import logging

from s2f_tf.config import Config
from s2f_tf.data import audio, synthetic
from s2f_tf.latent import z_from_seed

FILE = "tf_serving_warmup_requests"  # in `assets.extra`; the name is TensorFlow Serving's


def write_requests(config: Config, folder: str) -> None:
    """Writes a request for each signature, with a synthetic speaker's voice and faces, to `folder`.

    Where TensorFlow Serving's protocol is not installed (the extra `serving`) none are written, and a warning says so.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        logging.warning("%s is not written: that takes tensorflow-serving-api, the extra `serving`", FILE)
        return
    with tf.io.TFRecordWriter(os.path.join(folder, FILE)) as writer:
        for signature, inputs in _requests(config):
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString(deterministic=True))


def _requests(config: Config) -> list[tuple[str, Mapping[str, np.ndarray | list[bytes] | bytes]]]:
    clip = synthetic.make_clip(config.synthetic, config.data.face_size, seed=0, speaker=0, clip=0)
    wav, seed = audio.encode_wav(clip.waveform), np.array([1])
    z = z_from_seed(seed, config.generator.z_size).numpy()
    return [
        ("serving_default", {"wav_bytes": [wav], "seed": seed}),
        (
            "serving_default",
            {"wav_bytes": [audio.encode_wav(np.resize(clip.waveform, 44_100), 44_100)], "seed": seed},
        ),  # is resampled
        ("generate", {"waveform": clip.waveform[None], "z": z}),
        ("generate_from_embedding", {"embedding": np.eye(1, config.embedding_size, dtype=np.float32), "z": z}),
        ("embed_speech", {"wav_bytes": [wav]}),
        ("embed_face", {"jpeg_bytes": [clip.faces[0]]}),
        ("match", {"wav_bytes": wav, "jpeg_bytes": list(clip.faces)}),
    ]
