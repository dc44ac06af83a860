"""Shapes as R users give them."""

import numbers
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from keras_sepconv._spec import Shape, integer, is_na, shown, wrong


def full_shape(
    given: dict[str, Any], size: int | None, rank: int | None = None
) -> Shape | None:
    """Returns the shape, batch included, of a model's first input.

    Args:
        given: What the user gave, by the argument's name: `None`, or a shape,
            with the batch if the name begins with "batch". The last that is
            given wins.
        size: That of the batch for the other shapes, `None` if it may be any.
        rank: How many dimensions it has, batch included; `None` if any.

    Returns:
        The shape, or `None` if none was given.

    Raises:
        TypeError: Something that is no shape.
        ValueError: The wrong rank, or a dimension that is neither positive nor
            unknown.
    """
    for name, value in reversed(given.items()):
        if value is None:
            continue
        if not name.startswith("batch"):
            shape = shape_of(name, value, None if rank is None else rank - 1)
            return (size, *shape)
        shape = shape_of(name, value, rank)
        if not shape:
            raise wrong(name, "a shape with the batch", value)
        return shape
    return None


def check_channels(layer: Any, shape: Shape, given: dict[str, Any]) -> None:
    """Raises a `ValueError` if a layer with filters has unknown channels.

    Args:
        layer: The layer.
        shape: The shape of its input, batch included.
        given: What the user gave, as for `full_shape`.
    """
    if not hasattr(layer, "kernel_size"):
        return
    is_first = layer.data_format == "channels_first"
    axis = len(shape) - 1
    axis -= len(layer.kernel_size) if is_first else 0
    if shape[axis] is None:
        name, value = [item for item in given.items() if item[1] is not None][
            -1
        ]
        raise ValueError(
            f"The channel dimension of `{name}` must be known (axis {axis}, "
            f"counting the batch). Received: {name}={shown(value)}"
        )


def shape_of(name: str, value: Any, rank: int | None = None) -> Shape:
    """Returns a shape that a user gave.

    Args:
        name: The argument's name, for the message.
        value: Whole numbers, `None` or R's NA for what is unknown; R has no
            scalars, so one number is a shape of rank 1.
        rank: What its length must be; `None` if it may be any.

    Raises:
        TypeError: Something that is no shape.
        ValueError: The wrong rank, or a dimension that is neither positive nor
            unknown.
    """
    of_rank = "" if rank is None else f" of rank {rank}"
    or_layers = "a layer, a list of them, or " if name == "layers" else ""
    rule = (
        f"{or_layers}a shape{of_rank}, each dimension a positive whole number "
        "or None if unknown"
    )
    sizes = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(sizes, numbers.Number):
        sizes = (sizes,)
    if not isinstance(sizes, Iterable) or isinstance(
        sizes, (str, bytes, bytearray, Mapping, Set)
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

    Raises:
        TypeError: `value` is no number.
        ValueError: `value` is no positive whole number.
    """
    return None if value is None or is_na(value) else integer(name, value)
