"""Runs requests on a few threads: each by itself, or several of one kind together as a batch.

Requests wait in memory, so only so many may: those beyond are refused with UNAVAILABLE at once, to be sent again.
"""

import asyncio
import collections
import dataclasses
import os
import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from grpc import StatusCode

from s2f_tf.errors import UserError

from .config_protos import BatchingParameters
from .errors import RequestError, invalid
from .monitoring import BATCH_SIZE
from .servable import Servable

Arrays = Mapping[str, np.ndarray]

_MAX_WAITING = 256  # requests, where they are not batched


@dataclasses.dataclass(eq=False)
class _Task:
    """A request, or a part of one, that waits to be run."""

    servable: Servable
    feeds: Arrays
    fetches: Sequence[str]
    rows: int
    since: float
    result: asyncio.Future


class Runner:
    """Runs each request by itself, twice as many at a time as there are cores: few that are long make no other wait."""

    def __init__(self, threads: int = 0, most_waiting: int = _MAX_WAITING) -> None:
        self._free = threads or 2 * os.cpu_count()
        self._pool = ThreadPoolExecutor(self._free, "run")
        self._most_waiting = most_waiting
        self._waiting = 0  # rows, over all queues
        self._queues: dict[Hashable, collections.deque[_Task]] = {}
        self._running: set[asyncio.Task] = set()

    async def run(self, servable: Servable, feeds: Arrays, fetches: Sequence[str]) -> dict[str, np.ndarray]:
        """What `Servable.run` returns. Raises `RequestError` where too many wait, and what `Servable.run` raises."""
        return await self._enqueue(None, servable, feeds, fetches, rows=1)

    def close(self) -> None:
        """Waits for what runs; nothing may be asked of it any more."""
        self._pool.shutdown()

    async def _enqueue(
        self, kind: Hashable, servable: Servable, feeds: Arrays, fetches: Sequence[str], rows: int
    ) -> dict[str, np.ndarray]:
        """Waits among requests of its kind, which may be run together, and is run."""
        if self._waiting + rows > self._most_waiting:
            raise RequestError(
                StatusCode.UNAVAILABLE, "The batch scheduling queue to which this task was submitted is full"
            )
        task = _Task(servable, feeds, fetches, rows, time.monotonic(), asyncio.get_running_loop().create_future())
        self._queues.setdefault(kind, collections.deque()).append(task)
        self._waiting += rows
        self._start()
        return await task.result

    def _start(self) -> None:
        """Gives free threads work, and comes again when more is ripe."""
        while self._free and self._queues:
            kind, queue = min(self._queues.items(), key=lambda item: self._ripe_at(item[1]))
            if (wait := self._ripe_at(queue) - time.monotonic()) > 0:
                asyncio.get_running_loop().call_later(wait, self._start)
                return
            taken = self._take(queue)
            self._waiting -= sum(task.rows for task in taken)
            if not queue:
                del self._queues[kind]
            # Where the client has gone, or its time is up, nothing is run.
            if tasks := [task for task in taken if not task.result.done()]:
                self._free -= 1
                running = asyncio.get_running_loop().create_task(self._run(tasks))
                self._running.add(running)
                running.add_done_callback(self._running.discard)

    async def _run(self, tasks: list[_Task]) -> None:
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._pool, self._results, tasks)
        finally:
            self._free += 1
            self._start()
        for task, result in zip(tasks, results, strict=True):
            if task.result.done():
                continue
            if isinstance(result, Exception):
                task.result.set_exception(result)
            else:
                task.result.set_result(result)

    def _ripe_at(self, queue: Sequence[_Task]) -> float:
        """When the next tasks of a queue are to be run, by `time.monotonic`."""
        return queue[0].since

    def _take(self, queue: collections.deque[_Task]) -> list[_Task]:
        """Takes the next tasks to be run together off a queue."""
        return [queue.popleft()]

    def _results(self, tasks: list[_Task]) -> list[dict[str, np.ndarray] | Exception]:
        """What comes of each task; called on a thread."""
        return [_alone(task) for task in tasks]


