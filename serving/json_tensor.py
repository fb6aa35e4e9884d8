"""TensorFlow Serving's JSON: request bodies to arrays and examples, and results to response bodies."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from .errors import RequestError, invalid

MAX_VALUES = 8_000_000  # numbers, strings, lists and objects in one body
_VALUE_BYTES = 60  # of memory that each takes

_MAX_SHOWN = 256  # characters of a value in an error
_WHOLE = {tf.float32: 2**24 - 1, tf.float64: 2**53 - 1}  # whole numbers up to these are kept exactly
_KINDS = {dict: "Object", list: "Array", str: "String", type(None): "Null"}
_DIGITS = np.array([f"{i:3}," for i in range(256)], "S4")
_WORDS = {"Expecting value": "Invalid value.", "Extra data": "The document root must not be followed by other values."}


def document_bytes(body: bytes) -> int:
    """About how much memory a request body takes once it is parsed, beside its own."""
    return _VALUE_BYTES * min(_number_of_values(body), MAX_VALUES)


def parse(body: bytes) -> dict[str, Any]:
    """A request body. Raises `RequestError`, before memory is taken, where it holds more than `MAX_VALUES` values."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    if len(body) > MAX_VALUES and _number_of_values(body) > MAX_VALUES:
        raise invalid(f"JSON Parse error: more than {MAX_VALUES} values")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {_WORDS.get(error.msg, error.msg)} at offset: {error.pos}") from None
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid encoding in string. at offset: {error.start}") from None
    except RecursionError:
        raise invalid("JSON Parse error: values are nested too deeply") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_shown(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request asks for; empty where it does not say. Raises `RequestError`."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def predict_inputs(document: Mapping[str, Any], signature: meta_graph_pb2.SignatureDef) -> tuple[bool, dict]:
    """Whether a request is in row format, and its arrays by input name. Raises `RequestError`."""
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if "instances" in document:
        return True, _rows(document, signature)
    if "inputs" in document:
        return False, _columns(document["inputs"], signature)
    raise invalid("Missing 'inputs' or 'instances' key")


def predict_body(arrays: Mapping[str, np.ndarray], row_format: bool) -> bytes:
    """The response to a predict request, in the format of the request. Raises `RequestError`."""
    if row_format:
        _check_rows(arrays)
    kind = "predictions" if row_format else "outputs"
    if len(arrays) == 1:
        ((name, array),) = arrays.items()
        return b'{"%b": %b}' % (kind.encode(), _text(array, name))
    columns = {name: _values(array, name) for name, array in sorted(arrays.items())}
    if row_format:
        return _dump({kind: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]})
    return _dump({kind: columns})


def _check_rows(arrays: Mapping[str, np.ndarray]) -> None:
    sizes = set()
    for name, array in arrays.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if sizes and len(array) not in sizes:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {sizes.pop()}")
        sizes.add(len(array))


