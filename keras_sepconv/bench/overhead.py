"""Prepares what one eager call costs, for an image of almost no size."""

import argparse
import functools
import time

import keras
import numpy as np

import keras_sepconv
from keras_sepconv._arguments import OVERHEAD
from keras_sepconv.bench.backends import torch_pair
from keras_sepconv.bench.cases import Case
from keras_sepconv.bench.layers import disagreements
from keras_sepconv.bench.measure import Contest, Runs, Task
from keras_sepconv.bench.results import Result

# The number of calls that are timed together.
CALLS = 60
NAMES = ("SeparableConv2D", "DepthwiseConv2D", "separable_conv")
_CASE = Case("tiny", (8, 8), 8, 1, 8, (3, 3), batch=1)
_WHO = {"stock": keras, "ours": keras_sepconv, "accelerated": keras}


def _contest(name: str, options: argparse.Namespace) -> Contest:
    arrays = [np.abs(a) for a in _CASE.arrays(np.random.default_rng(0))]
    arrays[-1] *= 0  # The operations get no bias.
    images, *weights = map(keras.ops.convert_to_tensor, arrays)
    chosen = {"implementation": options.implementation}
    runs: Runs = {}
    for who, module in _WHO.items():
        given = {"padding": "same", **(chosen if who == "ours" else {})}
        if name == "separable_conv":
            if who != "accelerated":
                run = functools.partial(module.ops.separable_conv, **given)
                runs[who] = functools.partial(run, images, *weights[:2])
            continue
        if name == "SeparableConv2D":
            given["filters"] = _CASE.filters
        layer = getattr(module.layers, name)(kernel_size=3, **given)
        layer.build(images.shape)
        layer.set_weights([*arrays[1 : len(layer.weights)], arrays[-1]])
        if who == "accelerated":
            keras_sepconv.accelerate(layer, **chosen)
        runs[who] = functools.partial(layer, images)
    if keras.backend.backend() == "torch" and name != "DepthwiseConv2D":
        pair = torch_pair(_CASE, arrays[1:])
        runs["torch"] = functools.partial(pair, images.movedim(-1, 1))
    check = functools.partial(_check, runs)
    return Contest({"forward": runs}, check, time.process_time, CALLS)


def _check(runs: Runs) -> tuple[list[str], dict[str, Result]]:
    """Compares all with stock Keras."""
    results = {name: keras.ops.convert_to_numpy(runs[name]()) for name in runs}
    if "torch" in results:
        results["torch"] = np.moveaxis(results["torch"], 1, -1)
    # All numbers are positive: a sum is its sum of absolute values.
    stock = [results["stock"]]
    wrong = [
        f"{name}: {message}"
        for name, found in results.items()
        for message in disagreements([found], stock, stock)
    ]
    return wrong, {}


TASKS = [
    Task(name, "1x8x8x8", OVERHEAD, functools.partial(_contest, name))
    for name in NAMES
]
