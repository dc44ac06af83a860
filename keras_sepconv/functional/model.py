"""The helpers that start a model, as in R's keras."""

# `help` and editors then show the names of the types.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_sepconv._checks import boolean, wrong
from keras_sepconv._types import (
    ShapeLike,
    Whole,
)
from keras_sepconv.functional._arguments import dtype_of, name_of, unwrap
from keras_sepconv.functional._shapes import full_shape, size_of


def layer_input(
    shape: ShapeLike | None = None,
    batch_shape: ShapeLike | None = None,
    name: str | None = None,
    dtype: Any = None,
    sparse: bool = False,
    tensor: None = None,
    ragged: bool = False,
    *,
    batch_size: Whole | None = None,
    optional: bool = False,
) -> Any:
    """Returns a symbolic tensor for a functional model to start with.

    Args:
        shape: The shape without the batch; `None` is an unknown size.
        batch_shape: The same with the batch size before; it wins over `shape`.
        name: The name of the input.
        dtype: A dtype, or a policy; its dtype of weights is used. `None`:
            `keras.config.floatx()`.
        sparse: Whether the tensors are sparse, if the backend supports this.
        tensor: Must be `None`. R's keras can make an input from a tensor.
        ragged: Must be `False`. R's keras supports ragged tensors.
        batch_size: The batch size that goes with `shape`.
        optional: Whether the model may be called with `None` for this input.

    Returns:
        A `keras.KerasTensor`.

    Raises:
        TypeError: The shape is missing, or an argument has the wrong type.
        ValueError: A size is neither positive nor unknown, or Keras 3 does not
            support an argument.

    Example:

    >>> from keras_sepconv import layer_input
    >>> layer_input((28, 28, 1), batch_size=8).shape
    (8, 28, 28, 1)
    """
    if tensor is not None:
        rule = "None, because an input of Keras 3 wraps none; call layers on it"
        raise wrong("tensor", rule, tensor)
    if boolean("ragged", unwrap(ragged)):
        raise ValueError(
            "`ragged` must be False, because convolutions take no ragged "
            "tensors. Received: ragged=True"
        )
    shapes = {"shape": unwrap(shape), "batch_shape": unwrap(batch_shape)}
    sizes = full_shape(shapes, size_of("batch_size", unwrap(batch_size)))
    if sizes is None:
        raise TypeError("`shape` is required. Received: shape=None")
    return keras.Input(
        batch_shape=sizes,
        name=name_of(unwrap(name)),
        dtype=dtype_of("dtype", unwrap(dtype)),
        sparse=boolean("sparse", unwrap(sparse)),
        optional=boolean("optional", unwrap(optional)),
    )


def keras_model_sequential(
    layers: Sequence[keras.Layer] | keras.Layer | ShapeLike | None = None,
    name: str | None = None,
    *,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    input_batch_size: Whole | None = None,
    dtype: Any = None,
    input_dtype: Any = None,
    trainable: bool | None = None,
) -> keras.Sequential:
    """Returns a `keras.Sequential` to add layers to.

    Args:
        layers: The first layers, as a list or a single layer. Or a shape, as
            for `input_shape`.
        name: The name of the model.
        input_shape: The shape of the input without the batch. `None`: the shape
            from the first layer that has one, or from the first call.
        batch_input_shape: The same with the batch size before; it wins over
            `input_shape`.
        batch_size: The size of the batch, or `None` if it may be any.
        input_batch_size: The same; it wins over `batch_size`.
        dtype: The dtype of the input. `None`: `keras.config.floatx()`.
        input_dtype: The same; it wins over `dtype`.
        trainable: Whether the weights are trained. `None`: yes.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A size is neither positive nor unknown.

    Example:

    >>> from keras_sepconv import keras_model_sequential, layer_conv_2d
    >>> model = keras_model_sequential((28, 28, 1))
    >>> layer_conv_2d(model, filters=32, kernel_size=3).output_shape
    (None, 26, 26, 32)
    """
    shapes = {
        "input_shape": unwrap(input_shape),
        "batch_input_shape": unwrap(batch_input_shape),
    }
    parts = _parts(layers)
    if parts is None:
        shapes, parts = {"layers": unwrap(layers), **shapes}, []
    size = size_of("batch_size", unwrap(batch_size))
    wins = size_of("input_batch_size", unwrap(input_batch_size))
    sizes = full_shape(shapes, size if wins is None else wins)
    dtype = dtype_of("dtype", unwrap(dtype))
    dtype = dtype_of("input_dtype", unwrap(input_dtype)) or dtype
    model = keras.Sequential(name=name_of(unwrap(name)))
    if sizes is not None:
        model.add(keras.layers.InputLayer(batch_shape=sizes, dtype=dtype))
    for part in parts:
        model.add(part)
    if trainable is not None:
        model.trainable = boolean("trainable", unwrap(trainable))
    return model


def _parts(layers: Any) -> list[Any] | None:
    """Returns the layers of a list or a named list, or `None` for a shape."""
    items = list(layers.values()) if isinstance(layers, dict) else layers
    if not isinstance(items, (list, tuple)):
        items = [items]
    known = (keras.Layer, keras.KerasTensor)
    are_parts = [isinstance(item, known) for item in items]
    if any(are_parts) and not all(are_parts):
        raise wrong("layers", "a list of nothing but layers", layers, TypeError)
    return list(items) if all(are_parts) else None
