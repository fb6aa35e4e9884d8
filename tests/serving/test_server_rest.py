import asyncio
import base64
import gzip
import http.client
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from grpc import StatusCode

from serving import rest_api
from serving.errors import RequestError
from serving.limits import Intake, Limits


@pytest.fixture(scope="module")
def call(conformance):
    """A function that sends one request and returns (status, headers, body)."""

    def send(method, path, body=None, **headers):
        connection = http.client.HTTPConnection(f"localhost:{conformance.rest_port}", timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    return send


@pytest.fixture(scope="module")
def ask(call):
    """A function that posts, or gets where there is nothing to post, and returns (status, document)."""

    def send(path, document=None):
        body = document if isinstance(document, bytes | None) else json.dumps(document)
        status, headers, answer = call("GET" if body is None else "POST", path, body)
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(answer)

    return send


HALF = "/v1/models/half"


@pytest.mark.parametrize(
    "place, add",
    [("", 3.0), ("/versions/1", 2.0), ("/versions/2", 3.0), ("/labels/stable", 2.0), ("/labels/can%61ry", 3.0)],
)
def test_predict_in_both_formats(ask, place, add):
    expected = [0.5 * x + add for x in (2, 3, 4)]
    path = f"{HALF}{place}:predict"
    assert ask(path, {"instances": [2.0, 3.0, 4.0]}) == (200, {"predictions": expected})
    assert ask(path, {"inputs": [2.0, 3.0, 4.0]}) == (200, {"outputs": expected})
    assert ask(path, {"signature_name": "serving_default", "instances": [[2.0]]}) == (200, {"predictions": [[1 + add]]})


def test_the_path_is_not_case_sensitive(ask):
    assert ask("/V1/Models/half:Predict", {"instances": [2]}) == (200, {"predictions": [4.0]})


def test_strings_go_out_as_base64_where_the_name_ends_in_bytes(ask):
    word = {"b64": base64.b64encode(b"number").decode()}
    rows = {"predictions": [{"y": 4.0, "words_bytes": word}]}
    assert ask(f"{HALF}:predict", {"signature_name": "both", "instances": [{"x": 2.0}]}) == (200, rows)
    columns = {"outputs": {"y": [4.0], "words_bytes": [word]}}
    assert ask(f"{HALF}:predict", {"signature_name": "both", "inputs": {"x": [2.0]}}) == (200, columns)


def test_nan_and_infinity_pass(ask):
    status, answer = ask(f"{HALF}:predict", b'{"instances": [NaN, -Infinity]}')
    assert status == 200 and answer["predictions"][0] != answer["predictions"][0]
    assert answer["predictions"][1] == float("-inf")


def test_classify_and_regress(ask):
    body = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}, {"x": [4.0]}]}
    assert ask(f"{HALF}:classify", body) == (200, {"results": [[["number", 4.0]], [["number", 5.0]]]})
    body = {"signature_name": "regress_x_to_y", "context": {"x": 2.0}, "examples": [{}]}
    assert ask(f"{HALF}/labels/stable:regress", body) == (200, {"results": [3.0]})


AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


def test_status(ask):
    both = [{"version": "2", **AVAILABLE}, {"version": "1", **AVAILABLE}]
    assert ask(HALF) == (200, {"model_version_status": both})
    for place in ("/versions/1", "/labels/stable"):
        assert ask(HALF + place) == (200, {"model_version_status": both[1:]})


