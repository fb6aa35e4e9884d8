"""What is malformed gets an error of the right kind, and the server serves on in the memory that it had.

A few thousand inputs with the other tests; more by `FUZZ_INPUTS=200000 FUZZ_SEED=2 python -m pytest -s
tests/serving/test_fuzz.py`, which prints what came of each kind.
"""

import asyncio
import base64
import collections
import io
import json
import os
import struct

import aiohttp
import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    regression_pb2,
)
from test_server_grpc import TIMEOUT, predict_request, refusal, spec, task, with_examples

from serving.client import GrpcClient

INPUTS, SEED = int(os.environ.get("FUZZ_INPUTS", 12_000)), int(os.environ.get("FUZZ_SEED", 1))
AT_A_TIME = 16
MOST_GROWTH = 100e6  # bytes

PREDICTIONS, MODELS = "/tensorflow.serving.PredictionService/", "/tensorflow.serving.ModelService/"
HALF, S2F = "/v1/models/half", "/v1/models/s2f"
INVALID = {"INVALID_ARGUMENT"}
# Whose bytes also name a model, a signature, a method or a type, and may come to name another.
REFUSED = {*INVALID, "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
HTTP_REFUSED = {"400", "404", "501"}
EDGES = [
    b"\0",
    b"\1",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\0\0",
    b"\xff\xff",
    bytes(4),
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\xff" * 4,
]


def mutated(data, other, rng):
    """A few of the things that happen to files: bits, bytes and numbers changed, parts lost, doubled, put elsewhere."""
    data = bytearray(data)
    for _ in range(rng.geometric(0.5)):
        reach = min(len(data), 64) if rng.random() < 0.6 else len(data)  # most of what is said is said at the beginning
        at, size = int(rng.integers(reach + 1)), int(rng.integers(1, 33))
        match rng.integers(8):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.integers(8)
            case 1:
                edge = EDGES[rng.integers(len(EDGES))]
                data[at : at + len(edge)] = edge
            case 2:
                data[at : at + size] = rng.bytes(size)
            case 3:
                data[at:at] = rng.bytes(size)
            case 4:
                del data[at : at + size]
            case 5:
                del data[at:]
            case 6:
                data[at:at] = data[at : at + size]
            case 7:
                start = int(rng.integers(len(other)))
                data[at : at + size] = other[start : start + size]
    return bytes(data)


def picture(kind, **options):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def serialized(message):
    return message.SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def kinds(voice):
    """By name: inputs to mutate, what makes a request of one, and how it may be refused."""
    wavs = [voice(0.5), voice(0.5, rate=8000), voice(0.6, rate=44_100), voice(0.5, subtype="FLOAT")]
    pictures = [picture("JPEG"), picture("JPEG", progressive=True), picture("PNG")]
    examples = [
        (
            "Classify",
            with_examples(classification_pb2.ClassificationRequest(model_spec=spec("half", "classify_x_to_y")), 2.0),
        ),
        ("Regress", with_examples(regression_pb2.RegressionRequest(model_spec=spec("half", "regress_x_to_y")), 2.0)),
        ("MultiInference", with_examples(inference_pb2.MultiInferenceRequest(tasks=[task("regress_x_to_y")]), 2.0)),
    ]
    named = {"metadata_field": ["signature_def"]}
    protobufs = [
        *((PREDICTIONS + "Predict", predict_request(spec("half", signature), x=[2.0])) for signature in ("", "both")),
        (PREDICTIONS + "Predict", predict_request(spec("s2f", "match"), wav_bytes=b"x", jpeg_bytes=[b"x", b"y"])),
        *((PREDICTIONS + method, request) for method, request in examples),
        (PREDICTIONS + "GetModelMetadata", get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec(), **named)),
        (MODELS + "GetModelStatus", get_model_status_pb2.GetModelStatusRequest(model_spec=spec(version=2))),
    ]
    word = {"b64": base64.b64encode(b"no sound").decode()}
    documents = [
        (HALF + ":predict", {"instances": [1.5, -2e3, 4]}),
        (HALF + ":predict", {"signature_name": "both", "inputs": {"x": [[1.0, 2.0], [3.0, 4.0]]}}),
        (HALF + ":classify", {"signature_name": "classify_x_to_y", "context": {"x": 1.0}, "examples": [{"x": [2.5]}]}),
        (HALF + ":regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0, "y": ["é", word], "z": 1}]}),
        (S2F + ":predict", {"instances": [{"wav_bytes": word, "seed": 7}]}),
        (S2F + ":predict", {"signature_name": "embed_face", "inputs": {"jpeg_bytes": [word, "x"]}}),
    ]

    def predict(signature, **inputs):
        return PREDICTIONS + "Predict", serialized(predict_request(spec("s2f", signature), **inputs))

    return {
        "WAV, embed_speech": (wavs, lambda data: predict("embed_speech", wav_bytes=[data]), INVALID),
        "WAV, serving_default": (
            wavs,
            lambda data: predict("serving_default", wav_bytes=[data], seed=np.ones(1, int)),
            INVALID,
        ),
        "JPEG and PNG, embed_face": (pictures, lambda data: predict("embed_face", jpeg_bytes=[data]), INVALID),
        "JPEG and PNG, match": (
            pictures,
            lambda data: predict("match", wav_bytes=wavs[0], jpeg_bytes=[pictures[0], data]),
            INVALID,
        ),
        **{
            f"protobuf, {path.rpartition('/')[2]} {i}": (
                [serialized(message)],
                lambda data, path=path: (path, data),
                REFUSED,
            )
            for i, (path, message) in enumerate(protobufs)
        },
        **{
            f"JSON, {path.rpartition('/')[2]} {i}": (
                [json.dumps(document).encode()],
                lambda data, path=path: (path, data),
                HTTP_REFUSED,
            )
            for i, (path, document) in enumerate(documents)
        },
    }


@pytest.fixture(scope="module")
def stub(conformance):
    with conformance.predictions() as stub:
        yield stub


@pytest.fixture(scope="module")
def session():
    with requests.Session() as session:
        yield session


async def answer(channel, session, url, path, request):
    """The word for what came of it: OK, a gRPC code or an HTTP status."""
    if not path.startswith("/v1/"):
        try:
            await channel.unary_unary(path)(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"
    async with session.post(url + path, data=request) as response:
        answered = await response.json()
        assert (response.status == 200) != (set(answered) == {"error"})
        return "OK" if response.status == 200 else str(response.status)


def test_mutated_inputs_are_refused_as_they_should_be(conformance, kinds, voice):
    counts, wrong = collections.defaultdict(collections.Counter), []
    names, every = list(kinds), [data for inputs, *_ in kinds.values() for data in inputs]

    async def client(channel, session, numbers):
        for number in numbers:
            name, rng = names[number % len(names)], np.random.default_rng([SEED, number])
            inputs, request, refusals = kinds[name]
            data = mutated(inputs[rng.integers(len(inputs))], every[rng.integers(len(every))], rng)
            word = await answer(channel, session, conformance.url, *request(data))
            counts[name][word] += 1
            if word != "OK" and word not in refusals:
                wrong.append((number, name, word, data))

    async def fuzz(start, end):
        numbers = iter(range(start, end))  # all clients take from them
        async with aiohttp.ClientSession() as session, grpc.aio.insecure_channel(conformance.target) as channel:
            await asyncio.gather(*(client(channel, session, numbers) for _ in range(AT_A_TIME)))

    asyncio.run(fuzz(0, INPUTS // 4))
    before = conformance.memory()
    asyncio.run(fuzz(INPUTS // 4, INPUTS))
    growth = conformance.memory() - before
    for name in names:
        print(f"| {name} | {', '.join(f'{n} {word}' for word, n in counts[name].most_common())} |")
    refused = sum(n for count in counts.values() for word, n in count.items() if word != "OK")
    print(f"{refused} of {INPUTS} refused; memory grew from {before / 1e6:.0f} MB by {growth / 1e6:.0f} MB")
    assert not wrong, wrong[:5]
    assert refused > INPUTS / 2
    assert growth < MOST_GROWTH
    with GrpcClient(conformance.target) as after:
        assert len(after.draw(voice(), [1])) == 1


MANY = settings(max_examples=200, deadline=None)
SOME = settings(max_examples=100, deadline=None)  # such documents take longest to make up

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
values = st.recursive(
    leaves | st.fixed_dictionaries({"b64": st.text("AQ=! \n", max_size=6)}),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "b64", "wav_bytes", "seed"]) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
signatures = st.sampled_from(["both", "classify_x_to_y", "regress_x_to_y", "match", "generate", "embed_face"]) | values
documents = st.fixed_dictionaries(
    {}, optional={"signature_name": signatures} | dict.fromkeys(["instances", "inputs", "examples", "context"], values)
)


@SOME
@given(st.sampled_from([HALF, S2F]), st.sampled_from(["predict", "classify", "regress"]), documents)
def test_any_json_is_answered_or_refused(conformance, session, place, method, document):
    response = session.post(f"{conformance.url}{place}:{method}", data=json.dumps(document), timeout=TIMEOUT)
    assert response.status_code in (200, 400, 501), response.text
    assert (response.status_code == 200) != (set(response.json()) == {"error"})


small = st.integers(-2, 4)
sizes = small | st.sampled_from([2**31, 2**40, 2**62, 2**63 - 1, -(2**63)])
tensor_protos = st.builds(
    tensor_pb2.TensorProto,
    dtype=st.sampled_from([types_pb2.DT_FLOAT, *types_pb2.DataType.values()]),
    tensor_shape=st.builds(
        lambda dims, unknown: {"dim": [{"size": size} for size in dims], "unknown_rank": unknown},
        st.lists(sizes, max_size=3) | st.lists(st.just(1), max_size=300),
        st.sampled_from([False, False, False, True]),
    ),
    tensor_content=st.just(b"") | st.binary(max_size=40),
    float_val=st.lists(st.floats(width=32), max_size=4),
    string_val=st.lists(st.binary(max_size=4), max_size=4),
    int_val=st.lists(small, max_size=4),
    half_val=st.lists(small, max_size=4),
    variant_val=st.lists(st.just({"type_name": "x"}), max_size=1),
    version_number=small,
)


@MANY
@given(
    tensor_protos, st.sampled_from([("half", "", "x"), ("s2f", "embed_face", "jpeg_bytes"), ("s2f", "generate", "z")])
)
def test_any_tensor_is_answered_or_refused(stub, proto, place):
    model, signature, name = place
    request = predict_request(spec(model, signature))
    request.inputs[name].CopyFrom(proto)
    if signature == "generate":
        request.inputs["waveform"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 8000), np.float32)))
    try:
        stub.Predict(request, timeout=TIMEOUT)
    except grpc.RpcError as error:
        assert error.code().name in INVALID, error.details()


def chunk(name, data, promised=None):
    return name + struct.pack("<I", len(data) if promised is None else promised) + data + b"\0" * (len(data) % 2)


def either(usual, *others):
    return st.sampled_from([usual] * 8 + list(others))


ALLOWED = [(1, 16), (1, 8), (1, 24), (1, 32), (3, 32), (3, 64), (6, 8), (7, 8)]


@MANY
@given(
    kind=st.sampled_from(ALLOWED) | st.sampled_from([(0, 16), (3, 16), (1, 0), (1, 12), (7, 16), (0xFFFF, 0xFFFF)]),
    is_extensible=st.booleans(),
    channels=either(1, 2, 8, 0, 9, 0xFFFF),
    rate=either(8000, 16000, 48000, 11025, 0, 7999, 48001, 2**32 - 1),
    frames=either(8000, 2, 3999, 4000, 24_000),
    promises=either(0, -1, -4000, 1, 2**20, 0x7FFFFFFF, 0xFFFFFFFF),
    others=st.lists(st.tuples(st.sampled_from([b"LIST", b"fact", b"fmt\0"]), st.binary(max_size=9)), max_size=3),
)
def test_a_wav_file_is_answered_if_it_is_what_is_allowed(
    stub, kind, is_extensible, channels, rate, frames, promises, others
):
    (tag, bits), rng = kind, np.random.default_rng(0)
    frame_bytes = min(max(channels, 1), 8) * (bits // 8 if kind in ALLOWED else 2)
    if tag == 3 and kind in ALLOWED:
        sound = rng.normal(size=frames * frame_bytes * 8 // bits).astype(f"<f{bits // 8}").tobytes()
    else:
        sound = rng.bytes(frames * frame_bytes)
    promised = max(0, len(sound) + promises) if abs(promises) < 2**24 else promises
    form = struct.pack("<HHIIHH", 0xFFFE if is_extensible else tag, channels, rate, rate * 2 % 2**32, 2, bits)
    if is_extensible:
        form += struct.pack("<HHIH14s", 22, bits, 0, tag, b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71")
    parts = [chunk(b"fmt ", form), *(chunk(name, data) for name, data in others), chunk(b"data", sound, promised)]
    body = b"WAVE" + b"".join(parts)
    present = len(sound) + len(sound) % 2
    there = (present if promised in (0, 0x7FFFFFFF, 0xFFFFFFFF) else min(promised, present)) // frame_bytes
    allowed = (
        kind in ALLOWED
        and 1 <= channels <= 8
        and 8000 <= rate <= 48_000
        and 0.5 <= there / rate <= 30
        and not present < promised < 0x7FFF0000
    )
    request = predict_request(spec("s2f", "embed_speech"), wav_bytes=[chunk(b"RIFF", body)])
    if allowed:
        embedding = tf.make_ndarray(stub.Predict(request, timeout=TIMEOUT).outputs["embedding"])
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    else:
        code, message = refusal(stub.Predict, request)
        assert code.name in INVALID and "allowed" in message or "promises" in message
