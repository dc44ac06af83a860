"""Prepares whole models: as they are, accelerated, and converted."""

import functools
import math
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_sepconv.bench.measure import Contest, Runs, Task
from keras_sepconv.bench.results import OWN, Result
from keras_sepconv.tools import accelerate, convert_model
from keras_sepconv.tools.commands import shared
from keras_sepconv.tools.conversion import comparison, rounding
from keras_sepconv.tools.inspection.inputs import known_input
from keras_sepconv.tools.inspection.words import short_error

# After a training step, our weights may differ from those of stock Keras by
# this many times the change that one rounding of the inputs and weights causes
# in stock Keras, because every layer rounds.
ROUNDINGS = 8
# The difference that is always allowed, relative to the step.
_LEAST = 2.0**-14


def contest(
    models: Mapping[str, Any], inputs: Any, labels: Any, moved: Any = None
) -> Contest:
    """Prepares models: `stock`, `ours`, and others that only predict.

    `moved` is a training step of stock Keras with inputs and weights that are
    changed by one rounding. Without it no training step is timed.
    """
    runs: dict[str, Runs] = {
        "forward": {
            name: functools.partial(model.predict_on_batch, inputs)
            for name, model in models.items()
        },
        "training": {
            name: functools.partial(models[name].train_on_batch, inputs, labels)
            for name in ("stock", "ours")
            if moved is not None
        },
    }
    check = functools.partial(_check, models, inputs, labels, moved)
    return Contest(runs, check)


def _check(
    models: Mapping[str, Any], inputs: Any, labels: Any, moved: Any
) -> tuple[list[str], dict[str, Result]]:
    """Compares all with stock Keras, which takes a training step."""
    stock, wrong = models["stock"], []
    expected, unit = predicted(stock, inputs), rounding.epsilon(stock)
    near = predicted(stock, _rounded(stock, inputs))
    for name, model in models.items():
        found = predicted(model, inputs)
        text = rounding.disagreement(expected, found, unit, near)
        if text:
            wrong.append(f"{name} predicts something else: {text}")
    if moved is not None:
        taken = step(stock, inputs, labels)
        bound = max(_LEAST, ROUNDINGS * distance(moved, taken))
        far = distance(step(models["ours"], inputs, labels), taken)
        if not far <= bound:
            wrong.append(
                f"ours, after a training step, is off by {far:.2g} of the "
                f"step, which rounding explains up to {bound:.2g}"
            )
    return wrong, {}


def predicted(model: Any, inputs: Any) -> list[np.ndarray]:
    """Returns the outputs for a batch."""
    outputs = keras.tree.flatten(model.predict_on_batch(inputs))
    return [np.asarray(output) for output in outputs]


def step(model: Any, inputs: Any, labels: Any) -> list[np.ndarray]:
    """Returns the change of the weights in a training step."""
    before = model.get_weights()
    keras.utils.set_random_seed(0)
    model.train_on_batch(inputs, labels)
    return list(map(np.subtract, model.get_weights(), before))


def rounded(array: np.ndarray, epsilon: float = 2.0**-24) -> np.ndarray:
    """Returns the numbers, each changed by one rounding, up or down."""
    if array.dtype != "float32":
        return array
    signs = np.random.default_rng(1).choice([-1, 1], array.shape)
    moved: np.ndarray = array * (1 + 2 * epsilon * signs).astype("float32")
    return moved


def _rounded(model: Any, arrays: Any) -> Any:
    """Returns arrays, changed by one rounding of the model."""
    unit = rounding.epsilon(model)
    return keras.tree.map_structure(lambda a: rounded(a, unit), arrays)


def distance(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns the distance of two steps, relative to the expected one."""
    pairs = zip(found, expected, strict=True)
    far = math.hypot(*(float(np.linalg.norm(a - b)) for a, b in pairs))
    size = math.hypot(*(float(np.linalg.norm(b)) for b in expected))
    # Maybe nothing in the model is trainable.
    return far / size if size else far and math.inf


def _labels(model: Any, inputs: Any) -> Any:
    """Returns targets that fit the loss of a model, and that it misses."""
    if model.loss is None:
        return None
    outputs = model.predict_on_batch(inputs)
    flat, losses = map(keras.tree.flatten, (outputs, model.loss))
    losses *= len(flat) // len(losses)  # Maybe one for all outputs.
    targets = []
    for output, loss in zip(map(np.asarray, flat), losses, strict=True):
        name = f"{loss} {type(loss)} {getattr(loss, '__name__', '')}"
        sparse = "sparse" in name.lower() and output.ndim > 1
        targets.append(np.argmin(output, -1) if sparse else 1 - output)
    return keras.tree.pack_sequence_as(outputs, targets)


def prepare(
    name: str, load: Callable[[], Any], inputs: Any, options: Namespace
) -> Contest:
    """Prepares a model as it is, accelerated, and converted."""

    def warn(what: str, why: str) -> None:
        warnings.warn(f"{name}: no {what} is timed: {why}.", stacklevel=3)

    # Each case needs new models, because training changes the weights.
    stock, ours, nearby, labels, moved = load(), load(), load(), None, None
    # Files of tf.keras have no seeds, so each model draws its own.
    for other in (ours, nearby):
        for one, two in zip(stock.variables, other.variables, strict=True):
            # A copy, because a training step on JAX deletes its old arrays.
            two.assign(keras.ops.copy(one.value))
    nearby.set_weights(_rounded(stock, stock.get_weights()))
    chosen = {"implementation": options.implementation, "verify": False}
    accelerate(ours, **chosen)
    models = {"stock": stock, "ours": ours}
    try:
        models["inference"] = convert_model(stock, inference=True, **chosen)
        models["inference"].jit_compile = stock.jit_compile
    except (TypeError, ValueError) as error:
        warn("conversion with inference=True", short_error(error))
    if not stock.compiled:
        warn("training step", "the model is not compiled; see --loss")
    else:
        try:
            labels = _labels(stock, inputs)
            moved = step(nearby, _rounded(stock, inputs), labels)
        except Exception as error:  # A loss may raise anything.
            warn("training step", short_error(error))
    return contest(models, inputs, labels, moved)


def own(options: Namespace) -> list[Task]:
    """Returns a user's model with each batch size."""

    def load() -> Any:
        model = shared.load(options, options.model)
        if options.loss is not None:
            model.compile("sgd", options.loss)
        return model

    model = load()
    print(accelerate(model, verify=False))
    first, *_ = keras.tree.flatten(known_input(model)) or [None]
    fixed = None if first is None else first.shape[0]
    batches = options.batch or (1, 8)
    if fixed is not None:
        batches, text = (fixed,), f"The model accepts only batches of {fixed}."
        warnings.warn(text, stacklevel=2)
    tasks = []
    for batch in batches:
        try:
            inputs = comparison.sample(model, batch, options.input_shape)
        except comparison.CannotPredictError as error:
            raise ValueError(f"{error.args[0]}. Give --input-shape") from error
        shapes = [array.shape for array in keras.tree.flatten(inputs)]
        text = ", ".join("x".join(map(str, shape)) for shape in shapes)
        name = f"{model.name}_b{batch}"
        made = functools.partial(prepare, name, load, inputs)
        tasks.append(Task(name, text, OWN, made))
    return tasks
