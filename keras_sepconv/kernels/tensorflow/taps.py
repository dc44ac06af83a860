"""The kernel `taps`: for functions that XLA compiles on a CPU.

There, XLA compiles a depthwise convolution to loops over single numbers. This
kernel adds slices instead, and XLA fuses the sum into loops over whole vectors
of channels. The pointwise step is a plain matrix product.

The kernel has its own gradients, because TensorFlow's gradient of such a sum or
loop is slow, or XLA cannot compile it.
"""

import functools
import itertools
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import channels_last, padded_first
from keras_sepconv.kernels.tensorflow.derivatives import differentiable
from keras_sepconv.kernels.tensorflow.frames import Stack, plane_of
from keras_sepconv.kernels.tensorflow.geometry import Geometry, geometry_of
from keras_sepconv.kernels.tensorflow.sizes import is_half, sizes_of
from keras_sepconv.kernels.tensorflow.sums import (
    correlate,
    sum_by_positions,
    sum_by_taps,
)


@channels_last
@padded_first
def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Sums over taps, then multiplies the matrix; half precision in float32."""
    planes, channels, multiplier = _wide(inputs), inputs.shape[-1], 1
    if depthwise_kernel is not None:
        planes = _depthwise(spec, planes, _wide(depthwise_kernel))
        multiplier = depthwise_kernel.shape[-1]
    batch, *sizes = sizes_of(planes)[: spec.rank + 1]
    if pointwise_kernel is None:
        if multiplier > 1:
            planes = tf.linalg.matrix_transpose(planes)
        outputs = tf.reshape(planes, (batch, *sizes, channels * multiplier))
    else:
        filters = pointwise_kernel.shape[-1]
        matrix = _wide(tf.reshape(pointwise_kernel, (-1, filters)))
        if multiplier > 1:
            # The channels of `planes` are in another order.
            matrix = tf.reshape(matrix, (channels, -1, filters))
            matrix = tf.transpose(matrix, (1, 0, 2))
            matrix = tf.reshape(matrix, (-1, filters))
        rows = tf.reshape(planes, (-1, multiplier * channels))
        outputs = tf.matmul(rows, matrix)
        outputs = tf.reshape(outputs, (batch, *sizes, filters))
    if bias is not None:
        outputs = outputs + _wide(bias)
    return tf.cast(outputs, inputs.dtype)


def _depthwise(spec: ConvSpec, image: Tensor, kernel: Tensor) -> Tensor:
    """Returns the depthwise outputs `(batch, *new_sizes, m, channels)`."""
    if spec.rank == 1:
        image, kernel = image[:, :, None], kernel[:, None]
    if spec.rank == 3:
        in_plane = functools.partial(_depthwise, plane_of(spec))
        return Stack.of(spec, image).convolve(image, kernel, in_plane)
    # The multiplier goes before the channels, so that vectors of channels stay
    # whole.
    kernel = tf.transpose(kernel, (0, 1, 3, 2))
    geometry = geometry_of(spec, image)
    planes = _convolve(geometry, image[:, :, :, None], kernel)
    return tf.squeeze(planes, 2) if spec.rank == 1 else planes


def _wide(tensor: Tensor) -> Tensor:
    return tf.cast(tensor, tf.float32) if is_half(tensor) else tensor


def _convolve(geometry: Geometry, image: Tensor, kernel: Tensor) -> Tensor:
    """Returns the depthwise outputs `(batch, rows, cols, m, channels)`.

    Args:
        geometry: How the positions belong together.
        image: Of shape `(batch, rows, cols, 1, channels)`.
        kernel: Of shape `(rows, cols, m, channels)`.
    """
    size = tuple(kernel.shape[:2])

    def convolve(image: Tensor, kernel: Tensor) -> Tensor:
        return correlate(
            _pad(image, geometry.pads),
            kernel,
            geometry.output,
            geometry.strides,
            geometry.rates,
        )

    def image_gradient(cotangent: Tensor, kernel: Tensor) -> Tensor:
        return _image_gradient(geometry, cotangent, kernel)

    def kernel_gradient(image: Tensor, cotangent: Tensor) -> Tensor:
        padded = _pad(image, geometry.pads)
        if all(isinstance(size, int) for size in geometry.output):
            return sum_by_positions(geometry, padded, cotangent, size)
        return sum_by_taps(geometry, padded, cotangent, size)

    return differentiable(convolve, image_gradient, kernel_gradient)(
        image, kernel
    )


def _image_gradient(
    geometry: Geometry, cotangent: Tensor, kernel: Tensor
) -> Tensor:
    """Convolves the cotangent, spread by the strides, with the kernel."""
    spread, pads = cotangent, []
    for axis in range(2):
        spread = _spread(spread, axis + 1, geometry.strides[axis])
        span = (kernel.shape[axis] - 1) * geometry.rates[axis] + 1
        before = span - 1 - geometry.pads[axis][0]
        found = geometry.output[axis] * geometry.strides[axis]
        after = geometry.image[axis] + span - 1 - before - found
        known = isinstance(after, int)
        pads.append((before, max(after, 0) if known else tf.maximum(after, 0)))
    spread = _pad(spread, tuple(pads))
    flipped = tf.reverse(kernel, (0, 1))
    planes = [
        correlate(
            spread[..., m : m + 1, :],
            flipped[:, :, m : m + 1],
            geometry.image,
            (1, 1),
            geometry.rates,
        )
        for m in range(kernel.shape[2])
    ]
    return tf.add_n(planes) if len(planes) > 1 else planes[0]


def _pad(image: Tensor, pads: tuple[tuple[Any, Any], ...]) -> Tensor:
    if all(isinstance(n, int) and n == 0 for n in itertools.chain(*pads)):
        return image
    rest = ((0, 0),) * (len(image.shape) - 3)
    return tf.pad(image, ((0, 0), *pads, *rest))


def _spread(image: Tensor, axis: int, stride: int) -> Tensor:
    """Puts `stride - 1` zeros after each position."""
    if stride == 1:
        return image
    pads = [(0, 0)] * (len(image.shape) + 1)
    pads[axis + 1] = (0, stride - 1)
    shape = sizes_of(image)
    shape[axis] *= stride
    return tf.reshape(tf.pad(tf.expand_dims(image, axis + 1), pads), shape)
