"""One model on one backend: what `accelerate` reaches, is it right, how fast.

    python tests/models/check.py checks|times NAME FILE

writes what it finds into a file, as JSON.
"""

import contextlib
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import subjects

from keras_sepconv import accelerate
from keras_sepconv.bench import clock
from keras_sepconv.layers import _call

HERE = pathlib.Path(__file__).parent

# One unit roundoff of float32, and how many of them, in parts of what
# distinguishes the examples of the batch, a network may add up.
_EPSILON = 2.0**-24
_DEPTH = 2**10
# How many times as far as stock Keras moves when its inputs and weights move
# by one rounding.
_ROUNDINGS = 8

# A measurement ends when its median is known as well as this, or after so
# many seconds.
_NOISE = 0.015
_SECONDS = 4.0


def model(name: str) -> Any:
    """Returns a model with signal, compiled for training, and a batch."""
    keras.utils.set_random_seed(0)
    made = subjects.SUBJECTS[name]()
    shape = (64, 128, 1) if "EEGNet" in name else subjects.SHAPE
    inputs = np.random.default_rng(0).standard_normal((8, *shape), "float32")
    if not getattr(made, "inputs", None):
        made(inputs[:1])
    _give_signal(made)
    made.compile(keras.optimizers.SGD(0.01), _loss(made))
    return made, inputs


def _loss(made: Any) -> Any:
    if _has_own_step(made):
        return None
    return keras.tree.map_structure(lambda _: "mse", _structure(made))


def _has_own_step(made: Any) -> bool:
    return "train_step" in vars(type(made))


def _structure(made: Any) -> Any:
    """Returns the outputs of a graph, whatever one of another model."""
    return made.output if getattr(made, "outputs", None) else ""


