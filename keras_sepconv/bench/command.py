"""The command line of `python -m keras_sepconv bench`."""

import argparse
import datetime
import fnmatch
import importlib.util
import pathlib
from collections.abc import Iterator, Sequence

import keras
from rich.console import Console

from keras_sepconv import kernels
from keras_sepconv._arguments import BACKENDS, SUITES
from keras_sepconv.bench import markdown, own, report, results
from keras_sepconv.bench.applications import APPLICATIONS, Application
from keras_sepconv.bench.cases import CASES, QUICK, Case
from keras_sepconv.bench.contest import Settings
from keras_sepconv.bench.machine import machine
from keras_sepconv.bench.measure import AnyCase
from keras_sepconv.bench.processes import elsewhere, here
from keras_sepconv.tools.commands import shared

# The options that need a model, and those that must be without one.
_WITH = ("batch", "loss", "input_shape", "weights", "modules", "unsafe")
_WITHOUT = ("backend", "suite", "case", "jit_compile")


def run(options: argparse.Namespace) -> int:
    """Measures, prints and writes; returns the exit code."""
    older = _older(options)
    active = keras.backend.backend()
    backends = list(dict.fromkeys(options.backend or [active]))
    for message in _objections(options, backends):
        options.refuse(message)
    if options.model is None:
        result = _measure(options, backends, _cases(options))
    else:
        result = shared.attempt(
            "bench", lambda: _measure(options, backends, own.cases(options))
        )
        if result is None:
            return 1
    result = results.rounded(result)
    if options.json is not None:
        results.save(result, options.json)
    console = Console()
    report.report(console, result)
    if older is not None:
        report.compare(console, older, result)
    if options.plot is not None:
        # Not everybody has matplotlib.
        from keras_sepconv.bench.plot import plot

        plot(result, options.plot)
    if options.markdown is not None:
        options.markdown.write_text(markdown.document([result]))
    wrong = any(c["wrong"] for b in result["backends"] for c in b["cases"])
    return int(wrong)


def _older(options: argparse.Namespace) -> results.Result | None:
    if options.compare is None:
        return None
    try:
        return results.load(pathlib.Path(options.compare))
    except (OSError, ValueError) as error:
        options.refuse(
            f"argument --compare: must be a file that --json wrote ({error}). "
            f"Received: {options.compare}"
        )
        raise


def _measure(
    options: argparse.Namespace, backends: list[str], cases: Sequence[AnyCase]
) -> results.Result:
    now = datetime.datetime.now(datetime.UTC)
    seconds = options.seconds or (0.5 if options.quick else 2.0)
    settings = Settings(seconds, options.jit_compile, options.implementation)
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "backends": [
            here(cases, settings)
            if backend == keras.backend.backend()
            else elsewhere(backend, cases, settings)
            for backend in backends
        ],
    }


def _cases(options: argparse.Namespace) -> list[Case | Application]:
    every: tuple[Case | Application, ...] = (*CASES, *APPLICATIONS)
    patterns = options.case or ["*"]
    return [
        case
        for case in every
        if case.suite in (options.suite or SUITES)
        and any(fnmatch.fnmatchcase(case.name, p) for p in patterns)
        and (not options.quick or case.name in QUICK)
    ]


def _objections(
    options: argparse.Namespace, backends: list[str]
) -> Iterator[str]:
    """Yields errors about arguments that do not fit together."""
    for name in _WITH if options.model is None else _WITHOUT:
        if getattr(options, name):
            option = "import" if name == "modules" else name.replace("_", "-")
            word = "with" if name in _WITH else "without"
            yield (
                f"argument --{option}: must be used {word} FILE. Received: "
                f"{options.model or 'no FILE'}"
            )
    if options.loss is not None:
        try:
            keras.losses.get(options.loss)
        except ValueError:
            yield (
                "argument --loss: must be the name of a loss of Keras. "
                f"Received: {options.loss}"
            )
    if options.model is None and not _cases(options):
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
        if importlib.util.find_spec(backend) is None:
            yield f"argument --backend: must be installed. {received}"
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
