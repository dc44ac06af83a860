"""Sizes that may be known only at run time."""

from typing import Any

import tensorflow as tf

from keras_sepconv._spec import Tensor


def size_of(tensor: Tensor, axis: int) -> Any:
    """Returns a size as an `int` where it is known, else as a tensor."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def sizes_of(tensor: Tensor) -> list[Any]:
    """Returns each size as an `int` where it is known, else as a tensor."""
    static = tensor.shape.as_list()
    if None not in static:
        return list(static)
    dynamic = tf.shape(tensor)
    return [dynamic[i] if n is None else n for i, n in enumerate(static)]
