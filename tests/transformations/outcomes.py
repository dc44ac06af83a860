"""What came of a convolution under a transformation: right or wrong."""

import contextlib
import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
from backends import BACKEND, KERAS, array
from subjects import OPERATIONS, SPECS, Function, Mode, Subject

# Of how many cells to try one. It divides no count of operations or specs, so
# that each mode meets one or two subjects, and each subject several modes.
_EVERY = 17

# How far apart two results may be, as a part of the largest number among them:
# sums of a few hundred terms in another order.
TOLERANCE = {"float32": 2e-5, "bfloat16": 4e-2}

# The modes of the active backend; what stock Keras cannot do in them, as
# {mode: pattern of subjects}.
_HOME = importlib.import_module(f"{BACKEND}_modes")
MODES: dict[str, Mode] = _HOME.MODES
STOCK_CANNOT: dict[str, str] = _HOME.STOCK_CANNOT
# What makes of a function another of the same tensors.
WRAPPERS: dict[str, Callable[[Function], Function]] = _HOME.WRAPPERS
# What would end the process.
NOT_TRIED: dict[str, str] = getattr(_HOME, "NOT_TRIED", {})
# Older versions can do less with stock Keras, which no list says.
IS_LISTED_VERSION = KERAS >= (3, 15)
# Where stock Keras is wrong, in the same form, and modes that give the right
# results with it.
STOCK_IS_WRONG: dict[str, str] = getattr(_HOME, "STOCK_IS_WRONG", {})
RIGHT: dict[str, Mode] = getattr(_HOME, "RIGHT", {})


@contextlib.contextmanager
def as_if_large() -> Iterator[None]:
    """Sends small images through the code that is there for large ones."""
    limits = {
        "jax": {"_jax_blocks._BLOCK_BYTES": 1},
        "torch": {
            "_torch_depthwise._LEAST_IMAGE": 0,
            "_torch_depthwise._MOST_COPIED": 0,
            "_torch._FEWEST_PIXELS": 0,
        },
    }
    with contextlib.ExitStack() as stack:
        for path, limit in limits.get(BACKEND, {}).items():
            name = f"keras_sepconv.kernels.{path}"
            stack.enter_context(mock.patch(name, limit))
        yield


def is_listed(names: dict[str, str], mode: str, subject: Subject) -> bool:
    """Says whether a list names a cell."""
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
    """Returns some of the cells: each mode, and each subject, a few times."""
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
