"""Measures how much faster the accelerated model is."""

import math
from collections.abc import Callable
from typing import Any

import keras
import made
import numpy as np

from keras_sepconv import accelerate
from keras_sepconv.bench import measure
from keras_sepconv.bench.networks import contest

# A measurement ends when its median is as precise as this, or after this many
# seconds.
_NOISE = 0.02
_SECONDS = 2.5


def times(name: str) -> dict[str, Any]:
    """Returns the time of stock Keras divided by ours, by kind of call."""
    stock, inputs = made.model(name)
    fast, _ = made.model(name)
    accelerate(fast, verify=False)
    outputs = keras.tree.flatten(stock.predict_on_batch(inputs))
    targets = made.targets(stock, [np.asarray(one) for one in outputs])
    found = {}
    for batch in (1, 8):
        pair = keras.tree.map_structure(
            lambda array, batch=batch: None if array is None else array[:batch],
            (inputs, targets),
        )
        models = {"stock": stock, "ours": fast}
        # Whether they compute the same is checked elsewhere.
        runs = contest(models, *pair, moved=()).runs
        found[f"predict {batch}"] = _speedup(runs["forward"])
        found[f"train {batch}"] = _speedup(runs["training"])
    return found


def _speedup(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Times both in turns until their ratio is precise enough."""
    for run in runs.values():
        run()
        run()
    taken: measure.Times = {name: [] for name in runs}
    while True:
        for name, more in measure.interleaved(runs, _SECONDS / 5).items():
            taken[name] += more
        low, middle, high = measure.ratios(taken["stock"], taken["ours"])
        rounds = len(taken["ours"])
        # The standard error of a median, computed from the quartiles.
        noise = 0.93 * (high - low) / math.sqrt(rounds) / middle
        if noise < _NOISE or 2 * sum(map(sum, taken.values())) > _SECONDS:
            return {
                "ratio": middle,
                "noise": noise,
                "rounds": rounds,
                **{
                    name: 1000 * measure.quartiles(seconds)[1]
                    for name, seconds in taken.items()
                },
            }
