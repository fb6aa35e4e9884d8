import base64
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving import json_tensor
from serving.errors import RequestError


def signature(**dtypes):
    result = meta_graph_pb2.SignatureDef()
    for name, dtype in dtypes.items():
        result.inputs[name].dtype = dtype.as_datatype_enum
    return result


FLOAT, STRING, INT = signature(x=tf.float32), signature(x=tf.string), signature(x=tf.int64)
TWO = signature(a=tf.float32, b_bytes=tf.string)


def inputs(document, wanted=FLOAT):
    row_format, arrays = json_tensor.predict_inputs(json_tensor.parse(json.dumps(document).encode()), wanted)
    return row_format, {name: array.tolist() for name, array in arrays.items()}


def refusal(function, *arguments):
    with pytest.raises(RequestError) as error:
        function(*arguments)
    assert error.value.code == StatusCode.INVALID_ARGUMENT
    return error.value.message


def test_instances_are_rows_and_inputs_are_columns():
    assert inputs({"instances": [1, 2.5]}) == (True, {"x": [1, 2.5]})
    assert inputs({"inputs": [1, 2.5]}) == (False, {"x": [1, 2.5]})
    assert inputs({"instances": [[[1], [2]]]}) == (True, {"x": [[[1], [2]]]})
    assert inputs({"inputs": 3}) == (False, {"x": 3})
    rows = [{"a": [1, 2], "b_bytes": {"b64": "AQI="}}, {"a": [3, 4], "b_bytes": "é"}]
    expected = {"a": [[1, 2], [3, 4]], "b_bytes": [b"\1\2", "é".encode()]}
    assert inputs({"instances": rows}, TWO) == (True, expected)
    columns = {"a": [[1, 2], [3, 4]], "b_bytes": [{"b64": "AQI="}, "é"]}
    assert inputs({"inputs": columns}, TWO) == (False, expected)


def test_one_input_may_be_named_or_not():
    assert inputs({"instances": [{"x": 1}, {"x": 2}]}) == (True, {"x": [1, 2]})
    assert inputs({"inputs": {"x": [1, 2]}}) == (False, {"x": [1, 2]})
    assert inputs({"inputs": {"b64": "AQI="}}, STRING) == (False, {"x": b"\1\2"})
    assert inputs({"instances": [{"b64": "AQI="}]}, STRING) == (True, {"x": [b"\1\2"]})


def test_nan_and_infinity_are_numbers():
    body = b'{"inputs": [NaN, Infinity, -Infinity]}'
    array = json_tensor.predict_inputs(json_tensor.parse(body), FLOAT)[1]["x"]
    assert math.isnan(array[0]) and array[1:].tolist() == [math.inf, -math.inf]


def test_base64_may_lack_its_padding_and_have_white_space():
    assert inputs({"inputs": {"b64": " AQ\nI"}}, STRING) == (False, {"x": b"\1\2"})


