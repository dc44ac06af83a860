"""Converts shapes of R users."""

import numbers
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from keras_sepconv._checks import integer, is_na, short_text, wrong
from keras_sepconv._spec import Shape


def full_shape(
    given: dict[str, Any], size: int | None, rank: int | None = None
) -> Shape | None:
    """Returns the shape of a model's first input, with the batch.

    Args:
        given: The arguments of the user by name, each a shape or `None`. A
            shape contains the batch if the name begins with "batch". The last
            shape wins.
        size: The batch size for the other shapes, or `None` if it may be any.
        rank: The number of dimensions with the batch, or `None` if it may be
            any.

    Returns:
        The shape, or `None` if the user passed no shape.

    Raises:
        TypeError: An argument is not a shape.
        ValueError: The rank is wrong, or a dimension is neither positive nor
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
    """Raises a `ValueError` if the input of a convolution has unknown channels.

    Args:
        layer: The layer.
        shape: The shape of its input, with the batch.
        given: The arguments of the user, as for `full_shape`.
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
            f"counting the batch). Received: {name}={short_text(value)}"
        )


def shape_of(name: str, value: Any, rank: int | None = None) -> Shape:
    """Returns the shape that a user passed.

    Args:
        name: The name of the argument, for the message.
        value: Whole numbers; `None` or R's NA for an unknown size. R has no
            scalars, so a single number is a shape of rank 1.
        rank: The required length, or `None` if it may be any.

    Raises:
        TypeError: `value` is not a shape.
        ValueError: The rank is wrong, or a dimension is neither positive nor
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
    """Returns a size, or `None` for an unknown one (`None` or R's NA).

    Raises:
        TypeError: `value` is not a number.
        ValueError: `value` is not a positive whole number.
    """
    return None if value is None or is_na(value) else integer(name, value)
