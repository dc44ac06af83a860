"""Checks whether two models compute the same, up to rounding."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import Shape
from keras_sepconv.tools.conversion.rounding import (
    arrays,
    disagreement,
    epsilon,
)
from keras_sepconv.tools.inspection.inputs import input_of, known_input
from keras_sepconv.tools.inspection.words import short_error

# The values to try for an unknown size, until the model accepts one.
_SIZES = (32, 64, 128, 224)
_BATCH = 2


class CannotPredictError(Exception):
    """Nothing can be compared, although a conversion may be right."""

    def __str__(self) -> str:
        return f"Not verified, because {self.args[0]}."


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The outputs of a model for a random batch.

    Attributes:
        inputs: The batch.
        nearby: The batch, changed by one rounding.
        outputs: The outputs of the model for `inputs`, as arrays.
        moved: The outputs of the model for `nearby`.
        epsilon: The unit roundoff of the model's least precise layer.
    """

    inputs: Any
    nearby: Any
    outputs: list[np.ndarray]
    moved: list[np.ndarray]
    epsilon: float

    def differs(self, other: Any) -> str | None:
        """Returns how another model differs by more than rounding, or `None`.

        A difference counts as rounding if it is small compared with the
        differences between the examples of the batch, or with the change that
        one rounding of the inputs causes.
        """
        try:
            (found,) = _outputs(other, self.inputs)
        except Exception as error:
            return f"the result cannot predict: {short_error(error)}"
        return disagreement(self.outputs, found, self.epsilon, self.moved)

    @property
    def notes(self) -> list[str]:
        """Sentences about the comparison for the report."""
        if disagreement(self.outputs, self.moved, self.epsilon) is None:
            return []
        return [
            "Compared loosely, because the model is ill-conditioned: one "
            "rounding of its inputs changes its outputs by more than rounding."
        ]


def predict(
    model: Any, input_shapes: Sequence[Shape] | None = None
) -> Prediction:
    """Returns what a model or a layer computes; it does not change.

    Args:
        model: The model or the layer.
        input_shapes: The shapes of the inputs without the batch; `None` for
            those that the model was made with.

    Raises:
        CannotPredictError: It cannot predict a random batch.
    """
    inputs = sample(model, input_shapes=input_shapes)
    unit = epsilon(model)
    nearby = keras.tree.map_structure(lambda array: _moved(array, unit), inputs)
    try:
        outputs, moved = _outputs(model, inputs, nearby)
    except Exception as error:
        raise CannotPredictError(
            f"the model cannot predict a random batch: {short_error(error)}"
        ) from error
    return Prediction(inputs, nearby, outputs, moved, unit)


def _moved(array: np.ndarray, epsilon: float) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    moved: np.ndarray = array * (1 + 2 * epsilon)
    return moved


def difference(
    model: Any, other: Any, changed: Collection[str] = ()
) -> tuple[str | None, list[str]]:
    """Returns how two models differ by more than rounding, and where first.

    Args:
        model: The model.
        other: The model that should compute the same.
        changed: The names of layers whose results differ by design.

    Returns:
        The difference, or `None` if there is none; and sentences for the
        report.

    Raises:
        CannotPredictError: `model` cannot predict a random batch.
    """
    expected = predict(model)
    wrong = expected.differs(other)
    if wrong is not None:
        where = _first(model, other, expected, changed)
        wrong = where or f"model '{model.name}': {wrong}"
    return wrong, expected.notes


def sample(
    model: Any,
    batch: int = _BATCH,
    input_shapes: Sequence[Shape] | None = None,
) -> Any:
    """Returns a random batch that a model can take.

    Args:
        model: The model.
        batch: How many examples, where the model leaves that open.
        input_shapes: The shapes of the inputs without the batch, where it
            leaves those open.
    """
    taken = known_input(model)
    if input_shapes is not None:
        given = input_of(model, input_shapes)
        if taken is not None:
            flat = keras.tree.flatten(given)
            given = keras.tree.pack_sequence_as(taken, flat)
        taken = given
    if taken is None:
        raise CannotPredictError("its input's shape is not known yet")
    for size in _SIZES:
        rng = np.random.default_rng(0)
        inputs = keras.tree.map_structure(
            lambda tensor, size=size, rng=rng: _random(
                tensor, batch, size, rng
            ),
            taken,
        )
        try:
            model.compute_output_spec(
                keras.tree.map_structure(
                    lambda array: keras.KerasTensor(array.shape, array.dtype),
                    inputs,
                )
            )
        except Exception:  # Too small for some layer.
            continue
        break
    return inputs


def _random(
    tensor: Any, batch: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    fixed, *sizes = tensor.shape
    shape = (fixed or batch, *(n or size for n in sizes))
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "int" in dtype or dtype == "bool":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.standard_normal(shape).astype(
        "float64" if dtype == "float64" else "float32"
    )


def _outputs(model: Any, *batches: Any) -> list[list[np.ndarray]]:
    """Returns what a model predicts for batches, in float32 or wider.

    The model does not change. `predict` is not used, because it would leave a
    compiled function in the model, which does not see later changes of a layer.
    The scope keeps all variables unchanged, such as the seed of a random layer
    or the state of a recurrent one.
    """

    def call(values: list[Any], inputs: Any) -> list[Any]:
        pairs = zip(model.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=pairs):
            outputs: list[Any] = keras.tree.flatten(
                model(inputs, training=False)
            )
        return outputs

    if keras.backend.backend() == "jax":
        import jax

        # Without `jit`, JAX compiles each operation alone, which takes longer.
        call = jax.jit(call)
    values = [variable.value for variable in model.variables]
    return [arrays(call(values, inputs)) for inputs in batches]


def _first(
    model: Any, other: Any, expected: Prediction, changed: Collection[str]
) -> str | None:
    """Returns the first layer that differs, and by how much."""
    theirs = {layer.name for layer in model.layers if _has_output(layer)}
    names = [
        layer.name
        for layer in other.layers
        if _has_output(layer) and layer.name in theirs - set(changed)
    ]
    try:
        before, (after,) = (
            _outputs(_until(one, names), *batches)
            for one, batches in (
                (model, (expected.inputs, expected.nearby)),
                (other, (expected.inputs,)),
            )
        )
    except Exception:  # Then the message names the whole model.
        return None
    # One layer may have several outputs.
    if not len(before[0]) == len(after) == len(names):
        return None
    for name, one, near, found in zip(names, *before, after, strict=True):
        wrong = disagreement([one], [found], expected.epsilon, [near])
        if wrong is not None:
            return f"layer '{name}': {wrong}"
    return None


def _has_output(layer: Any) -> bool:
    # The output of a model inside is a tensor of another graph. A layer that
    # was never called has none.
    return not isinstance(layer, keras.Model) and hasattr(layer, "output")


def _until(model: Any, names: list[str]) -> Any:
    outputs = [model.get_layer(name).output for name in names]
    return keras.Model(known_input(model), outputs)
