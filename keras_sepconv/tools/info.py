"""The command line of `python -m keras_sepconv info`."""

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

import keras

from keras_sepconv._spec import Shape
from keras_sepconv.tools import _source, _table
from keras_sepconv.tools._choice import Choice, choice
from keras_sepconv.tools.counts import Row, model_counts, sum_counts
from keras_sepconv.tools.report import console

_EPILOG = """\
Exit codes: 0 success; 1 a file cannot be read; 2 bad arguments.
"""


def add_to(commands: Any) -> None:
    """Adds the command to a parser's commands."""
    parser = commands.add_parser(
        "info",
        help="show the cost of a model, and what runs its convolutions",
        description="Shows the layers of a saved model: their shapes, "
        "parameters and multiply-adds, the shares of depthwise and pointwise "
        "convolutions, and which implementation runs each convolution on the "
        "active backend.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("model", metavar="FILE", help="a saved model")
    add(
        "--input-shape",
        type=_shape,
        action="append",
        metavar="SIZES",
        help="the sizes of an input without the batch, for example 224,224,3, "
        "if the model has unknown sizes; repeat it for each input",
    )
    _source.add_options(add)
    add(
        "--json",
        action="store_true",
        help="print JSON, for other programs, instead of tables",
    )
    parser.set_defaults(run=lambda options: run(options, parser.error))


def _shape(text: str) -> Shape:
    try:
        shape = tuple(int(size) for size in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise argparse.ArgumentTypeError(
            "must be positive whole numbers with commas between, such as "
            f"224,224,3. Received: {text}"
        )
    return shape


def run(options: argparse.Namespace, refuse: Callable[[str], object]) -> int:
    """Reads, counts and prints; returns the exit code.

    Args:
        options: The parsed arguments.
        refuse: Ends the process with a message about bad arguments.
    """
    try:
        # Messages of Keras go to stderr: standard output is for the result.
        with (
            contextlib.redirect_stdout(sys.stderr),
            _source.plain_warnings("info"),
        ):
            model = _source.load(options, options.model, compile=False)
    except (OSError, ValueError) as error:
        message = _source.in_own_words(error)
        print(f"python -m keras_sepconv info: {message}", file=sys.stderr)
        return 1
    try:
        rows = model_counts(model, options.input_shape)
    except ValueError as error:
        refuse(f"argument --input-shape: {error}")
    found = [(row, choice(row.layer, _input(row))) for row in rows]
    if options.json:
        print(json.dumps(as_json(model, found), indent=2))
    else:
        _table.report(console(), model, found)
    return 0


def _input(row: Row) -> Shape | None:
    return row.input_shapes[0] if row.input_shapes else None


def as_json(
    model: Any, found: list[tuple[Row, Choice | None]]
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
        "parameters": _table.parameters(model),
        "multiply_adds": {
            **dataclasses.asdict(counts),
            "total": counts.total,
            "complete": complete,
        },
        "layers": [_layer(row, choice) for row, choice in found],
    }


def _layer(row: Row, choice: Choice | None) -> dict[str, Any]:
    counts = row.counts
    return {
        "layer": "/".join(row.path),
        "class": type(row.layer).__name__,
        "module": type(row.layer).__module__,
        "input_shapes": row.input_shapes,
        "output_shapes": row.output_shapes,
        "steps": row.steps,
        "parameters": row.parameters,
        "multiply_adds": None
        if counts is None
        else {**dataclasses.asdict(counts), "total": counts.total},
        "implementation": None
        if choice is None
        else dataclasses.asdict(choice),
    }
