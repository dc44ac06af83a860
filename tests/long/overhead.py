"""Measures what one small eager call costs.

    KERAS_BACKEND=torch python tests/long/overhead.py

This prints the median microseconds of CPU time of one call with one image of
8x8 with 8 channels, on one thread: of operations and layers of stock Keras, of
ours, and of stock layers after `accelerate`; on torch also of the two
`torch.nn.Conv2d` that do the same. All run in turns.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

import keras_sepconv

ROUNDS = 15
CALLS = 60
# How to make each layer, of stock Keras or of this package.
LAYERS: dict[str, Callable[[object], keras.Layer]] = {
    "SeparableConv2D": lambda of: of.SeparableConv2D(8, 3, padding="same"),
    "DepthwiseConv2D": lambda of: of.DepthwiseConv2D(3, padding="same"),
}


def runs() -> dict[str, Callable[[], object]]:
    """Returns what to time, by name."""
    rng = np.random.default_rng(0)
    images, depthwise, pointwise = (
        keras.ops.convert_to_tensor(rng.standard_normal(shape, "float32"))
        for shape in ((1, 8, 8, 8), (3, 3, 8, 1), (1, 1, 8, 8))
    )
    weights = images, depthwise, pointwise
    found: dict[str, Callable[[], object]] = {
        f"separable_conv, {name}": lambda ops=ops: ops.separable_conv(
            *weights, padding="same"
        )
        for name, ops in (("stock", keras.ops), ("ours", keras_sepconv.ops))
    }
    for name, make in LAYERS.items():
        layers = [make(keras.layers), make(keras_sepconv), make(keras.layers)]
        for layer in layers:
            layer(images)
        keras_sepconv.accelerate(layers[2])
        for who, layer in zip(
            ("stock", "ours", "accelerated"), layers, strict=True
        ):
            found[f"{name}, {who}"] = lambda layer=layer: layer(images)
    if keras.backend.backend() == "torch":
        import torch

        first = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        pair = torch.nn.Sequential(first, torch.nn.Conv2d(8, 8, 1))
        pair = pair.to(memory_format=torch.channels_last)
        permuted = images.permute(0, 3, 1, 2)
        found["torch.nn"] = lambda: pair(permuted)
    return found


def main() -> None:
    """Times everything and prints it."""
    taken: dict[str, list[float]] = {}
    every = runs()
    for _ in range(ROUNDS):
        for name, run in every.items():
            run()
            start = time.process_time()
            for _ in range(CALLS):
                run()
            spent = (time.process_time() - start) / CALLS
            taken.setdefault(name, []).append(1e6 * spent)
    print(keras.backend.backend(), keras.version())
    for name, microseconds in taken.items():
        print(f"{name:30} {statistics.median(microseconds):6.0f}")


if __name__ == "__main__":
    main()
