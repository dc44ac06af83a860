"""Depthwise and separable convolutions on a CPU.

The sums over taps (see `taps`) are fast, and the matrix product runs in a
tuned library. Most of the remaining time is memory traffic. So a loop over a
large batch takes only as many images as fit into the cache of a core. The
padded images and the results of the depthwise step then stay in the cache; they
are never written for the whole batch.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from keras_sepconv._spec import ConvSpec
from keras_sepconv.kernels.jax import taps

# The most bytes of images in one block.
_BLOCK_BYTES = 1 << 21
# This many blocks run at once, if there are no derivatives. In a loop, one core
# alone copies the results of a block, and all cores wait for each other after
# each step.
_AT_ONCE = 8

Arrays = list[jax.Array]
# A function of a few images. It returns arrays with an entry for each image,
# and sums over the images.
Step = Callable[..., tuple[Arrays, Arrays]]


@dataclasses.dataclass(frozen=True)
class Form:
    """The static facts of a convolution of images in channels_last.

    Attributes:
        spec: The convolution.
        sizes: The sizes of the images.
        multiplier: The number of depthwise outputs for each channel.
        in_blocks: Whether to save memory before time. So it is in a program
            with derivatives, which keeps many arrays.
    """

    spec: ConvSpec
    sizes: tuple[int, ...]
    multiplier: int
    in_blocks: bool = False


def output_sizes(form: Form) -> tuple[int, ...]:
    """Returns the sizes of the outputs."""
    sizes = enumerate(form.sizes)
    return tuple(form.spec.output_size(*size) for size in sizes)


def wide(array: jax.Array) -> jax.Array:
    """Casts half precision to float32, so that sums are precise enough."""
    return array.astype(jnp.float32) if array.dtype.itemsize < 4 else array


def add_bias(outputs: jax.Array, bias: jax.Array) -> jax.Array:
    """Adds the bias in float32: its gradient is wrong in half precision."""
    row = wide(bias).reshape((1,) * (outputs.ndim - 1) + bias.shape)
    return (wide(outputs) + row).astype(outputs.dtype)


def plain(spec: ConvSpec, images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the depthwise outputs for all images, without a primitive."""
    form = Form(spec, images.shape[1:-1], kernel.shape[-1])
    padded = taps.pad(spec, _repeated(form, images))
    return taps.outputs(spec, padded, _merged(kernel)).astype(images.dtype)


def depthwise(a: jax.Array, b: jax.Array, *, form: Form, result: str) -> Arrays:
    """Returns the depthwise `result`; see the module `depthwise`."""
    spec, dtype = form.spec, a.dtype
    if result == "kernel":

        def sums(
            images: jax.Array, gradient: jax.Array
        ) -> tuple[Arrays, Arrays]:
            padded = _padded(form, images)
            return [], [taps.kernel_gradient(spec, padded, wide(gradient))]

        shape = (*spec.kernel_size, b.shape[-1])
        start = [lax.full(shape, 0, wide(a).dtype)]
        _, (kernel,) = _in_blocks(form, sums, [a, b], [], start)
        return [_split(form, kernel).astype(dtype)]

    images, kernel = (a, b) if result == "outputs" else (b, a)
    kernel = _merged(kernel)

    def convolve(block: jax.Array) -> tuple[Arrays, Arrays]:
        if result == "inputs":
            found = _input_gradient(form, wide(block), kernel)
            return [found.astype(dtype)], []
        padded = functools.partial(_padded, form, block)
        # XLA fuses nothing into a loop over blocks.
        is_loop = len(block) < len(images)
        found = padded() if is_loop else _separately(padded, kernel)
        return [taps.outputs(spec, found, kernel).astype(dtype)], []

    sizes, channels = form.sizes, kernel.shape[-1] // form.multiplier
    if result == "outputs":
        sizes, channels = output_sizes(form), kernel.shape[-1]
    space = _space(images, (*sizes, channels))
    return _in_blocks(form, convolve, [images], [space], [])[0]


def _separately(
    compute: Callable[[], jax.Array], kernel: jax.Array
) -> jax.Array:
    """Calls `compute` so that XLA computes its result only once.

    XLA fuses the operations before a depthwise step into each tap that reads
    their result, and so computes them again for each tap. In a network that
    adds the outputs of many depthwise layers to one stream, each layer would
    compute the sums of all layers before it. XLA fuses nothing across a
    conditional. The condition is always true, but XLA cannot know that.
    """
    number = kernel[(0,) * kernel.ndim].astype("int32")
    # Without the barrier XLA would know the number of a constant kernel.
    number = lax.optimization_barrier(number)
    like = jax.eval_shape(compute)
    return lax.cond(
        (number & 1) < 2, compute, lambda: jnp.zeros(like.shape, like.dtype)
    )


