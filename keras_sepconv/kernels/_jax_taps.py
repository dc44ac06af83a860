"""A depthwise convolution as XLA's CPU backend likes it.

That backend compiles a grouped convolution to a scalar loop. A sum over the
kernel's taps, each a shifted view of the padded image times one number a
channel, it fuses into one vectorised loop instead.

Everything here is in channels_last with two spatial axes. Depthwise outputs
have the axes (batch, rows, cols, multiplier, channels), the kernel has
(*kernel_size, multiplier, channels): with the channels last, loops run over
neighbours in memory.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax

from keras_sepconv._spec import ConvSpec

# So many taps make one loop over the outputs; more are taken in turns, so that
# neither the code nor the time to compile it grows with the kernel.
_OUTPUT_TAPS = 49
# The same where the outputs are few (a gradient of the kernel) and stay in a
# core's nearest cache from turn to turn.
_KERNEL_TAPS = 8


def pad(spec: ConvSpec, images: jax.Array) -> jax.Array:
    """Puts the spec's zeros around images, (batch, rows, cols, channels)."""
    config = []
    for axis, size in enumerate(images.shape[1:3]):
        before = spec.pad_before(axis, size)
        config.append((before, spec.pad_total(axis, size) - before, 0))
    return _zeros_around(images, config)


def outputs(spec: ConvSpec, padded: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the depthwise outputs of padded images."""
    reach = [
        (size - span) // stride * stride + 1
        for size, span, stride in zip(
            padded.shape[1:3], spec.spans, spec.strides, strict=True
        )
    ]
    return _sum_of_taps(
        padded[:, :, :, None],
        kernel[None],
        reach,
        spec.strides,
        spec.dilation_rate,
        _OUTPUT_TAPS,
    )


def input_gradient(
    spec: ConvSpec,
    sizes: tuple[int, ...],
    gradient: jax.Array,
    kernel: jax.Array,
) -> jax.Array:
    """Returns the images' gradient from that of the depthwise outputs.

    The taps of the flipped kernel, over a gradient whose numbers are as far
    apart as the strides.

    Args:
        spec: The convolution.
        sizes: The images' rows and columns.
        gradient: `(batch, new_rows, new_cols, multiplier, channels)`.
        kernel: `(*kernel_size, multiplier, channels)`.
    """
    config = []
    for axis, size in enumerate(sizes):
        span, stride = spec.spans[axis], spec.strides[axis]
        before = span - 1 - spec.pad_before(axis, size)
        reach = (gradient.shape[axis + 1] - 1) * stride + 1
        config.append((before, size + span - 1 - before - reach, stride - 1))
    images = [
        _sum_of_taps(
            _zeros_around(gradient[:, :, :, m : m + 1], config),
            lax.rev(kernel[None, :, :, m : m + 1], (1, 2)),
            list(sizes),
            (1, 1),
            spec.dilation_rate,
            _OUTPUT_TAPS,
        )
        for m in range(kernel.shape[2])
    ]
    return functools.reduce(jnp.add, images)[:, :, :, 0]


def kernel_gradient(
    spec: ConvSpec, padded: jax.Array, gradient: jax.Array
) -> jax.Array:
    """Returns the kernel's gradient from that of the depthwise outputs.

    A convolution itself: each image's gradient is the kernel, strides and
    dilation change places, and its few outputs, one for each tap, are summed
    over the batch.
    """
    sums = _sum_of_taps(
        padded[:, :, :, None],
        gradient,
        list(spec.spans),
        spec.dilation_rate,
        spec.strides,
        _KERNEL_TAPS,
    )
    # Fused into this reduction, the sums would no longer be vectorised.
    return jnp.sum(lax.optimization_barrier(sums), 0)


def _sum_of_taps(
    padded: jax.Array,
    kernel: jax.Array,
    reach: list[int],
    strides: tuple[int, ...],
    rates: tuple[int, ...],
    most: int,
) -> jax.Array:
    """Returns a convolution as a sum of shifted views times their numbers.

    Args:
        padded: `(batch, rows, cols, multiplier or 1, channels)`.
        kernel: `(batch or 1, *taps, multiplier, channels)`.
        reach: From the first to the last position that a tap sees.
        strides: From one position to the next.
        rates: From one tap to the next.
        most: How many taps to unroll.
    """
    batch, _, _, *planes = padded.shape
    _, rows, cols, *_ = kernel.shape
    width = _divisor(cols, most)
    height = _divisor(rows, max(most // width, 1))
    turns = rows * cols // (width * height)

    def add(turn: jax.Array) -> jax.Array:
        top, left = turn * width // cols * height, turn * width % cols
        products = []
        for tap in itertools.product(range(height), range(width)):
            # A slice of its own for each use: XLA fuses only those well.
            row, col = top + tap[0], left + tap[1]
            view = lax.dynamic_slice(
                padded,
                (0, row * rates[0], col * rates[1], 0, 0),
                (batch, *reach, *planes),
            )
            number = lax.dynamic_slice(
                kernel,
                (0, row, col, 0, 0),
                (kernel.shape[0], 1, 1, *kernel.shape[3:]),
            )
            products.append(view[:, :: strides[0], :: strides[1]] * number)
        return functools.reduce(jnp.add, products)

    if turns == 1:
        return add(0)
    shape = jax.eval_shape(add, 0)
    return lax.fori_loop(
        0,
        turns,
        lambda turn, total: total + add(turn),
        jnp.zeros(shape.shape, shape.dtype),
    )


def _divisor(count: int, most: int) -> int:
    """Returns how many of `count` to take at once, about `most` if it can."""
    few = [n for n in range(1, most + 1) if count % n == 0]
    many = [n for n in range(most + 1, 65) if count % n == 0]
    return many[0] if many and few[-1] < min(most, 5) else few[-1]


def _zeros_around(
    array: jax.Array, config: list[tuple[int, int, int]]
) -> jax.Array:
    nothing = (0, 0, 0)
    config = [nothing, *config, *[nothing] * (array.ndim - 3)]
    return lax.pad(array, jnp.zeros((), array.dtype), config)
