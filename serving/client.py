"""A client of TensorFlow Serving, or of the embedded server: `python -m serving.client` draws faces for a voice."""

import abc
import base64
import dataclasses
import itertools
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags
from google.protobuf import json_format
from google.protobuf.message import Message

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
import tensorflow as tf

from s2f_tf import pictures
from s2f_tf.data import audio
from s2f_tf.data.png import encode_png
from s2f_tf.errors import UserError
from s2f_tf.latent import mean_embedding, z_from_seed
from s2f_tf.portrait import Picture, encode_face, encode_faces

from . import live

with command.extra("serving"):
    import grpc
    import requests
    from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, predict_pb2, prediction_service_pb2_grpc

_AT_A_TIME = 16  # faces in one request
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # seconds before a retry


class ServerError(UserError):
    """A request that the server did not answer.

    Attributes:
        code: the gRPC status; for REST, what the HTTP status stands for.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code


@dataclasses.dataclass(frozen=True)
class Tls:
    """Certificates.

    Attributes:
        ca_file: PEM file of whom to trust; None for the system's.
        cert_file: PEM file of the client's own certificate, for mutual TLS.
        key_file: PEM file of its key.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class Client(abc.ABC):
    """What is common to both transports: the signatures of the model, and retries.

    Only UNAVAILABLE is tried again, with waits that double and are drawn at random, until the deadline: such a request
    was refused or lost, and drawing a face twice does no harm. Safe to use from many threads.
    """

    def __init__(
        self, model_name: str = "s2f", version: int | None = None, label: str | None = None, deadline: float = 30.0
    ) -> None:
        """Of a model; `version` and `label` exclude each other. `deadline` in seconds holds for each request."""
        if version is not None and label is not None:
            raise UserError("a model is named by its version or by a label, not by both")
        self.model_name, self.version, self.label, self.deadline = model_name, version, label, deadline

    def predict(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Calls a signature of the model with named inputs: numbers, bytes, or lists or arrays of them.

        Raises `ServerError`.
        """
        return self._patiently(lambda seconds: self._predict(signature, inputs, seconds))

    def _patiently(self, ask: Callable[[float], dict]) -> dict:
        """What `ask` answers, which is given the seconds that are left."""
        end, wait = time.monotonic() + self.deadline, _FIRST_WAIT
        while True:
            try:
                return ask(max(end - time.monotonic(), 1e-3))
            except ServerError as error:
                pause = random.uniform(wait / 2, wait)
                if error.code != grpc.StatusCode.UNAVAILABLE or time.monotonic() + pause >= end:
                    raise
            time.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)

    @abc.abstractmethod
    def _predict(self, signature: str, inputs: Mapping[str, Any], seconds: float) -> dict[str, np.ndarray]:
        """The outputs of a signature, asked once."""

    @abc.abstractmethod
    def _signatures(self, seconds: float) -> dict[str, Any]:
        """The signatures of the model, as JSON has them."""

    def draw(self, voice: bytes | Iterable[tuple[bytes, float]], seeds: Sequence[int]) -> list[bytes]:
        """A PNG for each seed, drawn from a voice: a WAV file of 0.5 to 30 s, or the pieces of `audio.encode_voice`."""
        if isinstance(voice, bytes):
            encoded: list[bytes] = []
            for part in _parts(seeds):
                inputs = {"wav_bytes": [voice] * len(part), "seed": np.array(part, np.int64)}
                encoded += list(self.predict("serving_default", inputs)["png_bytes"])
            return encoded
        return [encode_png(face).numpy() for face in self.draw_embedding(self.embed_speech(voice), seeds)]

    def draw_embedding(self, embedding: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        """A face for each seed, uint8 [N, H, W, 3], of a voice's embedding, float32 [E]."""
        z_shape = self._patiently(self._signatures)["generate_from_embedding"]["inputs"]["z"]["tensor_shape"]
        size = int(z_shape["dim"][1]["size"])
        parts = (z_from_seed(np.array(part, np.int64), size).numpy() for part in _parts(seeds))
        return np.concatenate([self.generate(np.stack([embedding] * len(z)), z) for z in parts])

    def embed_speech(self, voice: bytes | Iterable[tuple[bytes, float]]) -> np.ndarray:
        """The embedding, float32 [E], of unit length, of a voice: see `draw`. Its pieces are sent one after another."""
        if isinstance(voice, bytes):
            return self.predict("embed_speech", {"wav_bytes": [voice]})["embedding"][0]
        return mean_embedding((self.embed_speech(wav), weight) for wav, weight in voice)

    def embed_face(self, picture: Picture, *, aligned: bool = False) -> np.ndarray:
        """A face's embedding, float32 [E], of unit length, of a photograph of one person.

        The face is found, turned upright and aligned here, for which the extra `pipelines` has to be installed, or it
        is `aligned` already: see `portrait.encode_face`. Raises `PictureError`.
        """
        return self.predict("embed_face", {"jpeg_bytes": [encode_face(picture, aligned)]})["embedding"][0]

    def generate(self, embedding: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Faces, uint8 [B, H, W, 3], of embeddings [B, E] and z [B, Z]."""
        inputs = {"embedding": np.asarray(embedding, np.float32), "z": np.asarray(z, np.float32)}
        return self.predict("generate_from_embedding", inputs)["image"].astype(np.uint8)

    def match(self, wav: bytes, pictures: Sequence[Picture], *, aligned: bool = False) -> np.ndarray:
        """How likely each face is the voice's, float32 [K]; they sum to one. Of pictures as of `embed_face`'s."""
        faces = encode_faces(pictures, aligned)
        return self.predict("match", {"wav_bytes": wav, "jpeg_bytes": faces})["probability"]


class GrpcClient(Client):
    """Over gRPC, as in `with GrpcClient("localhost:8500") as client: client.draw(wav, [1, 2, 3])`."""

    def __init__(self, target: str = "localhost:8500", tls: Tls | None = None, **model: Any) -> None:
        """`target` is host:port or unix:path; the rest is `Client`'s. Raises `UserError` where a PEM file is unread."""
        super().__init__(**model)
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_reconnect_backoff_ms", 1000)]
        if tls:
            credentials = grpc.ssl_channel_credentials(*map(_read, (tls.ca_file, tls.key_file, tls.cert_file)))
            self._channel = grpc.secure_channel(target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __enter__(self) -> "GrpcClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def _predict(self, signature: str, inputs: Mapping[str, Any], seconds: float) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest(model_spec=self._spec(signature_name=signature))
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        outputs = self._ask(self._stub.Predict, request, seconds).outputs
        return {name: tf.make_ndarray(value) for name, value in outputs.items()}

    def _signatures(self, seconds: float) -> dict[str, Any]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec(), metadata_field=["signature_def"]
        )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        self._ask(self._stub.GetModelMetadata, request, seconds).metadata["signature_def"].Unpack(signatures)
        return json_format.MessageToDict(signatures, preserving_proto_field_name=True)["signature_def"]

    def _spec(self, **fields: str) -> model_pb2.ModelSpec:
        spec = model_pb2.ModelSpec(name=self.model_name, version_label=self.label, **fields)
        if self.version is not None:
            spec.version.value = self.version
        return spec

    def _ask(self, method: Callable, request: Message, seconds: float) -> Any:
        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            raise ServerError(error.code(), error.details()) from error


class RestClient(Client):
    """Over REST, as in `with RestClient("http://localhost:8501") as client: client.draw(wav, [1, 2, 3])`."""

    def __init__(self, url: str = "http://localhost:8501", tls: Tls | None = None, **model: Any) -> None:
        """`url` without a path; the rest is `Client`'s. Many proxies speak TLS for a server that does not."""
        super().__init__(**model)
        place = f"/v1/models/{self.model_name}"
        if self.version is not None:
            place += f"/versions/{self.version}"
        if self.label is not None:
            place += f"/labels/{self.label}"
        self._known_signatures: dict[str, Any] = {}
        self._url = f"{url.rstrip('/')}{place}"
        self._session = requests.Session()
        if tls:
            for path in filter(None, dataclasses.astuple(tls)):
                _read(path)
            self._session.verify = tls.ca_file or True
            self._session.cert = (tls.cert_file, tls.key_file) if tls.cert_file else None

    def __enter__(self) -> "RestClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def _predict(self, signature: str, inputs: Mapping[str, Any], seconds: float) -> dict[str, np.ndarray]:
        body = {"signature_name": signature, "inputs": {name: _to_json(value) for name, value in inputs.items()}}
        outputs = self._ask("POST", f"{self._url}:predict", seconds, json=body)["outputs"]
        if not isinstance(outputs, dict):  # a bare value where the signature has one output, whose name is not said
            outputs = {next(iter(self._signatures(seconds)[signature]["outputs"])): outputs}
        return {name: _from_json(value) for name, value in outputs.items()}

    def _signatures(self, seconds: float) -> dict[str, Any]:
        if not self._known_signatures:
            metadata = self._ask("GET", f"{self._url}/metadata", seconds)["metadata"]
            self._known_signatures = metadata["signature_def"]["signature_def"]
        return self._known_signatures

    def _ask(self, method: str, url: str, seconds: float, **body: Any) -> dict[str, Any]:
        try:
            response = self._session.request(method, url, timeout=seconds, **body)
        except requests.Timeout as error:
            raise ServerError(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {seconds:.3g} s") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise ServerError(grpc.StatusCode.UNAVAILABLE, f"{url}: {error}") from error
        except (requests.RequestException, OSError, ValueError) as error:
            raise ServerError(grpc.StatusCode.UNKNOWN, f"{url}: {error}") from error
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            answer = {"error": f"{url} answers with {response.status_code} and no JSON: {response.text[:200]}"}
        if response.status_code != 200 or "error" in answer:
            raise ServerError(_CODES.get(response.status_code, grpc.StatusCode.UNKNOWN), answer.get("error", answer))
        return answer


_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    502: grpc.StatusCode.UNAVAILABLE,  # of a proxy whose server is away
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def _parts(values: Sequence) -> list[Sequence]:
    """What goes into one request each."""
    return [values[start : start + _AT_A_TIME] for start in range(0, len(values), _AT_A_TIME)]


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_to_json(element) for element in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _from_json(value: Any) -> np.ndarray:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([base64.b64decode(element["b64"]) for element in value], object)
    values = np.array(value)
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _define_flags() -> None:
    """Of the command alone: whoever imports the library has flags of their own."""
    flags.DEFINE_string("target", None, "host:port of the server; by default localhost:8500, or :8501 for REST")
    flags.DEFINE_boolean("rest", False, "speak REST instead of gRPC")
    flags.DEFINE_string("voice", None, "sound file of a voice, half a second or longer")
    flags.DEFINE_boolean("live", False, "hear a voice from standard input instead, and draw it anew each second")
    flags.DEFINE_integer("rate", None, "of --live where no WAV comes but samples alone (s16le), in Hz", lower_bound=1)
    flags.DEFINE_integer("channels", None, "of such samples, by default one", lower_bound=1, upper_bound=8)
    flags.DEFINE_boolean("strip", False, "of --live: one picture at the end, of how the faces came about")
    flags.DEFINE_string("out", "faces.png", "PNG file for the faces")
    flags.DEFINE_integer("faces", 6, "how many faces to draw", lower_bound=1, upper_bound=1024)
    flags.DEFINE_integer("seed", 1, "of the first face; each further face takes the next", lower_bound=0)
    flags.DEFINE_boolean("any_sound", False, "draw from a sound without a voice as well: hum, noise or music")
    flags.DEFINE_string("model_name", "s2f", "name of the model")
    flags.DEFINE_integer("model_version", None, "by default the latest that serves", lower_bound=0)
    flags.DEFINE_string("model_version_label", None, "instead of a version, as in 'canary'")
    flags.DEFINE_float("deadline", 30.0, "seconds for each request, retries and all", lower_bound=0.001)
    flags.DEFINE_boolean("tls", False, "speak TLS; given by the three flags below as well")
    flags.DEFINE_string("ca_file", None, "PEM file of those who may vouch for the server, instead of the system's")
    flags.DEFINE_string("client_cert_file", None, "PEM file, for a server that asks clients who they are")
    flags.DEFINE_string("client_key_file", None, "PEM file of that certificate's key")


def _connect() -> GrpcClient | RestClient:
    values = flags.FLAGS
    tls = Tls(values.ca_file, values.client_cert_file, values.client_key_file)
    if (tls.cert_file is None) != (tls.key_file is None):
        raise UserError("--client_cert_file and --client_key_file go together")
    with_tls = tls if values.tls or tls != Tls() else None
    model = {
        "model_name": values.model_name,
        "version": values.model_version,
        "label": values.model_version_label,
        "deadline": values.deadline,
    }
    if not values.rest:
        return GrpcClient(values.target or "localhost:8500", with_tls, **model)
    place = values.target or "localhost:8501"
    url = place if "://" in place else f"{'https' if with_tls else 'http'}://{place}"
    return RestClient(url, with_tls, **model)


def main() -> None:
    """Sends a voice, and writes the faces that come back as one picture, or as one after another."""
    values = flags.FLAGS
    if os.path.splitext(values.out)[1].lower() != ".png":
        raise UserError(f"--out={values.out} must end in .png")
    if values.live == (values.voice is not None):
        raise UserError("a voice comes either from a file, by --voice, or from standard input, by --live")
    for flag in ("any_sound",) if values.live else ("rate", "channels", "strip"):
        if values[flag].present:
            raise UserError(f"--{flag} goes with {'--voice' if values.live else '--live'}")
    seeds = range(values.seed, values.seed + values.faces)
    if values.live:
        with _connect() as client:
            live.show(client, values.rate, values.channels, seeds, values.out, values.strip)
    else:
        pieces = audio.encode_voice(values.voice, values.any_sound)
        first = list(itertools.islice(pieces, 2))
        voice = first[0][0] if len(first) == 1 else itertools.chain(first, pieces)
        with _connect() as client:
            encoded = client.draw(voice, seeds)
        faces = np.stack([tf.io.decode_png(picture, channels=3).numpy() for picture in encoded])
        pictures.save_png(pictures.near_square(faces), values.out)
    print(values.out)


def run() -> None:
    """The console script."""
    _define_flags()
    command.run(main)


if __name__ == "__main__":
    run()
