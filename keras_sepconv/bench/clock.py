"""Times things side by side, and what to make of the times."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from keras_sepconv.bench.results import Measurement, Quartiles

# As few as have quartiles; for those of which one takes seconds.
MIN_ROUNDS = 3

Times = dict[str, list[float]]


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    seconds: float,
    now: Callable[[], float] = time.perf_counter,
) -> Times:
    """Times each once a round, as often as time lets; returns the seconds.

    What disturbs the machine for longer than a round disturbs all alike. What
    ran before matters too, because it leaves a cold cache behind, or memory to
    use again; so each runs once untimed before it is timed, and each round has
    an order of its own.

    Args:
        runs: By name; each returns when its result is there. They have run
            before.
        seconds: When to begin no further round; three there are always.
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
    """Returns the quartiles, the median in the middle."""
    return statistics.quantiles(values, n=4, method="inclusive")


def ratios(above: Sequence[float], below: Sequence[float]) -> Quartiles:
    """Returns the quartiles of the ratios, round by round."""
    return quartiles([a / b for a, b in zip(above, below, strict=True)])


def measurement(times: Times) -> Measurement:
    """Returns what the times of `stock`, `ours` and the others say."""
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
    """Returns the mean of factors; NaN of none."""
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)) if logs else math.nan