@pytest.mark.parametrize("place, version", [("", "2"), ("/versions/1", "1"), ("/labels/canary", "2")])
def test_metadata(ask, place, version):
    status, document = ask(f"{HALF}{place}/metadata")
    assert status == 200
    assert document["model_spec"] == {"name": "half", "signature_name": "", "version": version}
    signatures = document["metadata"]["signature_def"]["signature_def"]
    unknown = {"dim": [], "unknown_rank": True}
    row = {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False}
    regress = signatures["regress_x_to_y"]
    assert regress["inputs"]["inputs"] == {
        "dtype": "DT_STRING",
        "name": "tf_example:0",
        "tensor_shape": {**unknown, "dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
    }
    assert regress["outputs"]["outputs"] == {"dtype": "DT_FLOAT", "name": "y:0", "tensor_shape": row}
    assert regress["method_name"] == "tensorflow/serving/regress"


@pytest.mark.parametrize(
    "method, path, message",
    [
        ("GET", "/v1/foo", "Malformed request: GET /v1/foo"),
        ("POST", "/v1/foo", "Malformed request: POST /v1/foo"),
        ("GET", "/v1/models", "Missing model name in request."),
        ("GET", "/v1/models/debug/model_name", "Malformed request"),
        ("POST", "/v1/models", "Malformed request"),
        ("GET", "/v1/models/foo:predict", "Malformed request"),
        ("PUT", "/v1/models/foo:predict", "Malformed request"),
        ("GET", "/v1/models/foo/version/50:predict", "Malformed request"),
        ("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request"),
        ("POST", f"/v1/models/foo/versions/{2**64}:regress", "Failed to convert version"),
        ("POST", "/v1/models/foo/metadata", "Malformed request"),
        ("POST", "/v1/models/foo/versions/50/labels/x:regress", "Malformed request"),
        ("POST", f"{HALF}:predict", "JSON Parse error: The document is empty"),
    ],
)
def test_requests_that_are_malformed(call, method, path, message):
    # A body, for the document is read before the version is.
    body = "{}" if path.endswith("regress") else None
    status, _, answer = call(method, path, body)
    assert status == 400 and message in json.loads(answer)["error"]


@pytest.mark.parametrize(
    "path, document, status, message",
    [
        ("/v1/models/m:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(m)"),
        (f"{HALF}/versions/9:predict", {"instances": [1]}, 404, "Servable not found for request: Specific(half, 9)"),
        (f"{HALF}/labels/x:predict", {"instances": [1]}, 400, "Unrecognized servable version label: x"),
        ("/v1/models/m", None, 404, "Could not find any versions of model m"),
        (f"{HALF}/versions/9", None, 404, "Could not find version 9 of model half"),
        ("/v1/models/m/metadata", None, 404, "Servable not found for request: Latest(m)"),
        (f"{HALF}/labels/x/metadata", None, 400, "Unrecognized servable version label: x"),
        (
            f"{HALF}:predict",
            {"signature_name": "x", "instances": [1]},
            400,
            'Serving signature name: "x" not found in signature def',
        ),
        (f"{HALF}:predict", {"instances": ["x"]}, 400, "is not of expected type: float"),
        (f"{HALF}:predict", {"signature_name": 1}, 400, "'signature_name' key must be a string value."),
        (f"{HALF}:regress", {"signature_name": "x", "examples": [{"x": 1.0}]}, 400, "No signature was found"),
        (f"{HALF}:classify", {"examples": [{"x": 1.0}]}, 400, "No classification inputs found"),
        (
            "/v1/models/s2f:predict",
            {"signature_name": "embed_speech", "instances": [{"b64": "AQI="}]},
            400,
            "not a WAV",
        ),
    ],
)
def test_errors_are_upstreams(ask, path, document, status, message):
    answered, body = ask(path, document)
    assert answered == status and list(body) == ["error"] and message in body["error"]


WORD = {"b64": base64.b64encode(b"RIFF").decode()}


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("serving_default", {"wav_bytes": WORD, "seed": 1}, "wav_bytes has rank 0, []: rank 1, [any], is wanted"),
        ("serving_default", {"wav_bytes": [WORD], "seed": 1}, "seed has rank 0, []: rank 1, [any], is wanted"),
        ("serving_default", {"wav_bytes": [WORD], "seed": [1, 2]}, "wav_bytes and seed are [1 2] in number: as many"),
        ("generate", {"waveform": [0.0], "z": [[0.0]]}, "waveform has rank 1, [1]: rank 2, [any any], is wanted"),
        ("generate", {"waveform": [[0.0]], "z": [0.0]}, "z has rank 1, [1]: rank 2, [any 32], is wanted"),
        (
            "generate_from_embedding",
            {"embedding": [0.0], "z": [[0.0]]},
            "embedding has rank 1, [1]: rank 2, [any 64], is wanted",
        ),
        (
            "generate_from_embedding",
            {"embedding": [[0.0] * 64], "z": [[0.0]]},
            "z has rank 2, [1 1]: rank 2, [any 32], is wanted",
        ),
        ("embed_speech", WORD, "wav_bytes has rank 0, []: rank 1, [any], is wanted"),
        ("embed_face", [[WORD]], "jpeg_bytes has rank 2, [1 1]: rank 1, [any], is wanted"),
        ("match", {"wav_bytes": [WORD], "jpeg_bytes": [WORD]}, "wav_bytes has rank 1, [1]: rank 0, [], is wanted"),
        ("match", {"wav_bytes": WORD, "jpeg_bytes": WORD}, "jpeg_bytes has rank 0, []: rank 1, [any], is wanted"),
    ],
)
def test_an_input_of_another_shape_is_refused_by_its_name(ask, signature, inputs, message):
    status, body = ask("/v1/models/s2f:predict", {"signature_name": signature, "inputs": inputs})
    assert status == 400 and message in body["error"]


