"""The exported model: a SavedModel with named signatures of core TensorFlow operations alone, sound in and PNG out."""

import functools
import os
import re
import shutil
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from s2f_tf import config as configuration
from s2f_tf import warmup
from s2f_tf.config import MAX_SECONDS, MIN_SECONDS, SAMPLE_RATE
from s2f_tf.data import audio, face, png
from s2f_tf.latent import z_from_seed
from s2f_tf.models import layers, trained

_MODEL_CARD = os.path.join(os.path.dirname(__file__), "model_card.md")


class Signatures:
    """The graph of every signature, over one set of trained networks.

    What is not a valid input is INVALID_ARGUMENT with a message; `audio.decode_wav_bytes` says what is valid. Faces
    must be aligned already, since no graph finds them in photographs: `portrait.encode_face` does.
    """

    def __init__(self, workdir: str) -> None:
        self.config = configuration.load(workdir)
        names = ("speech_encoder", "face_encoder", "generator")
        self.speech_encoder, self.face_encoder, self.generator = (trained.load_network(n, workdir) for n in names)

    def endpoints(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """Each signature by its name, with named inputs and outputs."""
        size, strings = self.config.embedding_size, tf.TensorSpec([None], tf.string, name="wav_bytes")

        @tf.function(autograph=False, input_signature=[strings, tf.TensorSpec([None], tf.int64, name="seed")])
        def serving_default(wav_bytes: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
            # One at a time, so that a face depends as little as can be on what it is batched with: see docs/serving.md.
            signature = {"png_bytes": tf.TensorSpec([], tf.string), "embedding": tf.TensorSpec([size], tf.float32)}
            return _one_by_one(lambda pair: self._hear_and_draw(*pair), (wav_bytes, seed), signature)

        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, None], tf.float32, name="waveform"),
                tf.TensorSpec([None, self.generator.z_size], tf.float32, name="z"),
            ],
        )
        def generate(waveform: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
            samples, least, most = tf.shape(waveform)[1], int(MIN_SECONDS * SAMPLE_RATE), int(MAX_SECONDS * SAMPLE_RATE)
            allowed = (samples >= least) & (samples <= most)
            message = tf.strings.format(f"waveform of {{}} samples: {least} to {most} are allowed", samples)
            with tf.control_dependencies([tf.debugging.Assert(allowed, [message])]):
                return {"image": self._image(z, self.speech_encoder(tf.identity(waveform), training=False))}

        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, size], tf.float32, name="embedding"),
                tf.TensorSpec([None, self.generator.z_size], tf.float32, name="z"),
            ],
        )
        def generate_from_embedding(embedding: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"image": self._image(z, layers.unit_length(embedding))}

        @tf.function(autograph=False, input_signature=[strings])
        def embed_speech(wav_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            output = tf.TensorSpec([size], tf.float32)
            return {"embedding": _one_by_one(self._embed_speech, wav_bytes, output)}

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="jpeg_bytes")])
        def embed_face(jpeg_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"embedding": self._embed_faces(jpeg_bytes)}

        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec([], tf.string, name="wav_bytes"),
                tf.TensorSpec([None], tf.string, name="jpeg_bytes"),
            ],
        )
        def match(wav_bytes: tf.Tensor, jpeg_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probability": self.match(self._embed_speech(wav_bytes), jpeg_bytes)}

        functions = (serving_default, generate, generate_from_embedding, embed_speech, embed_face, match)
        return {function.__name__: function for function in functions}

    def draw(self, embedding: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """One face, uint8 [H, W, 3], of a voice's embedding, float32 [E], and a seed, int64 scalar."""
        return self._image(z_from_seed(seed[None], self.generator.z_size), embedding[None])[0]

    def match(self, embedding: tf.Tensor, jpeg_bytes: tf.Tensor) -> tf.Tensor:
        """How likely each face, JPEG or PNG, string [K], is that of a voice's embedding, float32 [E]: float32 [K]."""
        cosines = tf.linalg.matvec(self._embed_faces(jpeg_bytes), embedding)
        return tf.nn.softmax(self.config.matching.scale * cosines)

    def _embed_speech(self, wav_bytes: tf.Tensor) -> tf.Tensor:
        return self.speech_encoder(audio.decode_wav_bytes(wav_bytes)[None], training=False)[0]

    def _embed_faces(self, jpeg_bytes: tf.Tensor) -> tf.Tensor:
        size = self.config.data.face_size
        signature = tf.TensorSpec([size, size, 3], tf.float32)
        faces = _one_by_one(lambda encoded: face.decode_face_bytes(encoded, size), jpeg_bytes, signature)
        return self.face_encoder(faces, training=False)

    def _image(self, z: tf.Tensor, embedding: tf.Tensor) -> tf.Tensor:
        faces = self.generator(z, embedding, training=False)
        return tf.cast(tf.clip_by_value(tf.round((faces + 1) * 127.5), 0, 255), tf.uint8)

    def _hear_and_draw(self, wav_bytes: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        embedding = self._embed_speech(wav_bytes)
        return {"png_bytes": png.encode_png(self.draw(embedding, seed)), "embedding": embedding}


def _one_by_one(function: Callable, elements: Any, signature: Any) -> Any:
    """`tf.map_fn` whose iterations do not overlap: each network uses every core by itself, in the memory of one."""
    return tf.map_fn(function, elements, fn_output_signature=signature, parallel_iterations=1)


def _checked(function: tf.types.experimental.PolymorphicFunction) -> tf.types.experimental.PolymorphicFunction:
    """A signature that refuses inputs of other shapes than its own, or of unequal numbers, by their names.

    Servers feed whatever shapes a client sends, and what then fails first says nothing of the inputs, or nothing fails.
    """
    specs = function.input_signature

    @tf.function(autograph=False, input_signature=specs)
    @functools.wraps(function.python_function)
    def checked(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        # Else TensorFlow would take the shapes that are sent for those that were promised.
        sent = [tf.shape(tf.compat.v1.placeholder_with_default(x, None)) for x in inputs]
        with tf.control_dependencies(map(_require_shape, sent, specs)):
            numbers = [tf.identity(shape[0]) for shape, spec in zip(sent, specs, strict=True) if spec.shape.rank]
        names = " and ".join(spec.name for spec in specs)
        message = tf.strings.format(f"{names} are {{}} in number: as many of each are wanted", [numbers])
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(numbers[0] == numbers), [message])]):
            return function(*map(tf.identity, inputs))

    return checked


def _require_shape(shape: tf.Tensor, spec: tf.TensorSpec) -> tf.Operation:
    """An assertion that a shape, int32 [rank], is that of a spec."""
    rank, sizes = spec.shape.rank, tf.constant([size or -1 for size in spec.shape], tf.int32)
    is_right = tf.cond(
        tf.size(shape) == rank, lambda: tf.reduce_all((sizes < 0) | (shape == sizes)), lambda: tf.constant(False)
    )
    wanted = f"rank {rank}, [{' '.join(str(size or 'any') for size in spec.shape)}], is wanted"
    message = tf.strings.format(f"{spec.name} has rank {{}}, {{}}: {wanted}", [tf.size(shape), shape])
    return tf.debugging.Assert(is_right, [message])


def save(
    functions: dict[str, tf.types.experimental.PolymorphicFunction], networks: Iterable[keras.Model], folder: str
) -> None:
    """Writes a SavedModel with a signature for each function of the networks.

    `keras.export.ExportArchive` would trace every function twice and store every weight twice.
    """
    module = tf.Module()
    module.weights = [variable.value for network in networks for variable in network.variables]  # it sees no Keras ones
    for name, function in functions.items():
        setattr(module, name, function)
    tf.saved_model.save(module, folder, functions)


def write_model_card(config: configuration.Config, folder: str) -> None:
    """Writes `model_card.md`, which says of a model that is taught, first of all, that it is."""
    with open(_MODEL_CARD, encoding="utf-8") as file:
        title, text = file.read().split("\n\n", 1)
    with open(os.path.join(folder, os.path.basename(_MODEL_CARD)), "w", encoding="utf-8") as file:
        file.write("\n\n".join(filter(None, (title, config.taught, text))))


def export(workdir: str, output: str) -> str:
    """Writes the next numbered version below `output`, aside and then renamed, and returns its folder.

    The config, the model card and requests that warm a server up lie in its `assets.extra`. Raises `WeightsError` and
    `ConfigError`.
    """
    signatures = Signatures(workdir)
    os.makedirs(output, exist_ok=True)
    aside = os.path.join(output, "part")  # not a number: no server takes it for a version
    shutil.rmtree(aside, ignore_errors=True)
    networks = (signatures.speech_encoder, signatures.face_encoder, signatures.generator)
    save({name: _checked(function) for name, function in signatures.endpoints().items()}, networks, aside)
    extra = os.path.join(aside, "assets.extra")
    os.makedirs(extra)
    configuration.save(signatures.config, extra)
    write_model_card(signatures.config, extra)
    warmup.write_requests(signatures.config, extra)
    versions = [int(name) for name in os.listdir(output) if re.fullmatch(r"\d+", name)]
    folder = os.path.join(output, str(max(versions, default=0) + 1))
    os.rename(aside, folder)
    return folder