def separable(
    inputs: jax.Array,
    kernel: jax.Array,
    matrix: jax.Array,
    bias: jax.Array,
    *,
    form: Form,
) -> Arrays:
    """Returns the separable convolution: both steps and the bias."""
    kernel, matrix, bias = _merged(kernel), wide(matrix), wide(bias)

    def step(images: jax.Array) -> tuple[Arrays, Arrays]:
        between = taps.outputs(form.spec, _padded(form, images), kernel)
        outputs = between.reshape(-1, len(matrix)) @ matrix + bias[None]
        shape = (*between.shape[:-1], len(bias))
        return [outputs.reshape(shape).astype(inputs.dtype)], []

    space = _space(inputs, (*output_sizes(form), len(bias)))
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
    """Returns the wanted gradients of the arguments of `separable`."""
    spec, dtype = form.spec, inputs.dtype
    kernel, matrix = _merged(kernel), wide(matrix)

    def step(images: jax.Array, gradient: jax.Array) -> tuple[Arrays, Arrays]:
        found: Arrays = []
        sums: Arrays = []
        padded = _padded(form, images)
        flat = wide(gradient).reshape(-1, matrix.shape[1])
        shape = (*gradient.shape[:-1], len(matrix))
        between = (flat @ matrix.T).reshape(shape)
        if wanted[0]:
            found.append(_input_gradient(form, between, kernel).astype(dtype))
        if wanted[1]:
            sums.append(taps.kernel_gradient(spec, padded, between))
        if wanted[2]:
            outputs = taps.outputs(spec, padded, kernel)
            sums.append(outputs.reshape(-1, len(matrix)).T @ flat)
        if wanted[3]:
            # XLA sums columns slowly, so a matrix product sums them.
            sums.append((jnp.ones((1, len(flat)), flat.dtype) @ flat)[0])
        return found, sums

    space = [_space(gradient, inputs.shape[1:])] if wanted[0] else []
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
        sums[0] = _split(form, sums[0])
    return found + [array.astype(dtype) for array in sums]


def _padded(form: Form, images: jax.Array) -> jax.Array:
    padded = taps.pad(form.spec, _repeated(form, images))
    return lax.optimization_barrier(padded)


def _repeated(form: Form, images: jax.Array) -> jax.Array:
    """Repeats each channel once for each of its filters.

    Loops over few channels are slow.
    """
    images = wide(images)
    if form.multiplier == 1:
        return images
    return jnp.repeat(images, form.multiplier, -1)


def _input_gradient(
    form: Form, gradient: jax.Array, kernel: jax.Array
) -> jax.Array:
    return taps.input_gradient(
        form.spec, form.sizes, gradient, kernel, form.multiplier
    )


def _merged(kernel: jax.Array) -> jax.Array:
    """Merges the last two axes of the kernel: channels and their filters."""
    return wide(kernel).reshape(*kernel.shape[:-2], -1)


def _split(form: Form, kernel: jax.Array) -> jax.Array:
    """Splits the last axis of the kernel; the inverse of `_merged`."""
    return kernel.reshape(*kernel.shape[:-1], -1, form.multiplier)


def _space(images: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns an array of as many images with another shape, to be overwritten.

    XLA cannot allocate memory without filling it. The array is filled with a
    number from the images, not with zeros: zeros are the same for every layer,
    so XLA would make them once and then copy them for each layer.
    """
    return lax.broadcast(images[(0,) * images.ndim], (len(images), *shape))


def _in_blocks(
    form: Form, step: Step, arrays: Arrays, images: Arrays, sums: Arrays
) -> tuple[Arrays, Arrays]:
    """Runs `step` on a few images of the arrays at a time.

    Args:
        form: The convolution.
        step: The function that computes one block.
        arrays: Arrays with an entry for each image.
        images: Space for the results that have an entry for each image.
        sums: Zeros, to which the sums are added.
    """
    batch = len(arrays[0])
    every = max(array.nbytes for array in arrays + images)
    at_once = not sums and not form.in_blocks
    if at_once and every <= _AT_ONCE * _BLOCK_BYTES:
        return step(*arrays)
    largest = max(array.nbytes for array in arrays) // batch
    most = max(_BLOCK_BYTES // largest, 1)
    count = max(n for n in range(1, batch + 1) if batch % n == 0 and n <= most)
    if count == batch:
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

    # Unsigned, so that XLA need not handle negative indices.
    turns = jnp.uint32(0), jnp.uint32(batch // count)
    state: tuple[Arrays, Arrays] = lax.fori_loop(*turns, block, (images, sums))
    return state
