"""Measures the numbers by which the torch kernel chooses between two ways.

    KERAS_BACKEND=torch python tests/long/thresholds_torch.py

This prints, for shapes of growing size, how many times faster a threshold of 0
is than an infinite one, forward and in a training step. The threshold belongs
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


# The module and the name of a threshold, and what is computed, by the number
# that is compared with it.
CASES: list[tuple[Any, str, Callable[..., Tensor], dict[str, Any]]] = [
    (
        convolution,
        "_FEWEST_PIXELS",
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
        "_MOST_TERMS",
        functools.partial(ops.separable_conv, padding="same"),
        {
            f"{channels * kernel**2} terms, {multiplier} filters": separable(
                64, channels, kernel, multiplier, 32
            )
            for multiplier in (2, 4, 8)
            for channels, kernel in ((3, 3), (4, 3), (8, 3), (4, 5))
        },
    ),
    (
        convolution,
        "_FEWEST_CHANNELS",
        functools.partial(ops.depthwise_conv, padding="same"),
        {
            f"{channels} channels": separable(56, channels, 3, 2, 8)[:2]
            for channels in (4, 8, 16, 64)
        },
    ),
    (
        gradients,
        "_LEAST_IMAGE",
        functools.partial(ops.depthwise_conv, padding="same"),
        {
            f"{size * size * 64} numbers": separable(size, 64, 5, 1, 8)[:2]
            for size in (7, 14, 28, 56)
        },
    ),
]


def main() -> None:
    """Measures and prints."""
    for module, name, run, inputs in CASES:
        print(f"{name} = {getattr(module, name)}")
        for what, tensors in inputs.items():
            found = [
                ratio(module, name, run, tensors, trains)
                for trains in (False, True)
            ]
            print("  {}: forward {:.2f}, training {:.2f}".format(what, *found))


def ratio(
    module: Any,
    name: str,
    run: Callable[..., Tensor],
    tensors: tuple[Tensor, ...],
    trains: bool,
) -> float:
    """Returns the time without the way above a threshold over that with it."""
    leaves = [tensor.detach().requires_grad_(trains) for tensor in tensors]
    cotangent = torch.ones_like(run(*leaves))

    def step() -> None:
        outputs = run(*leaves)
        if trains:
            torch.autograd.grad(outputs, leaves, cotangent)

    times: dict[int, list[float]] = {0: [], NEVER: []}
    before, start = getattr(module, name), time.perf_counter()
    try:
        while time.perf_counter() - start < SECONDS:
            for value in random.sample([*times], 2):
                setattr(module, name, value)
                step()
                begin = time.perf_counter()
                step()
                times[value].append(time.perf_counter() - begin)
    finally:
        setattr(module, name, before)
    never, always = map(statistics.median, (times[NEVER], times[0]))
    return never / always


if __name__ == "__main__":
    main()