@pytest.mark.parametrize(
    "code, status",
    [
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("OUT_OF_RANGE", 400),
        ("UNAUTHENTICATED", 401),
        ("PERMISSION_DENIED", 403),
        ("NOT_FOUND", 404),
        ("ALREADY_EXISTS", 409),
        ("ABORTED", 409),
        ("RESOURCE_EXHAUSTED", 429),
        ("CANCELLED", 499),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
        ("DEADLINE_EXCEEDED", 504),
        ("INTERNAL", 500),
        ("UNKNOWN", 500),
        ("DATA_LOSS", 500),
    ],
)
def test_every_error_has_upstreams_http_status(code, status):
    response = rest_api.error_response(RequestError(StatusCode[code], 'it "fails"'))
    assert response.status == status and response.content_type == "application/json"
    assert json.loads(response.body) == {"error": 'it "fails"'}


def test_a_request_that_takes_too_long_is_given_up():
    class Slow:
        async def infer(self, *request):
            await asyncio.sleep(60)

    intake = Intake(Limits(1, 1000, 1000, header_seconds=60, body_seconds=60, idle_seconds=60))

    async def ask():
        application = web.Application()
        rest_api.RestApi(Slow(), intake, timeout_seconds=0.05, cors=False).add_to(application.router)
        async with TestClient(TestServer(application)) as client:
            answer = await client.post(f"{HALF}:predict", json={"instances": [1]})
            return answer.status, await answer.json()

    status, body = asyncio.run(ask())
    assert status == 504 and "longer than it was given" in body["error"]


def test_a_compressed_body_is_read(call):
    body = gzip.compress(json.dumps({"instances": [2.0]}).encode())
    status, _, answer = call("POST", f"{HALF}:predict", body, **{"Content-Encoding": "gzip"})
    assert status == 200 and json.loads(answer) == {"predictions": [4.0]}
    status, _, answer = call("POST", f"{HALF}:predict", body[2:], **{"Content-Encoding": "gzip"})
    assert status == 400 and "the body cannot be read" in json.loads(answer)["error"]


def test_pages_of_other_origins_may_read_where_the_flag_says_so(call):
    status, headers, _ = call("OPTIONS", f"{HALF}:predict", Origin="http://elsewhere")
    assert status == 200 and headers["Access-Control-Allow-Methods"] == "POST, GET"
    assert call("GET", HALF)[1]["Access-Control-Allow-Origin"] == "*"


def test_prometheus(call, ask):
    path = "/monitoring/prometheus/metrics"

    def sample(name):
        lines = call("GET", path)[2].decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)

    ok = ':tensorflow:serving:request_count{model_name="half",status="OK"}'
    bad = ':tensorflow:serving:request_count{model_name="half",status="INVALID_ARGUMENT"}'
    unknown = ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}'
    latency = ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="REST",model_name="half"}'
    before = [sample(name) for name in (ok, bad, unknown, latency)]
    ask(f"{HALF}:predict", {"instances": [1]})
    ask(f"{HALF}:predict", {"instances": ["x"]})
    ask("/v1/models/made_up:predict", {"instances": [1]})
    assert [sample(name) for name in (ok, bad, unknown, latency)] == [count + 1 for count in before]
    status, headers, answer = call("GET", path)
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    assert "# TYPE :tensorflow:serving:request_count counter" in answer.decode()
    assert "made_up" not in answer.decode()


def test_other_paths_are_not_found(call):
    assert call("GET", "/nothing")[0] == 404
    assert call("GET", "/../server.py")[0] == 404
    assert call("GET", "/%2e%2e/server.py")[0] in (403, 404)
