"""What came of a convolution under a transformation: right or wrong."""

import importlib
import traceback
import warnings
from collections.abc import Callable

import numpy as np
from backends import BACKEND, array
from subjects import OPERATIONS, SPECS, Function, Mode, Subject

# How far apart two results may be, as a part of the largest number among them:
# sums of a few hundred terms in another order.
TOLERANCE = {"float32": 2e-5, "bfloat16": 4e-2}

# The modes of the active backend; what stock Keras cannot do in them, as
# {mode: pattern of subjects}.
_HOME = importlib.import_module(f"{BACKEND}_modes")
MODES: dict[str, Mode] = _HOME.MODES
STOCK_CANNOT: dict[str, str] = _HOME.STOCK_CANNOT
# What makes of a function another of the same tensors.
WRAPPERS: dict[str, Callable[[Function], Function]] = getattr(
    _HOME, "WRAPPERS", {}
)


def every_cell() -> list[tuple[str, Subject]]:
    """Returns each mode with each operation of each spec."""
    return [
        (mode, Subject(operation, spec))
        for mode in MODES
        for operation in OPERATIONS
        for spec in SPECS
    ]


def some_cells() -> list[tuple[str, Subject]]:
    """Returns each mode with two subjects, each subject about as often."""
    subjects = [Subject(o, s) for s in SPECS for o in OPERATIONS]
    return [
        (mode, subjects[(2 * number + more) * 5 % len(subjects)])
        for number, mode in enumerate(MODES)
        for more in range(2)
    ]


def outcome(
    mode: str | Mode, subject: Subject, who: str
) -> tuple[list[np.ndarray] | None, str]:
    """Returns the results of `who` ("stock" or "ours"), or the error."""
    if isinstance(mode, str):
        mode = MODES[mode]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = mode(getattr(subject, who), subject.tensors())
            return [np.asarray(array(one)) for one in found], ""
    except Exception as error:
        last = traceback.format_exception_only(error)[-1].strip()
        return None, last.splitlines()[0][:200]


def problem(
    subject: Subject, found: list[np.ndarray], expected: list[np.ndarray]
) -> str | None:
    """Says how `found` differs from `expected`, or returns None."""
    if len(found) != len(expected):
        return f"{len(found)} results instead of {len(expected)}"
    pairs = zip(found, expected, strict=True)
    for number, (one, other) in enumerate(pairs):
        if one.shape != other.shape:
            return (
                f"result {number}: shape {one.shape} instead of {other.shape}"
            )
        scale = max(np.abs(other).max(initial=0), 1e-30)
        error = np.abs(one - other).max(initial=0) / scale
        if not error <= TOLERANCE[subject.dtype]:
            return f"result {number} is off by {error:.2g} of the largest"
    return None
