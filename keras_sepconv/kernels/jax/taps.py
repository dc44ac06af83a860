"""A depthwise convolution in a form that is fast on XLA's CPU backend.

XLA compiles a grouped convolution on a CPU to a loop over single numbers. Here
the same result is a sum over the taps of the kernel. Each term is a shifted
view of the padded image times one number for each channel. XLA fuses this sum
into one vectorised loop.

Everything here is in channels_last and has one output for each channel. Images
are (batch, *sizes, channels), kernels are (*kernel_size, channels).
"""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from keras_sepconv._spec import ConvSpec

# Up to this many taps are summed in one loop over the outputs. A larger kernel
# needs several turns. So neither the code nor its compile time grows with the
# kernel.
_OUTPUT_TAPS = 49
# In one loop, the numbers of the kernel and the images that belong to one
# position should stay in the nearest cache of a core. Otherwise a kernel of 7
# with 192 channels takes 1.8 times as long.
_CACHE_BYTES = 1 << 15
# The same for the gradient of the kernel. It has few outputs, which stay in the
# nearest cache of a core from turn to turn.
_KERNEL_TAPS = 8


def pad(spec: ConvSpec, images: jax.Array) -> jax.Array:
    """Pads images with the zeros of the spec."""
    sizes = enumerate(images.shape[1:-1])
    return _zeros_around(images, [(*spec.pads(*size), 0) for size in sizes])


