"""What every helper does with its layer: return it, add it, or call it."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import Shape, integer, wrong

_ACCEPTED = "None, a keras.Sequential, or a tensor"


def compose(object: Any, layer: Any, weights: Any = None) -> Any:
    """Composes a constructed `layer` with what a helper was given.

    Args:
        object: `None`, a `keras.Sequential`, or a tensor: a
            `keras.KerasTensor`, a tensor of the active backend, a
            `keras.Variable` or a NumPy array.
        layer: The layer, with its `batch_input_shape` set if it has one.
        weights: Arrays for the layer to start with, or `None`.

    Returns:
        The layer, the same model with the layer added, or the result of
        calling the layer.

    Raises:
        TypeError: Any other `object`; weights that are no list of arrays.
        ValueError: What adding or calling raises. The model is then as it was.
    """
    if weights is not None:
        _set_when_built(layer, weights)
    if object is None:
        return layer
    if isinstance(object, keras.Sequential):
        _add(object, layer)
        return object
    if isinstance(object, (np.ndarray, keras.Variable)):
        return layer(keras.ops.convert_to_tensor(object))
    if isinstance(object, keras.KerasTensor) or keras.ops.is_tensor(object):
        return layer(object)
    raise _no_object(object)


def batch_shape(
    rank: int,
    channel_axis: int,
    input_shape: Any,
    batch_input_shape: Any,
    batch_size: Any,
) -> Shape | None:
    """Returns the shape, batch included, of a model's first input.

    Args:
        rank: How many dimensions the layer's input has, batch included.
        channel_axis: The dimension that must be known.
        input_shape: The shape without the batch, or `None`.
        batch_input_shape: The shape with the batch, or `None`; it wins.
        batch_size: The size of the batch, or `None` if it may be any.

    Returns:
        The shape, or `None` if neither shape was given.

    Raises:
        TypeError: Something that is no shape.
        ValueError: The wrong rank, unknown channels, or a dimension that is
            neither positive nor unknown.
    """
    size = None
    if batch_size is not None:
        size = integer("batch_size", batch_size)
    shape = _shape("input_shape", input_shape, rank - 1)
    full = _shape("batch_input_shape", batch_input_shape, rank)
    if full is None and shape is not None:
        full = (size, *shape)
    if full is not None and full[channel_axis] is None:
        name, value = "input_shape", input_shape
        if batch_input_shape is not None:
            name, value = "batch_input_shape", batch_input_shape
        raise ValueError(
            f"The channel dimension of `{name}` must be known (axis "
            f"{channel_axis}, counting the batch). Received: {name}={value!r}"
        )
    return full


def _shape(name: str, value: Any, rank: int) -> Shape | None:
    if value is None:
        return None
    rule = (
        f"a shape of rank {rank}, each dimension a positive whole number or "
        "None if unknown"
    )
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence):
        value = (value,)  # R has no scalars.
    if isinstance(value, str):
        raise wrong(name, rule, value, TypeError)
    if len(value) != rank:
        raise wrong(name, rule, value)
    try:
        return tuple(
            None if _is_unknown(size) else integer(name, size) for size in value
        )
    except (TypeError, ValueError) as error:
        raise wrong(name, rule, value, type(error)) from None


def _is_unknown(size: Any) -> bool:
    """Tells whether `size` is R's NULL, or NA, which arrives as a NaN."""
    return size is None or (isinstance(size, float) and math.isnan(size))


def _add(model: keras.Sequential, layer: Any) -> None:
    """Adds `layer`, or leaves `model` as it was.

    `Sequential.add` appends the layer, and an input, before it finds out
    whether they can be built.
    """
    before = len(_all_layers(model))
    built = model.built
    try:
        model.add(layer)
    except BaseException:
        if len(_all_layers(model)) > before:
            while len(_all_layers(model)) > before:
                model.pop(rebuild=False)
            first = next(iter(_all_layers(model)), None)
            if built and isinstance(first, keras.layers.InputLayer):
                model.build(first.batch_shape)
            model.built = built
        raise


def _all_layers(model: keras.Sequential) -> list[Any]:
    """Returns the layers with the input, which `Sequential.layers` hides."""
    layers: list[Any] = super(keras.Sequential, model).layers
    return layers


def _set_when_built(layer: Any, weights: Any) -> None:
    """Makes `layer` take `weights` once, as soon as it is built."""
    rule = "a list of arrays"
    if not isinstance(weights, (list, tuple)):
        raise wrong("weights", rule, weights, TypeError)
    try:
        arrays = [keras.ops.convert_to_numpy(weight) for weight in weights]
    except Exception as error:
        raise wrong("weights", rule, weights, TypeError) from error
    build = layer.build

    @functools.wraps(build)
    def build_and_set(*args: Any, **kwargs: Any) -> None:
        build(*args, **kwargs)
        expected = [tuple(variable.shape) for variable in layer.weights]
        received = [array.shape for array in arrays]
        if received != expected:
            layer.built = False
            raise ValueError(
                f"`weights` must be arrays of the shapes {expected} for layer "
                f"'{layer.name}'. Received: weights with the shapes {received}"
            )
        layer.set_weights(arrays)
        layer.build = build

    layer.build = build_and_set


def _no_object(object: Any) -> TypeError:
    kind = f"{type(object).__module__}.{type(object).__qualname__}"
    hint = ""
    if isinstance(object, keras.Model):
        hint = " To go on from a functional model, pass `model.output`."
    elif isinstance(object, keras.Layer):
        hint = " To go on from a layer, call it and pass its result."
    elif kind.startswith(
        ("tf_keras.", "keras.engine", "tensorflow.python.keras")
    ):
        hint = " This is a model or layer of Keras 2; rebuild it with Keras 3."
    return TypeError(
        f"`object` must be {_ACCEPTED} (a keras.KerasTensor, a tensor of the "
        f"{keras.backend.backend()} backend, a keras.Variable or a NumPy "
        f"array).{hint} Received: object of type {kind}"
    )
