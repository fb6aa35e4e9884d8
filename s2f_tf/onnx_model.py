"""The networks as ONNX models, for runtimes other than TensorFlow's: a file for each question."""

import os

import onnx
import tensorflow as tf
import tf2onnx

import s2f_tf
from s2f_tf import config as configuration
from s2f_tf import saved_model
from s2f_tf.aside import written_aside
from s2f_tf.config import SAMPLE_RATE

OPSET = 17


def export(workdir: str, output: str) -> str:
    """Writes the models to `output`, each aside and then renamed, with the config and the model card; returns `output`.

    | file | inputs | output |
    |---|---|---|
    | `embed_speech.onnx` | `waveform` float32 [B, S], 16 kHz, half a second or longer | `embedding` float32 [B, E] |
    | `generate.onnx` | `embedding` float32 [B, E], `z` float32 [B, Z] | `image` uint8 [B, H, W, 3] |
    | `embed_face.onnx` | `face` float32 [B, H, W, 3] in [-1, 1], aligned | `embedding` float32 [B, E] |

    Raises `WeightsError` and `ConfigError`.
    """
    signatures = saved_model.Signatures(workdir)
    configuration.save(signatures.config, output)
    saved_model.write_model_card(signatures.config, output)
    for name, function in _functions(signatures).items():
        path = os.path.join(output, f"{name}.onnx")
        with written_aside(path) as part:
            onnx.save(_converted(function), part)
    return output


def _functions(signatures: saved_model.Signatures) -> dict[str, tf.types.experimental.PolymorphicFunction]:
    size = signatures.config.data.face_size

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None], tf.float32, name="waveform")])
    def embed_speech(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": signatures.speech_encoder(waveform, training=False)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32, name="face")])
    def embed_face(face: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": signatures.face_encoder(face, training=False)}

    generate = signatures.endpoints()["generate_from_embedding"]
    return {"embed_speech": embed_speech, "generate": generate, "embed_face": embed_face}


def _converted(function: tf.types.experimental.PolymorphicFunction) -> onnx.ModelProto:
    model, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
    model.producer_name, model.producer_version = "s2f_tf", s2f_tf.__version__
    onnx.helper.set_model_props(model, {"license": "Apache-2.0", "sample_rate": str(SAMPLE_RATE)})
    for tensor in [*model.graph.input, *model.graph.output]:
        for dimension, name in zip(tensor.type.tensor_type.shape.dim, ("batch", "samples"), strict=False):
            if not dimension.HasField("dim_value"):
                dimension.dim_param = name
    onnx.checker.check_model(model, full_check=True)
    return model