def _give_signal(made: Any) -> None:
    """Gives random weights that tell one image from another.

    The kernels are those of He et al. (2015); normalisations have statistics
    as if they had learned some.
    """
    rng = np.random.default_rng(0)
    for variable in made.weights:
        name, shape = variable.name, tuple(variable.shape)
        if name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            # Depthwise kernels have few filters a channel for their last axis.
            alone = name != "pointwise_kernel"
            alone = alone and len(shape) == 4 and shape[-1] <= 2
            fan_in = np.prod(shape[: -2 if alone else -1])
            value = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        elif name in ("moving_variance", "gamma"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name in ("moving_mean", "beta", "bias"):
            value = 0.1 * rng.standard_normal(shape)
        else:
            continue
        variable.assign(value)


def _rounded(array: np.ndarray) -> np.ndarray:
    """Returns numbers that are one unit off, up or down."""
    if array.dtype != "float32":
        return array
    signs = np.random.default_rng(1).choice([-1, 1], array.shape)
    return (array * (1 + 2.0**-23 * signs)).astype("float32")


def _predicted(made: Any, inputs: np.ndarray) -> list[np.ndarray]:
    outputs = keras.tree.flatten(made.predict_on_batch(inputs))
    return [np.asarray(output) for output in outputs]


def _targets(made: Any, outputs: list[np.ndarray]) -> Any:
    """Returns what to learn; nothing for what has its own training step."""
    if _has_own_step(made):
        return None
    rng = np.random.default_rng(2)
    drawn = [rng.standard_normal(one.shape, "float32") for one in outputs]
    return keras.tree.pack_sequence_as(_structure(made), drawn)


def _step(
    made: Any,
    inputs: np.ndarray,
    targets: Any,
    change: Callable[[np.ndarray], np.ndarray] = np.array,
) -> list[np.ndarray]:
    """Returns what a training step adds to the weights; undoes it."""
    # Seeds of dropout are among the variables; torch's own is not.
    variables = [*made.variables, *made.optimizer.variables]
    before = [keras.ops.copy(variable.value) for variable in variables]
    weights = [change(array) for array in made.get_weights()]
    made.set_weights(weights)
    keras.utils.set_random_seed(0)
    made.train_on_batch(*_batch(change(inputs), targets))
    after = made.get_weights()
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return [a - b for a, b in zip(after, weights, strict=True)]


def _batch(*arrays: Any) -> tuple[Any, ...]:
    return tuple(array for array in arrays if array is not None)


def _apart(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns how far predictions are apart, in parts of their spread."""
    return max(
        float(np.max(np.abs(one - other)) / np.max(np.ptp(other, axis=0)))
        for one, other in zip(found, expected, strict=True)
    )


def _distance(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns how far steps are apart, in parts of the expected one."""
    far, size = (
        sum(float(np.sum(np.square(array, dtype="float64"))) for array in step)
        for step in (map(np.subtract, found, expected), expected)
    )
    return float((far / size) ** 0.5)


def _judged(far: float, moved: float) -> dict[str, Any]:
    bound = max(_DEPTH * _EPSILON, _ROUNDINGS * moved)
    return {"far": far, "moved": moved, "equal": far <= bound}


def _members(path: pathlib.Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    # It has the time of day.
    del found["metadata.json"]
    return found


def _loaded(
    name: str, file: pathlib.Path, inputs: np.ndarray
) -> list[np.ndarray]:
    """Returns what a saved model predicts where this package is not."""
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
    """Yields the layers that run our operations, as they do."""
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


def checks(name: str) -> dict[str, Any]:
    """Returns what is reached, and whether all is as stock Keras has it."""
    made, inputs = model(name)
    expected = _predicted(made, inputs)
    spread = min(
        float(np.max(np.ptp(one, axis=0)) / np.max(np.abs(one)))
        for one in expected
    )
    if not spread > 1e-3:
        raise ValueError(f"the examples' outputs hardly differ: {spread:.1g}")
    weights = made.get_weights()
    made.set_weights([_rounded(array) for array in weights])
    moved = _apart(_predicted(made, _rounded(inputs)), expected)
    made.set_weights(weights)
    targets = _targets(made, expected)
    step = _step(made, inputs, targets)
    step_moved = _distance(_step(made, inputs, targets, _rounded), step)
    with tempfile.TemporaryDirectory() as folder:
        stock, fast = (
            pathlib.Path(folder, f"{one}.keras") for one in ("stock", "fast")
        )
        made.save(stock)
        report = accelerate(made)
        made.save(fast)
        file_equal = _members(stock) == _members(fast)
        loaded = _judged(_apart(_loaded(name, fast, inputs), expected), moved)
    with _noted() as seen:
        outputs = _judged(_apart(_predicted(made, inputs), expected), moved)
        fast_step = _step(made, inputs, targets)
    left = [row for row in report.left if row.reason != "it is dense"]
    return {
        "reached": len(report.accelerated),
        "ran": len(seen),
        "cheap": len(report.accelerated) + len(left),
        "left": sorted({f"{row.before}: {row.reason}" for row in left}),
        "share": report.share,
        "notes": list(report.notes),
        "outputs": outputs,
        "step": _judged(_distance(fast_step, step), step_moved),
        "file_equal": file_equal,
        "loaded": loaded,
    }


def times(name: str) -> dict[str, Any]:
    """Returns stock's time divided by ours, for each kind of call."""
    stock, inputs = model(name)
    fast, _ = model(name)
    accelerate(fast, verify=False)
    targets = _targets(stock, _predicted(stock, inputs))
    found = {}
    for batch in (1, 8):
        pair = keras.tree.map_structure(
            lambda array, batch=batch: array[:batch], _batch(inputs, targets)
        )
        found[f"predict {batch}"] = _speedup(
            {
                "stock": lambda x=pair[0]: stock.predict_on_batch(x),
                "ours": lambda x=pair[0]: fast.predict_on_batch(x),
            }
        )
        found[f"train {batch}"] = _speedup(
            {
                "stock": lambda pair=pair: stock.train_on_batch(*pair),
                "ours": lambda pair=pair: fast.train_on_batch(*pair),
            }
        )
    return found


def _speedup(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Times both in turns until their ratio is known well enough."""
    for run in runs.values():
        run()
        run()
    taken: clock.Times = {name: [] for name in runs}
    while True:
        for name, more in clock.interleaved(runs, _SECONDS / 8).items():
            taken[name] += more
        low, middle, high = clock.ratios(taken["stock"], taken["ours"])
        rounds = len(taken["ours"])
        # The standard error of a median, by the quartiles.
        noise = 0.93 * (high - low) / math.sqrt(rounds) / middle
        if noise < _NOISE or 2 * sum(map(sum, taken.values())) > _SECONDS:
            return {
                "ratio": middle,
                "noise": noise,
                "rounds": rounds,
                **{
                    name: 1000 * clock.quartiles(seconds)[1]
                    for name, seconds in taken.items()
                },
            }


def main() -> None:
    """Asks one question of one model."""
    question, name, file = sys.argv[1:]
    run = {"checks": checks, "times": times}[question]
    try:
        found = run(name)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        found = {"error": f"{type(error).__name__}: {lines[0]}"}
        print(f"{name}: {error}", file=sys.stderr)
    pathlib.Path(file).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
