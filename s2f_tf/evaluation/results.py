"""What an evaluation leaves on disk, and two of them side by side."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from s2f_tf.aside import written_aside
from s2f_tf.errors import UserError
from s2f_tf.evaluation.statistics import Figure

_METRICS, _DRAWS = "metrics.json", "draws.npz"


def save(tree: Mapping[str, Any], folder: str) -> str:
    """Writes `metrics.json` and beside it the resamples, which `compare` needs. Returns the path of the former.

    Raises `UserError` where `folder` cannot be written.
    """
    path = os.path.join(folder, _METRICS)
    try:
        os.makedirs(folder, exist_ok=True)
        draws = {name: leaf.draws.astype(np.float32) for name, leaf in leaves(tree) if isinstance(leaf, Figure)}
        with written_aside(os.path.join(folder, _DRAWS)) as part, open(part, "wb") as file:
            np.savez_compressed(file, **draws)
        with written_aside(path) as part, open(part, "w", encoding="utf-8") as file:
            json.dump(_plain(tree), file, indent=2)
            file.write("\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    return path


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every figure, number and word of a tree, by its dotted name; items of a list go by what they are about."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{name}.{key}" if name else key)
    elif isinstance(tree, list):
        for item in tree:
            about = item.get("factor") or (f"{item['kind']}_{item['amount']}" if item.get("amount") else item["kind"])
            yield from leaves(item, f"{name}.{about}")
    else:
        yield name, tree


def compare(one: str, other: str) -> str:
    """Two evaluated runs side by side, and their difference with its interval, as a table to be printed.

    Draw k of both has resampled the same speakers, so the difference is paired.

    Args:
        one: folder that `save` has written.
        other: another, of the same split of the same corpus.

    Raises:
        UserError: one of them was not evaluated, or the two on different clips.
    """
    (values, draws), (other_values, other_draws) = load(one), load(other)
    for field in ("split", "clips", "speakers", "corpus"):
        if values[field] != other_values[field]:
            raise UserError(
                f"{one} was evaluated on {field} {values[field]} and {other} on {other_values[field]}: "
                "only runs evaluated on the same clips compare"
            )
    width = max(map(len, draws))
    lines = [f"{'':<{width}}{one:>26}{other:>26}{'difference':>26}"]
    for name in draws:
        if name in other_draws:
            difference = other_draws[name] - draws[name]
            low, high = np.nanquantile(difference, [0.025, 0.975])
            value = other_values[name + ".value"] - values[name + ".value"]
            cells = [_cell(*(of[f"{name}.{end}"] for end in ("value", "low", "high"))) for of in (values, other_values)]
            mark = " *" if low > 0 or high < 0 else "  "
            lines.append(f"{name:<{width}}{cells[0]:>26}{cells[1]:>26}{_cell(value, low, high):>26}{mark}")
    lines.append("* the interval of the difference leaves out zero")
    return "\n".join(lines)


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f}..{high:.3f})"


def load(folder: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `save` has written: numbers and words by dotted name, and the resamples of each figure, float32 [R].

    Raises `UserError` where there is no evaluation.
    """
    path = os.path.join(folder, _METRICS)
    try:
        with open(path, encoding="utf-8") as file:
            values = dict(leaves(json.load(file)))
        with np.load(os.path.join(folder, _DRAWS), allow_pickle=False) as stored:
            return values, {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} does not exist: evaluate the run first") from error
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} is no evaluation: {error}") from error


def _plain(tree: Any) -> Any:
    if isinstance(tree, Figure):
        return tree.as_dict()
    if isinstance(tree, Mapping):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(item) for item in tree] if isinstance(tree, list) else tree
