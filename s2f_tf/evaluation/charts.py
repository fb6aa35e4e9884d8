"""Figures as curves and bars (matplotlib)."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from s2f_tf.evaluation.statistics import Figure

# Voice to face accuracy on VoxCeleb as published, in percent, for K = 2, 4, 6, 8, 10: other data, so for orientation.
PUBLISHED_WAYS = (2, 4, 6, 8, 10)
PUBLISHED = {
    "SVHF": (81.0, 61.7, 48.4, 40.8, 34.2),
    "PINs": (84.0, 54.0, 42.0, 36.0, 30.0),
    "FOP": (83.3, 63.5, 50.7, 42.2, 37.4),
    "DIMNet": (84.0, 65.0, 52.0, 44.0, 38.0),
}

# Conditions that are drawn as curves, with what they are drawn against.
_CURVES = {"length": "seconds of voice", "noise": "SNR, dB", "reverberation": "reverberation, s (0: none)"}

_INK, _GREY = "#22313f", "#9aa5b1"
_COLOURS = ("#2f6f9f", "#d1683f", "#4c956c", "#8a5a9e", "#c79a2b")


def accuracy_against_ways(directions: Mapping[str, Mapping[str, Any]]) -> Canvas:
    """K-way accuracy against K, one line for each direction, with chance and published curves on other data.

    Args:
        directions: by name, what `matching.score` returns.
    """
    canvas, axes = _canvas()
    for colour, (name, figures) in zip(_COLOURS, directions.items(), strict=False):
        ways = [k for k in range(2, 11) if f"accuracy_k{k}" in figures]
        _line(axes, ways, [figures[f"accuracy_k{k}"] for k in ways], name.replace("_", " "), colour)
    for style, (name, values) in zip(((1, 1), (3, 1), (5, 2), (1, 2)), PUBLISHED.items(), strict=True):
        label = f"{name}, VoxCeleb"
        axes.plot(PUBLISHED_WAYS, values, color=_GREY, linewidth=1.2, linestyle=(0, style), label=label)
    ways = np.arange(2, 11)
    axes.plot(ways, 100 / ways, color=_INK, linewidth=0.8, linestyle=":", label="chance")
    axes.set(xlabel="K", ylabel="right, %", ylim=(0, 102))
    axes.legend(fontsize=8, frameon=False, ncols=2, loc="lower left")
    return canvas


def disentanglement(factors: Sequence[Mapping[str, Any]]) -> Canvas:
    """Two panels, a row for each factor: how its variance divides among c and z, and how well it is read back."""
    canvas = Canvas(figsize=(9.2, 0.34 * len(factors) + 1.2), dpi=110, layout="constrained")
    shares, reads = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = np.arange(len(factors))[::-1]
    left = np.zeros(len(factors))
    for part, colour, label in (
        ("due_to_c", _COLOURS[0], "the voice, c"),
        ("due_to_both", "#d9dee3", "both together"),
        ("due_to_z", _COLOURS[1], "z"),
    ):
        widths = np.array([100 * factor[part].value for factor in factors])
        shares.barh(places, widths, left=left, color=colour, label=label, height=0.72)
        left += widths
    for colour, marker, key, label in (
        (_GREY, "|", "r_squared_real", "real faces"),
        (_COLOURS[2], "d", "r_squared_embedding", "the embedding of the voice"),
        (_INK, "o", "r_squared_generated", "generated faces"),
    ):
        there = [(place, factor[key].value) for place, factor in zip(places, factors, strict=True) if key in factor]
        where, values = zip(*there, strict=True)
        reads.plot(np.maximum(values, -0.05), where, marker, color=colour, label=label, linestyle="none", markersize=5)
    heard = sum(factor["heard"] for factor in factors)
    for axes in (shares, reads):
        axes.axhline(len(factors) - heard - 0.5, color=_INK, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    shares.set_yticks(places, [factor["factor"].replace("_", " ") for factor in factors])
    shares.set(xlabel="share of the variance of generated faces, %", xlim=(0, 100))
    reads.set(xlabel="R² against the true speaker (below 0 drawn at 0)", xlim=(-0.08, 1.02))
    shares.set_title("above the line: what the voice shapes", loc="left", fontsize=9)
    for axes in (shares, reads):
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    return canvas


def sound(conditions: Sequence[Mapping[str, Any]]) -> Canvas:
    """Accuracy against the length of the voice, noise and reverberation."""
    canvas = Canvas(figsize=(9.2, 3.0), dpi=110, layout="constrained")
    panels = canvas.subplots(1, len(_CURVES), sharey=True)
    untouched = next(c for c in conditions if c["kind"] == "length" and c["amount"] == 2.0)
    for axes, (kind, label) in zip(panels, _CURVES.items(), strict=True):
        there = [c for c in conditions if c["kind"] == kind]
        if kind == "reverberation":
            there = [{**untouched, "amount": 0.0}, *there]
        for colour, ways in zip(_COLOURS, (2, 10), strict=False):
            key = f"accuracy_k{ways}"
            measured = [c for c in there if key in c]
            _line(axes, [c["amount"] for c in measured], [c[key] for c in measured], f"K = {ways}", colour)
        axes.set(xlabel=label, ylim=(0, 102))
    panels[0].set_xscale("log")
    panels[0].set_xticks([0.5, 1, 2, 4, 10], ["0.5", "1", "2", "4", "10"])
    panels[0].minorticks_off()
    panels[0].set_ylabel("right, %")
    panels[0].legend(fontsize=8, frameon=False, loc="lower right")
    return canvas


def channel(conditions: Sequence[Mapping[str, Any]]) -> Canvas:
    """Accuracy, with its interval, under each condition that is no curve of `sound`: a row each."""
    there = [c for c in conditions if c["kind"] not in _CURVES]
    canvas = Canvas(figsize=(9.2, 0.24 * len(there) + 0.9), dpi=110, layout="constrained")
    axes = canvas.subplots()
    for colour, ways in zip(_COLOURS, (2, 10), strict=False):
        measured = [(row, c[f"accuracy_k{ways}"]) for row, c in enumerate(there) if f"accuracy_k{ways}" in c]
        rows, figures = [row for row, _ in measured], [figure for _, figure in measured]
        axes.hlines(
            rows, [100 * f.low for f in figures], [100 * f.high for f in figures], colour, linewidth=2, alpha=0.4
        )
        axes.plot([100 * f.value for f in figures], rows, "o", color=colour, markersize=4, label=f"K = {ways}")
    axes.set_yticks(range(len(there)), [c["words"] for c in there], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="right, %", xlim=(0, 102))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    return canvas


def training(workdir: str) -> Canvas | None:
    """The curves of every stage's `log.jsonl`; None where a run has brought none along."""
    logs = {}
    for stage in ("matching", "generation", "judge"):
        path = os.path.join(workdir, stage, "log.jsonl")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                logs[stage] = [json.loads(line) for line in file]
    shown = {
        "matching": ("voice_to_face", "face_to_voice"),
        "generation": ("real_above_generated", "matched_above_mismatched"),
        "judge": ("voice_to_face", "face_to_voice"),
    }
    if not logs:
        return None
    canvas = Canvas(figsize=(9.2, 2.8), dpi=110, layout="constrained")
    for axes, (stage, lines) in zip(canvas.subplots(1, len(logs), squeeze=False)[0], logs.items(), strict=True):
        for colour, name in zip(_COLOURS, shown[stage], strict=False):
            there = [line for line in lines if name in line]
            steps, values = [line["step"] for line in there], [100 * line[name] for line in there]
            axes.plot(steps, values, color=colour, linewidth=1.2, label=name.replace("_", " "))
        axes.set(xlabel=f"step of {stage}", ylabel="of a batch, %", ylim=(0, 102))
        axes.legend(fontsize=8, frameon=False, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    return canvas


def _canvas() -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(6.4, 4.2), dpi=110, layout="constrained")
    axes = canvas.subplots()
    return canvas, axes


def _line(axes: Axes, x: Sequence[float], figures: Sequence[Figure], label: str, colour: str) -> None:
    """Values in percent, with their intervals as a band."""
    axes.plot(x, [100 * f.value for f in figures], marker="o", markersize=3.5, color=colour, label=label)
    axes.fill_between(
        x, [100 * f.low for f in figures], [100 * f.high for f in figures], color=colour, alpha=0.18, linewidth=0
    )
    axes.spines[["top", "right"]].set_visible(False)
