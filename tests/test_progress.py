"""The line of progress, on a pseudo-terminal and in a pipe."""

import io
import sys

import pytest

from s2f_tf import progress
from s2f_tf.progress import Progress


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_on_a_terminal_no_line_wraps_and_nothing_is_left_behind(terminal, clock):
    resize, rows = terminal
    resize(80)
    with Progress(12_000, "step", stage="generation") as line:
        for step in range(1, 12_001, 1000):
            clock.now += 1
            line.update(step, {"loss": 1000 / step, "a name that is far too long for any line": 0.0, "2-way": 0.9})
            if step % 4000 == 1:
                line.print(f"row {step}")
        line.update(12_000)
    found = rows()
    assert [row for row, _ in found[:-1]] == ["row 1", "row 4001", "row 8001"]
    assert found[-1][0] == "generation: 12,000 of 12,000 steps, 12 s in all, 1 ms a step, loss 0.091"
    assert max(widest for _, widest in found) <= 79


def test_a_terminal_may_become_narrower_while_it_is_written(terminal, clock):
    resize, rows = terminal
    resize(120)
    with Progress(10, "clip", stage="x" * 100) as line:
        for columns in (120, 40):
            resize(columns)
            clock.now += 1
            line.add()
            assert rows()[0][1] == columns - 1


def test_in_a_pipe_a_short_line_comes_every_ten_seconds_if_something_was_done(monkeypatch, clock):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress(20, "speaker") as line:
        for done in (0, 0, 0, 1, 1, 3):
            for _ in range(20):
                clock.now += 0.5
                line.update(done)
    lines = pipe.getvalue().split("\n")
    assert lines[0].startswith("1 of 20 speakers, ")
    assert lines[1:] == ["3 of 20 speakers, 4 min 11 s left, 14.8 s a speaker", ""] and "\r" not in pipe.getvalue()


def test_how_many_there_are_may_be_known_at_the_end_alone(monkeypatch, clock):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress(None, "face") as line:
        for _ in range(3):
            clock.now += 6
            line.add(256)
    assert pipe.getvalue().splitlines() == ["512 faces, 23 ms a face", "768 of 768 faces, 18 s in all, 23 ms a face"]


def test_what_an_earlier_run_did_says_nothing_of_the_speed(monkeypatch, clock):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress(100, "video") as line:
        for new in range(1, 11):
            clock.now += 2
            line.update(80 + new, before=80)
    assert pipe.getvalue().splitlines()[-1] == "90 of 100 videos, 20 s left, 2.0 s a video"


def test_numbers_are_for_people(monkeypatch, clock):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress(2, "step") as line:
        clock.now += 0.004
        line.update(1, {"share": 0.0, "distance": 1234.56})
    assert pipe.getvalue() == "1 of 2 steps, 0 s left, 4 ms a step, share 0.000, distance 1,234.6\n"


@pytest.mark.parametrize(
    "seconds, text", [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (601, "10 min"), (3661, "1 h 1 min")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text
