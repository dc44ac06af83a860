"""Runs a convolution under a transformation, and compares the results."""

import contextlib
import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
from backends import BACKEND, KERAS, array
from subjects import OPERATIONS, SPECS, Function, Mode, Subject

# One in this many cells runs. The number has no common divisor with the numbers
# of operations and specs. So each mode runs with one or two subjects, and each
# subject with several modes.
_EVERY = 23

# The largest allowed error, divided by the largest number of the result. The
# numbers are sums of a few hundred terms, added in different orders.
TOLERANCE = {"float32": 2e-5, "bfloat16": 4e-2}

# The modes of the active backend, and the subjects for which stock Keras raises
# an error, as {mode: pattern of subjects}.
_HOME = importlib.import_module(f"{BACKEND}_modes")
MODES: dict[str, Mode] = _HOME.MODES
STOCK_CANNOT: dict[str, str] = _HOME.STOCK_CANNOT
# Each wrapper turns a function into another one of the same tensors.
WRAPPERS: dict[str, Callable[[Function], Function]] = _HOME.WRAPPERS
# Cells that would crash the process.
NOT_TRIED: dict[str, str] = getattr(_HOME, "NOT_TRIED", {})
# With older versions stock Keras fails for more cells, which are not listed.
IS_LISTED_VERSION = KERAS >= (3, 15)
# The cells where stock Keras gives wrong numbers, in the same form, and for
# each such mode another mode in which stock Keras is right.
STOCK_IS_WRONG: dict[str, str] = getattr(_HOME, "STOCK_IS_WRONG", {})
RIGHT: dict[str, Mode] = getattr(_HOME, "RIGHT", {})


@contextlib.contextmanager
def as_if_large() -> Iterator[None]:
    """Makes small images run the code that is meant for large ones."""
    limits = {
        "jax": {"jax.blocks._BLOCK_BYTES": 1},
        "torch": {
            "torch.gradients._LEAST_IMAGE": 0,
            "torch.gradients._MOST_COPIED": 0,
            "torch.convolution._FEWEST_PIXELS": 0,
        },
    }
    with contextlib.ExitStack() as stack:
        for path, limit in limits.get(BACKEND, {}).items():
            name = f"keras_sepconv.kernels.{path}"
            stack.enter_context(mock.patch(name, limit))
        yield


def is_listed(names: dict[str, str], mode: str, subject: Subject) -> bool:
    """Tells whether a list contains a cell."""
    return re.fullmatch(names.get(mode, "(?!)"), str(subject)) is not None


def every_cell() -> list[tuple[str, Subject]]:
    """Returns each mode with each operation of each spec."""
    subjects = [Subject(o, s) for s in SPECS for o in OPERATIONS]
    return [
        (mode, subject)
        for mode in MODES
        for subject in subjects
        if not is_listed(NOT_TRIED, mode, subject)
    ]


def some_cells() -> list[tuple[str, Subject]]:
    """Returns a sample with every mode and every subject."""
    return every_cell()[::_EVERY]


def outcome(
    mode: Mode, subject: Subject, who: str
) -> tuple[list[np.ndarray] | None, str]:
    """Returns the results of `who` ("stock" or "ours"), or the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = mode(getattr(subject, who), subject.tensors())
            return [np.asarray(array(one)) for one in found], ""
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        return None, f"{type(error).__name__}: {first}"[:200]


def problem(
    subject: Subject, found: list[np.ndarray], expected: list[np.ndarray]
) -> str | None:
    """Returns how `found` differs from `expected`, or `None`."""
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
            return f"result {number} is off by {error:.2g} times its maximum"
    return None
