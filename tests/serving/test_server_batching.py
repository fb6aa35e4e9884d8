import asyncio
import os
import threading
import time

import numpy as np
import pytest
from google.protobuf import text_format
from grpc import StatusCode

from s2f_tf.errors import UserError
from serving.batching import Batcher, Runner
from serving.config_protos import BatchingParameters
from serving.errors import RequestError


class Doubler:
    """Doubles x, remembers the batches that came, and fails where a row is negative."""

    def __init__(self):
        self.batches, self.gate = [], threading.Event()
        self.gate.set()

    def run(self, feeds, fetches):
        self.gate.wait(30)
        self.batches.append({name: array.tolist() for name, array in feeds.items()})
        if (feeds["x"] < 0).any():
            raise ValueError("negative")
        return {name: 2 * feeds["x"] for name in fetches}


def batcher(text=""):
    return Batcher(text_format.Parse(text, BatchingParameters()))


async def ask(runner, servable, *values, **others):
    feeds = {"x": np.array(values), **others}
    return (await runner.run(servable, feeds, ["y"]))["y"].tolist()


async def queued(runner, count):
    while runner._waiting < count:
        await asyncio.sleep(0.001)


def run(test):
    return asyncio.run(asyncio.wait_for(test, 60))


def sizes(servable):
    return [len(batch["x"]) for batch in servable.batches]


def test_what_waits_for_a_thread_is_run_together_and_each_gets_its_own_rows():
    async def test():
        runner, servable = batcher("num_batch_threads { value: 1 }"), Doubler()
        servable.gate.clear()
        first = asyncio.create_task(ask(runner, servable, 1))
        await asyncio.sleep(0.02)  # it has the thread
        others = [asyncio.create_task(ask(runner, servable, n, n + 0.5)) for n in range(4)]
        await queued(runner, 8)
        servable.gate.set()
        assert await first == [2]
        assert await asyncio.gather(*others) == [[2 * n, 2 * n + 1] for n in range(4)]
        assert sizes(servable) == [1, 8]
        runner.close()

    run(test())


def test_one_bad_request_fails_alone():
    async def test():
        runner, servable = batcher("num_batch_threads { value: 1 } batch_timeout_micros { value: 30000 }"), Doubler()
        results = await asyncio.gather(
            ask(runner, servable, 1), ask(runner, servable, -1), ask(runner, servable, 3), return_exceptions=True
        )
        assert results[0] == [2] and results[2] == [6]
        assert isinstance(results[1], ValueError)
        assert sizes(servable) == [3, 1, 1, 1]
        runner.close()

    run(test())


def test_requests_of_other_shapes_types_outputs_or_models_make_other_batches():
    async def test():
        runner, servable, other = batcher("batch_timeout_micros { value: 20000 }"), Doubler(), Doubler()
        await asyncio.gather(
            ask(runner, servable, [1.0, 2.0]),
            ask(runner, servable, [1.0]),
            ask(runner, servable, [3]),
            ask(runner, servable, [4.0]),
            runner.run(servable, {"x": np.array([[5.0]])}, ["z"]),
            ask(runner, other, [6.0]),
        )
        assert sorted(batch["x"] for batch in servable.batches) == [[[1.0], [4.0]], [[1.0, 2.0]], [[3]], [[5.0]]]
        assert sizes(other) == [1]
        runner.close()

    run(test())


def test_a_batch_is_never_larger_than_allowed_and_a_request_that_is_is_refused():
    async def test():
        runner, servable = batcher("max_batch_size { value: 4 } batch_timeout_micros { value: 20000 }"), Doubler()
        await asyncio.gather(*(ask(runner, servable, n, n, n) for n in range(4)), ask(runner, servable, 9))
        assert max(sizes(servable)) <= 4 and sum(sizes(servable)) == 13
        with pytest.raises(RequestError, match="Task size 5 is larger than maximum input batch size 4") as error:
            await ask(runner, servable, 1, 2, 3, 4, 5)
        assert error.value.code == StatusCode.INVALID_ARGUMENT
        runner.close()

    run(test())


def test_a_large_request_is_split_where_the_file_says_so():
    async def test():
        text = "max_batch_size { value: 10 } max_execution_batch_size { value: 4 }"
        runner, servable = batcher(f"{text} enable_large_batch_splitting {{ value: true }}"), Doubler()
        assert await ask(runner, servable, *range(9)) == [2 * n for n in range(9)]
        assert sorted(sizes(servable)) == [1, 4, 4]
        with pytest.raises(RequestError, match="Task size 11"):
            await ask(runner, servable, *range(11))
        runner.close()

    run(test())


