"""The command line of `python -m keras_sepconv bench`."""

import argparse
import datetime
import fnmatch
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import keras
from rich.console import Console

from keras_sepconv import kernels
from keras_sepconv.bench import _arguments as types
from keras_sepconv.bench import markdown, report, results
from keras_sepconv.bench.applications import (
    APPLICATIONS,
    SUITE,
    Application,
)
from keras_sepconv.bench.cases import CASES, QUICK, SUITES, Case
from keras_sepconv.bench.contest import Settings
from keras_sepconv.bench.machine import machine
from keras_sepconv.bench.processes import elsewhere, here

_BACKENDS = ("jax", "tensorflow", "torch")

_EPILOG = """\
Exit codes: 0 success; 1 the numbers of a case differ from those of stock Keras;
2 bad arguments.
"""


def add_to(commands: Any) -> None:
    """Adds the command to a parser's commands."""
    parser = commands.add_parser(
        "bench",
        help="time the layers against stock Keras",
        description="Checks that our layers and those of stock Keras compute "
        "the same, then times both on the same backend in the same process.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add(
        "--backend",
        nargs="+",
        action="extend",
        choices=_BACKENDS,
        metavar="NAME",
        help=f"one or more of {', '.join(_BACKENDS)}; default: the active one",
    )
    add(
        "--suite",
        nargs="+",
        action="extend",
        choices=(*SUITES, SUITE),
        metavar="NAME",
        help=f"one or more of {', '.join(SUITES)} and {SUITE} (whole "
        f"networks); default: all except {SUITE}",
    )
    add(
        "--case",
        nargs="+",
        action="extend",
        metavar="PATTERN",
        help="the cases whose names match, for example 'mobilenet_*'; default: "
        "all",
    )
    add(
        "--quick",
        action="store_true",
        help="run a few cases with short measurements, under a minute",
    )
    add(
        "--seconds",
        type=types.seconds,
        help="the time for one measurement; each case has two. Default: 2, or "
        "0.5 with --quick",
    )
    add(
        "--jit-compile",
        action="store_true",
        help="compile with XLA on TensorFlow; the default of --implementation "
        "is then taps",
    )
    add(
        "--implementation",
        metavar="NAME",
        help="the implementation that our layers run; default: the one that "
        "they choose",
    )
    add(
        "--json",
        type=types.writable,
        metavar="FILE",
        help="write all results to a file",
    )
    add(
        "--compare",
        type=types.result,
        metavar="FILE",
        help="an older --json file; its ratios are printed beside the new ones",
    )
    add(
        "--plot",
        type=types.picture,
        metavar="FILE",
        help="draw the ratios, as .png, .svg or .pdf; needs matplotlib",
    )
    add(
        "--markdown",
        type=types.writable,
        metavar="FILE",
        help="write the tables as Markdown",
    )
    parser.set_defaults(run=lambda options: run(options, parser.error))


def run(options: argparse.Namespace, refuse: Callable[[str], object]) -> int:
    """Measures, prints and writes; returns the exit code.

    Args:
        options: The parsed arguments.
        refuse: Ends the process with a message about bad arguments.
    """
    active = keras.backend.backend()
    backends = list(dict.fromkeys(options.backend or [active]))
    for message in _objections(options, backends):
        refuse(message)
    result = results.rounded(_measure(options, backends))
    if options.json is not None:
        results.save(result, options.json)
    console = Console()
    report.report(console, result)
    if options.compare is not None:
        report.compare(console, options.compare, result)
    if options.plot is not None:
        # Not everybody has matplotlib.
        from keras_sepconv.bench.plot import plot

        plot(result, options.plot)
    if options.markdown is not None:
        options.markdown.write_text(markdown.document([result]))
    wrong = any(c["wrong"] for b in result["backends"] for c in b["cases"])
    return int(wrong)


def _measure(
    options: argparse.Namespace, backends: list[str]
) -> results.Result:
    now = datetime.datetime.now(datetime.UTC)
    seconds = options.seconds or (0.5 if options.quick else 2.0)
    settings = Settings(seconds, options.jit_compile, _implementation(options))
    cases = _cases(options)
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
    if not _cases(options):
        yield (
            "argument --case: must match a case of the chosen suites"
            f"{' that is in --quick' if options.quick else ''}. "
            f"Received: {' '.join(options.case or ['*'])}"
        )
    for backend in backends:
        received = f"Received: --backend {backend}"
        if options.backend is None:
            received = f"Received: {backend}, which is active"
        if backend not in _BACKENDS:
            yield (
                f"argument --backend: must be one of {', '.join(_BACKENDS)}, "
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
            kernels.check_name(_implementation(options))
        except ValueError as error:
            yield f"argument --implementation: {error}"


def _implementation(options: argparse.Namespace) -> str | None:
    # A layer cannot find out that XLA will compile it.
    default = "taps" if options.jit_compile else None
    name: str | None = options.implementation or default
    return name
