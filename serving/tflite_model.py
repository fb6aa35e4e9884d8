"""One version of a TFLite model in memory, run by LiteRT."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.python import schema_py_generated as schema

from .errors import invalid
from .inference import DEFAULT_SIGNATURE, PREDICT
from .servable import Servable

FILE = "model.tflite"

_IN_METADATA = b"signature_defs_metadata"  # where TensorFlow Serving looks for signatures
_MAIN = ""  # what is run of a file that lists no signatures: its main subgraph

Runner = Callable[..., dict[str, np.ndarray]]  # LiteRT's SignatureRunner, or _MainRunner


class TFLiteModel(Servable):
    """A TFLite model, with an interpreter for each of the threads that run it at once, since none can be shared.

    Its signatures are those that the file lists, which also says what sizes they take. Else, as in TensorFlow Serving,
    they are those in its metadata, or its main inputs and outputs as `serving_default`; then any sizes are tried.

    Args:
        name: of the model.
        version: its number.
        folder: holds `FILE`, which is read once.
        threads: that one run may use.

    Raises:
        OSError: where the file cannot be read.
        RequestError: INVALID_ARGUMENT, where LiteRT cannot run it.
    """

    def __init__(self, name: str, version: int, folder: str, threads: int) -> None:
        super().__init__(name, version, folder)
        self._threads = threads
        self._places: dict[str, tuple[str, str]] = {}  # by tensor: what is run, and the tensor's name there
        self._inputs: dict[str, tf.TensorSpec] = {}  # by tensor: what it takes, by the name that clients know
        path = os.path.join(folder, FILE)
        with open(path, "rb") as file:
            self._content = file.read()
        try:
            runners = self._make_runners()
            self.signatures = _signatures(runners, self._content)
            for key, signature in self.signatures.items():
                self._complete(signature, _MAIN if _MAIN in runners else key, runners)
        except Exception as error:  # whatever a damaged file makes LiteRT and the parsers raise
            raise invalid(f"LiteRT cannot run {path}: {error}") from error
        self._idle = [runners]

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Servable`. Raises `RequestError`: INVALID_ARGUMENT, where the model does not take these arrays."""
        given: dict[str, dict[str, np.ndarray]] = {self._places[name][0]: {} for name in fetches}
        for name, array in feeds.items():
            _check(array, self._inputs[name])
            runs, place = self._places[name]
            given.setdefault(runs, {})[place] = array
        try:
            runners = self._idle.pop()
        except IndexError:
            runners = self._make_runners()
        try:
            results = {runs: runners[runs](**arrays) for runs, arrays in given.items()}
        except (OverflowError, RuntimeError, ValueError) as error:  # which leave the interpreter broken: it is given up
            sent = ", ".join(f"{self._inputs[name].name} of shape {feeds[name].shape}" for name in sorted(feeds))
            raise invalid(f"LiteRT cannot run the model on {sent}: {error}") from None
        self._idle.append(runners)
        return {name: results[runs][place] for name in fetches for runs, place in [self._places[name]]}

    def close(self) -> None:
        """See `Servable`."""
        self._idle.clear()

    def _make_runners(self) -> dict[str, Runner]:
        """What a new interpreter can run, by the signatures that the file lists; one thread at a time may use it."""
        interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
        interpreter.allocate_tensors()  # fails where LiteRT lacks an operation
        listed = {key: interpreter.get_signature_runner(key) for key in interpreter.get_signature_list()}
        return listed or {_MAIN: _MainRunner(interpreter)}

    def _complete(self, signature: meta_graph_pb2.SignatureDef, runs: str, runners: Mapping[str, Runner]) -> None:
        """Adds what the tensors of a signature are, and takes down where they are. Raises ValueError."""
        inputs, outputs = runners[runs].get_input_details(), runners[runs].get_output_details()
        for infos, tensors in ((signature.inputs, inputs), (signature.outputs, outputs)):
            for alias, info in infos.items():
                # TensorFlow's name of a tensor ends in a number, which converters once left out.
                place = info.name if info.name in tensors else info.name.partition(":")[0]
                if place not in tensors:
                    raise ValueError(f"a signature names {info.name}, and there are {sorted(tensors)}")
                sizes = [None if size < 0 else int(size) for size in tensors[place]["shape_signature"]]
                spec = tf.TensorSpec(sizes, tensors[place]["dtype"], alias)
                info.name = f"{runs}/{place}" if runs else place  # two subgraphs may have tensors of one name
                info.dtype = spec.dtype.as_datatype_enum
                info.tensor_shape.CopyFrom(spec.shape.as_proto())
                self._places[info.name] = runs, place
                if tensors is inputs:
                    self._inputs[info.name] = spec if runs else tf.TensorSpec(None, spec.dtype, alias)
        if unfed := inputs.keys() - {self._places[info.name][1] for info in signature.inputs.values()}:
            raise ValueError(f"a signature leaves out the inputs {sorted(unfed)}")


