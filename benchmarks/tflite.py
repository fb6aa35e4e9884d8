"""`python -m benchmarks.tflite`: latency, memory and size of the model in each runtime, one voice at a time.

Every runtime has a process of its own, so that no other's memory is counted, and they take turns, so that whatever else
the machine does meets all of them.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from absl import flags

from s2f_tf import command
from s2f_tf.errors import UserError
from tflite.runtimes import LiteRT, OnnxRuntime, Runtime, SavedModel

_WORKDIR = flags.DEFINE_string("workdir", None, "trained run; by default the weights in the package")
_MODELS = flags.DEFINE_string("models", "out", "folder that `python -m tflite.convert` wrote of that run")
_THREADS = flags.DEFINE_multi_integer("threads", [1, 2], "how many threads a runtime may use; may be given again")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "turns of each runtime", lower_bound=1)
_CALLS = flags.DEFINE_integer("calls", 200, "timed calls of each kind in a turn", lower_bound=20)

_WARM_UP = 20  # calls that are not timed


@dataclasses.dataclass(frozen=True)
class Turn:
    """What a process measured.

    Attributes:
        name: of the runtime.
        size: bytes on disk.
        first: float64 [calls], seconds from a waveform to its first face.
        another: float64 [calls], seconds from an embedding to another face.
        before: bytes of memory that the process had taken before it made the runtime.
        peak: the most that it ever took.
    """

    name: str
    size: int
    first: np.ndarray
    another: np.ndarray
    before: int
    peak: int


def take_turn(make: str, path: str, threads: int, shapes: dict[str, int], calls: int) -> Turn:
    """Makes a runtime, in a process of its own, and times it."""
    before = _memory("VmRSS")
    runtime = _RUNTIMES[make](path, threads)
    rng = np.random.default_rng(0)
    waveform = rng.normal(0.0, 0.1, (1, shapes["window"])).astype(np.float32)
    z = rng.normal(0.0, 1.0, (1, shapes["z_size"])).astype(np.float32)
    embedding = runtime.embed(waveform)
    first = _timed(lambda: runtime.embed_and_draw(waveform, z), calls)
    another = _timed(lambda: runtime.draw(embedding, z), calls)
    return Turn(runtime.name, runtime.size, first, another, before, _memory("VmHWM"))


def _saved_model(path: str, threads: int) -> Runtime:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return SavedModel(path)


_RUNTIMES: dict[str, Callable[[str, int], Runtime]] = {
    "SavedModel": _saved_model,
    "ONNX Runtime": OnnxRuntime,
    "LiteRT": LiteRT,
}


def _timed(call: Callable[[], np.ndarray], calls: int) -> np.ndarray:
    for _ in range(_WARM_UP):
        call()
    times = [time.perf_counter()]
    for _ in range(calls):
        call()
        times.append(time.perf_counter())
    return np.diff(times)


def _memory(field: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most. Not `getrusage`, which counts the parent's as well."""
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", file.read())[1])


def benchmark(workdir: str | None, models: str, threads: list[int], rounds: int, calls: int) -> str:
    """Measures every runtime; returns the table. Raises `UserError` where models cannot be used."""
    from s2f_tf import onnx_model, saved_model
    from s2f_tf.models import trained
    from tflite import description

    if not os.path.exists("/proc/self/status"):
        raise UserError("memory is read from /proc, which only Linux has")
    described = description.read(models)
    workdir = workdir or trained.SHIPPED
    with tempfile.TemporaryDirectory() as scratch:
        runtimes = [
            ("SavedModel", saved_model.export(workdir, os.path.join(scratch, "saved_model"))),
            ("ONNX Runtime", onnx_model.export(workdir, os.path.join(scratch, "onnx"))),
            *(("LiteRT", os.path.join(models, of["file"])) for of in described["variants"].values()),
        ]
        turns: dict[tuple[str, str, int], list[Turn]] = {}
        start, total = time.monotonic(), rounds * len(threads) * len(runtimes)
        for turn in range(total):
            of_round, number = divmod(turn % (len(threads) * len(runtimes)), len(runtimes))
            key = (*runtimes[number], threads[of_round])
            turns.setdefault(key, []).append(_in_process(*key, described, calls))
            done = turn + 1
            left = (time.monotonic() - start) / done * (total - done)
            print(f"\r{done} of {total} turns, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return _table({(key[2], taken[0].name): taken for key, taken in turns.items()})


def _in_process(make: str, path: str, threads: int, shapes: dict[str, int], calls: int) -> Turn:
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(take_turn, make, path, threads, shapes, calls).result()


def _table(turns: dict[tuple[int, str], list[Turn]]) -> str:
    lines = [
        "| threads | runtime | MB on disk | MB of memory | first face, ms: p50, p95 | another face, ms: p50, p95 "
        "| first and another, to LiteRT float32 |",
        "|---|---|---|---|---|---|---|",
    ]
    for (threads, name), taken in turns.items():
        exact = turns[threads, "LiteRT float32"]
        ratios = (_median(taken, kind) / _median(exact, kind) for kind in ("first", "another"))
        cells = (
            f"{threads}",
            name,
            f"{taken[0].size / 1e6:.2f}",
            f"{max(turn.peak - turn.before for turn in taken) / 1e6:.0f}",
            _percentiles(taken, "first"),
            _percentiles(taken, "another"),
            ", ".join(f"{ratio:.2f}" for ratio in ratios),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _all(taken: list[Turn], kind: str) -> np.ndarray:
    return np.concatenate([getattr(turn, kind) for turn in taken])


def _median(taken: list[Turn], kind: str) -> float:
    return float(np.median(_all(taken, kind)))


def _percentiles(taken: list[Turn], kind: str) -> str:
    return ", ".join(f"{1000 * value:.2f}" for value in np.percentile(_all(taken, kind), [50, 95]))


def main() -> None:
    """Measures and prints the table."""
    print(benchmark(_WORKDIR.value, _MODELS.value, _THREADS.value, _ROUNDS.value, _CALLS.value))


if __name__ == "__main__":
    command.run(main)
