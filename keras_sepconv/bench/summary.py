"""Summarises the cases of a run, and compares a run with an older one."""

import statistics
from collections.abc import Iterator
from typing import NamedTuple

from keras_sepconv.bench.clock import geometric_mean
from keras_sepconv.bench.results import (
    KINDS,
    BackendResult,
    CaseResult,
    Result,
    title,
)

ALL = "all"


class Group(NamedTuple):
    """The speed-ups of several cases.

    Attributes:
        size: The number of cases.
        mean: The geometric mean.
        worst: The smallest speed-up.
        where: The case with the smallest speed-up.
    """

    size: int
    mean: float
    worst: float
    where: str


def groups(cases: list[CaseResult]) -> list[str]:
    """Returns the names of the groups: each suite, and all cases."""
    suites = list(dict.fromkeys(case["suite"] for case in cases))
    return [*suites, ALL] if len(suites) > 1 else suites


def kinds(cases: list[CaseResult]) -> list[str]:
    """Returns what to show: both, but no training where nothing trains."""
    return [
        kind
        for kind in KINDS
        if any(case["wrong"] or kind in case["measurements"] for case in cases)
    ]


def group(cases: list[CaseResult], name: str, kind: str) -> Group | None:
    """Returns the speed-ups of one of `groups`, or `None` if it has none."""
    speedups = [
        (case["measurements"][kind]["speedup"][1], case["name"])
        for case in cases
        if name in (ALL, case["suite"]) and kind in case["measurements"]
    ]
    if not speedups:
        return None
    mean = geometric_mean(value for value, _ in speedups)
    return Group(len(speedups), mean, *min(speedups))


def cost_ratios(
    cases: list[CaseResult],
) -> dict[str, list[tuple[float, str]]]:
    """Returns the costs of stock Keras divided by ours, by kind of cost.

    Each ratio has the name of its case.
    """
    found: dict[str, list[tuple[float, str]]] = {}
    for case in cases:
        stock, ours = case["costs"].get("stock"), case["costs"].get("ours")
        if stock is None or ours is None:
            continue
        for kind, seconds in stock["compile_seconds"].items():
            ratio = seconds / ours["compile_seconds"][kind]
            pair = (ratio, case["name"])
            found.setdefault(f"compile time, {kind}", []).append(pair)
        if stock["peak_bytes"] and ours["peak_bytes"]:
            ratio = stock["peak_bytes"] / ours["peak_bytes"]
            pair = (ratio, case["name"])
            found.setdefault("memory, training", []).append(pair)
    return found


def median_and_worst(
    pairs: list[tuple[float, str]],
) -> tuple[float, float, str]:
    """Returns the median, the smallest, and the case of the smallest."""
    return statistics.median(value for value, _ in pairs), *min(pairs)


class Change(NamedTuple):
    """A speed-up then and now; `None` if it was not measured."""

    case: str
    kind: str
    old: float | None
    new: float | None


def changes(old: BackendResult, new: BackendResult) -> Iterator[Change]:
    """Yields the speed-ups of all cases of `new`, beside the older ones."""
    older = {case["name"]: case for case in old["cases"]}
    for case in new["cases"]:
        for kind in ("forward", "training"):
            before = older.get(case["name"])
            yield Change(
                case["name"],
                kind,
                None if before is None else _speedup(before, kind),
                _speedup(case, kind),
            )


def _speedup(case: CaseResult, kind: str) -> float | None:
    if kind not in case["measurements"]:
        return None
    return case["measurements"][kind]["speedup"][1]


def pairs(
    old: Result, new: Result
) -> Iterator[tuple[BackendResult, BackendResult]]:
    """Yields the backends that both results have with the same settings."""
    older = {title(backend): backend for backend in old["backends"]}
    for backend in new["backends"]:
        if title(backend) in older:
            yield older[title(backend)], backend


def differences(old: Result, new: Result) -> list[str]:
    """Returns differences of the machine, the versions and the clock."""
    found = []
    for key, value in new["machine"].items():
        before = old["machine"].get(key)
        if before != value:
            found.append(f"{key}: {before} then, {value} now")
    for before, now in pairs(old, new):
        facts = [
            {**run["versions"], "device": run["device"], "s": run["seconds"]}
            for run in (before, now)
        ]
        found += [
            f"{title(now)}, {key}: {facts[0].get(key)} then, {value} now"
            for key, value in facts[1].items()
            if facts[0].get(key) != value
        ]
    return found
