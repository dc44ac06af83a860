"""The TensorFlow kernel for functions that XLA compiles on a CPU.

There, XLA compiles a depthwise convolution to loops over single numbers. This
kernel adds slices instead, and XLA fuses the sum into loops over whole vectors
of channels. The pointwise step is a plain matrix product.

The kernel has its own gradients, because TensorFlow's gradient of such a sum or
loop is slow, or XLA cannot compile it.
"""

import dataclasses
import functools
import itertools
import math
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import channels_last, padded_first
from keras_sepconv.kernels._tensorflow_bilinear import differentiable, untaped
from keras_sepconv.kernels._tensorflow_frames import Stack, plane_of
from keras_sepconv.kernels._tensorflow_shapes import size_of, sizes_of

# A kernel with more taps is summed by a loop over its rows. Then the size of
# the program depends only on the width of the kernel.
_MOST_UNROLLED_TAPS = 49
# The number of output positions that one step of the kernel's gradient sums.
_POSITIONS = 28
# The gradient of the kernel splits outputs that are wider than this.
_WIDE = 128


@dataclasses.dataclass(frozen=True)
class _Geometry:
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
        matrix = _wide(tf.reshape(pointwise_kernel, (channels, -1, filters)))
        matrix = tf.reshape(tf.transpose(matrix, (1, 0, 2)), (-1, filters))
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
    geometry = _geometry(spec, image)
    planes = _convolve(geometry, image[:, :, :, None], kernel)
    return tf.squeeze(planes, 2) if spec.rank == 1 else planes


def _wide(tensor: Tensor) -> Tensor:
    half = tensor.dtype in (tf.float16, tf.bfloat16)
    return tf.cast(tensor, tf.float32) if half else tensor


def _geometry(spec: ConvSpec, image: Tensor) -> _Geometry:
    sizes, outputs, pads = [], [], []
    for axis in range(spec.rank):
        size = size_of(image, axis + 1)
        new = spec.output_size(axis, size)
        before, after = spec.pads(axis, size)
        if not isinstance(size, int):
            # Every tap needs an image to read, even if there is no output.
            after += tf.maximum(spec.spans[axis] - size - before - after, 0)
            new = tf.maximum(new, 0)
        sizes.append(size)
        outputs.append(new)
        pads.append((before, after))
    rest = 2 - spec.rank
    return _Geometry(
        tuple(sizes) + (1,) * rest,
        tuple(outputs) + (1,) * rest,
        tuple(pads) + ((0, 0),) * rest,
        spec.strides + (1,) * rest,
        spec.dilation_rate + (1,) * rest,
    )


