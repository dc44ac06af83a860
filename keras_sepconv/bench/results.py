"""What one run of the benchmark knows, as its JSON file holds it.

`docs/output.schema.json` says what each entry is.
"""

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
    """One case, forward or training."""

    rounds: int
    milliseconds: dict[str, Quartiles]
    speedup: Quartiles
    over_floor: Quartiles | None
    peers: dict[str, Quartiles]


class Costs(TypedDict):
    """What JAX tells of a compiled layer."""

    compile_seconds: dict[str, float]
    peak_bytes: int | None


class CaseResult(TypedDict):
    """One case."""

    name: str
    description: str
    suite: str
    wrong: list[str]
    measurements: dict[str, Measurement]
    costs: dict[str, Costs]


class BackendResult(TypedDict):
    """One backend."""

    backend: str
    jit_compile: bool
    implementation: str | None
    seconds: float
    versions: dict[str, str | None]
    device: str
    cases: list[CaseResult]


class Result(TypedDict):
    """One run."""

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
