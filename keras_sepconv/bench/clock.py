"""Times functions side by side, and computes ratios from the times."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from keras_sepconv.bench.results import Measurement, Quartiles

# The fewest rounds that have quartiles, for cases that take seconds.
MIN_ROUNDS = 3

Times = dict[str, list[float]]


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    seconds: float,
    now: Callable[[], float] = time.perf_counter,
) -> Times:
    """Times each function once in a round, and returns the seconds.

    Other load on the machine that lasts longer than a round slows all functions
    alike. What ran just before also matters: it leaves a cold cache, or memory
    that can be used again. So each function runs once untimed before it is
    timed, and each round has a new order.

    Args:
        runs: The functions by name. They wait for their results. They have run
            before.
        seconds: After this time no new round begins; there are at least three.
        now: The clock.
    """
    times: Times = {name: [] for name in runs}
    names, order = list(runs), random.Random(0)
    start = now()
    rounds = 0
    while rounds < MIN_ROUNDS or now() - start < seconds:
        for name in order.sample(names, len(names)):
            runs[name]()
            begin = now()
            runs[name]()
            times[name].append(now() - begin)
        rounds += 1
    return times


def quartiles(values: Sequence[float]) -> Quartiles:
    """Returns the quartiles; the median is in the middle."""
    return statistics.quantiles(values, n=4, method="inclusive")


def ratios(above: Sequence[float], below: Sequence[float]) -> Quartiles:
    """Returns the quartiles of the ratios, round by round."""
    return quartiles([a / b for a, b in zip(above, below, strict=True)])


def measurement(times: Times) -> Measurement:
    """Returns the result of the times of `stock`, `ours` and the others."""
    ours = times["ours"]
    return {
        "rounds": len(ours),
        "milliseconds": {
            name: quartiles([1000 * second for second in seconds])
            for name, seconds in times.items()
        },
        "speedup": ratios(times["stock"], ours),
        "over_floor": (
            ratios(ours, times["floor"]) if "floor" in times else None
        ),
        "peers": {
            name: ratios(seconds, ours)
            for name, seconds in times.items()
            if name not in ("stock", "ours", "floor")
        },
    }


def geometric_mean(values: Iterable[float]) -> float:
    """Returns the geometric mean, or NaN if there are no values."""
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)) if logs else math.nan