def examples(document: Mapping[str, Any]) -> input_pb2.Input:
    """The examples of a classify or regress request. Raises `RequestError`."""
    sent = input_pb2.Input()
    listed = sent.example_list
    if "context" in document:
        listed = sent.example_list_with_context
        _fill_example(document["context"], listed.context)
    given = document.get("examples")
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {_shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    if not isinstance(given, list):
        raise invalid(f"JSON Value: {_shown(document)} Expecting 'examples' value to be an list/array")
    if not given:
        raise invalid(f"JSON Value: {_shown(document)} 'examples' value is an empty array")
    for one in given:
        _fill_example(one, listed.examples.add())
    return sent


def classification_body(result: classification_pb2.ClassificationResult) -> bytes:
    """The response to a classify request: a list of [label, score] for each example."""
    rows = [[(one.label, _shortest(np.float32(one.score))) for one in row.classes] for row in result.classifications]
    return _dump({"results": rows})


def regression_body(result: regression_pb2.RegressionResult) -> bytes:
    """The response to a regress request: a value for each example."""
    return _dump({"results": _shortest(np.array([one.value for one in result.regressions], np.float32))})


def error_body(message: str) -> bytes:
    """The response to a request that failed."""
    return _dump({"error": message})


def _number_of_values(body: bytes) -> int:
    return sum(map(body.count, (b",", b"[", b"{")))


def _rows(document: Mapping[str, Any], signature: meta_graph_pb2.SignatureDef) -> dict[str, np.ndarray]:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid(f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array")
    if not instances:
        raise invalid(f"JSON Value: {_shown(document)} No values in 'instances' array")
    names = sorted(signature.inputs)
    named = _is_named(instances[0])
    if not named and len(names) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    columns: dict[str, list] = {name: [] for name in names}
    for i, instance in enumerate(instances):
        if _is_named(instance) != named:
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid(f"Expecting {expected} but got {got} at item {i} of input list")
        for name, value in instance.items() if named else [(names[0], instance)]:
            key = f" key: {name}" if named else ""
            try:
                if name not in columns:
                    raise invalid(f"JSON object: does not have named input: {name}")
                array = _array(value, signature.inputs[name].dtype)
                if columns[name] and columns[name][0].shape != array.shape:
                    raise invalid(_unlike(columns[name][0], array))
            except RequestError as error:
                raise invalid(f"Failed to process element: {i}{key} of 'instances' list. Error: {error}") from None
            columns[name].append(array)
        if named and len(instance) != len(names):
            raise invalid(
                f"Failed to process element: {i} of 'instances' list. JSON object: {_shown(instance)} "
                f"keys must be equal to: {','.join(names)}"
            )
    return {name: np.stack(arrays) for name, arrays in columns.items()}


def _unlike(first: np.ndarray, other: np.ndarray) -> str:
    if first.size != other.size:
        return f"Expecting tensor size: {first.size} but got: {other.size}"
    shapes = (f"[{','.join(map(str, array.shape))}]" for array in (first, other))
    return "Expecting shape {} but got: {}".format(*shapes)


def _columns(inputs: Any, signature: meta_graph_pb2.SignatureDef) -> dict[str, np.ndarray]:
    names = sorted(signature.inputs)
    if not _is_named(inputs):
        if len(names) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {name: _array(inputs, signature.inputs[name].dtype) for name in names}
    for name in names:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(inputs[name], signature.inputs[name].dtype) for name in names}


def _is_named(value: Any) -> bool:
    """Whether it is an object of named values, and not one base64 string."""
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _array(value: Any, proto_type: int) -> np.ndarray:
    """A value, or lists of lists of values, as an array of the type that the model wants."""
    shape, inner = [], value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    flat: list = []
    _flatten(value, 0, shape, flat)
    dtype = tf.as_dtype(proto_type)
    return _typed(flat, dtype).reshape(shape)


def _flatten(value: Any, level: int, shape: Sequence[int], flat: list) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        flat.append(value)
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    if level == len(shape) - 1 and list not in set(map(type, value)):
        flat.extend(value)
    else:
        for one in value:
            _flatten(one, level + 1, shape, flat)


def _typed(flat: list, dtype: tf.DType) -> np.ndarray:
    """Values of any JSON type as a vector of one type, to the last digit or not at all."""
    kinds = set(map(type, flat))
    if dtype == tf.string:
        array = np.empty(len(flat), object)
        array[:] = [_bytes(value) for value in flat]
        return array
    if dtype == tf.bool:
        allowed = {bool}
    elif dtype in _WHOLE:
        allowed = {int, float}
    elif dtype.is_integer and not dtype.is_quantized:
        allowed = {int}
    else:
        raise RequestError(
            StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {_shown(flat[:1])} to type: {_name(dtype)}"
        )
    if not kinds <= allowed:
        raise _unexpected(next(value for value in flat if type(value) not in allowed), dtype)
    if dtype == tf.bool:
        return np.array(flat, bool)
    if dtype.is_integer:
        for value in (min(flat, default=0), max(flat, default=0)):
            if not dtype.min <= value <= dtype.max:
                raise _unexpected(value, dtype)
        return np.array(flat, dtype.as_numpy_dtype)
    if int in kinds:
        for value in flat:
            if type(value) is int and abs(value) > _WHOLE[dtype]:
                raise _lossy(value, dtype)
    array = np.array(flat, np.float64)
    too_large = np.isfinite(array) & (np.abs(array) > dtype.max)
    if too_large.any():
        raise _lossy(flat[too_large.argmax()], dtype)
    return array.astype(dtype.as_numpy_dtype)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if not isinstance(value, dict):
        raise _unexpected(value, tf.string)
    if not _is_base64(value):
        raise invalid(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError:  # it may have white space, and lack its padding
        digits = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise invalid("Unable to base64 decode") from None


def _fill_example(value: Any, example: example_pb2.Example) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {_kind(value)}")
    for name, content in value.items():
        feature = example.features.feature[name.encode("utf-8", "replace").decode()]
        for one in content if isinstance(content, list) else [content]:
            _add_value(one, name, feature)


def _add_value(value: Any, name: str, feature: feature_pb2.Feature) -> None:
    if isinstance(value, bool | int):
        kind, converted = "int64", int(value)
        if not -(2**63) <= converted < 2**63:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
    elif isinstance(value, float):
        kind, converted = "float", float(_typed([value], tf.float32)[0])
    elif isinstance(value, str) or _is_base64(value):
        kind, converted = "bytes", _bytes(value)
    else:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {_kind(value)}")
    if feature.WhichOneof("kind") not in (None, f"{kind}_list"):
        expected = feature.WhichOneof("kind").removesuffix("_list")
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
    getattr(feature, f"{kind}_list").value.append(converted)


def _text(array: np.ndarray, name: str) -> bytes:
    """An array as JSON."""
    return _pixels(array) if array.dtype == np.uint8 and array.ndim and array.size else _dump(_values(array, name))


def _pixels(array: np.ndarray) -> bytes:
    """Whole numbers of 0 to 255, as many as a picture has, as JSON: a table has the text of each, all of one length."""
    text = _DIGITS[array].view(np.uint8)
    for level in reversed(range(array.ndim)):
        items = text.reshape(*array.shape[:level], -1)  # each with its comma
        text = np.empty((*items.shape[:-1], items.shape[-1] + 2), np.uint8)
        text[..., 0], text[..., 1:-2], text[..., -2], text[..., -1] = ord("["), items[..., :-1], ord("]"), ord(",")
    return text[:-1].tobytes()


def _values(array: np.ndarray, name: str) -> Any:
    """An array as JSON has it: strings as base64 where the name says that they are bytes."""
    if array.dtype == object:
        written = np.empty(array.shape, object)
        as_bytes = name.endswith("_bytes")
        for i, value in enumerate(array.flat):
            written.flat[i] = _base64(value) if as_bytes else value.decode("utf-8", "replace")
        return written.tolist()
    if array.dtype.kind in "biu":
        return array.tolist()
    if tf.as_dtype(array.dtype).is_floating:
        return _shortest(array if array.dtype == np.float64 else array.astype(np.float32))
    raise invalid(f"Failed to write JSON value for tensor type: {_name(tf.as_dtype(array.dtype))}")


def _base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode("ascii")}


def _shortest(values: np.ndarray) -> Any:
    """Floats with no more digits than it takes to read them back: 0.2 and not 0.20000000298."""
    return values.astype("U32").astype(np.float64).tolist()


def _unexpected(value: Any, dtype: tf.DType) -> RequestError:
    return invalid(f"JSON Value: {_shown(value)} Type: {_kind(value)} is not of expected type: {_name(dtype)}")


def _lossy(value: Any, dtype: tf.DType) -> RequestError:
    return invalid(f"Cannot convert JSON value: {_shown(value)} to {_name(dtype)} without loss of precision.")


def _name(dtype: tf.DType) -> str:
    return types_pb2.DataType.Name(dtype.as_datatype_enum).removeprefix("DT_").lower()


def _kind(value: Any) -> str:
    return str(value) if isinstance(value, bool) else _KINDS.get(type(value), "Number")


def _shown(value: Any) -> str:
    """The beginning of a value, as JSON."""
    shown = ""
    for piece in json.JSONEncoder().iterencode(value):
        shown += piece[: _MAX_SHOWN + 1]
        if len(shown) > _MAX_SHOWN:
            return shown[:_MAX_SHOWN] + "..."
    return shown


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8")
