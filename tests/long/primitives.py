"""Measures how much faster the primitives of the JAX kernel are.

    KERAS_BACKEND=jax python tests/long/primitives.py

This prints, for a few shapes, the median milliseconds of a separable
convolution with all its gradients. It measures the primitives, and the plain
operations that run on a mesh of devices and that JAX differentiates itself. The
results are compared first, and then both run in turns.
"""

import statistics
import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from keras_sepconv import ops
from keras_sepconv.kernels.jax import dispatch

ROUNDS = 15
# Batch, size, channels, filters, kernel, stride.
SHAPES = (
    (8, 112, 32, 64, 3, 1),
    (8, 56, 128, 128, 3, 1),
    (8, 56, 128, 256, 3, 2),
    (8, 14, 512, 512, 3, 1),
    (8, 7, 1024, 1024, 3, 1),
    (8, 56, 64, 64, 5, 1),
)


def step(shape, on_mesh):
    """Returns the compiled value with gradients, and its arguments."""
    batch, size, channels, filters, kernel, stride = shape
    rng = np.random.default_rng(0)
    arrays = [
        jnp.asarray(rng.standard_normal(one, "float32"))
        for one in (
            (batch, size, size, channels),
            (kernel, kernel, channels, 1),
            (1, 1, channels, filters),
            (filters,),
        )
    ]

    def convolve(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(
            inputs, depthwise, pointwise, stride, "same", bias=bias
        )

    def with_gradients(*tensors):
        value, pull = jax.vjp(convolve, *tensors)
        return value, pull(value)

    meshes = [(1,)] if on_mesh else []
    with mock.patch.object(dispatch, "_meshes", return_value=meshes):
        return jax.jit(with_gradients).lower(*arrays).compile(), arrays


def main():
    """Prints a line for each shape."""
    for shape in SHAPES:
        steps = [step(shape, on_mesh) for on_mesh in (False, True)]
        results = [jax.tree.leaves(run(*arrays)) for run, arrays in steps]
        for one, other in zip(*results, strict=True):
            bound = 1e-4 * float(jnp.abs(one).max())
            np.testing.assert_allclose(one, other, rtol=0, atol=bound)
        times = [[], []]
        for _ in range(ROUNDS):
            for (run, arrays), taken in zip(steps, times, strict=True):
                start = time.perf_counter()
                jax.block_until_ready(run(*arrays))
                taken.append(1e3 * (time.perf_counter() - start))
        ours, plain = map(statistics.median, times)
        print(
            f"{shape}: primitives {ours:.1f}, plain operations {plain:.1f}, "
            f"ratio {plain / ours:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
