"""Shapes as R users give them."""

import numbers
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from keras_sepconv._spec import Shape, integer, shown, wrong

# R's NA among integers, as reticulate hands it over.
_NA_INTEGER = -(2**31)


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
            f"counting the batch). Received: {name}={shown(value)}"
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
    if isinstance(sizes, numbers.Number):
        sizes = (sizes,)
    if not isinstance(sizes, Iterable) or isinstance(
        sizes, (str, bytes, Mapping, Set)
    ):
        raise wrong(name, rule, value, TypeError)
    try:
        shape = tuple(size_of(name, size) for size in sizes)
    except (TypeError, ValueError) as error:
        raise wrong(name, rule, value, type(error)) from None
    if rank is not None and len(shape) != rank:
        raise wrong(name, rule, value)
    return shape


def size_of(name: str, value: Any) -> int | None:
    """Returns a size: unknown for `None` and for R's NA.

    NA is a NaN among doubles. Among logicals it is True here, which no size is.

    Raises:
        TypeError: `value` is no number.
        ValueError: `value` is no positive whole number.
    """
    is_number = isinstance(value, numbers.Real)
    if value is None or (
        # What is not itself is a NaN; `math.isnan` takes no large integers.
        is_number and (value != value or value == _NA_INTEGER)
    ):
        return None
    return integer(name, value)
