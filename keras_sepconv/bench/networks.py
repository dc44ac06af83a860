"""Times one whole network, after a check that the numbers are the same."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_sepconv.bench.results import Costs
from keras_sepconv.tools import convert_model
from keras_sepconv.tools.conversion import rounding

# After a training step, our weights may differ from those of stock Keras by
# this many times the change that one rounding of the inputs and weights causes
# in stock Keras, because every layer rounds.
ROUNDINGS = 8
# The difference that is always allowed, relative to the step.
_LEAST = 2.0**-14


class NetworkContest:
    """Everything that is run for one network.

    It runs `predict_on_batch` and `train_on_batch`, as users do.

    Args:
        models: The models by name: `stock`, `ours`, and others that only
            predict.
        inputs: A batch.
        labels: The targets of the batch.
        trains: Whether to run training steps of `stock` and `ours`.
        peers: Functions that predict the batch without Keras, by name.
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
        """Returns the functions to time, by name."""
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
        """Returns nothing, because Keras compiles the models itself."""
        return {}

    def wrong(self) -> list[str]:
        """Compares all with stock Keras, and warms them up.

        Returns:
            The errors, in words.
        """
        stock = self._models["stock"]
        epsilon = rounding.epsilon(stock)
        change = functools.partial(rounded, epsilon=epsilon)
        expected = predicted(stock, self._inputs)
        # The effect of one rounding on stock Keras tells how much rounding may
        # change the results.
        nearby = keras.tree.map_structure(change, self._inputs)
        moved = predicted(stock, nearby)
        wrong = [
            f"{name} predicts something else: {found}"
            for name, predict in self._predict.items()
            if (
                found := rounding.disagreement(
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


def give_signal(model: Any) -> None:
    """Sets random weights with which predictions differ between images.

    With Keras's default weights, all predictions are the same, because Keras
    takes wrong fans for a depthwise kernel. These kernels are those of He et
    al. (2015), scaled for what each of them sums over. Normalisations get
    weights and statistics as if they had been trained.
    """
    rng = np.random.default_rng(0)
    for variable in model.weights:
        name, shape = variable.name, tuple(variable.shape)
        if name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            # The last axis of a depthwise kernel has few filters a channel.
            is_depthwise = name != "pointwise_kernel"
            is_depthwise = is_depthwise and len(shape) == 4 and shape[-1] <= 2
            fan_in = np.prod(shape[: -2 if is_depthwise else -1])
            value = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        elif name in ("moving_variance", "gamma"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name in ("moving_mean", "beta", "bias"):
            value = 0.1 * rng.standard_normal(shape)
        else:
            continue
        variable.assign(value)


def folded(model: Any, implementation: str | None) -> Any:
    """Returns a model converted for inference, with the same `jit_compile`."""
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
    """Returns random targets that fit the loss of a compiled model."""
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
    """Returns random classes in the form that the loss needs."""
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


def rounded(array: np.ndarray, epsilon: float = 2.0**-24) -> np.ndarray:
    """Returns the numbers, each changed by one rounding, up or down."""
    if array.dtype != "float32":
        return array
    signs = np.random.default_rng(1).choice([-1, 1], array.shape)
    moved: np.ndarray = array * (1 + 2 * epsilon * signs).astype("float32")
    return moved


def distance(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns the distance of two steps, relative to the expected one."""
    far, size = (
        sum(float(np.sum(np.square(array, dtype="float64"))) for array in one)
        for one in (map(np.subtract, found, expected), expected)
    )
    if not size:  # Nothing in the model is trainable.
        return far and float("inf")
    return float((far / size) ** 0.5)
