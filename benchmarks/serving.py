"""`python -m benchmarks.serving`: faces a second and latency of a server, beside calling the SavedModel directly.

Each of the clients asks for one face, over and over; directly, as many faces are drawn in one call. Server, clients and
direct calls have a process each, and take turns, so that whatever else the machine does meets all of them.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from absl import flags

from benchmarks.load import Turn, grpc_load, rest_load
from s2f_tf import command

_TARGET = flags.DEFINE_string("target", None, "host:port of a server's gRPC; by default the embedded one is started")
_REST_TARGET = flags.DEFINE_string("rest_target", None, "host:port of its REST; by default REST is not measured")
_BASE_PATH = flags.DEFINE_string("model_base_path", None, "the model that is served; by default that in the package")
_MODEL = flags.DEFINE_string("model_name", "s2f", "its name")
_CLIENTS = flags.DEFINE_multi_integer("clients", [1, 16], "at once; may be given again", lower_bound=1)
_VOICE_SECONDS = flags.DEFINE_float("voice_seconds", 3.0, "of the voice", lower_bound=0.5, upper_bound=30.0)
_SECONDS = flags.DEFINE_float("seconds", 4.0, "of each turn", lower_bound=0.1)
_ROUNDS = flags.DEFINE_integer("rounds", 10, "turns of each", lower_bound=1)

_DIRECT = "SavedModel, batches"
_BATCHING = "max_batch_size { value: 16 }"


def main() -> None:
    """Measures and prints the table."""
    from benchmarks import face_request
    from serving import demo_model

    base_path = _BASE_PATH.value or demo_model.base_path()
    wav = face_request.voice(_VOICE_SECONDS.value)
    with contextlib.ExitStack() as stack:
        target, url = _server(stack, base_path)
        pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        clients = stack.enter_context(pool)
        loads = {"gRPC": (grpc_load, target, face_request.for_grpc(_MODEL.value, wav))}
        if url:
            loads["REST"] = (rest_load, f"{url}/v1/models/{_MODEL.value}:predict", face_request.for_rest(wav))
        ways: dict[str, Callable[[int, float], Turn]] = {_DIRECT: _direct(base_path, wav)}
        for name, load in loads.items():
            ways[name] = lambda count, seconds, load=load: clients.submit(*load, count, seconds).result()
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", file=sys.stderr)
        print(_table(_turns(ways)))


def _server(stack: contextlib.ExitStack, base_path: str) -> tuple[str, str | None]:
    """Where gRPC and REST are to be had."""
    if _TARGET.value:
        return _TARGET.value, _REST_TARGET.value and f"http://{_REST_TARGET.value}"
    from benchmarks.server_process import ServerProcess

    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (folder / "batching.config").write_text(_BATCHING)
    server = ServerProcess(
        f"--model_base_path={base_path}",
        f"--model_name={_MODEL.value}",
        "--enable_batching",
        f"--batching_parameters_file={folder}/batching.config",
        log=folder / "log",
    )
    stack.enter_context(server)
    return server.target, server.url


def _direct(base_path: str, wav: bytes) -> Callable[[int, float], Turn]:
    """Calls the signature as TensorFlow loads it, with a batch as large as there are clients."""
    import tensorflow as tf

    newest = max((name for name in os.listdir(base_path) if name.isdigit()), key=int)
    model = tf.saved_model.load(os.path.join(base_path, newest))
    draw = model.signatures["serving_default"]

    def turn(count: int, seconds: float) -> Turn:
        inputs = {"wav_bytes": tf.constant([wav] * count), "seed": tf.ones([count], tf.int64)}

        def call() -> None:
            for output in draw(**inputs).values():
                output.numpy()

        call()
        latencies, start = [], time.perf_counter()
        while (asked := time.perf_counter()) < start + seconds:
            call()
            latencies += [time.perf_counter() - asked] * count
        return Turn(np.array(latencies), time.perf_counter() - start, 0.0)

    return turn


def _turns(ways: dict[str, Callable[[int, float], Turn]]) -> dict[tuple[int, str], list[Turn]]:
    kinds = [(count, way) for count in _CLIENTS.value for way in ways]
    turns: dict[tuple[int, str], list[Turn]] = {kind: [] for kind in kinds}
    total = _ROUNDS.value * len(kinds)
    start = time.monotonic()
    for done in range(total):
        count, way = kinds[done % len(kinds)]
        turns[count, way].append(ways[way](count, _SECONDS.value))
        left = (time.monotonic() - start) / (done + 1) * (total - done - 1)
        print(f"\r{done + 1} of {total} turns, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return turns


def _table(turns: dict[tuple[int, str], list[Turn]]) -> str:
    lines = [
        "| clients, or faces in a batch | way | faces a second | latency, ms: p50, p95, p99 | rate, to direct "
        "| added latency at the median, ms | cores of the clients |",
        "|---|---|---|---|---|---|---|",
    ]
    for (count, way), taken in turns.items():
        direct = turns[count, _DIRECT]
        latency = 1000 * np.percentile(np.concatenate([turn.latencies for turn in taken]), [50, 95, 99])
        ratios = [turn.rate / beside.rate for turn, beside in zip(taken, direct, strict=True)]
        added = [np.median(a.latencies) - np.median(b.latencies) for a, b in zip(taken, direct, strict=True)]
        cells = (
            f"{count}",
            way,
            f"{np.median([turn.rate for turn in taken]):.0f}",
            ", ".join(f"{value:.1f}" for value in latency),
            f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{1000 * np.median(added):.2f}",
            f"{np.median([turn.cores for turn in taken]):.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main)
