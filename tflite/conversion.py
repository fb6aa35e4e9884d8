"""A trained run as TFLite models of built-in operations alone, which the runtime that the app bundles can run."""

import dataclasses
import os
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from s2f_tf import saved_model
from s2f_tf.aside import written_aside
from s2f_tf.config import SAMPLE_RATE, Config
from s2f_tf.data import reader, synthetic
from s2f_tf.errors import UserError
from s2f_tf.evaluation.run import graph
from s2f_tf.latent import z_from_seed

from . import description, metadata, quantisation
from .window import loudest_window

VARIANTS = ("float32", "float16", "dynamic", "int8")
# A recurrent network that hears powers, not their logarithms, says something else in these.
_EIGHT_BITS = ("dynamic", "int8")
BUNDLED_RUNTIME = "2.16.1"  # of org.tensorflow:tensorflow-lite, which the Android app bundles

WINDOW_SECONDS = 3.0
_CALIBRATION_CLIPS = 100


class ConversionError(UserError):
    """A run that cannot be converted, or models that cannot be written; the message says why."""


def convert(workdir: str, output: str, corpus: str | None = None, window_seconds: float | None = None) -> None:
    """Writes every variant to `output`, and last `s2f.json`, each aside and then renamed.

    Those of eight bits are left out, with a line that says so, where S is a teacher's network.

    Args:
        workdir: a trained run.
        output: made where it does not exist.
        corpus: a folder of clips, of which some of the training calibrate int8; None makes synthetic ones.
        window_seconds: length of the window; None takes the usual one.

    Raises:
        UserError: where weights, corpus or `output` cannot be used, or a model needs what no phone has.
    """
    signatures = saved_model.Signatures(workdir)
    config = signatures.config
    window = round((window_seconds or max(WINDOW_SECONDS, config.data.window_seconds)) * SAMPLE_RATE)
    left_out = _EIGHT_BITS if "speech_encoder" in config.teachers else ()
    clips = reader.Corpus(corpus) if corpus else None
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise ConversionError(f"--output={output} cannot be made: {error.strerror}") from error
    with tempfile.TemporaryDirectory() as scratch:
        source, samples = os.path.join(scratch, "saved_model"), []
        if "int8" not in left_out:
            clips = clips or _training_speakers(config, os.path.join(scratch, "corpus"))
            samples = _calibration_samples(signatures, clips, window)
        _write_fixed_shapes(signatures, window, source)
        models: dict[str, bytes] = {}
        for variant in VARIANTS:
            if variant in left_out:
                print(f"{description.file_name(variant)}: not made, since eight bits are too few for a teacher's S")
                continue
            converted = _converted(variant, source, samples, models.get("float32"))
            models[variant] = metadata.describe(converted, config.taught)
            require_built_in(models[variant], variant)
            print(f"{description.file_name(variant)}: {len(models[variant]) / 1e6:.2f} MB", flush=True)
    for variant, model in models.items():
        _write(os.path.join(output, description.file_name(variant)), model)
    _write(os.path.join(output, description.NAME), description.make(config, window, models).encode())


def _training_speakers(config: Config, folder: str) -> reader.Corpus:
    """The first speakers of the run's synthetic corpus, one clip of each; a fifth of them is not for training."""
    few = dataclasses.replace(
        config.synthetic, speakers=_CALIBRATION_CLIPS * 5 // 4, clips_per_speaker=1, faces_per_clip=1
    )
    synthetic.write_corpus(few, config.data.face_size, config.seed, folder, "wav")
    return reader.Corpus(folder)


def _calibration_samples(
    signatures: saved_model.Signatures, corpus: reader.Corpus, window: int
) -> quantisation.Samples:
    """Inputs of both signatures, from voices of training speakers."""
    clips = reader.clips(corpus, "train", signatures.config.data.face_size, limit=_CALIBRATION_CLIPS)
    waveforms = [loudest_window(clip.waveform, window)[None] for clip in clips]
    embed = graph(signatures.speech_encoder, [window])
    embeddings = [embed(waveform) for waveform in waveforms]
    z = z_from_seed(np.arange(len(waveforms)), signatures.generator.z_size).numpy()
    return [
        sample
        for i, (waveform, embedding) in enumerate(zip(waveforms, embeddings, strict=True))
        for sample in (
            ("embed_speech", {"waveform": waveform}),
            ("generate", {"embedding": embedding, "z": z[i : i + 1]}),
        )
    ]


def _write_fixed_shapes(signatures: saved_model.Signatures, window: int, folder: str) -> None:
    """A SavedModel of what a device runs, for one voice and one face at a time."""
    draw = signatures.endpoints()["generate_from_embedding"].python_function

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([1, window], tf.float32, name="waveform")])
    def embed_speech(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": signatures.speech_encoder(waveform, training=False)}

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([1, signatures.config.embedding_size], tf.float32, name="embedding"),
            tf.TensorSpec([1, signatures.generator.z_size], tf.float32, name="z"),
        ],
    )
    def generate(embedding: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return draw(embedding, z)

    networks = (signatures.speech_encoder, signatures.generator)
    saved_model.save({"embed_speech": embed_speech, "generate": generate}, networks, folder)


def _converted(variant: str, source: str, samples: quantisation.Samples, float_model: bytes | None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(source, signature_keys=list(description.SIGNATURES))
    if variant == "int8":
        return quantisation.int8(converter, samples, float_model)
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Else its dense layers would need TensorFlow Lite 2.17.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def require_built_in(model: bytes, variant: str) -> None:
    """Raises `ConversionError` unless the runtime that the app bundles has every operation of a model."""
    root = schema.Model.GetRootAs(model)
    codes = [root.OperatorCodes(i) for i in range(root.OperatorCodesLength())]
    name, needed = description.file_name(variant), metadata.minimum_runtime(model)
    foreign = [code.CustomCode() for code in codes if code.BuiltinCode() == schema.BuiltinOperator.CUSTOM]
    if foreign:
        raise ConversionError(f"{name} would need {foreign}, which are not built into TensorFlow Lite")
    if metadata.numbers(needed) > metadata.numbers(BUNDLED_RUNTIME):
        raise ConversionError(
            f"{name} would need TensorFlow Lite {needed}, and the app bundles {BUNDLED_RUNTIME}: "
            f"convert with an older TensorFlow than {tf.__version__}"
        )


def _write(path: str, data: bytes) -> None:
    try:
        with written_aside(path) as part, open(part, "wb") as file:
            file.write(data)
    except OSError as error:
        raise ConversionError(f"{path} cannot be written: {error.strerror}") from error
