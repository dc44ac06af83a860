"""Sizes that may be known only at run time.

Every operation on such sizes is part of an exported graph. So the functions
here use few operations, and each one works on all sizes at once.
"""

from typing import Any

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor


def size_of(tensor: Tensor, axis: int) -> Any:
    """Returns a size as an `int` if it is known, otherwise as a tensor."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def sizes_of(tensor: Tensor, first: int = 0) -> list[Any]:
    """Returns the sizes from axis `first` on, as `size_of` does.

    Ask only for sizes that are used: OpenVINO makes outputs of the others.
    """
    static = tensor.shape.as_list()
    if None not in static[first:]:
        return list(static[first:])
    dynamic = tf.shape(tensor)
    return [
        dynamic[axis] if size is None else size
        for axis, size in enumerate(static)
        if axis >= first
    ]


def output_sizes(spec: ConvSpec, sizes: Tensor) -> Tensor:
    """Returns `spec.output_size` of a vector of sizes.

    A negative number is not replaced: then TensorFlow's operation raises an
    error.
    """
    lost = [spec.lost(axis) for axis in range(spec.rank)]
    if any(lost):
        sizes = sizes - lost
    if max(spec.strides) > 1:
        # It rounds towards 0, as TensorFlow's operation does.
        sizes = tf.raw_ops.Div(
            x=sizes + [stride - 1 for stride in spec.strides], y=spec.strides
        )
    return sizes


def with_channels(tensor: Tensor, channels: int) -> Any:
    """Returns the shape of `tensor` with another number of channels."""
    static = tensor.shape.as_list()[:-1]
    if static.count(None) > 1:
        return tf.concat([tf.shape(tensor)[:-1], [channels]], 0)
    return [*(-1 if size is None else size for size in static), channels]


def is_half(tensor: Tensor) -> bool:
    """Tells whether a tensor is of half precision."""
    return tensor.dtype in (tf.float16, tf.bfloat16)
