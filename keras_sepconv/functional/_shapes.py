"""Shapes as R users give them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_sepconv._spec import Shape, integer, wrong


def batch_shape(
    layer: Any,
    rank: int,
    input_shape: Any,
    batch_input_shape: Any,
    batch_size: Any,
) -> Shape | None:
    """Returns the shape, batch included, of a model's first input.

    Args:
        layer: The layer; the channels must be known if it has filters.
        rank: How many dimensions the layer's input has, batch included.
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
    size = size_of("batch_size", batch_size)
    name, value = "batch_input_shape", batch_input_shape
    shape = shape_of(name, value, rank)
    if shape is None:
        name, value = "input_shape", input_shape
        without_batch = shape_of(name, value, rank - 1)
        shape = without_batch and (size, *without_batch)
    if shape is None or not hasattr(layer, "kernel_size"):
        return shape
    spatial = len(layer.kernel_size)
    is_first = layer.data_format == "channels_first"
    axis = rank - 1 - spatial if is_first else rank - 1
    if shape[axis] is None:
        raise ValueError(
            f"The channel dimension of `{name}` must be known (axis {axis}, "
            f"counting the batch). Received: {name}={value!r}"
        )
    return shape


def shape_of(name: str, value: Any, rank: int | None = None) -> Shape | None:
    """Returns a shape that a user gave, or `None` for none.

    Args:
        name: The argument's name, for the message.
        value: Whole numbers, `None` for what is unknown; R has no scalars, so
            one number is a shape of rank 1.
        rank: What its length must be; `None` if it may be any.

    Raises:
        TypeError: Something that is no shape.
        ValueError: The wrong rank, or a dimension that is neither positive nor
            unknown.
    """
    if value is None:
        return None
    of_rank = "" if rank is None else f" of rank {rank}"
    rule = (
        f"a shape{of_rank}, each dimension a positive whole number or None if "
        "unknown"
    )
    sizes = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(sizes, Sequence):
        sizes = (sizes,)
    if isinstance(sizes, (str, bytes)):
        raise wrong(name, rule, value, TypeError)
    if rank is not None and len(sizes) != rank:
        raise wrong(name, rule, value)
    try:
        return tuple(size_of(name, size) for size in sizes)
    except (TypeError, ValueError) as error:
        raise wrong(name, rule, value, type(error)) from None


def size_of(name: str, value: Any) -> int | None:
    """Returns a size: unknown for `None` and for R's NA, which is a NaN here.

    Raises:
        TypeError: `value` is no number.
        ValueError: `value` is no positive whole number.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return integer(name, value)