def _convolve(geometry: _Geometry, image: Tensor, kernel: Tensor) -> Tensor:
    """Returns the depthwise outputs `(batch, rows, cols, m, channels)`.

    Args:
        geometry: How the positions belong together.
        image: Of shape `(batch, rows, cols, 1, channels)`.
        kernel: Of shape `(rows, cols, m, channels)`.
    """
    size = tuple(kernel.shape[:2])

    def convolve(image: Tensor, kernel: Tensor) -> Tensor:
        return _correlate(
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
            return _sum_by_positions(geometry, padded, cotangent, size)
        return _sum_by_taps(geometry, padded, cotangent, size)

    products = map(untaped, (convolve, image_gradient, kernel_gradient))
    return differentiable(*products)(image, kernel)


def _image_gradient(
    geometry: _Geometry, cotangent: Tensor, kernel: Tensor
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
        _correlate(
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


def _correlate(
    padded: Tensor,
    kernel: Tensor,
    sizes: tuple[Any, ...],
    strides: tuple[int, ...],
    rates: tuple[int, ...],
) -> Tensor:
    """Returns the sum over the taps of a window times the tap's weights."""
    height, width, multiplier, channels = kernel.shape
    batch = size_of(padded, 0)
    reaches = [
        _reach(n, stride) for n, stride in zip(sizes, strides, strict=True)
    ]

    def add_row(total: Any, row: Any, weights: Tensor) -> Any:
        for col in range(width):
            window = tf.slice(
                padded,
                (0, row * rates[0], col * rates[1], 0, 0),
                (batch, *reaches, 1, channels),
            )
            if max(strides) > 1:
                window = window[:, :: strides[0], :: strides[1]]
            term = window * weights[col]
            total = term if total is None else total + term
        return total

    if height * width <= _MOST_UNROLLED_TAPS:
        total = None
        for row in range(height):
            total = add_row(total, row, kernel[row])
        return total
    shape = (batch, *sizes, multiplier, channels)
    return _loop(
        height,
        lambda row, total: add_row(total, row, tf.gather(kernel, row)),
        tf.zeros(shape, padded.dtype),
    )


def _reach(size: Any, stride: int) -> Any:
    """Returns how many positions `size` steps of `stride` cover."""
    if isinstance(size, int):
        return max((size - 1) * stride + 1, 0)
    return tf.maximum((size - 1) * stride + 1, 0)


def _loop(steps: Any, step: Any, total: Tensor) -> Tensor:
    """Returns `total` after `total = step(i, total)` for each `i`."""
    shape = total.shape

    def body(i: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        return i + 1, tf.ensure_shape(step(i, total), shape)

    _, total = tf.while_loop(lambda i, _: i < steps, body, (0, total))
    return total


def _sum_by_positions(
    geometry: _Geometry, padded: Tensor, cotangent: Tensor, size: Any
) -> Tensor:
    """Sums a few output positions at a time, with one accumulator for each tap.

    Each step is one fused loop over images, taps and channels. Each position
    has its own slice, although positions could share one. The place of a slice
    is known only at run time. If such a slice is used twice, XLA makes a
    function of it, and then does not vectorise the loop.
    """
    height, width = geometry.output
    cols = _divisor(width, _POSITIONS) if width > _WIDE else width
    rows = _divisor(height, max(_POSITIONS // max(cols, 1), 1))
    blocks = width // max(cols, 1)
    batch = size_of(padded, 0)
    reaches = [
        _reach(n, rate) for n, rate in zip(size, geometry.rates, strict=True)
    ]
    multiplier, channels = cotangent.shape[-2:]

    def step(i: Any, total: Tensor) -> Tensor:
        # If the column is known at trace time, there is nothing to compute.
        first = (i % blocks) * cols if blocks > 1 else 0
        for row, col in itertools.product(range(rows), range(cols)):
            y, x = i // blocks * rows + row, first + col
            window = tf.slice(
                padded,
                (0, y * geometry.strides[0], x * geometry.strides[1], 0, 0),
                (batch, *reaches, 1, channels),
            )[:, :: geometry.rates[0], :: geometry.rates[1]]
            weights = tf.slice(
                cotangent,
                (0, y, x, 0, 0),
                (batch, 1, 1, multiplier, channels),
            )
            total += window * weights
        return total

    shape = (batch, *size, multiplier, channels)
    steps = height // rows * blocks
    return tf.reduce_sum(
        _loop(steps, step, tf.zeros(shape, padded.dtype)), axis=0
    )


def _divisor(number: int, most: int) -> int:
    """Returns the largest divisor of `number` that is at most `most`."""
    return max(n for n in range(1, most + 1) if number % n == 0)


def _sum_by_taps(
    geometry: _Geometry, padded: Tensor, cotangent: Tensor, size: Any
) -> Tensor:
    """Sums over the whole output, one tap at a time; for unknown sizes."""
    reaches = [
        _reach(n, stride)
        for n, stride in zip(geometry.output, geometry.strides, strict=True)
    ]

    def tap(i: Tensor) -> Tensor:
        window = tf.slice(
            padded,
            (
                0,
                i // size[1] * geometry.rates[0],
                i % size[1] * geometry.rates[1],
                0,
                0,
            ),
            (size_of(padded, 0), *reaches, 1, padded.shape[-1]),
        )[:, :: geometry.strides[0], :: geometry.strides[1]]
        return tf.reduce_sum(window * cotangent, axis=(0, 1, 2))

    sums = tf.map_fn(
        tap, tf.range(math.prod(size)), fn_output_signature=padded.dtype
    )
    return tf.reshape(sums, (*size, *cotangent.shape[-2:]))