@pytest.mark.parametrize(
    "document, wanted, message",
    [
        ({}, FLOAT, "Missing 'inputs' or 'instances' key"),
        ({"instances": [1], "inputs": [1]}, FLOAT, "only one of 'inputs' or 'instances'"),
        ({"instances": 1}, FLOAT, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, FLOAT, "No values in 'instances' array"),
        ({"instances": ["x"]}, FLOAT, 'JSON Value: "x" Type: String is not of expected type: float'),
        ({"instances": [True]}, FLOAT, "is not of expected type: float"),
        ({"instances": [None]}, FLOAT, "JSON Value: null Type: Null"),
        ({"instances": [1.5]}, INT, "JSON Value: 1.5 Type: Number is not of expected type: int64"),
        ({"instances": [2**63]}, INT, "is not of expected type: int64"),
        ({"inputs": [300]}, signature(x=tf.uint8), "300 Type: Number is not of expected type: uint8"),
        ({"inputs": [1]}, STRING, "JSON Value: 1 Type: Number is not of expected type: string"),
        ({"inputs": [1]}, signature(x=tf.bool), "is not of expected type: bool"),
        ({"inputs": [2**24 + 1]}, FLOAT, "Cannot convert JSON value: 16777217 to float without loss of precision."),
        ({"inputs": [1e39]}, FLOAT, "1e+39 to float without loss"),
        ({"inputs": [{"b64": "!"}]}, STRING, "Unable to base64 decode"),
        ({"inputs": [{"b64": 1}]}, STRING, "not formatted correctly for base64 data"),
        ({"inputs": [{"c": "AQI="}]}, STRING, "not formatted correctly for base64 data"),
        ({"inputs": [[1], [1, 2]]}, FLOAT, "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
        ({"inputs": [1, [2]]}, FLOAT, "Encountered list at unexpected level: 1 expected < 1"),
        ({"inputs": [[1], 2]}, FLOAT, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ({"inputs": [1]}, TWO, "inputs is a plain value/list, but expecting an object as multiple"),
        ({"inputs": {"a": [1]}}, TWO, "Missing named input: b_bytes in 'inputs' object."),
        ({"instances": [1]}, TWO, "instances is a plain list, but expecting list of objects"),
        ({"instances": [{"a": 1}]}, TWO, 'JSON object: {"a": 1} keys must be equal to: a,b_bytes'),
        ({"instances": [{"a": 1, "c": 1}]}, TWO, "does not have named input: c"),
        ({"instances": [{"x": 1}, 2]}, FLOAT, "Expecting object but got list at item 1 of input list"),
        ({"instances": [1, {"x": 2}]}, FLOAT, "Expecting value/list but got object at item 1 of input list"),
        ({"instances": [[1], [1, 2]]}, FLOAT, "Expecting tensor size: 1 but got: 2"),
        ({"instances": [[[1], [2]], [[1, 2]]]}, FLOAT, "Expecting shape [2,1] but got: [1,2]"),
        ({"instances": [1, "x"]}, FLOAT, "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "),
        ({"instances": [{"a": "x"}]}, TWO, "Failed to process element: 0 key: a of 'instances' list."),
    ],
)
def test_what_is_no_request_is_refused_as_upstream_does(document, wanted, message):
    assert message in refusal(inputs, document, wanted)


def test_types_that_json_has_no_word_for_are_unimplemented():
    with pytest.raises(RequestError, match="to type: half") as error:
        inputs({"inputs": [1]}, signature(x=tf.float16))
    assert error.value.code == StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "body, message",
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"instances = [1]", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"a": 1', "JSON Parse error: "),
        (b"{} {}", "must not be followed by other values"),
        (b"[]", "JSON Value: [] Is not object"),
        (b'{"a": "\xff\xfe"}', "JSON Parse error: Invalid encoding"),
        (b'{"a":' + b"[" * 200_000, "JSON Parse error: "),
        (b'{"inputs": ' + b"9" * 10_000 + b"}", "JSON Parse error: "),
        (b'{"inputs": [' + b"0," * json_tensor.MAX_VALUES + b"0]}", f"more than {json_tensor.MAX_VALUES} values"),
    ],
    ids=lambda value: value[:24],
)
def test_a_body_that_cannot_be_read_is_refused(body, message):
    assert message in refusal(json_tensor.parse, body)


def test_the_signature_is_named_by_a_string():
    assert json_tensor.signature_name({}) == ""
    assert json_tensor.signature_name({"signature_name": "both"}) == "both"
    message = refusal(json_tensor.signature_name, {"signature_name": 100})
    assert message.endswith("'signature_name' key must be a string value.")


def test_a_long_value_is_shown_in_part():
    assert len(refusal(inputs, {"instances": {"a": "x" * 10_000}})) < 400


@given(st.lists(st.floats(width=32), min_size=1))
def test_floats_come_back_to_the_bit_with_no_more_digits_than_it_takes(values):
    array = np.array(values, np.float32)
    body = json_tensor.predict_body({"y": array}, row_format=True)
    back = np.array(json.loads(body)["predictions"], np.float32)
    np.testing.assert_array_equal(back, array)
    assert len(body) < 20 + 24 * len(values)


def test_floats_are_short_and_always_look_like_floats():
    array = np.array([0.2, 3.0, 1e10, np.nan, np.inf, -np.inf], np.float32)
    assert (
        json_tensor.predict_body({"y": array}, True)
        == b'{"predictions": [0.2, 3.0, 10000000000.0, NaN, Infinity, -Infinity]}'
    )


