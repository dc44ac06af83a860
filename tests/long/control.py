"""Times stock Keras against itself, in the same way as the benchmark.

    KERAS_BACKEND=tensorflow python tests/long/control.py

This prints how far the ratios are from 1, for all cases with two spatial axes.
A ratio within this range is neither a gain nor a loss.
"""

from typing import Any

import keras
import numpy as np

from keras_sepconv.bench import _stock, contest
from keras_sepconv.bench.cases import CASES, Case
from keras_sepconv.bench.contest import Settings
from keras_sepconv.bench.measure import measure
from keras_sepconv.bench.results import KINDS

SECONDS = 0.5


def stock_twice(
    case: Case, implementation: str | None, weights: list[np.ndarray]
) -> dict[str, Any]:
    """Returns two layers of stock Keras with the same weights."""
    found = {name: _stock.layer(case) for name in ("stock", "ours")}
    for layer in found.values():
        layer.build(case.input_shape())
        layer.set_weights(weights)
    return found


def main() -> None:
    """Measures and prints."""
    contest._layers = stock_twice
    cases = [case for case in CASES if len(case.sizes) == 2]
    result = measure(cases, Settings(SECONDS), lambda case: None)
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
