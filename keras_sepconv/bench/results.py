"""The result of a run of the benchmark, in the form of its JSON file."""

import json
import pathlib
import re
from typing import Any, TypedDict, cast

# The number of digits. No clock is more precise.
_DIGITS = 4

# First quartile, median, third quartile.
Quartiles = list[float]

KINDS = ("forward", "training")


class Measurement(TypedDict):
    """One case, forward or training.

    Attributes:
        rounds: The number of rounds.
        milliseconds: The times of each contestant, by name.
        speedup: The time of stock Keras divided by ours, in each round.
        over_floor: Our time divided by the floor's, in each round; `None` for
            whole networks, which have no floor.
        peers: The time of each peer divided by ours, in each round, by name.
    """

    rounds: int
    milliseconds: dict[str, Quartiles]
    speedup: Quartiles
    over_floor: Quartiles | None
    peers: dict[str, Quartiles]


class Costs(TypedDict):
    """The costs of a compiled layer that JAX reports.

    Attributes:
        compile_seconds: The time to trace, lower and compile, by kind.
        peak_bytes: The size of temporaries and results of a training step, or
            `None` if unknown.
    """

    compile_seconds: dict[str, float]
    peak_bytes: int | None


class CaseResult(TypedDict):
    """One case.

    Attributes:
        name: The name of the case.
        description: Its full description.
        suite: Its suite.
        wrong: The errors that the gate found. If there are any, nothing is
            measured.
        measurements: The measurements by kind.
        costs: The costs by name; empty if the framework does not report them.
    """

    name: str
    description: str
    suite: str
    wrong: list[str]
    measurements: dict[str, Measurement]
    costs: dict[str, Costs]


class BackendResult(TypedDict):
    """One backend.

    Attributes:
        backend: Its name.
        jit_compile: Whether TensorFlow compiled with XLA.
        implementation: The implementation that our layers were told to run, or
            `None`.
        seconds: The time for one measurement.
        versions: The versions by package; `None` for a peer that is not
            installed.
        device: The device that it ran on.
        cases: The cases in the order of the table.
    """

    backend: str
    jit_compile: bool
    implementation: str | None
    seconds: float
    versions: dict[str, str | None]
    device: str
    cases: list[CaseResult]


class Result(TypedDict):
    """One run.

    Attributes:
        date: The date in UTC.
        machine: The machine that it ran on.
        backends: The backends in the order of the arguments.
    """

    date: str
    machine: dict[str, Any]
    backends: list[BackendResult]


def rounded(result: Result) -> Result:
    """Returns a result as in its file, with numbers of four digits.

    The printed tables use these numbers too, so that both round alike.
    """
    text = json.dumps(result)
    return cast(Result, json.loads(text, parse_float=_rounded))


def save(result: Result, path: pathlib.Path) -> None:
    """Writes a result; numbers have four digits, quartiles are in one line."""
    text = json.dumps(rounded(result), indent=1)
    # Matches lists of numbers: they contain no bracket, brace or quote.
    text = re.sub(
        r"\[([^][{}\"]+)\]", lambda m: f"[{' '.join(m[1].split())}]", text
    )
    path.write_text(text + "\n")


def _rounded(text: str) -> float:
    return float(f"{float(text):.{_DIGITS}g}")


def load(path: pathlib.Path) -> Result:
    """Reads a result.

    Raises:
        ValueError: The file contains something else.
        OSError: The file cannot be read.
    """
    result = json.loads(path.read_text())
    if not isinstance(result, dict) or not Result.__annotations__.keys() <= (
        result.keys()
    ):
        raise ValueError("not a result of `bench --json`")
    return cast(Result, result)


def title(backend: BackendResult) -> str:
    """Returns the name of a backend with its settings."""
    text = backend["backend"]
    if backend["jit_compile"]:
        text += ", jit_compile=True"
    if backend["implementation"] is not None:
        text += f", ours by {backend['implementation']!r}"
    return text
