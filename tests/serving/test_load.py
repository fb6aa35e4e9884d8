"""Versions that come and go under load, more requests than there is room for, and larger ones than are allowed."""

import concurrent.futures
import gzip
import http.client
import json
import re

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from test_server_grpc import TIMEOUT, predict_request, refusal, spec

from benchmarks import hot_swap
from serving.client import GrpcClient

MOST_BYTES = 1_000_000


@pytest.fixture(scope="module")
def server(start_server, half_plus, demo, tmp_path_factory):
    """A server that lets few requests wait, and no large ones in; versions of its model `half` may be changed."""
    folder = tmp_path_factory.mktemp("load")
    (folder / "half").mkdir()
    half_plus(folder / "half" / "1")
    models = "".join(
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'
        for name, path in (("half", folder / "half"), ("s2f", demo))
    )
    (folder / "models.config").write_text(f"model_config_list {{ {models} }}")
    (folder / "batching.config").write_text(
        "max_batch_size { value: 4 } num_batch_threads { value: 1 } max_enqueued_batches { value: 2 }"
    )
    server = start_server(
        f"--model_config_file={folder}/models.config",
        "--enable_batching",
        "--enable_model_warmup=false",
        f"--batching_parameters_file={folder}/batching.config",
        f"--max_request_bytes={MOST_BYTES}",
        "--enable_grpc_healthcheck_service",
    )
    server.folder = folder
    return server


@pytest.fixture(scope="module")
def request_(voice):
    return predict_request(spec("s2f"), wav_bytes=[voice()], seed=np.array([1]))


def test_a_version_is_added_and_one_is_removed_under_load_and_no_request_fails(server):
    asked = predict_request(x=[2.0]).SerializeToString(), json.dumps({"instances": [2.0]}).encode()
    said = hot_swap.swap(server, server.folder / "half", asked, clients=8, seconds=5.0)
    counts = re.search(r"added (\d+) times and taken away (\d+) times; (\d+) requests by gRPC and (\d+) by REST", said)
    assert min(map(int, counts.groups())) >= 1, said


def test_overload_is_shed_while_health_stays_green(server, request_):
    def ask(stub):
        try:
            return len(stub.Predict(request_, timeout=TIMEOUT).outputs["png_bytes"].string_val)
        except grpc.RpcError as error:
            return error.code()

    with server.predictions() as stub, grpc.insecure_channel(server.target) as other:
        health = health_pb2_grpc.HealthStub(other)
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(ask, stub) for _ in range(200)]
            while not all(one.done() for one in asked):
                status = health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT).status
                assert status == health_pb2.HealthCheckResponse.SERVING
        assert {one.result() for one in asked} == {1, StatusCode.UNAVAILABLE}
        assert ask(stub) == 1


def test_clients_that_retry_all_get_through_an_overload(server, voice):
    def draw(client, seed):
        return len(client.draw(voice(), [seed]))

    with GrpcClient(server.target, deadline=120.0) as client, concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert list(pool.map(draw, [client] * 64, range(64))) == [1] * 64


def test_a_request_that_is_too_large_is_refused_before_it_costs_memory(server, request_, voice):
    large = predict_request(spec("s2f"), wav_bytes=[voice(30.0)] * 2, seed=np.arange(2))
    before = server.memory()
    with server.predictions() as stub:
        code, message = refusal(stub.Predict, large)
        assert code == StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message

    def post(body, **headers):
        connection = http.client.HTTPConnection(f"localhost:{server.rest_port}", timeout=TIMEOUT)
        connection.putrequest("POST", "/v1/models/s2f:predict")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        connection.send(body)
        status = connection.getresponse().status
        connection.close()
        return status

    bomb = gzip.compress(bytes(100 * MOST_BYTES))
    assert post(b"", Content_Length=str(10**12)) == 413  # it waits for none of it
    assert post(bomb, Content_Length=str(len(bomb)), Content_Encoding="gzip") == 413
    chunks = b"100000\r\n" + bytes(2**20) + b"\r\n0\r\n\r\n"
    assert post(chunks, Transfer_Encoding="chunked") == 413
    assert server.memory() - before < 50e6
    with server.predictions() as stub:
        assert stub.Predict(request_, timeout=TIMEOUT).outputs["png_bytes"].string_val
