"""An invented run of the benchmark, and the scripts that make its pages."""

import importlib.util
import pathlib
import sys

from keras_sepconv.bench import measure, results
from keras_sepconv.bench.cases import CASES

ROOT = pathlib.Path(__file__).parents[1]


def script(path):
    """Returns a script of the repository as a module."""
    path = ROOT / path
    sys.path.insert(0, str(path.parent))
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def case_result(case, speedup=2.0, wrong=()):
    """Returns the result of a case that is so many times faster."""
    times = {
        "stock": [speedup * 0.003, speedup * 0.001, speedup * 0.002],
        "ours": [0.003, 0.001, 0.002],
        "floor": [0.001, 0.001, 0.001],
        "peer": [0.003, 0.001, 0.002],
    }
    kinds = () if wrong else results.KINDS
    costs = {"compile_seconds": dict.fromkeys(results.KINDS, 1.5)}
    return {
        "name": case.name,
        "description": case.description,
        "suite": case.suite,
        "wrong": list(wrong),
        "measurements": {kind: measure.measurement(times) for kind in kinds},
        "costs": {
            "stock": {**costs, "peak_bytes": 300},
            "ours": {**costs, "peak_bytes": 200},
        },
    }


def invented():
    """Returns a result with every case: one is a loss, one is wrong."""
    loss, wrong, *others = CASES
    cases = [
        case_result(loss, 0.996),
        case_result(wrong, wrong=["value is 2"]),
        *(case_result(case, 20.0) for case in others),
    ]
    backend = {
        "backend": "jax",
        "jit_compile": False,
        "implementation": None,
        "seconds": 2.0,
        "versions": {"keras": "3", "jax": "1", "flax": None},
        "device": "cpu",
        "cases": cases,
    }
    machine = {"processor": "P", "cores": 2, "threads": 4}
    machine |= {"system": "Linux", "python": "3.11"}
    return {"date": "today", "machine": machine, "backends": [backend]}
