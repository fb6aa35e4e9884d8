import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving import tensors
from serving.errors import RequestError

NUMBERS = st.one_of(
    arrays.floating_dtypes(sizes=(16, 32, 64), endianness="<"),
    arrays.integer_dtypes(endianness="<"),
    arrays.unsigned_integer_dtypes(endianness="<"),
    arrays.boolean_dtypes(),
    arrays.complex_number_dtypes(endianness="<"),
)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(NUMBERS.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)))
def test_numbers_come_back_as_they_went_and_as_tensorflow_reads_them(array):
    proto = tensors.to_proto(array)
    assert not proto.tensor_content
    assert same(tensors.from_proto(proto, "x"), array)
    assert same(tf.make_ndarray(proto), array)


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_strings_come_back_as_they_went(values):
    array = np.array([*values, None], object)[:-1]
    proto = tensors.to_proto(array)
    assert list(proto.string_val) == values
    assert tensors.from_proto(proto, "x").tolist() == values


def test_bfloat16_goes_in_its_own_field():
    array = tf.constant([1.5, -2.0], tf.bfloat16).numpy()
    proto = tensors.to_proto(array)
    assert len(proto.half_val) == 2 and tf.make_ndarray(proto).tolist() == [1.5, -2.0]


@given(arrays.arrays(np.float32, SHAPES))
def test_packed_tensors_are_read_too(array):
    assert same(tensors.from_proto(tf.make_tensor_proto(array), "x"), array)


def test_packed_strings_are_read_as_the_cpp_library_writes_them():
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_content=b"\x02\x03abcde")
    proto.tensor_shape.dim.add(size=2)
    assert tensors.from_proto(proto, "x").tolist() == [b"ab", b"cde"]


def tensor(dtype=types_pb2.DT_FLOAT, shape=(1,), unknown_rank=False, **values):
    proto = tensor_pb2.TensorProto(dtype=dtype, **values)
    proto.tensor_shape.unknown_rank = unknown_rank
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def test_one_value_fills_a_shape():
    assert tensors.from_proto(tensor(shape=(2, 2), float_val=[3.0]), "x").tolist() == [[3.0, 3.0], [3.0, 3.0]]


@pytest.mark.parametrize(
    "proto",
    [
        tensor(shape=(2**40,), float_val=[1.0]),
        tensor(shape=(2**20, 2**20, 2**20), float_val=[1.0]),
        tensor(types_pb2.DT_STRING, shape=(2**40,), string_val=[b""]),
        tensor(shape=(-1,), float_val=[1.0]),
        tensor(shape=(1,) * 40, float_val=[1.0]),
        tensor(shape=(2,), float_val=[1.0, 2.0, 3.0]),
        tensor(shape=(3,), tensor_content=b"12345"),
        tensor(unknown_rank=True, float_val=[1.0]),
        tensor(types_pb2.DT_INVALID),
        tensor(types_pb2.DT_RESOURCE),
        tensor(types_pb2.DT_VARIANT),
        tensor(999),
        tensor(types_pb2.DT_STRING, shape=(2,), tensor_content=b"\xff\xff\xff\xff\x0f"),
    ],
    ids=str,
)
def test_a_proto_that_is_no_tensor_is_refused_before_it_takes_memory(proto):
    with pytest.raises(RequestError, match="tensor parsing error: x") as error:
        tensors.from_proto(proto, "x")
    assert error.value.code == StatusCode.INVALID_ARGUMENT
