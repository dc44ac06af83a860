"""What every helper does with its layer: return it, add it, or call it."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import Shape, integer, wrong


def compose(
    object: Any, layer: Any, weights: Any = None, weight_count: int = 0
) -> Any:
    """Composes a constructed `layer` with what a helper was given.

    Args:
        object: `None`, a `keras.Sequential`, or a tensor: a
            `keras.KerasTensor`, a tensor of the active backend, a
            `keras.Variable` or a NumPy array.
        layer: The layer, with its `batch_input_shape` set if it has one.
        weights: Arrays for the layer to start with, or `None`.
        weight_count: How many weights the layer will have.

    Returns:
        The layer, the same model with the layer added, or the result of
        calling the layer.

    Raises:
        TypeError: Any other `object`; weights that are no list of arrays.
        ValueError: What adding or calling raises; weights of the wrong number
            or shape. The model is then as it was.
    """
    if weights is not None:
        _start_with(layer, _arrays(weights, weight_count))
    if object is None:
        return layer
    if isinstance(object, keras.Sequential):
        _add(object, layer)
        return object
    if keras.ops.is_tensor(object) or isinstance(
        object, (keras.KerasTensor, keras.Variable, np.ndarray)
    ):
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
    name, value = "batch_input_shape", batch_input_shape
    shape = _shape(name, value, rank)
    if shape is None:
        name, value = "input_shape", input_shape
        without_batch = _shape(name, value, rank - 1)
        shape = without_batch and (size, *without_batch)
    if shape is not None and shape[channel_axis] is None:
        raise ValueError(
            f"The channel dimension of `{name}` must be known (axis "
            f"{channel_axis}, counting the batch). Received: {name}={value!r}"
        )
    return shape


def _shape(name: str, value: Any, rank: int) -> Shape | None:
    if value is None:
        return None
    rule = (
        f"a shape of rank {rank}, each dimension a positive whole number or "
        "None if unknown"
    )
    sizes = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(sizes, Sequence):
        sizes = (sizes,)  # R has no scalars.
    if isinstance(sizes, (str, bytes)):
        raise wrong(name, rule, value, TypeError)
    if len(sizes) != rank:
        raise wrong(name, rule, value)
    try:
        return tuple(
            None if _is_unknown(size) else integer(name, size) for size in sizes
        )
    except (TypeError, ValueError) as error:
        raise wrong(name, rule, value, type(error)) from None


def _is_unknown(size: Any) -> bool:
    """Tells whether `size` is R's NULL, or NA, which arrives as a NaN."""
    return size is None or (isinstance(size, float) and math.isnan(size))


def _add(model: keras.Sequential, layer: Any) -> None:
    """Adds `layer`, or leaves `model` as it was.

    `Sequential.add` appends the layer, and puts an input before the first,
    ahead of finding out whether they can be built.
    """
    before, built = _all_layers(model), model.built
    try:
        model.add(layer)
    except BaseException:
        if len(_all_layers(model)) > len(before):
            while _all_layers(model):
                model.pop(rebuild=False)
            for old in before:
                model.add(old, rebuild=False)
            if built and isinstance(before[0], keras.layers.InputLayer):
                model.build(before[0].batch_shape)
            model.built = built
        raise


def _all_layers(model: keras.Sequential) -> list[Any]:
    """Returns the layers with the input, which `Sequential.layers` hides."""
    return list(super(keras.Sequential, model).layers)


def _arrays(weights: Any, count: int) -> list[Any]:
    """Returns `weights` as that many numeric arrays."""
    rule = f"a list of {count} arrays"
    if not isinstance(weights, (list, tuple)):
        raise wrong("weights", rule, weights, TypeError)
    try:
        arrays = [
            np.asarray(keras.ops.convert_to_numpy(weight), "float64")
            for weight in weights
        ]
    except Exception as error:  # Each backend has its own.
        raise wrong("weights", rule, weights, TypeError) from error
    if len(arrays) != count:
        raise ValueError(f"`weights` must be {rule}. {_received(arrays)}")
    return arrays


def _received(arrays: list[Any]) -> str:
    shapes = [array.shape for array in arrays]
    return f"Received: weights=arrays of the shapes {shapes}"


def _start_with(layer: Any, arrays: list[Any]) -> None:
    """Makes `layer` take `arrays` for initial values when it is built.

    As initializers, not by assignment: Keras may build a layer in a scope in
    which variables cannot be assigned.
    """
    build, add_weight = layer.build, layer.add_weight

    @functools.wraps(build)
    def build_with_arrays(*args: Any, **kwargs: Any) -> None:
        remaining = iter(arrays)

        def add_array(**options: Any) -> Any:
            array, name = next(remaining), options.get("name")
            if array.shape != tuple(options["shape"]):
                raise ValueError(
                    f"`weights` must have the shape {options['shape']} for the "
                    f"{name} of layer '{layer.name}'. {_received(arrays)}"
                )
            options["initializer"] = lambda shape, dtype=None: (
                keras.ops.convert_to_tensor(array, dtype=dtype)
            )
            return add_weight(**options)

        layer.add_weight = add_array
        try:
            build(*args, **kwargs)
        finally:
            del vars(layer)["add_weight"]
        layer.build = build

    layer.build = build_with_arrays


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
    backend = keras.backend.backend()
    return TypeError(
        "`object` must be None, a keras.Sequential, or a tensor (a "
        f"keras.KerasTensor, a tensor of the {backend} backend, a "
        f"keras.Variable or a NumPy array).{hint} "
        f"Received: object=<{kind} object>"
    )
