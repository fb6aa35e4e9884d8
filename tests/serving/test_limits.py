"""Clients that want too much: what docs/security.md says is limited."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import socket
import threading
import time

import grpc
import numpy as np
import pytest
from aiohttp import web
from grpc import StatusCode
from test_server_grpc import TIMEOUT, predict_request, refusal

from serving.limits import Limits, listen

CONNECTIONS = 8
REQUEST_BYTES = 1_000_000
TOTAL_BYTES = 2_000_000
HEADER_SECONDS = 1.0
BODY_SECONDS = 2.0
IDLE_SECONDS = 2.0
LATE = 30.0  # seconds after which a limit in time has failed, on however busy a machine
ANSWER = 50_000_000  # bytes, more than the buffers of sockets hold

PATH = "/v1/models/half:predict"
PREDICT = "/tensorflow.serving.PredictionService/Predict"


@pytest.fixture(scope="module")
def server(start_server, half_plus, tmp_path_factory):
    """A server that allows next to nothing."""
    folder = tmp_path_factory.mktemp("limits")
    half_plus(folder / "1")
    return start_server(
        f"--model_base_path={folder}",
        "--model_name=half",
        f"--max_connections={CONNECTIONS}",
        f"--max_request_bytes={REQUEST_BYTES}",
        f"--max_total_request_bytes={TOTAL_BYTES}",
        f"--header_timeout_seconds={HEADER_SECONDS}",
        f"--body_timeout_seconds={BODY_SECONDS}",
        f"--idle_timeout_seconds={IDLE_SECONDS}",
    )


@pytest.fixture(autouse=True)
def no_connections(request):
    """Each test finds the connections of the one before it closed."""
    yield
    if "server" in request.fixturenames:
        deadline = time.monotonic() + LATE
        while True:
            with contextlib.suppress(ConnectionError, AssertionError):
                works(request.getfixturevalue("server"))
                return
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def connect(server):
    """Opens connections to REST."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(("localhost", server.rest_port), LATE))


