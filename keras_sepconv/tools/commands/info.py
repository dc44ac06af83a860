"""The command line of `python -m keras_sepconv info`."""

import argparse
import dataclasses
import json
from typing import Any

import keras

from keras_sepconv._spec import Shape
from keras_sepconv.tools.commands import shared, table
from keras_sepconv.tools.inspection.choice import Choice, choice
from keras_sepconv.tools.inspection.counts import (
    CountedCall,
    model_counts,
    sum_counts,
)


def run(options: argparse.Namespace) -> int:
    """Reads, counts and prints; returns the exit code."""
    model = shared.attempt(
        "info", lambda: shared.load(options, options.model, compile=False)
    )
    if model is None:
        return 1
    try:
        rows = model_counts(model, options.input_shape)
    except ValueError as error:
        options.refuse(f"argument --input-shape: {error}")
    found = [(row, choice(row.layer, _input(row))) for row in rows]
    if options.json:
        print(json.dumps(as_json(model, found), indent=2))
    else:
        table.report(shared.console(), model, found)
    return 0


def _input(row: CountedCall) -> Shape | None:
    return row.inputs[0] if row.inputs else None


def as_json(
    model: Any, found: list[tuple[CountedCall, Choice | None]]
) -> dict[str, Any]:
    """Returns what `--json` prints.

    Args:
        model: The model.
        found: The calls of its layers, with the implementation that runs them.
    """
    counts, complete = sum_counts([row for row, _ in found])
    return {
        "model": model.name,
        "backend": keras.backend.backend(),
        "parameters": table.parameters(model),
        "multiply_adds": {
            **dataclasses.asdict(counts),
            "total": counts.total,
            "complete": complete,
        },
        "layers": [_layer(row, choice) for row, choice in found],
    }


def _layer(row: CountedCall, choice: Choice | None) -> dict[str, Any]:
    counts = row.counts
    return {
        "layer": "/".join(row.path),
        "class": type(row.layer).__name__,
        "module": type(row.layer).__module__,
        "input_shapes": row.inputs,
        "output_shapes": row.outputs,
        "steps": row.steps,
        "parameters": row.parameters,
        "multiply_adds": None
        if counts is None
        else {**dataclasses.asdict(counts), "total": counts.total},
        "implementation": None
        if choice is None
        else dataclasses.asdict(choice),
    }
