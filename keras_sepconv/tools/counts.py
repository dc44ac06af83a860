"""Counts the multiply-adds of layers and models, and how they split.

A multiply-add is the multiplication of an input by a weight together with the
addition of the product to a sum. They are counted for one example, and as the
papers on separable convolutions count them: the zeros that padding adds count
as inputs do; biases, activations, normalisations and pooling count nothing.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_sepconv import layers
from keras_sepconv._spec import Shape
from keras_sepconv.layers._call import kind
from keras_sepconv.tools._calls import LayerCall, calls, product
from keras_sepconv.tools._tree import Path
from keras_sepconv.tools._tree import layers as layers_in

_SEPARABLE = (
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    layers.SeparableConv3D,
)
_DEPTHWISE = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    layers.DepthwiseConv3D,
)
_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
CONVOLUTIONS = (*_SEPARABLE, *_DEPTHWISE, *_PLAIN, *_TRANSPOSED)
# All of Keras that multiply; what is here only is not counted.
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
# Operations in a functional model that may multiply by weights, or by what
# stands for them.
_OPERATIONS = ("conv", "dot", "einsum", "matmul", "attention", "inner", "outer")


@dataclasses.dataclass(frozen=True)
class Counts:
    """The multiply-adds of one example.

    Attributes:
        depthwise: Those of filters that see one channel each.
        pointwise: Those of matrix products at each position.
        other: Those of other convolutions, and of dense layers.
    """

    depthwise: int = 0
    pointwise: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All of them."""
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

    A convolution whose kernel has size 1 counts as pointwise, one with as many
    groups as channels as depthwise. A layer that multiplies nothing by weights
    counts nothing.

    Args:
        layer: A layer of Keras or of this package.
        input_shape: The shape of its input, with a batch of whatever size.
        output_shape: The shape of its result.

    Returns:
        `None` if a size is unknown that matters, or if the layer is of a kind
        that is not counted: a recurrent one, attention, or one of someone's
        own with more than vectors for weights.

    Example:

    >>> import keras
    >>> from keras_sepconv.tools.counts import layer_counts
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
    # Each input of a transposed convolution goes to as many outputs as there
    # are taps, before any are cut off; else each output is a sum over taps.
    transposed = isinstance(layer, _TRANSPOSED)
    sizes = list(input_shape if transposed else output_shape)[1:]
    del sizes[0 if axis == 1 else -1]
    taps = math.prod(layer.kernel_size)
    positions = product(*sizes)
    if channels is None or positions is None:
        return None
    if isinstance(layer, (*_SEPARABLE, *_DEPTHWISE)):
        planes = channels * layer.depth_multiplier
        depthwise = positions * taps * planes
        if isinstance(layer, _DEPTHWISE):
            return Counts(depthwise)
        return Counts(depthwise, positions * planes * layer.filters)
    groups = 1 if transposed else layer.groups
    number = positions * taps * (channels // groups) * layer.filters
    if not transposed and kind(layer, channels) == "depthwise":
        return Counts(depthwise=number)
    if not transposed and taps == 1:
        return Counts(pointwise=number)
    return Counts(other=number)


def _einsum(
    equation: str, input_shape: Shape, output_shape: Shape
) -> int | None:
    """Returns the product of the sizes of all the axes but the batch."""
    left, result = equation.replace(" ", "").split("->")
    known: dict[str, int | None] = {}
    for labels, shape in (
        (left.split(",")[0], input_shape),
        (result, output_shape),
    ):
        before, dots, after = labels.partition("...")
        # The axes that the dots stand for are the same in both.
        rest = len(shape) - len(before) - len(after)
        names = [*before, *(f"...{i}" for i in range(rest) if dots), *after]
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
    own = layer.__class__
    if getattr(keras.layers, own.__name__, None) is own:
        return True
    # Vectors scale and shift; matrices, and what has more axes, multiply. What
    # layers inside do is counted where they are called.
    inside = {id(w) for _, inner in layers_in(layer) for w in inner.weights}
    flat = all(
        len(weight.shape) < 2
        for weight in layer.weights
        if id(weight) not in inside
    )
    return bool(layer.built) and flat


@dataclasses.dataclass(frozen=True)
class Row:
    """One call of one layer in a model.

    Attributes:
        path: The layer's name, after the names of the models around it.
        layer: The layer, or another operation of Keras.
        input_shapes: The shapes of what it takes; none if unknown.
        output_shapes: The shapes of its results, likewise.
        steps: How often it runs for one example; more than once in a
            `TimeDistributed`. `None` if unknown.
        parameters: The numbers in those of its weights that no earlier row
            has; `None` before it is built.
        counts: The multiply-adds of all its steps; `None` if unknown.
    """

    path: Path
    layer: Any
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    steps: int | None
    parameters: int | None
    counts: Counts | None


def model_counts(
    model: Any, input_shapes: Sequence[Shape] | None = None
) -> list[Row]:
    """Returns the multiply-adds of each call of a layer in a model.

    Nested models come as their layers, and a layer that is called twice comes
    twice.

    Args:
        model: A `keras.Model`.
        input_shapes: For each input a shape without the batch, where the model
            leaves sizes unknown; `None` for the shapes that the model has.

    Raises:
        ValueError: Shapes that the model cannot take.

    Example:

    >>> import keras
    >>> from keras_sepconv.tools.counts import model_counts
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
        Row(
            call.path,
            call.layer,
            call.inputs,
            call.outputs,
            call.steps,
            _parameters(call.layer, seen),
            _counts(call),
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


def sum_counts(rows: Sequence[Row]) -> tuple[Counts, bool]:
    """Returns the counts that are known, and whether those are all."""
    known = [row.counts for row in rows if row.counts is not None]
    return sum(known, Counts()), len(known) == len(rows)


def multiply_adds(model: Any) -> int | None:
    """Returns the multiply-adds of one example, `None` if they are unknown."""
    counts, complete = sum_counts(model_counts(model))
    return counts.total if complete else None
