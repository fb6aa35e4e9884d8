"""What a converted model says of itself, inside its file, as Android Studio and Netron show it.

This is TensorFlow Lite Metadata 1.3.0; numbers stand for the fields of the tables of its `metadata_schema.fbs`.
"""

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

import s2f_tf
from s2f_tf.config import SAMPLE_RATE

_DESCRIPTION = "Hears a voice and draws faces that could belong to it. Every face is synthetic, and is nobody's."
_IDENTIFIER, _PARSER = b"M001", "1.3.0"  # of the metadata, and the first version that knows of sound
_NAME, _RUNTIME = b"TFLITE_METADATA", b"min_runtime_version"  # entries of the model's own list
_FEATURE, _IMAGE, _AUDIO = np.uint8(1), np.uint8(2), np.uint8(4)  # kinds of content
_RGB = np.int8(1)


def describe(model: bytes, taught: str) -> bytes:
    """A converted model with its metadata: rates, lengths, ranges, licence, and whether it is `Config.taught`.

    Of the runtime versions that the converter wrote, of which all but one may be empty, one is left.
    """
    tree = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    runtime = minimum_runtime(model).encode().ljust(16, b"\0")  # as long as the converter makes it
    entries = {b"CONVERSION_METADATA": None, _RUNTIME: runtime, _NAME: _metadata(tree, taught)}
    kept = []
    for name, data in entries.items():
        entry = next((entry for entry in tree.metadata if entry.name == name), None) or schema.MetadataT()
        if data is not None:
            entry.name, entry.buffer = name, len(tree.buffers)
            tree.buffers.append(schema.BufferT())
            tree.buffers[-1].data = np.frombuffer(data, np.uint8)
        kept.append(entry)
    tree.metadata = kept
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


def minimum_runtime(model: bytes) -> str:
    """The first version of TensorFlow Lite that knows every operation of a model, such as "2.1.0"."""
    # Read where it lies: to make objects of a whole model takes as long as to convert it.
    root = schema.Model.GetRootAs(model)
    entries = [root.Metadata(i) for i in range(root.MetadataLength())]
    found = [root.Buffers(entry.Buffer()).DataAsNumpy().tobytes() for entry in entries if entry.Name() == _RUNTIME]
    return max((version.rstrip(b"\0").decode() for version in found), key=numbers)


def numbers(version: str) -> tuple[int, ...]:
    """A version as versions are compared, "2.16.1" above "2.9.0"; an empty one is the lowest."""
    return tuple(int(number) for number in version.split(".") if number)


def _metadata(tree: schema.ModelT, taught: str) -> bytes:
    builder = flatbuffers.Builder()
    fields = {
        0: "s2f",
        1: " ".join(filter(None, (_DESCRIPTION, taught))),
        2: s2f_tf.__version__,
        3: [_subgraph(tree, index) for index in range(len(tree.subgraphs))],
        4: "s2f_tf",
        5: "Apache-2.0",
        7: _PARSER,
    }
    builder.Finish(_write(builder, fields), _IDENTIFIER)
    return bytes(builder.Output())


def _subgraph(tree: schema.ModelT, index: int) -> dict[int, Any]:
    graph = tree.subgraphs[index]
    signature = next((signature for signature in tree.signatureDefs if signature.subgraphIndex == index), None)
    if signature is None:  # part of a loop
        return {0: graph.name.decode()}
    names = {tensor.tensorIndex: tensor.name.decode() for tensor in [*signature.inputs, *signature.outputs]}
    return {
        0: signature.signatureKey.decode(),
        2: [_TENSORS[names[tensor]](graph.tensors[tensor].shape) for tensor in graph.inputs],
        3: [_TENSORS[names[tensor]](graph.tensors[tensor].shape) for tensor in graph.outputs],
    }


def _waveform(shape: np.ndarray) -> dict[int, Any]:
    text = f"a voice, mono, {SAMPLE_RATE} Hz, {shape[1]} samples; its offset and level are removed inside"
    return _tensor("waveform", text, _AUDIO, {0: np.uint32(SAMPLE_RATE), 1: np.uint32(1)}, (-1, 1))


def _embedding(shape: np.ndarray) -> dict[int, Any]:
    return _tensor("embedding", f"what the voice tells, {shape[1]} numbers, of unit length", _FEATURE, {}, (-1, 1))


def _z(shape: np.ndarray) -> dict[int, Any]:
    return _tensor("z", f"what the voice does not tell, {shape[1]} draws from N(0, 1)", _FEATURE, {}, (-4, 4))


def _image(shape: np.ndarray) -> dict[int, Any]:
    size = {0: np.uint32(shape[2]), 1: np.uint32(shape[1])}
    return _tensor("image", "a synthetic face", _IMAGE, {0: _RGB, 1: size}, (0, 255))


_TENSORS = {"waveform": _waveform, "embedding": _embedding, "z": _z, "image": _image}


def _tensor(
    name: str, description: str, kind: np.uint8, content: dict[int, Any], limits: tuple[float, float]
) -> dict[int, Any]:
    low, high = (np.array([limit], np.float32) for limit in limits)
    return {0: name, 1: description, 3: {0: kind, 1: content}, 5: {0: high, 1: low}}


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes a string, an array, a list of tables or a table (its fields by number); returns where it is."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, list):
        places = [_write(builder, item) for item in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return builder.EndVector()
    return _write_table(builder, value)


def _write_table(builder: flatbuffers.Builder, fields: Mapping[int, Any]) -> int:
    scalars = {
        np.uint8: builder.PrependUint8Slot,
        np.int8: builder.PrependInt8Slot,
        np.uint32: builder.PrependUint32Slot,
    }
    places = {n: _write(builder, field) for n, field in fields.items() if type(field) not in scalars}
    builder.StartObject(max(fields, default=-1) + 1)
    for n, field in fields.items():
        if n in places:
            builder.PrependUOffsetTRelativeSlot(n, places[n], 0)
        else:
            scalars[type(field)](n, field.item(), None)
    return builder.EndObject()
