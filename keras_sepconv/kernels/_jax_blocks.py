"""Depthwise and separable convolutions on a CPU, a few images at a time.

The taps (see `_jax_taps`) are fast, and a matrix product goes to a tuned
library; what is left to save is memory traffic. So a loop takes as many images
as a core's cache holds, and neither what lies between the two steps nor a
padded image is ever written for the whole batch.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from keras_sepconv._spec import ConvSpec
from keras_sepconv.kernels import _jax_taps as taps

# How much of the images to take at once.
_BLOCK_BYTES = 1 << 21

# Memory that is not written before the results are; older versions of JAX have
# only zeros.
_space = getattr(lax, "empty", jnp.zeros)

Arrays = list[jax.Array]
# From a few images to what there is for each of them, and sums over them.
Step = Callable[..., tuple[Arrays, Arrays]]


@dataclasses.dataclass(frozen=True)
class Form:
    """The static facts of a convolution of images in channels_last.

    Attributes:
        spec: The convolution, of two spatial axes.
        sizes: The images' rows and columns.
        multiplier: Depthwise outputs for each channel.
        blocked: Whether to take a few images at a time. Not where the batch
            lies on several devices: each would have to see all of it.
    """

    spec: ConvSpec
    sizes: tuple[int, ...]
    multiplier: int
    blocked: bool


def output_sizes(form: Form) -> tuple[int, ...]:
    """Returns the outputs' rows and columns."""
    return tuple(map(form.spec.output_size, (0, 1), form.sizes))


def wide(array: jax.Array) -> jax.Array:
    """Returns half precision as float32, so that sums stay exact enough."""
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def depthwise(a: jax.Array, b: jax.Array, *, form: Form, result: str) -> Arrays:
    """Returns the depthwise form's `result`; see `_jax_primitives`."""
    spec, dtype = form.spec, a.dtype
    if result == "kernel":

        def sums(
            images: jax.Array, gradient: jax.Array
        ) -> tuple[Arrays, Arrays]:
            padded = taps.pad(spec, wide(images))
            planes = _planes(form, wide(gradient))
            return [], [taps.kernel_gradient(spec, padded, planes)]

        shape = (*spec.kernel_size, form.multiplier, a.shape[3])
        start = [lax.full(shape, 0, wide(a).dtype)]
        _, (kernel,) = _in_blocks(form, sums, [a, b], [], start)
        return [_swap(kernel, 2, 3).astype(dtype)]

    images, kernel = (a, b) if result == "outputs" else (b, a)
    kernel = _kernel_planes(kernel)

    def convolve(images: jax.Array) -> tuple[Arrays, Arrays]:
        if result == "inputs":
            planes = _planes(form, wide(images))
            found = taps.input_gradient(spec, form.sizes, planes, kernel)
        else:
            found = taps.outputs(spec, taps.pad(spec, wide(images)), kernel)
            found = _swap(found, 3, 4).reshape(*found.shape[:3], -1)
        return [found.astype(dtype)], []

    sizes, channels = form.sizes, kernel.shape[3]
    if result == "outputs":
        sizes, channels = output_sizes(form), channels * form.multiplier
    space = _space((len(images), *sizes, channels), dtype)
    return _in_blocks(form, convolve, [images], [space], [])[0]


def separable(
    inputs: jax.Array,
    kernel: jax.Array,
    matrix: jax.Array,
    bias: jax.Array,
    *,
    form: Form,
) -> Arrays:
    """Returns both steps and the bias."""
    kernel = _kernel_planes(kernel)
    matrix, bias = _planes_first(form, wide(matrix)), wide(bias)

    def step(images: jax.Array) -> tuple[Arrays, Arrays]:
        padded = taps.pad(form.spec, wide(images))
        planes = taps.outputs(form.spec, padded, kernel)
        outputs = planes.reshape(-1, len(matrix)) @ matrix + bias
        shape = (*planes.shape[:3], len(bias))
        return [outputs.reshape(shape).astype(inputs.dtype)], []

    shape = (len(inputs), *output_sizes(form), len(bias))
    space = _space(shape, inputs.dtype)
    return _in_blocks(form, step, [inputs], [space], [])[0]


