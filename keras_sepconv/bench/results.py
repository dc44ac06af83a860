"""The results of a run; `docs/output.schema.json` describes the JSON file."""

import json
import pathlib
import re
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, cast

KINDS = ("forward", "training")
# The suite of a user's own model, and the group of all suites.
OWN, ALL = "model", "all"

# A run, a backend or a case, as the schema describes them.
Result: TypeAlias = dict[str, Any]
# First quartile, median, third quartile.
Quartiles: TypeAlias = list[float]


def rounded(result: Result) -> Result:
    """Returns a result with numbers of four digits: no clock is more precise.

    The printed tables use these numbers too, so that both round alike.
    """

    def number(text: str) -> float:
        return float(f"{float(text):.4g}")

    return cast(Result, json.loads(json.dumps(result), parse_float=number))


def save(result: Result, path: pathlib.Path) -> None:
    """Writes a result; numbers have four digits, quartiles are in one line."""
    text = json.dumps(rounded(result), indent=1)
    # Matches lists of numbers: they contain no bracket, brace or quote.
    numbers = re.compile(r"\[([^][{}\"]+)\]")
    text = numbers.sub(lambda m: f"[{' '.join(m[1].split())}]", text)
    path.write_text(text + "\n")


def load(path: pathlib.Path) -> Result:
    """Reads a result."""
    return cast(Result, json.loads(path.read_text()))


def title(backend: Result) -> str:
    """Returns the name of a backend with its settings."""
    text: str = backend["backend"]
    if backend["jit_compile"]:
        text += ", jit_compile=True"
    if backend["implementation"] is not None:
        text += f", ours by {backend['implementation']!r}"
    return text


def suites(backend: Result) -> list[str]:
    """Returns the suites of the cases of a backend."""
    return list(dict.fromkeys(case["suite"] for case in backend["cases"]))


class Group(NamedTuple):
    """The speed-ups of some cases; `where` names the case of the worst."""

    size: int
    mean: float
    worst: float
    where: str


def group(cases: Sequence[Result], suite: str, kind: str) -> Group | None:
    """Returns the speed-ups of a suite or of `ALL`; `None` without cases."""
    found = [
        (case["measurements"][kind]["speedup"][1], case["name"])
        for case in cases
        if suite in (ALL, case["suite"]) and kind in case["measurements"]
    ]
    mean = statistics.geometric_mean([ratio for ratio, _ in found] or [1])
    return Group(len(found), mean, *min(found)) if found else None
