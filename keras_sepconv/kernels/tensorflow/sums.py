"""The sums of the kernel `taps`: over taps, or over positions.

They are written so that XLA compiles each of them to loops over whole vectors
of channels.
"""

import itertools
import math
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import Tensor
from keras_sepconv.kernels.tensorflow.geometry import Geometry
from keras_sepconv.kernels.tensorflow.sizes import size_of

# A kernel with more taps is summed by a loop over its rows. Then the size of
# the program depends only on the width of the kernel.
_MOST_UNROLLED_TAPS = 49

# The number of output positions that one step of the kernel's gradient sums.
_POSITIONS = 28

# The gradient of the kernel splits outputs that are wider than this.
_WIDE = 128


def correlate(
    padded: Tensor,
    kernel: Tensor,
    sizes: tuple[Any, ...],
    strides: tuple[int, ...],
    rates: tuple[int, ...],
) -> Tensor:
    """Returns the sum over the taps of a window times the tap's weights."""
    height, width, multiplier, channels = kernel.shape
    reaches = [
        _reach(n, stride) for n, stride in zip(sizes, strides, strict=True)
    ]

    def add_row(total: Any, row: Any, weights: Tensor) -> Any:
        batch = size_of(padded, 0)  # See `_loop`.
        for col in range(width):
            top, left = row * rates[0], col * rates[1]
            if isinstance(row, int):
                # XLA has no forward mode for `tf.slice`.
                window = padded[
                    :, top : top + reaches[0], left : left + reaches[1]
                ]
            else:
                window = tf.slice(
                    padded,
                    (0, top, left, 0, 0),
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
    shape = (size_of(padded, 0), *sizes, multiplier, channels)
    return _loop(
        height,
        lambda row, total: add_row(total, row, tf.gather(kernel, row)),
        tf.zeros(shape, padded.dtype),
    )


def sum_by_positions(
    geometry: Geometry, padded: Tensor, cotangent: Tensor, size: Any
) -> Tensor:
    """Sums a few output positions at a time, with one accumulator for each tap.

    Each step is one fused loop over images, taps and channels. Each position
    has its own slice, although positions could share one. The place of a slice
    is known only at run time. If such a slice is used twice, XLA makes a
    function of it, and then does not vectorise the loop.
    """
    height, width = geometry.output
    cols = _divisor(width, _POSITIONS) if width > _WIDE else width
    rows = _divisor(height, max(_POSITIONS // cols, 1))
    blocks = width // cols
    reaches = [
        _reach(n, rate) for n, rate in zip(size, geometry.rates, strict=True)
    ]
    multiplier, channels = cotangent.shape[-2:]

    def step(i: Any, total: Tensor) -> Tensor:
        # If the column is known at trace time, there is nothing to compute.
        first = (i % blocks) * cols if blocks > 1 else 0
        batch = size_of(padded, 0)  # See `_loop`.
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

    shape = (size_of(padded, 0), *size, multiplier, channels)
    steps = height // rows * blocks
    return tf.reduce_sum(
        _loop(steps, step, tf.zeros(shape, padded.dtype)), axis=0
    )


def sum_by_taps(
    geometry: Geometry, padded: Tensor, cotangent: Tensor, size: Any
) -> Tensor:
    """Sums over the whole output, one tap at a time; for unknown sizes."""
    taps, shape = math.prod(size), cotangent.shape[-2:]

    def step(i: Any, total: Tensor) -> Tensor:
        reaches = [
            _reach(size_of(cotangent, axis + 1), stride)
            for axis, stride in enumerate(geometry.strides)
        ]
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
        found = tf.reduce_sum(window * cotangent, axis=(0, 1, 2))
        here = tf.one_hot(i, taps, dtype=found.dtype)
        return total + here[:, None, None] * found

    total = _loop(taps, step, tf.zeros((taps, *shape), padded.dtype))
    return tf.reshape(total, (*size, *shape))


def _divisor(number: int, most: int) -> int:
    """Returns the largest divisor of `number` that is at most `most`."""
    return max(n for n in range(1, most + 1) if number % n == 0)


def _reach(size: Any, stride: int) -> Any:
    """Returns how many positions `size` steps of `stride` cover."""
    if isinstance(size, int):
        return max((size - 1) * stride + 1, 0)
    return tf.maximum((size - 1) * stride + 1, 0)


def _loop(steps: int, step: Any, total: Tensor) -> Tensor:
    """Returns `total` after `total = step(i, total)` for each `i`.

    A step must ask for an unknown size itself. XLA cannot compile the jacobian
    of a loop whose slices have a size from outside of the loop. And it needs to
    know how many steps there are at most, where a tape records the loop.
    """
    shape = total.shape

    def body(i: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        return i + 1, tf.ensure_shape(step(i, total), shape)

    _, total = tf.while_loop(
        lambda i, _: i < steps, body, (0, total), maximum_iterations=steps
    )
    return total
