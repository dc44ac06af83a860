"""Times stock Keras against itself, in the same way as the benchmark.

    KERAS_BACKEND=tensorflow python tests/long/control.py

This prints how far the ratios are from 1, for all cases with two spatial axes.
A ratio within this range is neither a gain nor a loss.
"""

import argparse
import functools

import keras

from keras_sepconv.bench.cases import CASES, Case
from keras_sepconv.bench.layers import contest, stock
from keras_sepconv.bench.measure import Contest, Task, measure
from keras_sepconv.bench.results import KINDS

OPTIONS = argparse.Namespace(
    seconds=0.5, jit_compile=False, implementation=None
)


def stock_twice(case: Case, options: argparse.Namespace) -> Contest:
    """Prepares two layers of stock Keras with the same weights."""
    return contest(case, stock(case), stock(case))


def main() -> None:
    """Measures and prints."""
    tasks = [
        Task(c.name, c.description, c.suite, functools.partial(stock_twice, c))
        for c in CASES
        if len(c.sizes) == 2
    ]
    result = measure(tasks, OPTIONS)
    assert not any(case["wrong"] for case in result["cases"])
    for kind in KINDS:
        ratios = {
            case["name"]: case["measurements"][kind]["speedup"][1]
            for case in result["cases"]
        }
        low, high = (by(ratios, key=ratios.__getitem__) for by in (min, max))
        near = sum(abs(ratio - 1) <= 0.03 for ratio in ratios.values())
        print(
            f"{keras.backend.backend()}, {kind}: {ratios[low]:.2f} ({low}) to "
            f"{ratios[high]:.2f} ({high}), {near} of {len(ratios)} within 0.03"
        )


if __name__ == "__main__":
    main()