class _MainRunner:
    """Runs the main subgraph, by the names of its tensors, as LiteRT's SignatureRunner runs others."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._inputs = _by_name(interpreter.get_input_details())
        self._outputs = _by_name(interpreter.get_output_details())

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        return self._inputs

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        return self._outputs

    def __call__(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        for name, array in arrays.items():
            self._interpreter.resize_tensor_input(self._inputs[name]["index"], array.shape)
        self._interpreter.allocate_tensors()
        for name, array in arrays.items():
            self._interpreter.set_tensor(self._inputs[name]["index"], array)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(tensor["index"]) for name, tensor in self._outputs.items()}


def _by_name(details: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    tensors = {tensor["name"]: tensor for tensor in details}
    if len(tensors) < len(details):
        raise ValueError(f"of {sorted(tensor['name'] for tensor in details)}, two have the same name")
    return tensors


def _signatures(runners: Mapping[str, Runner], content: bytes) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures of a model, in which nothing is certain but the names."""
    if _MAIN not in runners:
        return {key: _signature(runner, lambda name: name) for key, runner in runners.items()}
    return _in_metadata(content) or {
        DEFAULT_SIGNATURE: _signature(runners[_MAIN], lambda name: name.removesuffix(":0"))
    }


def _signature(runner: Runner, alias: Callable[[str], str]) -> meta_graph_pb2.SignatureDef:
    """Of all that a runner takes and gives."""
    return meta_graph_pb2.SignatureDef(
        inputs={alias(name): meta_graph_pb2.TensorInfo(name=name) for name in runner.get_input_details()},
        outputs={alias(name): meta_graph_pb2.TensorInfo(name=name) for name in runner.get_output_details()},
        method_name=PREDICT,
    )


def _in_metadata(content: bytes) -> dict[str, meta_graph_pb2.SignatureDef]:
    model = schema.Model.GetRootAs(content)
    for entry in map(model.Metadata, range(model.MetadataLength())):
        if entry.Name() == _IN_METADATA:
            found = flexbuffers.GetRoot(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()).AsMap
            return {
                key.AsKey: meta_graph_pb2.SignatureDef.FromString(value.AsStringBytes)
                for key, value in zip(found.Keys, found.Values, strict=True)
            }
    return {}


def _check(array: np.ndarray, spec: tf.TensorSpec) -> None:
    """Raises `RequestError` unless an input takes an array: of some shapes LiteRT makes wrong numbers in silence."""
    dtype = tf.as_dtype(array.dtype)
    if dtype != spec.dtype or not spec.shape.is_compatible_with(array.shape):
        shape = "" if spec.shape.rank is None else f" of shape {spec.shape}"
        raise invalid(f"{spec.name} takes {spec.dtype.name}{shape}, not {dtype.name} of shape {array.shape}")
    if dtype == tf.string and not array.ndim:
        raise invalid(f"{spec.name} is a scalar string, which LiteRT cannot be given")
