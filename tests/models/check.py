"""Checks or times one accelerated model on one backend.

    python tests/models/check.py checks|times NAME FILE

This writes the results into a file, as JSON.
"""

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import speed
from made import model, targets

from keras_sepconv import accelerate
from keras_sepconv.bench.networks import (
    ROUNDINGS,
    distance,
    predicted,
    rounded,
)
from keras_sepconv.layers import _call

HERE = pathlib.Path(__file__).parent

# The unit roundoff of float32, and how many of them a network may add up,
# relative to the difference between the examples of the batch.
_EPSILON = 2.0**-24
_DEPTH = 2**10


def _apart(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns the difference of predictions, relative to their spread."""
    return max(
        float(np.max(np.abs(one - other)) / np.max(np.ptp(other, axis=0)))
        for one, other in zip(found, expected, strict=True)
    )


def _judged(far: float, moved: float) -> dict[str, Any]:
    bound = max(_DEPTH * _EPSILON, min(0.1, ROUNDINGS * moved))
    return {"far": far, "moved": moved, "equal": far <= bound}


def _members(path: pathlib.Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    # It contains the time of day.
    del found["metadata.json"]
    return found


def _loaded(
    name: str, file: pathlib.Path, inputs: np.ndarray
) -> list[np.ndarray]:
    """Returns what a saved model predicts without this package."""
    arrays = file.with_suffix(".npz")
    np.save(file.with_suffix(".npy"), inputs)
    subprocess.run(
        [sys.executable, str(HERE / "alone.py"), name, str(file), str(arrays)],
        check=True,
    )
    with np.load(arrays) as found:
        return [found[key] for key in found.files]


@contextlib.contextmanager
def _noted() -> Iterator[set[int]]:
    """Yields a set, which gets the `id` of each layer that runs our code."""
    seen: set[int] = set()
    plain = _call.call

    def call(layer: Any, *args: Any) -> Any:
        seen.add(id(layer))
        return plain(layer, *args)

    _call.call = call
    try:
        yield seen
    finally:
        _call.call = plain


@dataclasses.dataclass(frozen=True)
class _Stock:
    """A model with the results of Keras's own code.

    Attributes:
        made: The model.
        inputs: A batch.
        labels: The targets for the batch.
        outputs: The predictions.
        moved: How much the predictions change by one rounding.
        step: What a training step adds to the weights.
        step_moved: How much the step changes by one rounding.
    """

    made: Any
    inputs: np.ndarray
    labels: Any
    outputs: list[np.ndarray]
    moved: float
    step: list[np.ndarray]
    step_moved: float


def _stock(name: str) -> _Stock:
    made, inputs = model(name)
    expected = predicted(made, inputs)
    spread = min(
        float(np.max(np.ptp(one, axis=0)) / np.max(np.abs(one)))
        for one in expected
    )
    if not spread > 1e-3:
        raise ValueError(f"the examples' outputs hardly differ: {spread:.1g}")
    weights = made.get_weights()
    made.set_weights([rounded(array) for array in weights])
    moved = _apart(predicted(made, rounded(inputs)), expected)
    made.set_weights(weights)
    labels = targets(made, expected)
    first = _step(made, inputs, labels)
    step_moved = distance(_step(made, inputs, labels, rounded), first)
    return _Stock(made, inputs, labels, expected, moved, first, step_moved)


def _step(
    model: Any,
    inputs: Any,
    labels: Any,
    change: Callable[[np.ndarray], np.ndarray] = np.array,
) -> list[np.ndarray]:
    """Returns the change of the weights in a training step, and undoes it.

    Args:
        model: A compiled model.
        inputs: A batch.
        labels: The targets of the batch.
        change: Applied to the inputs and the weights before the step.
    """
    # The variables include the seeds of dropout, but not the seed of torch.
    variables = [*model.variables, *model.optimizer.variables]
    before = [keras.ops.copy(variable.value) for variable in variables]
    weights = [change(array) for array in model.get_weights()]
    model.set_weights(weights)
    keras.utils.set_random_seed(0)
    model.train_on_batch(keras.tree.map_structure(change, inputs), labels)
    after = model.get_weights()
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return [a - b for a, b in zip(after, weights, strict=True)]


def checks(name: str) -> dict[str, Any]:
    """Returns what is accelerated, and whether all is as in stock Keras."""
    try:
        stock = _stock(name)
    except Exception as error:
        return {"stock": _said(error)}
    made = stock.made
    with tempfile.TemporaryDirectory() as folder:
        before, after = (
            pathlib.Path(folder, f"{one}.keras") for one in ("stock", "fast")
        )
        made.save(before)
        report = accelerate(made)
        made.save(after)
        file_equal = _members(before) == _members(after)
        loaded = _loaded(name, after, stock.inputs)
    with _noted() as seen:
        found = predicted(made, stock.inputs)
        moves = _step(made, stock.inputs, stock.labels)
    left = [row for row in report.left if row.reason != "it is dense"]
    return {
        "reached": len(report.accelerated),
        "ran": len(seen),
        "cheap": len(report.accelerated) + len(left),
        "left": sorted({f"{row.before}: {row.reason}" for row in left}),
        "share": report.share,
        "notes": list(report.notes),
        "outputs": _judged(_apart(found, stock.outputs), stock.moved),
        "step": _judged(distance(moves, stock.step), stock.step_moved),
        "file_equal": file_equal,
        "loaded": _judged(_apart(loaded, stock.outputs), stock.moved),
    }


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def main() -> None:
    """Checks or times one model."""
    question, name, file = sys.argv[1:]
    run = {"checks": checks, "times": speed.times}[question]
    try:
        found = run(name)
    except Exception as error:
        found = {"error": _said(error)}
        print(f"{name}: {error}", file=sys.stderr)
    pathlib.Path(file).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
