"""Counts the multiply-adds of layers and models, by kind.

A multiply-add multiplies an input by a weight and adds the product to a sum.
The counts are for one example, as in the papers on separable convolutions: the
zeros of padding count as inputs; biases, activations, normalisations and
pooling do not count.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_sepconv._spec import Shape
from keras_sepconv.layers._call import kind
from keras_sepconv.tools.inspection.calls import LayerCall, calls, product
from keras_sepconv.tools.inspection.convolutions import (
    CONVOLUTIONS,
    DEPTHWISE,
    SEPARABLE,
    TRANSPOSED,
)
from keras_sepconv.tools.inspection.tree import is_stock, layers

# All layers of Keras that multiply by weights. `layer_counts` counts only the
# convolutions and the dense layers.
_MULTIPLYING = (
    *CONVOLUTIONS,
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Wrapper,
    keras.layers.RNN,
    keras.layers.Bidirectional,
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
    keras.layers.Dot,
)
# Parts of the names of operations in a functional model that may multiply by
# weights, or by tensors that act as weights.
_OPERATIONS = ("conv", "dot", "einsum", "matmul", "attention", "inner", "outer")


@dataclasses.dataclass(frozen=True)
class Counts:
    """The multiply-adds of one example.

    Attributes:
        depthwise: Those of filters that read one channel each.
        pointwise: Those of matrix products at each position.
        other: Those of other convolutions and of dense layers.
    """

    depthwise: int = 0
    pointwise: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """The sum of all kinds."""
        return self.depthwise + self.pointwise + self.other

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.depthwise + other.depthwise,
            self.pointwise + other.pointwise,
            self.other + other.other,
        )

    def __mul__(self, times: int) -> "Counts":
        return Counts(
            self.depthwise * times, self.pointwise * times, self.other * times
        )


def layer_counts(
    layer: Any, input_shape: Shape, output_shape: Shape
) -> Counts | None:
    """Returns the multiply-adds of one call of a layer.

    A convolution with a kernel of size 1 counts as pointwise. One with as many
    groups as channels counts as depthwise. A layer that does not multiply by
    weights counts as 0.

    Args:
        layer: A layer of Keras or of this package.
        input_shape: The shape of its input, with a batch of any size.
        output_shape: The shape of its result.

    Returns:
        The counts. `None` if a size that is needed is unknown, or for layers
        that are not counted: recurrent ones, attention, and layers of a user
        whose weights are not all vectors.

    Example:

    >>> import keras
    >>> from keras_sepconv.tools.inspection.counts import layer_counts
    >>> layer = keras.layers.SeparableConv2D(16, 3, padding="same")
    >>> layer_counts(layer, (None, 28, 28, 8), (None, 28, 28, 16))
    Counts(depthwise=56448, pointwise=100352, other=0)
    """
    if isinstance(layer, keras.layers.SpectralNormalization):
        return layer_counts(layer.layer, input_shape, output_shape)
    if isinstance(layer, CONVOLUTIONS):
        return _convolution(layer, input_shape, output_shape)
    if isinstance(layer, keras.layers.Dense):
        return _other(product(*input_shape[1:], layer.units))
    if isinstance(layer, keras.layers.EinsumDense):
        return _other(_einsum(layer.equation, input_shape, output_shape))
    return Counts() if _multiplies_nothing(layer) else None


def _other(number: int | None) -> Counts | None:
    return None if number is None else Counts(other=number)


def _convolution(
    layer: Any, input_shape: Shape, output_shape: Shape
) -> Counts | None:
    axis = 1 if layer.data_format == "channels_first" else -1
    channels = input_shape[axis]
    # In a transposed convolution, each input is added to one output for each
    # tap, before the result is cropped. In others, each output is a sum over
    # the taps.
    transposed = isinstance(layer, TRANSPOSED)
    sizes = list(input_shape if transposed else output_shape)[1:]
    del sizes[0 if axis == 1 else -1]
    taps = math.prod(layer.kernel_size)
    positions = product(*sizes)
    if channels is None or positions is None:
        return None
    if isinstance(layer, (*SEPARABLE, *DEPTHWISE)):
        planes = channels * layer.depth_multiplier
        depthwise = positions * taps * planes
        if isinstance(layer, DEPTHWISE):
            return Counts(depthwise)
        return Counts(depthwise, positions * planes * layer.filters)
    groups = 1 if transposed else layer.groups
    number = positions * taps * (channels // groups) * layer.filters
    if kind(layer, channels) == "depthwise":
        return Counts(depthwise=number)
    if not transposed and taps == 1:
        return Counts(pointwise=number)
    return Counts(other=number)


def _einsum(
    equation: str, input_shape: Shape, output_shape: Shape
) -> int | None:
    """Returns the product of the sizes of all axes except the batch."""
    left, result = equation.replace(" ", "").split("->")
    known: dict[str, int | None] = {}
    for labels, shape in (
        (left.split(",")[0], input_shape),
        (result, output_shape),
    ):
        before, _, after = labels.partition("...")
        # The dots mean the same axes in both. Without dots, none are left.
        rest = len(shape) - len(before) - len(after)
        names = [*before, *(f"...{i}" for i in range(rest)), *after]
        for name, size in zip(names, shape, strict=True):
            known[name] = known.get(name) or size
    batch = next(iter(known))
    return product(*(size for name, size in known.items() if name != batch))


def _multiplies_nothing(layer: Any) -> bool:
    if not isinstance(layer, keras.layers.Layer):
        name = type(layer).__name__.lower()
        return not any(word in name for word in _OPERATIONS)
    if isinstance(layer, _MULTIPLYING):
        return False
    if is_stock(layer):
        return True
    # Weights that are vectors scale or shift; weights with more axes multiply.
    # Layers inside are counted where they are called.
    inside = {id(w) for _, inner in layers(layer) for w in inner.weights}
    flat = all(
        len(weight.shape) < 2
        for weight in layer.weights
        if id(weight) not in inside
    )
    return bool(layer.built) and flat


@dataclasses.dataclass(frozen=True)
class CountedCall(LayerCall):
    """One call of one layer in a model, with its parameters and multiply-adds.

    Attributes:
        parameters: The number of its parameters, without weights that belong to
            an earlier call; `None` before it is built.
        counts: The multiply-adds of all its steps; `None` if unknown.
    """

    parameters: int | None = None
    counts: Counts | None = None


def model_counts(
    model: Any, input_shapes: Sequence[Shape] | None = None
) -> list[CountedCall]:
    """Returns the multiply-adds of each call of a layer in a model.

    A nested model is replaced by its layers. A layer that is called twice has
    two.

    Args:
        model: A `keras.Model`.
        input_shapes: A shape without the batch for each input, if the model has
            unknown sizes; `None` for the shapes of the model.

    Raises:
        ValueError: The model does not accept inputs of these shapes.

    Example:

    >>> import keras
    >>> from keras_sepconv.tools.inspection.counts import model_counts
    >>> model = keras.Sequential([
    ...     keras.Input((None, None, 8)),
    ...     keras.layers.SeparableConv2D(16, 3, padding="same"),
    ... ])
    >>> [row.counts for row in model_counts(model)]
    [None]
    >>> [row.counts for row in model_counts(model, [(28, 28, 8)])]
    [Counts(depthwise=56448, pointwise=100352, other=0)]
    """
    seen: set[int] = set()
    return [
        CountedCall(
            **vars(call),
            parameters=_parameters(call.layer, seen),
            counts=_counts(call),
        )
        for call in calls(model, input_shapes)
    ]


def _parameters(layer: Any, seen: set[int]) -> int | None:
    if not isinstance(layer, keras.layers.Layer):
        return 0
    new = [weight for weight in layer.weights if id(weight) not in seen]
    seen.update(map(id, new))
    if not layer.built:
        return None
    return sum(int(math.prod(weight.shape)) for weight in new)


def _counts(call: LayerCall) -> Counts | None:
    if _multiplies_nothing(call.layer):
        return Counts()
    if not call.inputs or not call.outputs or call.steps is None:
        return None
    counts = layer_counts(call.layer, call.inputs[0], call.outputs[0])
    return None if counts is None else counts * call.steps


def sum_counts(rows: Sequence[CountedCall]) -> tuple[Counts, bool]:
    """Returns the sum of the known counts, and whether all are known."""
    known = [row.counts for row in rows if row.counts is not None]
    return sum(known, Counts()), len(known) == len(rows)


def multiply_adds(
    model: Any,
    where: Callable[[Any], bool] = lambda layer: True,
    input_shapes: Sequence[Shape] | None = None,
) -> tuple[int | None, int | None]:
    """Returns the multiply-adds of some layers and of all, for one example.

    Args:
        model: A model or a layer.
        where: Tells whether a layer counts in the first number.
        input_shapes: See `model_counts`.

    Returns:
        Two numbers; each is `None` if it is unknown.
    """
    rows = model_counts(model, input_shapes)
    some, all_of_them = (
        counts.total if complete else None
        for counts, complete in (
            sum_counts([row for row in rows if where(row.layer)]),
            sum_counts(rows),
        )
    )
    return some, all_of_them