def outputs(spec: ConvSpec, padded: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the depthwise outputs of padded images."""
    reach = [
        (size - span) // stride * stride + 1
        for size, span, stride in zip(
            padded.shape[1:-1], spec.spans, spec.strides, strict=True
        )
    ]
    return _sum_of_taps(
        padded,
        kernel[None],
        reach,
        spec.strides,
        spec.dilation_rate,
        _most_taps(kernel),
    )


def input_gradient(
    spec: ConvSpec,
    sizes: tuple[int, ...],
    gradient: jax.Array,
    kernel: jax.Array,
    multiplier: int,
) -> jax.Array:
    """Returns the gradient of the images from that of the depthwise outputs.

    This is a convolution with the flipped kernel. Its image is the gradient of
    the outputs, with `stride - 1` zeros between the numbers.

    Args:
        spec: The convolution.
        sizes: The sizes of the images.
        gradient: `(batch, *new_sizes, channels * multiplier)`.
        kernel: `(*kernel_size, channels * multiplier)`.
        multiplier: How many neighbouring channels of the gradient belong to one
            channel of the images.
    """
    config = []
    for axis, size in enumerate(sizes):
        span, stride = spec.spans[axis], spec.strides[axis]
        before = span - 1 - spec.pads(axis, size)[0]
        reach = (gradient.shape[axis + 1] - 1) * stride + 1
        config.append((before, size + span - 1 - before - reach, stride - 1))
    padded = _zeros_around(gradient, config)
    turned = lax.rev(kernel, range(spec.rank))[None]
    images = [
        _sum_of_taps(
            padded[..., first::multiplier],
            turned[..., first::multiplier],
            list(sizes),
            (1,) * spec.rank,
            spec.dilation_rate,
            _most_taps(kernel),
        )
        for first in range(multiplier)
    ]
    return functools.reduce(jnp.add, images)


def kernel_gradient(
    spec: ConvSpec, padded: jax.Array, gradient: jax.Array
) -> jax.Array:
    """Returns the gradient of the kernel from that of the depthwise outputs.

    This is a convolution too. The gradient of each image is its kernel, strides
    and dilation change places, and there is one output for each tap. The
    outputs are summed over the batch.
    """
    sums = _sum_of_taps(
        padded,
        gradient,
        list(spec.spans),
        spec.dilation_rate,
        spec.strides,
        _KERNEL_TAPS,
    )
    # Without the barrier XLA fuses the sums into this reduction, and then does
    # not vectorise them.
    return jnp.sum(lax.optimization_barrier(sums), 0)


def _most_taps(kernel: jax.Array) -> int:
    """Returns how many taps of a kernel to sum in one loop over outputs.

    The result is 0 if even one tap needs more than the cache.
    """
    of_one_tap: int = 2 * kernel.dtype.itemsize * kernel.shape[-1]
    return min(_OUTPUT_TAPS, _CACHE_BYTES // of_one_tap)


def _sum_of_taps(
    padded: jax.Array,
    kernel: jax.Array,
    reach: list[int],
    strides: tuple[int, ...],
    rates: tuple[int, ...],
    most: int,
) -> jax.Array:
    """Returns a convolution as a sum of shifted views times numbers.

    Args:
        padded: `(batch, *sizes, channels)`.
        kernel: `(batch or 1, *taps, channels)`.
        reach: For each axis, the number of positions from the first to the last
            one that a tap reads.
        strides: The steps from one position to the next.
        rates: The steps from one tap to the next.
        most: The number of taps to unroll.
    """
    batch, channels = padded.shape[0], padded.shape[-1]
    window: tuple[int, ...] = ()
    for taps in reversed(kernel.shape[1:-1]):
        window = (_divisor(taps, most, math.prod(window)), *window)
    counts = [
        taps // size
        for taps, size in zip(kernel.shape[1:-1], window, strict=True)
    ]
    turns = math.prod(counts)

    def add(turn: Any) -> jax.Array:
        first: tuple[Any, ...] = ()
        for count, size in zip(counts[::-1], window[::-1], strict=True):
            first = (turn % count * size, *first)
            turn = turn // count
        products = []
        for tap in itertools.product(*map(range, window)):
            at = [a + b for a, b in zip(first, tap, strict=True)]
            view = _view(
                padded,
                (0, *(i * rate for i, rate in zip(at, rates, strict=True)), 0),
                (batch, *reach, channels),
                (1, *strides, 1),
            )
            sizes = (len(kernel), *(1,) * len(window), channels)
            products.append(view * _view(kernel, (0, *at, 0), sizes))
        return functools.reduce(lax.add, products)

    if turns == 1:
        return add(0)
    sizes = [
        (size - 1) // stride + 1
        for size, stride in zip(reach, strides, strict=True)
    ]
    # The zero is made from both operands. So its type says that it varies over
    # the same axes of a mesh as they do.
    zero = lax.full_like(padded, 0, shape=()) + lax.full_like(
        kernel, 0, shape=()
    )
    start = lax.broadcast(zero, (batch, *sizes, channels))

    # JAX differentiates this where the primitives do not run. Without the
    # checkpoint it would keep the view of each tap.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def turn(total: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
        return total + add(number), None

    # Unsigned, so that XLA need not handle negative indices.
    numbers = jnp.arange(turns, dtype=jnp.uint32)
    total: jax.Array = lax.scan(turn, start, numbers)[0]
    return total


def _view(
    array: jax.Array,
    start: tuple[Any, ...],
    sizes: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
) -> jax.Array:
    """Returns a new slice: XLA does not fuse a slice well if it is shared."""
    if all(isinstance(first, int) for first in start):
        ends = [a + b for a, b in zip(start, sizes, strict=True)]
        return lax.slice(array, start, ends, strides)
    array = lax.dynamic_slice(
        array, [jnp.asarray(first, jnp.uint32) for first in start], sizes
    )
    if strides is None or max(strides) == 1:
        return array
    return lax.slice(array, [0] * array.ndim, array.shape, strides)


def _divisor(count: int, most: int, others: int) -> int:
    """Returns a divisor of `count`: how many taps along an axis to take.

    Together with the `others`, the taps along other axes, these are at most
    `most`. If that would be very few, they may be more.
    """
    divisors = [n for n in range(1, count + 1) if count % n == 0]
    few = [n for n in divisors if n * others <= most] or [1]
    many = [n for n in divisors if few[-1] < n <= 64]
    is_enough = few[-1] * others >= min(most, 5)
    return few[-1] if is_enough or not many else many[0]


def _zeros_around(
    array: jax.Array, config: list[tuple[int, int, int]]
) -> jax.Array:
    nothing = (0, 0, 0)
    config = [nothing, *config, nothing]
    return lax.pad(array, jnp.zeros((), array.dtype), config)
