"""How the positions of image, kernel and output belong together."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels.tensorflow.sizes import size_of


class Geometry(NamedTuple):
    """How the positions of image, kernel and output belong together, in 2-D.

    A size is an `int` if it is known at trace time, otherwise a scalar tensor.

    Attributes:
        image: The sizes of the image.
        output: The sizes of the output.
        pads: The zeros before and after the image, for each axis.
        strides: One stride for each axis.
        rates: One dilation rate for each axis.
    """

    image: tuple[Any, ...]
    output: tuple[Any, ...]
    pads: tuple[tuple[Any, Any], ...]
    strides: tuple[int, ...]
    rates: tuple[int, ...]


def geometry_of(spec: ConvSpec, image: Tensor) -> Geometry:
    """Returns the geometry of a convolution with one or two spatial axes."""
    sizes, outputs, pads = [], [], []
    for axis in range(spec.rank):
        size = size_of(image, axis + 1)
        new = spec.output_size(axis, size)
        before, after = spec.pads(axis, size)
        if not isinstance(size, int):
            # Every tap needs an image to read, even if there is no output.
            after += tf.maximum(spec.spans[axis] - size, 0)
            new = tf.maximum(new, 0)
        sizes.append(size)
        outputs.append(new)
        pads.append((before, after))
    rest = 2 - spec.rank
    return Geometry(
        tuple(sizes) + (1,) * rest,
        tuple(outputs) + (1,) * rest,
        tuple(pads) + ((0, 0),) * rest,
        spec.strides + (1,) * rest,
        spec.dilation_rate + (1,) * rest,
    )
