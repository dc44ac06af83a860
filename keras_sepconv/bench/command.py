"""The command line of `python -m keras_sepconv bench`."""

import datetime
import fnmatch
import os
import pathlib
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator

import keras
from rich.console import Console

from keras_sepconv import kernels
from keras_sepconv._arguments import BACKENDS, OVERHEAD, SUITES
from keras_sepconv.bench import layers, networks, report, results
from keras_sepconv.bench.cases import QUICK
from keras_sepconv.bench.measure import Task, machine, measure
from keras_sepconv.bench.results import Result
from keras_sepconv.tools.commands import shared


def run(options: Namespace) -> int:
    """Measures, prints and writes; returns the exit code."""
    active = keras.backend.backend()
    backends = list(dict.fromkeys(options.backend or [active]))
    if options.seconds is None:
        options.seconds = 0.5 if options.quick else 2.0
    for message in _objections(options, backends):
        options.refuse(message)
    result = shared.attempt("bench", lambda: _measure(options, backends))
    if result is None:
        return 1
    result = results.rounded(result)
    if options.json is not None:
        results.save(result, options.json)
    report.report(Console(), result)
    if options.plot is not None:
        report.plot(result, options.plot)
    return int(any(c["wrong"] for b in result["backends"] for c in b["cases"]))


def _measure(options: Namespace, backends: list[str]) -> Result:
    now = datetime.datetime.now(datetime.UTC)
    tasks = networks.own(options) if options.model else _tasks(options)
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "backends": [_on(backend, tasks, options) for backend in backends],
    }


def _on(backend: str, tasks: list[Task], options: Namespace) -> Result:
    """Measures here, or in a process with another backend or one thread."""
    now = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    needed = {"KERAS_BACKEND": backend}
    if OVERHEAD in (options.suite or ()):
        needed["OMP_NUM_THREADS"] = "1"  # Read when torch is imported.
    if needed.items() <= now.items():
        return measure(tasks, options)
    return elsewhere(needed, tasks, options)


def elsewhere(
    needed: dict[str, str], tasks: list[Task], options: Namespace
) -> Result:
    """Measures in a new process; if it fails, this one ends with its code."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **needed}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "result.json")
        words = ["--seconds", str(options.seconds), "--json", str(path)]
        words += ["--case", *(task.name for task in tasks)]
        words += ["--suite", *{task.suite for task in tasks}]
        words += ["--jit-compile"] * options.jit_compile
        if options.implementation is not None:
            words += ["--implementation", options.implementation]
        child = subprocess.run(
            [sys.executable, "-m", "keras_sepconv", "bench", *words],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        if not path.exists():
            sys.exit(child.returncode or 1)
        found: Result = results.load(path)["backends"][0]
        return found


def _tasks(options: Namespace) -> list[Task]:
    """Returns the cases that the options choose."""
    suites, patterns = options.suite or SUITES, options.case or ["*"]
    return [
        task
        for task in layers.TASKS
        if task.suite in suites
        and any(fnmatch.fnmatchcase(task.name, p) for p in patterns)
        and (not options.quick or task.name in (*QUICK, *layers.OVERHEADS))
    ]


def _objections(options: Namespace, backends: list[str]) -> Iterator[str]:
    """Yields errors about arguments that do not fit together."""
    if options.loss is not None:
        try:
            keras.losses.get(options.loss)
        except ValueError:
            rule = "must be the name of a loss of Keras"
            yield f"argument --loss: {rule}. Received: {options.loss}"
    if options.model is None and not _tasks(options):
        yield (
            "argument --case: must match a case of the chosen suites"
            f"{' that is in --quick' if options.quick else ''}. "
            f"Received: {' '.join(options.case or ['*'])}"
        )
    for backend in backends:
        received = f"Received: --backend {backend}"
        if options.backend is None:
            received = f"Received: {backend}, which is active"
        if backend not in BACKENDS:
            yield (
                f"argument --backend: must be one of {', '.join(BACKENDS)}, "
                f"which can compute gradients. {received}"
            )
        if options.jit_compile and backend != "tensorflow":
            yield (
                "argument --jit-compile: must be for the backend tensorflow; "
                f"JAX always compiles, torch has no such mode here. {received}"
            )
    if keras.backend.backend() in backends:
        try:
            kernels.check_name(options.implementation)
        except ValueError as error:
            yield f"argument --implementation: {error}"
