"""What clients may take of the server: how many connections, how many bytes at once, and for how long."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from aiohttp import web
from grpc import StatusCode

from . import json_tensor
from .errors import RequestError, invalid

_LINGER_SECONDS = 1.0  # before a refused connection is closed: a client that still sends would not see why
_STREAMS = 100  # calls at once on one gRPC connection; more wait in the client
_AGE_SECONDS = 600.0  # of a gRPC connection, which is then made anew, so that no client holds one for good
_AGE_GRACE_SECONDS = 120.0  # for the calls on it


@dataclasses.dataclass(frozen=True)
class Limits:
    """What all clients together, and each of them, may take.

    Attributes:
        connections: open at once to REST, and to gRPC; calls at once of gRPC.
        request_bytes: of one body or message.
        total_bytes: of all requests that are being read or answered.
        header_seconds: from the first byte of a request of REST to the end of its header.
        body_seconds: for a body or message to come, and for an answer of REST to be taken.
        idle_seconds: that a connection may stay open on which nothing is asked.
    """

    connections: int
    request_bytes: int
    total_bytes: int
    header_seconds: float
    body_seconds: float
    idle_seconds: float


class RefusedBodyError(RequestError):
    """A body that is refused with a status of HTTP's own, for which gRPC has no code."""

    def __init__(self, status: HTTPStatus, code: StatusCode, message: str) -> None:
        super().__init__(code, message)
        self.status = status


class Intake:
    """Counts the bytes of the requests that are being read and answered, and reads bodies.

    Attributes:
        limits: that it keeps.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._bytes = 0

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[int], None]]:
        """A function that counts bytes of one request, until the end of the context.

        It raises `RequestError`: UNAVAILABLE where all requests together have too many, RESOURCE_EXHAUSTED where this
        one alone has.
        """
        mine = 0

        def count(size: int) -> None:
            nonlocal mine
            most = self.limits.total_bytes
            if mine + size > most:
                raise _too_large(f"the request takes more than {most} bytes of memory")
            if self._bytes + size > most:
                raise RequestError(
                    StatusCode.UNAVAILABLE, f"requests of more than {most} bytes at once: try again later"
                )
            self._bytes += size
            mine += size

        try:
            yield count
        finally:
            self._bytes -= mine

    async def read(self, request: web.Request, count: Callable[[int], None], max_bytes: int | None = None) -> bytes:
        """The body of a request of REST, in at most `max_bytes` bytes where that is less than any request may have.

        Raises `RequestError` as soon as it has too many bytes, before it is read where its length is told; as soon as
        `count` does; where it takes too long; and where it is not compressed as it says.
        """
        most = min(max_bytes or self.limits.request_bytes, self.limits.request_bytes)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                if (request.content_length or 0) > most:
                    raise _too_large(f"the body is larger than {most} bytes")
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > most:
                        raise _too_large(f"the body is larger than {most} bytes")
                    count(len(chunk))
                    chunks.append(chunk)
        except web.RequestPayloadError as error:
            raise invalid(f"the body cannot be read: {error}") from None
        except TimeoutError:
            raise RefusedBodyError(
                HTTPStatus.REQUEST_TIMEOUT,
                StatusCode.DEADLINE_EXCEEDED,
                f"the body did not come within {self.limits.body_seconds:g} s",
            ) from None
        return b"".join(chunks)


def _too_large(message: str) -> RefusedBodyError:
    return RefusedBodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, StatusCode.RESOURCE_EXHAUSTED, message)


async def listen(runner: web.AppRunner, port: int, limits: Limits) -> asyncio.Server:
    """Takes connections for an application that is set up, on all addresses. Raises `OSError`."""
    return await asyncio.get_running_loop().create_server(lambda: _Connection(runner.server, limits), None, port)


class _Connection(web.RequestHandler):
    """One connection to REST. aiohttp itself closes those that are idle, in which it counts those without a header."""

    def __init__(self, server: web.Server, limits: Limits) -> None:
        super().__init__(
            server, loop=asyncio.get_running_loop(), keepalive_timeout=limits.idle_seconds, access_log=None
        )
        self._server = server
        self._limits = limits
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Refuses it where there are too many; without a word where as many as may be are being refused."""
        super().connection_made(transport)
        others = len(self._server.connections) - 1
        if others >= 2 * self._limits.connections:
            transport.abort()
        elif others >= self._limits.connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{self._limits.connections} connections are open")

    def data_received(self, data: bytes) -> None:
        """Starts the time of a header with its first bytes, and stops it with the last."""
        super().data_received(data)
        incomplete = self._waiter is not None and not self._waiter.done()  # aiohttp waits for a whole header
        if incomplete and self._header_timer is None:
            self._header_timer = self._loop.call_later(
                self._limits.header_seconds,
                self._refuse,
                HTTPStatus.REQUEST_TIMEOUT,
                f"the header did not come within {self._limits.header_seconds:g} s",
            )
        elif not incomplete:
            self._stop_header_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets it."""
        self._stop_header_timer()
        super().connection_lost(exc)

    async def finish_response(self, *arguments: Any) -> tuple[web.StreamResponse, bool]:
        """Sends an answer, and breaks off where the client does not take it in time."""
        transport = self.transport
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await super().finish_response(*arguments)
        except TimeoutError:
            transport.abort()  # closing would wait for the client to take the rest
            raise ConnectionAbortedError("the client does not take its answer") from None

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answers, though nothing was asked yet, reads nothing more, and closes."""
        body = json_tensor.error_body(message)
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        self.transport.write_eof()
        self.close()
        self._loop.call_later(_LINGER_SECONDS, self.force_close)


def channel_arguments(limits: Limits) -> dict[str, int]:
    """The same for gRPC, as its library takes them; it tells clients of each, and refuses what is beyond."""

    def milliseconds(seconds: float) -> int:
        return max(1, round(1000 * seconds))

    return {
        "grpc.max_receive_message_length": limits.request_bytes,
        "grpc.max_allowed_incoming_connections": limits.connections,
        "grpc.max_concurrent_streams": _STREAMS,
        "grpc.server_handshake_timeout_ms": milliseconds(limits.header_seconds),
        "grpc.max_connection_idle_ms": milliseconds(limits.idle_seconds),
        "grpc.max_connection_age_ms": milliseconds(_AGE_SECONDS),
        "grpc.max_connection_age_grace_ms": milliseconds(_AGE_GRACE_SECONDS),
        "grpc.keepalive_time_ms": milliseconds(limits.idle_seconds),
    }
