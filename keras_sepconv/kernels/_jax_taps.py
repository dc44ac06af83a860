"""A depthwise convolution as XLA's CPU backend likes it.

That backend compiles a grouped convolution to a scalar loop. A sum over the
kernel's taps, each a shifted view of the padded image times one number a
channel, it fuses into one vectorised loop instead.

Everything here is in channels_last and has one output a channel: images
(batch, *sizes, channels), kernels (*kernel_size, channels).
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

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
    """Puts the spec's zeros around images."""
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
        _OUTPUT_TAPS,
    )


def input_gradient(
    spec: ConvSpec,
    sizes: tuple[int, ...],
    gradient: jax.Array,
    kernel: jax.Array,
    multiplier: int,
) -> jax.Array:
    """Returns the images' gradient from that of the depthwise outputs.

    The taps of the flipped kernel, over a gradient whose numbers are as far
    apart as the strides.

    Args:
        spec: The convolution.
        sizes: The images' sizes.
        gradient: `(batch, *new_sizes, channels * multiplier)`.
        kernel: `(*kernel_size, channels * multiplier)`.
        multiplier: How many neighbours belong to one of the images' channels.
    """
    config = []
    for axis, size in enumerate(sizes):
        span, stride = spec.spans[axis], spec.strides[axis]
        before = span - 1 - spec.pad_before(axis, size)
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
            _OUTPUT_TAPS,
        )
        for first in range(multiplier)
    ]
    return functools.reduce(jnp.add, images)


def kernel_gradient(
    spec: ConvSpec, padded: jax.Array, gradient: jax.Array
) -> jax.Array:
    """Returns the kernel's gradient from that of the depthwise outputs.

    A convolution itself: each image's gradient is the kernel, strides and
    dilation change places, and its few outputs, one for each tap, are summed
    over the batch.
    """
    sums = _sum_of_taps(
        padded,
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
        padded: `(batch, *sizes, channels)`.
        kernel: `(batch or 1, *taps, channels)`.
        reach: From the first to the last position that a tap sees.
        strides: From one position to the next.
        rates: From one tap to the next.
        most: How many taps to unroll.
    """
    batch, channels = padded.shape[0], padded.shape[-1]
    window: tuple[int, ...] = ()
    for taps in reversed(kernel.shape[1:-1]):
        fitting = max(most // math.prod(window), 1)
        window = (_divisor(taps, fitting), *window)
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
    # Of both operands, because the sum varies over the devices of a mesh as
    # its operands do.
    zero = lax.full_like(padded, 0, shape=()) + lax.full_like(
        kernel, 0, shape=()
    )
    start = lax.broadcast(zero, (batch, *sizes, channels))
    return repeat(turns, lambda turn, total: total + add(turn), start)


def repeat(
    count: int, body: Callable[[jax.Array, Any], Any], state: Any
) -> Any:
    """Returns the state after `state = body(turn, state)` for each turn.

    The turn is unsigned, so that XLA need not handle negative indices.
    """
    return lax.fori_loop(jnp.uint32(0), jnp.uint32(count), body, state)


def _view(
    array: jax.Array,
    start: tuple[Any, ...],
    sizes: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
) -> jax.Array:
    """Returns a slice, each time anew: XLA fuses no shared one well."""
    if all(isinstance(first, int) for first in start):
        ends = [a + b for a, b in zip(start, sizes, strict=True)]
        return lax.slice(array, start, ends, strides)
    array = lax.dynamic_slice(
        array, [jnp.asarray(first, jnp.uint32) for first in start], sizes
    )
    if strides is None or max(strides) == 1:
        return array
    return lax.slice(array, [0] * array.ndim, array.shape, strides)


def _divisor(count: int, most: int) -> int:
    """Returns how many of `count` to take at once, about `most` if it can."""
    few = [n for n in range(1, most + 1) if count % n == 0]
    many = [n for n in range(most + 1, 65) if count % n == 0]
    return many[0] if many and few[-1] < min(most, 5) else few[-1]


def _zeros_around(
    array: jax.Array, config: list[tuple[int, int, int]]
) -> jax.Array:
    nothing = (0, 0, 0)
    config = [nothing, *config, nothing]
    return lax.pad(array, jnp.zeros((), array.dtype), config)