def separable_gradients(
    inputs: jax.Array,
    kernel: jax.Array,
    matrix: jax.Array,
    gradient: jax.Array,
    *,
    form: Form,
    wanted: tuple[bool, ...],
) -> Arrays:
    """Returns the gradients that are wanted, of what `separable` takes."""
    spec, dtype = form.spec, inputs.dtype
    kernel = _kernel_planes(kernel)
    matrix = _planes_first(form, wide(matrix))

    def step(images: jax.Array, gradient: jax.Array) -> tuple[Arrays, Arrays]:
        found: Arrays = []
        sums: Arrays = []
        padded = taps.pad(spec, wide(images))
        flat = wide(gradient).reshape(-1, matrix.shape[1])
        planes = (flat @ matrix.T).reshape(
            *gradient.shape[:3], form.multiplier, -1
        )
        if wanted[0]:
            found.append(taps.input_gradient(spec, form.sizes, planes, kernel))
        if wanted[1]:
            sums.append(taps.kernel_gradient(spec, padded, planes))
        if wanted[2]:
            outputs = taps.outputs(spec, padded, kernel)
            sums.append(outputs.reshape(-1, len(matrix)).T @ flat)
        if wanted[3]:
            # As a product, because XLA adds up columns slowly.
            sums.append((jnp.ones((1, len(flat)), flat.dtype) @ flat)[0])
        return [images.astype(dtype) for images in found], sums

    space = [_space(inputs.shape, dtype)] if wanted[0] else []
    start = [
        lax.full(shape, 0, kernel.dtype)
        for shape, want in zip(
            (kernel.shape, matrix.shape, matrix.shape[1:]),
            wanted[1:],
            strict=True,
        )
        if want
    ]
    found, sums = _in_blocks(form, step, [inputs, gradient], space, start)
    if wanted[1]:
        sums[0] = _swap(sums[0], 2, 3)
    if wanted[2]:
        at = int(wanted[1])
        sums[at] = _planes_last(form, sums[at])
    return found + [array.astype(dtype) for array in sums]


def _planes(form: Form, outputs: jax.Array) -> jax.Array:
    """Returns depthwise outputs with the multiplier before the channels."""
    shape = (*outputs.shape[:3], -1, form.multiplier)
    return _swap(outputs.reshape(shape), 3, 4)


def _kernel_planes(kernel: jax.Array) -> jax.Array:
    """Returns the kernel with the multiplier before the channels.

    Written out: fused into the taps, it would be read number by number.
    """
    return lax.optimization_barrier(_swap(wide(kernel), 2, 3))


def _planes_first(form: Form, matrix: jax.Array) -> jax.Array:
    """Returns the matrix for depthwise outputs in that order."""
    cube = matrix.reshape(-1, form.multiplier, matrix.shape[1])
    return _swap(cube, 0, 1).reshape(matrix.shape)


def _planes_last(form: Form, matrix: jax.Array) -> jax.Array:
    cube = matrix.reshape(form.multiplier, -1, matrix.shape[1])
    return _swap(cube, 0, 1).reshape(matrix.shape)


def _swap(array: jax.Array, i: int, j: int) -> jax.Array:
    order = list(range(array.ndim))
    order[i], order[j] = j, i
    return lax.transpose(array, order)


def _in_blocks(
    form: Form, step: Step, arrays: Arrays, images: Arrays, sums: Arrays
) -> tuple[Arrays, Arrays]:
    """Runs `step` on a few images of the arrays at a time.

    Args:
        form: The convolution.
        step: From some of the arrays to what there is for each image, and
            sums.
        arrays: All images.
        images: Space for what there is for each image.
        sums: Zeros to add the sums to.
    """
    batch = len(arrays[0])
    largest = max(array.nbytes for array in arrays) // max(batch, 1)
    most = max(_BLOCK_BYTES // max(largest, 1), 1)
    count = max(n for n in range(1, batch + 1) if batch % n == 0 and n <= most)
    if not form.blocked or count == batch:
        return step(*arrays)

    def block(
        turn: jax.Array, state: tuple[Arrays, Arrays]
    ) -> tuple[Arrays, Arrays]:
        first = turn * count
        found, more = step(
            *(lax.dynamic_slice_in_dim(a, first, count) for a in arrays)
        )
        return [
            lax.dynamic_update_slice_in_dim(every, some, first, 0)
            for every, some in zip(state[0], found, strict=True)
        ], [a + b for a, b in zip(state[1], more, strict=True)]

    state: tuple[Arrays, Arrays] = taps.repeat(
        batch // count, block, (images, sums)
    )
    return state
