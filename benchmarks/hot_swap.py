"""`python -m benchmarks.hot_swap`: what clients notice while versions come and go, and while the server is killed.

Half of the clients speak gRPC and half REST, each asking for one face, over and over. While versions come and go none
asks twice, so that no failure is hidden. Where the server is killed, they try again as `serving.client` does.
"""

import concurrent.futures
import pathlib
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping

import aiohttp
import grpc
import requests
from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
from benchmarks import face_request
from benchmarks.load import Turn, grpc_load, rest_load
from benchmarks.server_process import ServerProcess
from s2f_tf.errors import UserError
from serving import demo_model
from serving.client import GrpcClient, RestClient, ServerError

_CLIENTS = flags.DEFINE_integer("clients", 8, "at once; half of them speak REST", lower_bound=2)
_SECONDS = flags.DEFINE_float("seconds", 60.0, "of load in each of the two parts", lower_bound=1.0)

_PAUSE = 1.0  # seconds between two changes
_PATIENCE = 60.0  # seconds for a change to show
_DEADLINE = 300.0  # seconds of a client, in which a server starts again on the busiest machine
_SERVED, _GONE = "AVAILABLE", "END"


def main() -> None:
    """Measures and prints both."""
    wav = face_request.voice(1.0)
    with tempfile.TemporaryDirectory() as scratch:
        base_path = pathlib.Path(scratch) / "s2f"
        shutil.copytree(_newest(pathlib.Path(demo_model.base_path())), base_path / "1")
        settings = [f"--model_base_path={base_path}", "--model_name=s2f", "--enable_batching"]
        with ServerProcess(*settings, log=pathlib.Path(scratch) / "log") as server:
            requests_ = face_request.for_grpc("s2f", wav), face_request.for_rest(wav)
            print(swap(server, base_path, requests_, _CLIENTS.value, _SECONDS.value), flush=True)
            print(kill(server, wav, _CLIENTS.value, _SECONDS.value))


def swap(
    server: ServerProcess, base_path: pathlib.Path, asked: tuple[bytes, bytes], clients: int, seconds: float
) -> str:
    """Adds a version and takes it away again, over and over, under load; says how often, and how many were answered.

    Args:
        server: serves version 1 of a model.
        base_path: of the model, and ends in its name.
        asked: what clients ask of it by gRPC and by REST.
        clients: at once.
        seconds: or as long as both changes take once.

    Raises:
        UserError: where a request fails.
    """
    url, changes, stop, end = (
        f"{server.url}/v1/models/{base_path.name}",
        0,
        threading.Event(),
        time.monotonic() + seconds,
    )

    def answered(load: Callable[..., Turn], *request: object) -> int:
        count = 0
        while not stop.is_set():
            count += len(load(*request, seconds=1.0).latencies)
        return count

    by_rest = clients // 2
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        loads = [
            pool.submit(answered, grpc_load, server.target, asked[0], clients - by_rest),
            pool.submit(answered, rest_load, f"{url}:predict", asked[1], by_rest),
        ]
        try:
            while time.monotonic() < end or changes < 2:
                if changes % 2:
                    (base_path / "2").rename(base_path / "taken away")
                    shutil.rmtree(base_path / "taken away")
                    _wait_for(url, {1: _SERVED, 2: _GONE})
                else:
                    shutil.copytree(base_path / "1", base_path / "written aside")
                    (base_path / "written aside").rename(base_path / "2")
                    _wait_for(url, {1: _GONE, 2: _SERVED})
                changes += 1
                time.sleep(_PAUSE)
        finally:
            stop.set()
        try:
            counts = [load.result() for load in loads]
        except (grpc.RpcError, aiohttp.ClientError) as error:
            raise UserError(f"a request failed while versions came and went: {error}") from error
    return (
        f"{clients} clients for {time.monotonic() - end + seconds:.0f} s: a version was added {(changes + 1) // 2} "
        f"times and taken away {changes // 2} times; {counts[0]} requests by gRPC and {counts[1]} by REST, none "
        "of which failed"
    )


def kill(server: ServerProcess, wav: bytes, clients: int, seconds: float) -> str:
    """Kills the server and starts it again, over and over, under load. Raises `UserError` where a request is lost."""
    stop, kills, start = threading.Event(), 0, time.monotonic()

    def ask(number: int) -> int:
        answered = 0
        kind, place = [(GrpcClient, server.target), (RestClient, server.url)][number % 2]
        with kind(place, deadline=_DEADLINE) as client:
            while not stop.is_set():
                client.draw(wav, [1])
                answered += 1
        return answered

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask, number) for number in range(clients)]
        try:
            while time.monotonic() < start + seconds:
                time.sleep(_PAUSE)
                server.stop(signal.SIGKILL)
                server.start()
                kills += 1
            time.sleep(_PAUSE)
        finally:
            stop.set()
        try:
            answered = sum(one.result() for one in asking)
        except ServerError as error:
            raise UserError(f"a request was lost when the server was killed: {error}") from error
    took = time.monotonic() - start
    return f"{clients} clients for {took:.0f} s: killed {kills} times; {answered} requests, none of them lost"


def _newest(base_path: pathlib.Path) -> pathlib.Path:
    return max(base_path.iterdir(), key=lambda folder: int(folder.name))


def _wait_for(url: str, wanted: Mapping[int, str]) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        statuses = requests.get(url, timeout=_PATIENCE).json()["model_version_status"]
        if {int(one["version"]): one["state"] for one in statuses} == wanted:
            return
        time.sleep(0.1)
    raise UserError(f"after {_PATIENCE:.0f} s the versions are not {dict(wanted)} but {statuses}")


if __name__ == "__main__":
    command.run(main)