def header(**fields):
    lines = [f"POST {PATH} HTTP/1.1", "Host: localhost", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(size):
    return b"%x\r\n" % size + bytes(size) + b"\r\n"


def answer(connection):
    """The status and the error that a client reads, once the server is done with the connection or the answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read()).get("error")


def drip(connection, data=b"x"):
    """Sends on and on, as little as can be, until the server answers."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + LATE
    while time.monotonic() < deadline:
        connection.send(data)
        with contextlib.suppress(TimeoutError):
            connection.recv(1, socket.MSG_PEEK)
            break
    connection.settimeout(LATE)
    return answer(connection)


def works(server):
    connection = http.client.HTTPConnection("localhost", server.rest_port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("POST", PATH, '{"instances": [2.0]}')
        response = connection.getresponse()
        said = response.read()
        assert response.status == 200 and json.loads(said) == {"predictions": [3.0]}, said


def test_a_header_that_drips_is_refused(server, connect):
    slow = connect()
    slow.sendall(b"GET / HTTP/1.1\r\nX: ")
    start = time.monotonic()
    works(server)
    assert drip(slow) == (408, "the header did not come within 1 s")
    assert time.monotonic() - start >= HEADER_SECONDS
    assert slow.recv(1) == b""


def test_every_request_of_a_connection_has_the_time_of_a_header_anew(connect):
    connection = connect()
    for _ in range(3):
        connection.sendall(b"GET /v1/models/half HTTP/1.1\r\n")
        time.sleep(0.4 * HEADER_SECONDS)
        connection.sendall(b"Host: localhost\r\n\r\n")
        assert answer(connection) == (200, None)
    connection.sendall(b"GET /v1/models/half HTTP/1.1\r\n")
    assert answer(connection)[0] == 408


@pytest.mark.parametrize("fields", [{"X": "x" * 10_000}, {f"X{i}": "x" for i in range(1000)}])
def test_a_header_that_is_too_long_is_refused(connect, fields):
    connection = connect()
    connection.sendall(header(**fields))
    assert b" 400 " in connection.recv(100)


def test_a_connection_that_asks_nothing_is_closed(connect):
    new, used = connect(), connect()
    used.sendall(b"GET /v1/models/half HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer(used) == (200, None)
    assert new.recv(1) == used.recv(1) == b""


@pytest.mark.parametrize(
    "fields, first, more",
    [({"Content_Length": 9999}, b"", b""), ({"Transfer_Encoding": "chunked"}, b"2000\r\n", b"x")],
)
def test_a_body_that_does_not_come_is_refused(server, connect, fields, first, more):
    slow = connect()
    slow.sendall(header(**fields) + first)
    works(server)
    assert drip(slow, more) == (408, "the body did not come within 2 s")


@pytest.mark.parametrize("path", [PATH, "/faces"])
def test_a_body_is_refused_as_soon_as_it_is_too_large(connect, path):
    told, untold = connect(), connect()
    told.sendall(header(Content_Length=REQUEST_BYTES + 1).replace(PATH.encode(), path.encode()))
    assert answer(told) == (413, f"the body is larger than {REQUEST_BYTES} bytes")
    untold.sendall(header(Transfer_Encoding="chunked").replace(PATH.encode(), path.encode()))
    untold.sendall(chunk(REQUEST_BYTES) + b"1\r\nx")  # neither this chunk nor the body ends
    assert answer(untold) == (413, f"the body is larger than {REQUEST_BYTES} bytes")


def test_all_bodies_together_are_limited_for_both_protocols(server, connect):
    held = [connect() for _ in range(2)]
    for connection in held:
        connection.sendall(header(Transfer_Encoding="chunked") + chunk(950_000))
    time.sleep(0.3)  # they have come
    another = connect()
    another.sendall(header(Transfer_Encoding="chunked") + chunk(150_000))
    large = predict_request(x=np.zeros(40_000, float))
    with server.predictions() as stub:
        code, message = refusal(stub.Predict, large)
        assert answer(another) == (503, message) and f"more than {TOTAL_BYTES} bytes at once" in message
        assert code == StatusCode.UNAVAILABLE
        works(server)
        assert {answer(connection)[0] for connection in held} == {408}
        assert len(stub.Predict(large, timeout=TIMEOUT).outputs["y"].float_val) == 40_000


def test_json_is_counted_as_the_memory_that_it_takes(server):
    body = json.dumps({"instances": [1.0] * 40_000})
    assert len(body) < TOTAL_BYTES / 5
    connection = http.client.HTTPConnection("localhost", server.rest_port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("POST", PATH, body)
        assert answer(connection.sock) == (413, f"the request takes more than {TOTAL_BYTES} bytes of memory")


def test_connections_are_limited(server, connect):
    for _ in range(CONNECTIONS):
        connect()
    refused = connect()
    refused.sendall(header(Content_Length=100))  # a client that asks before it hears that it may not
    assert answer(refused) == (503, f"{CONNECTIONS} connections are open")
    many = [connect() for _ in range(2 * CONNECTIONS)]
    cut = 0
    for connection in many:
        with contextlib.suppress(ConnectionResetError):
            cut += connection.recv(1) == b""
            continue
        cut += 1
    assert 0 < cut < 2 * CONNECTIONS


def test_a_client_that_does_not_take_its_answer_is_cut_off():
    limits = Limits(9, 9, 9, header_seconds=LATE, body_seconds=0.2, idle_seconds=LATE)

    async def large(request):
        return web.Response(body=bytes(ANSWER))

    async def scenario():
        application = web.Application()
        application.router.add_get("/", large)
        runner = web.AppRunner(application)
        await runner.setup()
        async with await listen(runner, 0, limits) as listening:
            # The buffer of the reader is small: the rest of the answer stays with the server.
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname()[:2], limit=1000)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            async with asyncio.timeout(LATE):
                while runner.server.connections:
                    await asyncio.sleep(0.01)
            assert len(await reader.read()) < ANSWER / 2
            writer.close()
            await runner.cleanup()

    asyncio.run(scenario())


@contextlib.contextmanager
def calls_without_a_message(server, number):
    """Futures of calls whose messages do not come."""
    given_up = threading.Event()

    def nothing():
        given_up.wait()
        yield from ()

    with grpc.insecure_channel(server.target) as channel:
        call = channel.stream_unary(PREDICT)
        try:
            yield [call.future(nothing(), timeout=LATE) for _ in range(number)]
        finally:
            given_up.set()


def test_a_message_that_does_not_come_is_refused_and_calls_are_limited(server):
    with calls_without_a_message(server, CONNECTIONS + 1) as calls:
        said = sorted((call.code().name, call.details()) for call in calls)
    late = ("DEADLINE_EXCEEDED", "the message did not come within 2 s")
    assert said == [late] * CONNECTIONS + [("RESOURCE_EXHAUSTED", "Concurrent RPC limit exceeded!")]
    with server.predictions() as stub:
        assert stub.Predict(predict_request(x=[2.0]), timeout=TIMEOUT).outputs["y"].float_val == [3.0]


def test_a_call_that_ends_without_a_message_is_refused(server):
    with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError) as error:
        channel.stream_unary(PREDICT)(iter(()), timeout=TIMEOUT)
    assert error.value.code() == StatusCode.INVALID_ARGUMENT


def test_connections_of_grpc_are_limited(server):
    with contextlib.ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        channels = [stack.enter_context(grpc.insecure_channel(server.target, options)) for _ in range(CONNECTIONS + 1)]
        said = []
        for channel in channels:
            try:
                channel.unary_unary(PREDICT)(predict_request(x=[2.0]).SerializeToString(), timeout=TIMEOUT)
                said.append(StatusCode.OK)
            except grpc.RpcError as error:
                said.append(error.code())
    assert said == [StatusCode.OK] * CONNECTIONS + [StatusCode.UNAVAILABLE]


def test_grpc_closes_connections_that_say_or_ask_nothing(server):
    with socket.create_connection(("localhost", server.port), LATE) as silent:
        while silent.recv(1000):
            pass
    states = []
    with grpc.insecure_channel(server.target) as channel:
        ask, request = channel.unary_unary(PREDICT), predict_request(x=[2.0]).SerializeToString()
        ask(request, timeout=TIMEOUT)
        channel.subscribe(states.append)
        deadline = time.monotonic() + LATE
        while grpc.ChannelConnectivity.IDLE not in states:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ask(request, timeout=TIMEOUT)  # the client connects anew


def test_memory_comes_back_after_a_flood(server):
    def flood(_):
        with contextlib.suppress(ConnectionError), socket.create_connection(("localhost", server.rest_port), LATE) as s:
            s.sendall(header(Transfer_Encoding="chunked") + chunk(REQUEST_BYTES) * 10)
            s.recv(1000)

    works(server)
    before = server.memory()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(flood, range(64)))  # 640 MB in all
    assert server.memory() - before < 100e6


def ask(server, method, path, **headers):
    connection = http.client.HTTPConnection("localhost", server.rest_port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/%2e%2e/server.py",
        "/..%2fserver.py",
        "/%2e%2e%2fserver.py",
        "/examples/../../server.py",
        "/examples/%2e%2e/%2e%2e/server.py",
        "/..%5cserver.py",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/examples/1.wav%00.py",
        "/%252e%252e/server.py",
    ],
)
def test_no_path_leads_out_of_the_page(server, path):
    status, _, body = ask(server, "GET", path)
    assert status in (400, 403, 404), body


def test_answers_are_for_the_page_alone(server):
    for method, path in (("GET", "/"), ("GET", "/v1/models/half"), ("GET", "/info"), ("OPTIONS", PATH)):
        headers = ask(server, method, path, Origin="http://elsewhere", Access_Control_Request_Method="POST")[1]
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_it_listens_on_all_addresses(server):
    for port in (server.port, server.rest_port):
        socket.create_connection(("127.0.0.2", port), TIMEOUT).close()
