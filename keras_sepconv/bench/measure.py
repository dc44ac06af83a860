"""Measures cases on the active backend, each beside others in turns."""

import gc
import importlib.metadata
import os
import pathlib
import platform
import random
import re
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import keras
from rich.console import Console
from rich.progress import Progress

from keras_sepconv.bench import backends
from keras_sepconv.bench.results import Quartiles, Result

Runs: TypeAlias = dict[str, Callable[[], object]]
Times: TypeAlias = dict[str, list[float]]


class Contest(NamedTuple):
    """All that is run for one case: functions by kind and name.

    `check` compares them with stock Keras and warms them up. It returns the
    errors in words, and the costs of compiling. `calls` are timed together.
    """

    runs: dict[str, Runs]
    check: Callable[[], tuple[list[str], dict[str, Result]]]
    now: Callable[[], float] = time.perf_counter
    calls: int = 1


class Task(NamedTuple):
    """A case; `contest` prepares what is run."""

    name: str
    description: str
    suite: str
    contest: Callable[[Namespace], Contest]


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    seconds: float,
    now: Callable[[], float] = time.perf_counter,
    calls: int = 1,
) -> Times:
    """Times each function once in a round, and returns the seconds.

    Other load on the machine that lasts longer than a round slows all functions
    alike. What ran just before also matters: it leaves a cold cache, or memory
    that can be used again. So each function runs once untimed before it is
    timed, and each round has a new order. After `seconds` no new round begins,
    but quartiles need three.
    """
    times: Times = {name: [] for name in runs}
    names, order = list(runs), random.Random(0)
    start = now()
    while len(times[names[0]]) < 3 or now() - start < seconds:
        for name in order.sample(names, len(names)):
            runs[name]()
            begin = now()
            for _ in range(calls):
                runs[name]()
            times[name].append((now() - begin) / calls)
    return times


def quartiles(values: Sequence[float]) -> Quartiles:
    """Returns the quartiles; the median is in the middle."""
    return statistics.quantiles(values, n=4, method="inclusive")


def ratios(above: Sequence[float], below: Sequence[float]) -> Quartiles:
    """Returns the quartiles of the ratios, round by round."""
    return quartiles([a / b for a, b in zip(above, below, strict=True)])


def measurement(times: Times) -> Result:
    """Returns the result of the times of `stock`, `ours` and the others."""
    ours, floor = times["ours"], times.get("floor")
    return {
        "rounds": len(ours),
        "milliseconds": {
            name: quartiles([1000 * second for second in seconds])
            for name, seconds in times.items()
        },
        "speedup": ratios(times["stock"], ours),
        "over_floor": None if floor is None else ratios(ours, floor),
        "peers": {
            name: ratios(seconds, ours)
            for name, seconds in times.items()
            if name not in ("stock", "ours", "floor")
        },
    }


def _case(task: Task, options: Namespace) -> Result:
    runs, check, now, calls = task.contest(options)
    seconds, (wrong, costs) = options.seconds, check()
    return {
        "name": task.name,
        "description": task.description,
        "suite": task.suite,
        "costs": costs,
        "wrong": wrong,
        "measurements": {
            kind: measurement(interleaved(each, seconds, now, calls))
            for kind, each in runs.items()
            if each and not wrong
        },
    }


def measure(tasks: list[Task], options: Namespace) -> Result:
    """Returns the measurements; shows a progress bar on stderr."""
    name, cases = keras.backend.backend(), []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(tasks))
        for task in tasks:
            progress.update(bar, description=f"{name}: {task.name}")
            cases.append(_case(task, options))
            keras.utils.clear_session()
            backends.release()
            gc.collect()
            progress.advance(bar)
    packages = ["keras", name, *(["flax"] if name == "jax" else [])]
    return {
        "backend": name,
        "jit_compile": options.jit_compile,
        "implementation": options.implementation,
        "seconds": options.seconds,
        "versions": {package: _version(package) for package in packages},
        "device": backends.device(),
        "cases": cases,
    }


def _version(package: str) -> str | None:
    # Several distributions provide the module of TensorFlow.
    names = importlib.metadata.packages_distributions().get(package)
    return importlib.metadata.version(names[0]) if names else None


def machine() -> Result:
    """Returns the processor, its cores and threads, and Python's version."""
    path = pathlib.Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""

    def values(key: str) -> list[str]:
        return re.findall(rf"^{key}\s*: (.*)$", text, re.MULTILINE)

    name = platform.processor() or platform.machine()
    cores = {*zip(values("physical id"), values("core id"), strict=False)}
    available = getattr(os, "sched_getaffinity", None)
    return {
        "processor": (values("model name") or [name])[0],
        "cores": len(cores) or None,
        "threads": len(available(0)) if available else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
