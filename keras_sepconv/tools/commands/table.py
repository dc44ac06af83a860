"""The tables that `python -m keras_sepconv info` prints."""

from typing import Any

import keras
from rich.console import Console
from rich.table import Table

from keras_sepconv._spec import Shape
from keras_sepconv.tools.commands import shared
from keras_sepconv.tools.inspection.choice import Choice
from keras_sepconv.tools.inspection.counts import (
    CountedCall,
    Counts,
    sum_counts,
)

_LEGEND = (
    "multiply-adds: of one example; the zeros of padding count, biases, "
    "activations and normalisations do not. depthwise, pointwise: the share of "
    "such convolutions in the multiply-adds of the layer. output: without the "
    "batch."
)
_UNKNOWN = (
    "?: not known, because a size is unknown, or because the layer is of a "
    "kind that is not counted. --input-shape gives unknown sizes."
)
# The number of layers that are named for one reason.
_NAMED = 3


def report(
    console: Console, model: Any, found: list[tuple[CountedCall, Choice | None]]
) -> None:
    """Prints all tables and lines.

    Args:
        console: Where to print.
        model: The model.
        found: The calls of its layers, with the implementation that runs them.
    """
    rows = [row for row, _ in found]
    console.print(_layers(f"{model.name}: layers", rows, parameters(model)))
    multiplying = [
        pair for pair in found if pair[0].counts is None or pair[0].counts.total
    ]
    if multiplying:
        console.print(_multiplying(multiplying))
    for line in (*_choices(found), *_refusals(found)):
        console.print(line)
    console.print(_LEGEND, style="dim")
    if not sum_counts(rows)[1]:
        console.print(_UNKNOWN, style="dim")


def parameters(model: Any) -> int | None:
    """Returns the number of parameters, or `None` before a model is built."""
    return int(model.count_params()) if model.built else None


def _layers(
    heading: str, rows: list[CountedCall], parameters: int | None
) -> Table:
    table = shared.table(heading, show_footer=True)
    table.add_column("layer", "total", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("output", overflow="fold")
    table.add_column(
        "parameters", _number(parameters), justify="right", no_wrap=True
    )
    for row in rows:
        table.add_row(
            "/".join(row.path),
            type(row.layer).__name__,
            _shapes(row),
            _number(row.parameters),
        )
    return table


def _multiplying(found: list[tuple[CountedCall, Choice | None]]) -> Table:
    counts, complete = sum_counts([row for row, _ in found])
    total = f"{counts.total:,}" if complete else f"{counts.total:,} + ?"
    shares = _shares(counts if complete else None)
    table = shared.table(
        f"what multiplies, on the {keras.backend.backend()} backend",
        show_footer=True,
    )
    table.add_column("layer", "total", overflow="fold")
    for name, footer in zip(
        ("multiply-adds", "depthwise", "pointwise"),
        (total, *shares),
        strict=True,
    ):
        table.add_column(name, footer, justify="right", no_wrap=True)
    table.add_column("runs by", overflow="fold")
    for row, choice in found:
        table.add_row(
            "/".join(row.path),
            "?" if row.counts is None else _number(row.counts.total),
            *_shares(row.counts),
            "-" if choice is None else _runs(choice),
        )
    return table


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}" if value else "-"


def _shapes(row: CountedCall) -> str:
    if not row.outputs:
        return "?"
    text = ", ".join(_shape(shape) for shape in row.outputs)
    times = "" if row.steps == 1 else f"{row.steps or '?'} times "
    return times + text


def _shape(shape: Shape) -> str:
    sizes = ["?" if size is None else str(size) for size in shape[1:]]
    return f"({', '.join(sizes)})"


def _shares(counts: Counts | None) -> tuple[str, str]:
    if counts is None:
        return "?", "?"
    depthwise, pointwise = (
        f"{100 * part / counts.total:.1f} %" if part else "-"
        for part in (counts.depthwise, counts.pointwise)
    )
    return depthwise, pointwise


def _runs(choice: Choice) -> str:
    now = choice.runs or "?"
    after = choice.accelerated
    return now if after is None else f"{now} -> {after}"


def _choices(found: list[tuple[CountedCall, Choice | None]]) -> list[str]:
    """Returns a line for each kind of choice, with its reason."""
    layers: dict[str, list[str]] = {}
    for row, choice in found:
        if choice is not None:
            line = f"{_runs(choice)}: {choice.why}"
            layers.setdefault(line, []).append("/".join(row.path))
    return [f"{line} ({_names(names)})" for line, names in layers.items()]


def _refusals(found: list[tuple[CountedCall, Choice | None]]) -> list[str]:
    """Returns a line for each reason why an implementation does not run."""
    layers: dict[str, list[str]] = {}
    for row, choice in found:
        for name, reason in choice.refused.items() if choice else ():
            line = f"not {name}: {reason}"
            layers.setdefault(line, []).append("/".join(row.path))
    return [f"{line} ({_names(names)})" for line, names in layers.items()]


def _names(names: list[str]) -> str:
    # A shared layer is called more than once.
    names = list(dict.fromkeys(names))
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} layers"
