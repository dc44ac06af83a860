"""Measures cases on the active backend."""

import gc
import importlib
import importlib.metadata
import types
from collections.abc import Callable, Sequence
from typing import TypeAlias

import keras

from keras_sepconv.bench import applications, clock
from keras_sepconv.bench.applications import Application
from keras_sepconv.bench.cases import Case
from keras_sepconv.bench.contest import Contest, Settings
from keras_sepconv.bench.own import OwnModel
from keras_sepconv.bench.results import KINDS, BackendResult, CaseResult

AnyCase: TypeAlias = Case | Application | OwnModel


def measure(
    cases: Sequence[AnyCase],
    settings: Settings,
    begin: Callable[[AnyCase], object],
) -> BackendResult:
    """Returns the measurements of `cases` on the active backend.

    Args:
        cases: The cases to measure.
        settings: How to measure.
        begin: Called before each case.
    """
    name = keras.backend.backend()
    native = importlib.import_module(f"keras_sepconv.bench._{name}")
    results = []
    for case in cases:
        if not isinstance(case, Case) and name in case.missing:
            continue
        begin(case)
        results.append(_measure_case(native, case, settings))
        keras.utils.clear_session()
        native.release()
        gc.collect()
    return {
        "backend": name,
        "jit_compile": settings.jit_compile,
        "implementation": settings.implementation,
        "seconds": settings.seconds,
        "versions": {
            p: _version(p)
            for p in ("keras", name, *native.PEERS, *_peers(cases))
        },
        "device": native.device(),
        "cases": results,
    }


def _peers(cases: Sequence[AnyCase]) -> tuple[str, ...]:
    whole = any(isinstance(case, Application) for case in cases)
    return ("openvino",) if whole and applications.exports() else ()


def _version(package: str) -> str | None:
    # Several distributions provide the module of TensorFlow.
    distributions = importlib.metadata.packages_distributions()
    if package not in distributions:
        return None
    return importlib.metadata.version(distributions[package][0])


def _measure_case(
    native: types.ModuleType, case: AnyCase, settings: Settings
) -> CaseResult:
    contest = (
        Contest(native, case, settings)
        if isinstance(case, Case)
        else case.contest(settings)
    )
    result: CaseResult = {
        "name": case.name,
        "description": case.description,
        "suite": case.suite,
        "costs": contest.costs(),
        "wrong": contest.wrong(),
        "measurements": {},
    }
    if not result["wrong"]:
        for kind in KINDS:
            runs = contest.runs(kind)
            if runs:
                times = clock.interleaved(runs, settings.seconds)
                result["measurements"][kind] = clock.measurement(times)
    return result
