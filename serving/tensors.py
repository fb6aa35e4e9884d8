"""Tensors between protocol buffers and arrays."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from .errors import invalid

MAX_BYTES = 2**28  # of one tensor; a proto of a few bytes may claim any shape

_MAX_DIMENSIONS = 32  # of a numpy array
_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
}


def from_proto(proto: tensor_pb2.TensorProto, name: str) -> np.ndarray:
    """The array that a proto describes: of objects that are bytes, where it holds strings.

    Raises `RequestError` (INVALID_ARGUMENT), before memory is taken, unless it is whole and of at most `MAX_BYTES`.
    """
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    try:
        dtype = tf.as_dtype(proto.dtype)
        itemsize = dtype.as_numpy_dtype().itemsize if dtype != tf.string else 8
        known = not proto.tensor_shape.unknown_rank and len(shape) <= _MAX_DIMENSIONS and min(shape, default=0) >= 0
        if not known or math.prod(shape) * itemsize > MAX_BYTES:
            raise ValueError
        if dtype == tf.string and proto.tensor_content:
            return tf.io.parse_tensor(proto.SerializeToString(), tf.string).numpy()
        return tf.make_ndarray(proto)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, tf.errors.OpError):
        raise invalid(f"tensor parsing error: {name}") from None


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """The proto of an array, in typed fields: clients in other languages do not read `tensor_content` as easily."""
    dtype = tf.as_dtype(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = array.ravel()
    if proto.dtype == types_pb2.DT_STRING:
        proto.string_val.extend(flat)
    elif dtype.name in ("float16", "bfloat16"):
        proto.half_val.extend(flat.view(np.uint16).tolist())
    elif dtype.is_complex:
        field = proto.scomplex_val if dtype == tf.complex64 else proto.dcomplex_val
        field.extend(flat.view(dtype.real_dtype.as_numpy_dtype).tolist())
    elif dtype.name in _FIELDS:
        getattr(proto, _FIELDS[dtype.name]).extend(flat.tolist())
    else:
        return tf.make_tensor_proto(array)  # quantised types and the like, which have no field of their own
    return proto
