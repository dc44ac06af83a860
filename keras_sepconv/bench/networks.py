"""One whole network: what is timed of it, and whether it computes the same."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_sepconv.bench.results import Costs
from keras_sepconv.tools import _verify, convert_model

# How many times as far from stock Keras ours may be after a training step as
# stock Keras is from itself with its inputs and weights rounded once: every
# layer rounds. A network that hardly moves may be so far off.
ROUNDINGS = 8
_LEAST = 2.0**-14


class NetworkContest:
    """All that is run for one network.

    Prediction and training steps are those of users, `predict_on_batch` and
    `train_on_batch`, with all that Keras does around them.

    Args:
        models: By name: `stock`, `ours`, and what else predicts.
        inputs: A batch.
        labels: What `stock` and `ours` learn for the batch.
        trains: Whether to run training steps of those two.
        peers: What predicts the batch without Keras, by name.
    """

    def __init__(
        self,
        models: dict[str, Any],
        inputs: Any,
        labels: Any = None,
        trains: bool = True,
        peers: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self._models, self._inputs, self._labels = models, inputs, labels
        self._trains = trains
        self._predict: dict[str, Callable[[], Any]] = {
            name: functools.partial(model.predict_on_batch, inputs)
            for name, model in models.items()
        }
        self._predict |= peers or {}

    def runs(self, kind: str) -> dict[str, Callable[[], object]]:
        """Returns what to time, by name; nothing if nothing trains."""
        if kind == "forward":
            return dict(self._predict)
        return {
            name: functools.partial(
                self._models[name].train_on_batch, self._inputs, self._labels
            )
            for name in ("stock", "ours")
            if self._trains
        }

    def costs(self) -> dict[str, Costs]:
        """Returns nothing; what compiles these is Keras."""
        return {}

    def wrong(self) -> list[str]:
        """Returns what is wrong with all but stock, and warms all up."""
        stock = self._models["stock"]
        epsilon = _verify.epsilon(stock)
        change = functools.partial(rounded, epsilon=epsilon)
        expected = predicted(stock, self._inputs)
        # What one rounding does to stock Keras says what rounding does.
        nearby = keras.tree.map_structure(change, self._inputs)
        moved = predicted(stock, nearby)
        wrong = [
            f"{name} predicts something else: {found}"
            for name, predict in self._predict.items()
            if (
                found := _verify.disagreement(
                    expected, _arrays(predict()), epsilon, moved
                )
            )
        ]
        if self._trains:
            taken = (self._inputs, self._labels)
            before = step(stock, *taken)
            moves = distance(step(stock, *taken, change), before)
            bound = max(_LEAST, ROUNDINGS * moves)
            far = distance(step(self._models["ours"], *taken), before)
            if not far <= bound:
                wrong.append(
                    f"ours, after a training step, is off by {far:.2g} of the "
                    f"step, which rounding explains up to {bound:.2g}"
                )
        return wrong


def folded(model: Any, implementation: str | None) -> Any:
    """Returns a model converted for inference, compiled as it is."""
    other = convert_model(
        model, inference=True, verify=False, implementation=implementation
    )
    other.jit_compile = model.jit_compile
    return other


def predicted(model: Any, inputs: Any) -> list[np.ndarray]:
    """Returns the outputs for a batch."""
    return _arrays(model.predict_on_batch(inputs))


def _arrays(outputs: Any) -> list[np.ndarray]:
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]


def labels(model: Any, inputs: Any) -> Any:
    """Returns what a compiled model could be taught for a batch."""
    if model.loss is None:
        return None
    outputs = model.predict_on_batch(inputs)
    flat = _arrays(outputs)
    losses = keras.tree.flatten(model.loss)
    if len(losses) == 1:
        losses *= len(flat)
    rng = np.random.default_rng(0)
    drawn = [
        _drawn(rng, output.shape, loss)
        for output, loss in zip(flat, losses, strict=True)
    ]
    return keras.tree.pack_sequence_as(outputs, drawn)


def _drawn(
    rng: np.random.Generator, shape: tuple[int, ...], loss: Any
) -> np.ndarray:
    """Returns classes, as the loss takes them."""
    name = loss if isinstance(loss, str) else type(loss).__name__
    name += getattr(loss, "__name__", "")
    if len(shape) < 2 or shape[-1] == 1:
        return rng.integers(0, 2, shape).astype("float32")
    classes = rng.integers(0, shape[-1], shape[:-1])
    if "sparse" in name.lower():
        return classes
    return np.eye(shape[-1], dtype="float32")[classes]


def step(
    model: Any,
    inputs: Any,
    labels: Any,
    change: Callable[[np.ndarray], np.ndarray] = np.array,
) -> list[np.ndarray]:
    """Returns what a training step adds to the weights; undoes it.

    Args:
        model: A compiled model.
        inputs: A batch.
        labels: What to learn for it.
        change: What to make of inputs and weights before the step.
    """
    # Seeds of dropout are among the variables; torch's own is not.
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


def rounded(array: np.ndarray, epsilon: float = 2.0**-24) -> np.ndarray:
    """Returns numbers that are one unit off, up or down."""
    if array.dtype != "float32":
        return array
    signs = np.random.default_rng(1).choice([-1, 1], array.shape)
    moved: np.ndarray = array * (1 + 2 * epsilon * signs).astype("float32")
    return moved


def distance(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns how far steps are apart, as a part of the expected one."""
    far, size = (
        sum(float(np.sum(np.square(array, dtype="float64"))) for array in one)
        for one in (map(np.subtract, found, expected), expected)
    )
    if not size:  # Nothing in the model is trainable.
        return far and float("inf")
    return float((far / size) ** 0.5)