def test_batches_are_filled_up_to_an_allowed_size():
    async def test():
        text = "max_batch_size { value: 8 } allowed_batch_sizes: 2 allowed_batch_sizes: 8"
        runner, servable = batcher(text), Doubler()
        assert await ask(runner, servable, 1, 2, 3) == [2, 4, 6]
        assert servable.batches == [{"x": [1, 2, 3, 3, 3, 3, 3, 3]}]
        assert await ask(runner, servable, 1) == [2]
        assert servable.batches[1] == {"x": [1, 1]}
        runner.close()

    run(test())


@pytest.mark.parametrize("other", [np.array(1.0), np.array([1.0, 2.0, 3.0])], ids=["scalar", "unequal"])
def test_what_cannot_be_batched_is_run_by_itself(other):
    async def test():
        runner, servable = batcher("batch_timeout_micros { value: 20000 }"), Doubler()
        results = await asyncio.gather(*(ask(runner, servable, 1.0, 2.0, other=other) for _ in range(3)))
        assert results == [[2, 4]] * 3
        assert sizes(servable) == [2, 2, 2]
        runner.close()

    run(test())


def test_a_model_whose_outputs_have_no_rows_is_answered_one_by_one():
    class Constant(Doubler):
        def run(self, feeds, fetches):
            super().run(feeds, fetches)
            return {name: np.array(7.0) for name in fetches}

    async def test():
        runner, servable = batcher("batch_timeout_micros { value: 20000 }"), Constant()
        assert await asyncio.gather(*(ask(runner, servable, n) for n in range(3))) == [7.0] * 3
        runner.close()

    run(test())


def test_a_batch_waits_for_its_time_out_and_no_longer_than_until_it_is_full():
    async def test():
        runner, servable = batcher("batch_timeout_micros { value: 30000000 } max_batch_size { value: 3 }"), Doubler()
        started = time.monotonic()
        assert await asyncio.gather(*(ask(runner, servable, n) for n in range(3))) == [[0], [2], [4]]
        assert time.monotonic() - started < 30
        assert sizes(servable) == [3]
        runner.close()

    run(test())


@pytest.mark.parametrize(
    "runner, most",
    [
        (lambda: Runner(1, most_waiting=3), 3),
        (
            lambda: batcher(
                "num_batch_threads { value: 1 } max_batch_size { value: 2 } max_enqueued_batches { value: 2 }"
            ),
            4,
        ),
    ],
    ids=["alone", "batched"],
)
def test_beyond_what_may_wait_requests_are_refused_at_once(runner, most):
    async def test():
        queue, servable = runner(), Doubler()
        servable.gate.clear()
        running = asyncio.create_task(ask(queue, servable, 0))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(ask(queue, servable, n)) for n in range(1, most + 1)]
        await queued(queue, most)
        for _ in range(50):
            with pytest.raises(RequestError) as error:
                await ask(queue, servable, 1)
            assert error.value.code == StatusCode.UNAVAILABLE
        servable.gate.set()
        assert await asyncio.gather(running, *waiting) == [[2 * n] for n in range(most + 1)]
        assert await ask(queue, servable, 5) == [10]
        queue.close()

    run(test())


def test_a_request_does_not_wait_for_as_many_long_ones_as_there_are_cores():
    async def test():
        runner, slow, quick = Runner(), Doubler(), Doubler()
        slow.gate.clear()
        long = [asyncio.create_task(ask(runner, slow, n)) for n in range(os.cpu_count())]
        await asyncio.sleep(0.02)  # they run
        assert await ask(runner, quick, 1) == [2]
        slow.gate.set()
        await asyncio.gather(*long)
        runner.close()

    run(test())


def test_what_its_client_gave_up_is_not_run():
    async def test():
        runner, servable = Runner(1), Doubler()
        servable.gate.clear()
        first = asyncio.create_task(ask(runner, servable, 1))
        await asyncio.sleep(0.02)
        given_up = asyncio.create_task(ask(runner, servable, 2))
        last = asyncio.create_task(ask(runner, servable, 3))
        await queued(runner, 2)
        given_up.cancel()
        servable.gate.set()
        assert await first == [2] and await last == [6]
        assert [batch["x"] for batch in servable.batches] == [[1], [3]]
        runner.close()

    run(test())


@pytest.mark.parametrize(
    "text, message",
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be at least 1, not 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be at least 1"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be at least 0"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "last entry was 4; expected 8"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 8 allowed_batch_sizes: 4", "increasing order"),
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs"),
        (
            "max_batch_size { value: 8 } max_execution_batch_size { value: 9 } "
            "enable_large_batch_splitting { value: true }",
            "max_execution_batch_size of 9",
        ),
    ],
)
def test_parameters_that_cannot_be_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        batcher(text)
