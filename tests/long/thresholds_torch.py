"""Measures the numbers by which the torch kernel chooses between two ways.

    KERAS_BACKEND=torch python tests/long/thresholds_torch.py

This prints, for many shapes, how many times faster the way above a threshold is
than the way below it, forward and in a training step. The threshold belongs
where that passes 1. Both run in turns.
"""

import functools
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from keras_sepconv import ops
from keras_sepconv.kernels.torch import convolution, gradients

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 0.4
NEVER = 2**62
Tensor = torch.Tensor


def separable(
    size: int, channels: int, kernel: int, multiplier: int, filters: int
) -> tuple[Tensor, ...]:
    """Returns the tensors of a separable convolution of eight images."""
    return (
        torch.rand(8, size, size, channels),
        torch.rand(kernel, kernel, channels, multiplier),
        torch.rand(1, 1, channels * multiplier, filters),
    )


def pointwise(pixels: int, channels: int, filters: int) -> tuple[Tensor, ...]:
    """Returns the tensors of a pointwise convolution."""
    return torch.rand(1, 1, pixels, channels), torch.rand(
        1, 1, channels, filters
    )


# What a threshold is set to, for the way below it and for the way above it.
LIMITS = (NEVER, 0)
# What is changed, what to, what is computed, and for which tensors.
CASES: list[
    tuple[Any, str, tuple[Any, Any], Callable[..., Tensor], dict[str, Any]]
] = [
    (
        convolution,
        "_FEWEST_PIXELS",
        LIMITS,
        ops.pointwise_conv,
        {
            f"{pixels} pixels, {channels} to {filters}": pointwise(
                pixels, channels, filters
            )
            for channels, filters in ((32, 64), (144, 24), (256, 256))
            for pixels in (784, 1568, 3136, 6272, 12544)
        },
    ),
    (
        convolution,
        "_is_dense_cheaper",
        (lambda *arguments: False, lambda *arguments: True),
        functools.partial(ops.separable_conv, padding="same"),
        {
            f"{size}x{size}, {channels} channels with {multiplier} filters of "
            f"{kernel}x{kernel}, to {filters}": separable(
                size, channels, kernel, multiplier, filters
            )
            for multiplier in (2, 4, 8)
            for size, channels, kernel, filters in (
                (64, 3, 3, 32),
                (64, 4, 3, 32),
                (64, 4, 5, 32),
                (28, 16, 3, 32),
                (28, 16, 3, 64),
                (28, 32, 5, 64),
                (14, 128, 3, 64),
            )
        },
    ),
    (
        convolution,
        "_FEWEST_CHANNELS",
        LIMITS,
        functools.partial(ops.depthwise_conv, padding="same"),
        {
            f"{channels} channels": separable(56, channels, 3, 2, 8)[:2]
            for channels in (4, 8, 16, 64)
        },
    ),
    (
        gradients,
        "_LEAST_IMAGE",
        LIMITS,
        functools.partial(ops.depthwise_conv, padding="same"),
        {
            f"{size * size * 64} numbers": separable(size, 64, 5, 1, 8)[:2]
            for size in (7, 14, 28, 56)
        },
    ),
]


def main() -> None:
    """Measures and prints."""
    for module, name, ways, run, inputs in CASES:
        print(f"{name} = {getattr(module, name)}")
        for what, tensors in inputs.items():
            found = [
                ratio(module, name, ways, run, tensors, trains)
                for trains in (False, True)
            ]
            print("  {}: forward {:.2f}, training {:.2f}".format(what, *found))


def ratio(
    module: Any,
    name: str,
    ways: tuple[Any, Any],
    run: Callable[..., Tensor],
    tensors: tuple[Tensor, ...],
    trains: bool,
) -> float:
    """Returns the time of the first way over that of the second."""
    leaves = [tensor.detach().requires_grad_(trains) for tensor in tensors]
    cotangent = torch.ones_like(run(*leaves))

    def step() -> None:
        outputs = run(*leaves)
        if trains:
            torch.autograd.grad(outputs, leaves, cotangent)

    times: tuple[list[float], list[float]] = ([], [])
    before, start = getattr(module, name), time.perf_counter()
    try:
        while time.perf_counter() - start < SECONDS:
            for way in random.sample((0, 1), 2):
                setattr(module, name, ways[way])
                step()
                begin = time.perf_counter()
                step()
                times[way].append(time.perf_counter() - begin)
    finally:
        setattr(module, name, before)
    first, second = map(statistics.median, times)
    return first / second


if __name__ == "__main__":
    main()