class Batcher(Runner):
    """Runs requests together whose tensors differ in nothing but their first dimension and their values.

    A batch is run as soon as a thread is free and it is full, or its oldest request has waited for the time-out. What
    cannot be batched, since an input is a scalar or two differ in their first dimension, is run by itself. So is each
    request of a batch that fails: one that is bad fails alone.

    Raises `UserError` where the parameters cannot be.
    """

    def __init__(self, parameters: BatchingParameters) -> None:
        self._most_rows = _number(parameters, "max_batch_size", 1000)
        self._timeout = _number(parameters, "batch_timeout_micros", 0, low=0) / 1e6
        splits = parameters.enable_large_batch_splitting.value
        self._run_rows = _number(parameters, "max_execution_batch_size", self._most_rows) if splits else self._most_rows
        if self._run_rows > self._most_rows:
            raise UserError(
                f"max_execution_batch_size of {self._run_rows} is above max_batch_size of {self._most_rows}"
            )
        self._sizes = list(parameters.allowed_batch_sizes)
        if self._sizes and (self._sizes != sorted(set(self._sizes)) or self._sizes[0] < 1):
            raise UserError(f"allowed_batch_sizes must be above zero and in increasing order, not {self._sizes}")
        if self._sizes and self._sizes[-1] != self._run_rows:
            raise UserError(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{self._sizes[-1]}; expected {self._run_rows}"
            )
        if parameters.pad_variable_length_inputs:
            raise UserError("pad_variable_length_inputs is not done here: requests of other shapes make other batches")
        threads = _number(parameters, "num_batch_threads", os.cpu_count())
        super().__init__(threads, _number(parameters, "max_enqueued_batches", 10) * self._most_rows)

    async def run(self, servable: Servable, feeds: Arrays, fetches: Sequence[str]) -> dict[str, np.ndarray]:
        """What `Servable.run` returns. Raises `RequestError` where too many wait, and what `Servable.run` raises."""
        sizes = {array.shape[:1] for array in feeds.values()}
        rows = sizes.pop()[0] if len(sizes) == 1 and () not in sizes else 0
        if not rows:
            return await self._enqueue(object(), servable, feeds, fetches, rows=1)
        if rows > self._most_rows:
            raise invalid(f"Task size {rows} is larger than maximum input batch size {self._most_rows}")
        shapes = frozenset((name, array.dtype, array.shape[1:]) for name, array in feeds.items())
        kind = (servable, frozenset(fetches), shapes)
        parts = [
            {name: array[at : at + self._run_rows] for name, array in feeds.items()}
            for at in range(0, rows, self._run_rows)
        ]
        results = await asyncio.gather(
            *(self._enqueue(kind, servable, part, fetches, len(next(iter(part.values())))) for part in parts)
        )
        return (
            results[0] if len(results) == 1 else {name: np.concatenate([r[name] for r in results]) for name in fetches}
        )

    def _ripe_at(self, queue: Sequence[_Task]) -> float:
        full = sum(task.rows for task in queue) >= self._run_rows
        return queue[0].since + (0 if full else self._timeout)

    def _take(self, queue: collections.deque[_Task]) -> list[_Task]:
        tasks, rows = [], 0
        while queue and (not tasks or rows + queue[0].rows <= self._run_rows):
            tasks.append(queue.popleft())
            rows += tasks[-1].rows
        return tasks

    def _results(self, tasks: list[_Task]) -> list[dict[str, np.ndarray] | Exception]:
        rows = sum(task.rows for task in tasks)
        padding = next((size for size in self._sizes if size >= rows), rows) - rows
        BATCH_SIZE.observe(rows)
        if len(tasks) == 1 and not padding:
            return super()._results(tasks)
        try:
            return _together(tasks, rows, padding)
        except Exception:  # of whichever request it is
            return super()._results(tasks)


def _alone(task: _Task) -> dict[str, np.ndarray] | Exception:
    try:
        return task.servable.run(task.feeds, task.fetches)
    except Exception as error:
        return error


def _together(tasks: list[_Task], rows: int, padding: int) -> list[dict[str, np.ndarray]]:
    """Runs one batch, filled up with copies of its last row, and deals out the rows of its outputs."""
    first = tasks[0]
    feeds = {}
    for name in first.feeds:
        arrays = [task.feeds[name] for task in tasks]
        feeds[name] = np.concatenate(arrays + [arrays[-1][-1:]] * padding)
    fetched = first.servable.run(feeds, first.fetches)
    if any(array.shape[:1] != (rows + padding,) for array in fetched.values()):
        raise ValueError("an output has other rows than the inputs")
    results, at = [], 0
    for task in tasks:
        results.append({name: array[at : at + task.rows] for name, array in fetched.items()})
        at += task.rows
    return results


def _number(parameters: BatchingParameters, name: str, default: int, low: int = 1) -> int:
    value = getattr(parameters, name).value if parameters.HasField(name) else default
    if value < low:
        raise UserError(f"{name} must be at least {low}, not {value}")
    return value