@given(st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)))
def test_pixels_come_back_in_their_shape(array):
    for row_format, name in [(True, "predictions"), (False, "outputs")]:
        assert json.loads(json_tensor.predict_body({"image": array}, row_format)) == {name: array.tolist()}


def test_every_pixel_takes_as_much_text_whatever_it_is():
    sizes = {len(json_tensor.predict_body({"image": np.full((2, 4, 4, 3), i, np.uint8)}, False)) for i in range(256)}
    assert len(sizes) == 1 and sizes.pop() < 5.5 * 2 * 4 * 4 * 3


def test_responses_have_the_format_of_their_requests():
    arrays = {"y": np.array([[1.5], [2.5]], np.float32), "n": np.array([1, 2])}
    rows = {"predictions": [{"n": 1, "y": [1.5]}, {"n": 2, "y": [2.5]}]}
    assert json.loads(json_tensor.predict_body(arrays, True)) == rows
    assert json.loads(json_tensor.predict_body(arrays, False)) == {"outputs": {"n": [1, 2], "y": [[1.5], [2.5]]}}
    alone = {"y": np.array([1, 2], np.uint8)}
    assert json.loads(json_tensor.predict_body(alone, True)) == {"predictions": [1, 2]}
    assert json.loads(json_tensor.predict_body(alone, False)) == {"outputs": [1, 2]}
    assert json.loads(json_tensor.predict_body({"y": np.array(True)}, False)) == {"outputs": True}


def test_rows_need_as_many_of_each_output():
    assert "no shape information" in refusal(json_tensor.predict_body, {"y": np.array(1.0)}, True)
    unequal = {"y": np.zeros(2), "z": np.zeros(3)}
    assert "inconsistent batch size: 3 expecting: 2" in refusal(json_tensor.predict_body, unequal, True)


@given(st.lists(st.binary(), min_size=1))
def test_strings_go_out_as_base64_where_their_name_ends_in_bytes(values):
    array = np.array([*values, None], object)[:-1]
    body = json.loads(json_tensor.predict_body({"png_bytes": array}, True))
    assert [base64.b64decode(one["b64"]) for one in body["predictions"]] == values


def test_other_strings_go_out_as_text():
    array = np.array([["é".encode(), b"\xff"]], object)
    assert json.loads(json_tensor.predict_body({"word": array}, False)) == {"outputs": [["é", "\ufffd"]]}


def examples(document):
    sent = json_tensor.examples(json_tensor.parse(json.dumps(document).encode()))
    return json_format.MessageToDict(sent, preserving_proto_field_name=True)


def test_examples_have_features_of_three_kinds():
    sent = examples({"examples": [{"f": 2.5, "i": [1, True], "s": ["a", {"b64": "AQI="}]}]})
    feature = sent["example_list"]["examples"][0]["features"]["feature"]
    assert feature["f"] == {"float_list": {"value": [2.5]}}
    assert feature["i"] == {"int64_list": {"value": ["1", "1"]}}
    assert feature["s"] == {"bytes_list": {"value": ["YQ==", "AQI="]}}


def test_a_context_goes_with_all_examples():
    sent = examples({"context": {"c": 1.0}, "examples": [{"x": 1.0}, {"x": 2.0}]})["example_list_with_context"]
    assert len(sent["examples"]) == 2 and "c" in sent["context"]["features"]["feature"]


@pytest.mark.parametrize(
    "document, message",
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": {"y": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": [1, 2.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": 2**63}]}, "has uint64 element. Only int64 is supported."),
        ({"examples": [{"x": 1e39}]}, "without loss of precision"),
    ],
)
def test_what_is_no_example_is_refused(document, message):
    assert message in refusal(examples, document)


def test_results_are_pairs_and_values():
    result = classification_pb2.ClassificationResult()
    result.classifications.add().classes.add(label="a", score=0.2)
    assert json_tensor.classification_body(result) == b'{"results": [[["a", 0.2]]]}'
    values = regression_pb2.RegressionResult(regressions=[regression_pb2.Regression(value=0.2)])
    assert json_tensor.regression_body(values) == b'{"results": [0.2]}'
