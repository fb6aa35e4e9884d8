"""What each convolution of a training step reaches of what the processor can do: `benchmarks.training --layers`.

oneDNN, which computes them, says what it runs and how long that took.
"""

import dataclasses
import os
import re
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_TIMES = 20  # of a convolution alone
_LEAST = 0.01  # of a step: rarer convolutions are counted together
_KINDS = {"forward": "forward", "backward_d": "of input", "backward_w": "of kernel"}


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One that a step needs, or its gradient by its input or its kernel.

    Attributes:
        kind: of `_KINDS`.
        problem: its sizes, as oneDNN writes them.
    """

    kind: str
    problem: str

    @property
    def sizes(self) -> dict[str, int]:
        """By oneDNN's names: `mb` of a batch; `ic`, `oc` channels; `ih`, `oh`, `kh`, `sh`, `ph` along the height."""
        return {name: int(value) for name, value in re.findall(r"([a-z]+)(\d+)", self.problem)}

    @property
    def operations(self) -> float:
        """Additions and multiplications."""
        n = self.sizes
        return 2.0 * n["mb"] * n["ic"] * n["oc"] * n["oh"] * n["ow"] * n["kh"] * n["kw"]

    def __str__(self) -> str:
        n = self.sizes
        return (
            f"{n['mb']} x {n['ih']} x {n['iw']} x {n['ic']} to {n['oc']}, "
            f"{n['kh']} x {n['kw']}, stride {n['sw']}, {self.kind}"
        )

    def alone(self) -> Callable[[], object]:
        """A function that computes nothing else."""
        n = self.sizes
        x = tf.random.normal([n["mb"], n["ih"], n["iw"], n["ic"]])
        kernel = tf.random.normal([n["kh"], n["kw"], n["ic"], n["oc"]])
        y = tf.random.normal([n["mb"], n["oh"], n["ow"], n["oc"]])
        how = {"strides": [1, n["sh"], n["sw"], 1], "padding": "SAME" if n["ph"] or n["pw"] else "VALID"}
        call = {
            "forward": lambda: tf.raw_ops.Conv2D(input=x, filter=kernel, **how),
            "of input": lambda: tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=kernel, out_backprop=y, **how
            ),
            "of kernel": lambda: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=y, **how
            ),
        }[self.kind]
        return tf.function(call, autograph=False)


class Report:
    """What oneDNN runs. To be made before it runs anything: from then on standard output goes to a file, but for `out`.

    Attributes:
        out: the standard output as it was.
    """

    def __init__(self) -> None:
        os.environ["ONEDNN_VERBOSE"] = "1"
        sys.stdout.flush()
        self.out = os.fdopen(os.dup(1), "w")
        self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        os.dup2(self._file.fileno(), 1)

    def of(self, call: Callable[[], object], times: int) -> dict[Convolution | str, list[float]]:
        """Milliseconds of each primitive in some calls, convolutions and others by their kind."""
        call()
        call()
        self._file.seek(0, os.SEEK_END)
        start = self._file.tell()
        for _ in range(times):
            call()
        self._file.seek(start)
        found: dict[Convolution | str, list[float]] = {}
        for line in self._file:
            fields = line.strip().split(",")
            if fields[0] == "onednn_verbose" and "exec" in fields:
                _, what, _, direction = fields[fields.index("exec") + 1 :][:4]
                if what == "convolution":
                    kind = next(ours for theirs, ours in _KINDS.items() if direction.startswith(theirs))
                    what = Convolution(kind, fields[-2])
                found.setdefault(what, []).append(float(fields[-1]))
        return found


def table(report: Report, name: str, step: Callable[[], object], steps: int, milliseconds: float, peak: float) -> str:
    """The convolutions of a step, the dearest first, and what else it spends its time with.

    Args:
        report: of what oneDNN runs.
        name: of the step.
        step: takes it.
        steps: as many are looked at.
        milliseconds: what one takes.
        peak: operations a second in a product of large matrices.
    """
    found = report.of(step, steps)
    calls = {what: len(times) / steps for what, times in found.items()}
    spent = {what: calls[what] * float(np.median(times)) for what, times in found.items()}
    lines = [f"{name} | calls | ms | share of the step | of the peak | alone", "---|---|---|---|---|---"]

    def add(what: object, count: float, took: float, *rates: float) -> None:
        cells = f"{count:.3g}", f"{took:.2f}", f"{took / milliseconds:.3f}", *(f"{1e3 * r / peak:.2f}" for r in rates)
        lines.append(" | ".join((str(what), *cells, *[""] * (2 - len(rates)))))

    convolutions = sorted((c for c in found if isinstance(c, Convolution)), key=spent.get, reverse=True)
    for what in convolutions:
        if spent[what] > _LEAST * milliseconds:
            alone = np.median(report.of(what.alone(), _TIMES)[what])
            add(what, calls[what], spent[what], what.operations * calls[what] / spent[what], what.operations / alone)
    for kind in _KINDS.values():
        some = [c for c in convolutions if c.kind == kind]
        took, operations = sum(spent[c] for c in some), sum(calls[c] * c.operations for c in some)
        add(f"all convolutions, {kind}", sum(calls[c] for c in some), took, operations / took)
    for what in (w for w in found if isinstance(w, str)):
        add(f"oneDNN's {what}", calls[what], spent[what])
    add("all else", 1, milliseconds - sum(spent.values()))
    return "\n".join(lines)
