"""Clients that ask a server the same thing again and again, as many at once as one likes.

They know bytes alone, and share one event loop, so that they leave the machine to the server.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable

import aiohttp
import grpc
import numpy as np

PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclasses.dataclass(frozen=True)
class Turn:
    """What clients met.

    Attributes:
        latencies: float64 [requests], seconds.
        seconds: from the first request to the last answer.
        cores: how much of a core, or of several, the clients themselves took.
    """

    latencies: np.ndarray
    seconds: float
    cores: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


def grpc_load(target: str, request: bytes, clients: int, seconds: float) -> Turn:
    """Sends a serialized `PredictRequest` by gRPC. Raises `grpc.RpcError` where one is refused."""

    async def load() -> Turn:
        async with grpc.aio.insecure_channel(target, [("grpc.max_receive_message_length", -1)]) as channel:
            predict = channel.unary_unary(PREDICT)  # bytes in and bytes out
            return await _load(lambda: predict(request), clients, seconds)

    return asyncio.run(load())


def rest_load(url: str, body: bytes, clients: int, seconds: float) -> Turn:
    """Posts a JSON document. Raises `aiohttp.ClientError` where one is refused."""

    async def load() -> Turn:
        connections = aiohttp.TCPConnector(limit=clients)
        async with aiohttp.ClientSession(connector=connections, raise_for_status=True) as session:

            async def post() -> None:
                async with session.post(url, data=body) as response:
                    await response.read()

            return await _load(post, clients, seconds)

    return asyncio.run(load())


async def _load(ask: Callable[[], Awaitable[object]], clients: int, seconds: float) -> Turn:
    await asyncio.gather(*(ask() for _ in range(clients)))  # opens the connections
    latencies: list[float] = []
    start, busy = time.perf_counter(), time.process_time()

    async def client() -> None:
        while (asked := time.perf_counter()) < start + seconds:
            await ask()
            latencies.append(time.perf_counter() - asked)

    await asyncio.gather(*(client() for _ in range(clients)))
    took = time.perf_counter() - start
    return Turn(np.array(latencies), took, (time.process_time() - busy) / took)
