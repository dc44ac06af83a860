"""The arguments of the command line, read without Keras.

Importing Keras takes seconds, and `--help` does not need it. So this module
imports only the standard library.
"""

import argparse
import importlib
import importlib.util
import math
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from keras_sepconv._version import __version__

PROGRAM = "python -m keras_sepconv"
SCRIPT = "keras-sepconv"

BACKENDS = ("jax", "tensorflow", "torch")
# The suites that run by default, and that of one small call.
SUITES = ("separable", "multiplier", "sequence", "volume")
OVERHEAD = "overhead"

_PICTURES = (".png", ".svg", ".pdf")


def answer_first() -> None:
    """Reads the arguments, if this process was started as the command.

    `--help`, `--version` and a bad argument end the process here. So does a
    backend that Keras cannot import.
    """
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":
        # `sys.argv[0]` is "-m" until Python has found the module. The original
        # arguments have the name of the module before the other arguments.
        module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
        started = module == "keras_sepconv"
    else:
        started = pathlib.PurePath(program).stem == SCRIPT
    if not started:
        return
    parse(sys.argv[1:])
    try:
        importlib.import_module("keras")
    except (ImportError, ValueError) as error:
        name = os.environ.get("KERAS_BACKEND")
        installed = [b for b in BACKENDS if importlib.util.find_spec(b)]
        print(
            f"{PROGRAM}: Keras cannot import its backend ({error}). Name a "
            "backend that is installed in the environment variable "
            f"KERAS_BACKEND. Installed: {', '.join(installed) or 'none'}. "
            f"Received: KERAS_BACKEND={name or ''}",
            file=sys.stderr,
        )
        sys.exit(2)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Returns the options. A bad argument ends the process with a message.

    Args:
        words: The arguments of the command line.

    Returns:
        The options, with the name of the `command`, and with `refuse`, which
        ends the process with a message about a bad argument.
    """
    parser = argparse.ArgumentParser(
        PROGRAM, description="Separable convolutions."
    )
    parser.add_argument(
        "--version", action="version", version=f"keras_sepconv {__version__}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, add_to in (
        ("bench", _bench),
        ("convert", _convert),
        ("info", _info),
        ("stream", _stream),
    ):
        command = add_to(commands)
        command.set_defaults(command=name, refuse=command.error)
    if list(words).count("--") > 1:
        # argparse turns the second one into an argument that is an empty list.
        parser.error(
            f"argument --: must be used once. Received: {' '.join(words)}"
        )
    options = parser.parse_args(words)
    if options.command == "bench":
        _check_bench(options)
    return options


def _bench(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "bench",
        help="time your model, or our layers, against stock Keras",
        description="With FILE, times your model on the active backend: as it "
        "is, accelerated, and converted with inference=True. Without FILE, "
        "times our layers and those of stock Keras on the same backend in the "
        "same process. Before that, it checks that all compute the same.",
        epilog="Exit codes: 0 success; 1 the numbers of a case differ from "
        "those of stock Keras, or a file cannot be read; 2 bad arguments.",
    )
    add = parser.add_argument
    add("model", metavar="FILE", nargs="?", help="a saved model of yours")
    add(
        "--batch",
        type=_sizes,
        metavar="SIZES",
        help="the batch sizes for FILE; default: 1,8",
    )
    add(
        "--loss",
        metavar="NAME",
        help="times training steps of FILE with this loss, such as mse, and "
        "SGD; default: those that the model is compiled with",
    )
    _add_input_shape(add)
    _add_source(add)
    add(
        "--backend",
        nargs="+",
        action="extend",
        choices=BACKENDS,
        metavar="NAME",
        help=f"one or more of {', '.join(BACKENDS)}; default: the active one",
    )
    add(
        "--suite",
        nargs="+",
        action="extend",
        choices=(*SUITES, OVERHEAD),
        metavar="NAME",
        help=f"one or more of {', '.join(SUITES)}; default: these; or "
        f"{OVERHEAD}: what one eager call costs with a tiny image",
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
        type=_seconds,
        help="the time for one measurement; each case has two. Default: 2, or "
        "0.5 with --quick",
    )
    add(
        "--jit-compile",
        action="store_true",
        help="compile with XLA on TensorFlow",
    )
    add(
        "--implementation",
        metavar="NAME",
        help="the implementation that our layers run; default: the one that "
        "they choose",
    )
    add(
        "--json",
        type=_writable,
        metavar="FILE",
        help="write all results to a file",
    )
    add(
        "--plot",
        type=_picture,
        metavar="FILE",
        help="draw the ratios, as .png, .svg or .pdf; needs matplotlib",
    )
    return parser


# The options of `bench` that need a model, and those that must be without one.
_WITH = ("batch", "loss", "input_shape", "weights", "modules", "unsafe")
_WITHOUT = ("backend", "suite", "case", "jit_compile")


def _check_bench(options: argparse.Namespace) -> None:
    """Refuses arguments that do not fit together."""
    for name in _WITH if options.model is None else _WITHOUT:
        if getattr(options, name):
            option = "import" if name == "modules" else name.replace("_", "-")
            word = "with" if name in _WITH else "without"
            options.refuse(
                f"argument --{option}: must be used {word} FILE. Received: "
                f"{options.model or 'no FILE'}"
            )
    for backend in options.backend or ():
        if importlib.util.find_spec(backend) is None:
            options.refuse(
                "argument --backend: must be installed. Received: --backend "
                f"{backend}"
            )
    suites = options.suite or ()
    if OVERHEAD in suites and ({*suites} - {OVERHEAD} or options.jit_compile):
        other = " and --jit-compile" if options.jit_compile else ""
        options.refuse(
            f"argument --suite: must be {OVERHEAD} alone, because it measures "
            f"eager calls on one thread. Received: {' '.join(suites)}{other}"
        )


def _convert(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "convert",
        help="make a saved model faster",
        description="Replaces the separable, depthwise and pointwise "
        "convolutions in a saved model by the layers of this package, checks "
        "that the result computes the same, and prints what was replaced and "
        "what was not. It reads the same files as `keras_sepconv.load_model`, "
        "including files of tf.keras.",
        epilog="Exit codes: 0 success; 1 a file cannot be read or written, or "
        "the new model would compute something else; 2 bad arguments.",
    )
    add = parser.add_argument
    _add_files(add)
    add(
        "--inference",
        action="store_true",
        help="also fold BatchNormalization; the result only predicts",
    )
    add(
        "--restore",
        action="store_true",
        help="the other way: replace layers of this package by those of Keras",
    )
    add(
        "--implementation",
        metavar="NAME",
        help="the implementation that the layers run, such as taps",
    )
    add(
        "--copies",
        action=argparse.BooleanOptionalAction,
        help="with --inference: write a depth multiplier as copies of the "
        "input, wherever that is possible or nowhere; default: where it was "
        "measured to help",
    )
    add(
        "--equalize",
        action="store_true",
        help="with --inference: make the ranges of channels alike, which "
        "changes no result and helps a quantizer to int8",
    )
    add("--verbose", action="store_true", help="list each layer")
    return parser


def _info(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="show the cost of a model, and what runs its convolutions",
        description="Shows the layers of a saved model: their shapes, "
        "parameters and multiply-adds, the shares of depthwise and pointwise "
        "convolutions, and which implementation runs each convolution on the "
        "active backend.",
        epilog="Exit codes: 0 success; 1 a file cannot be read; 2 bad "
        "arguments.",
    )
    add = parser.add_argument
    add("model", metavar="FILE", help="a saved model")
    _add_input_shape(add)
    _add_source(add)
    add(
        "--json",
        action="store_true",
        help="print JSON, for other programs, instead of tables",
    )
    return parser


def _stream(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "stream",
        help="make a causal model that runs on a live signal",
        description="Writes a model that takes a few new steps and a state "
        "instead of a whole sequence, as `keras_sepconv.streaming_model` "
        "makes it. Checks that it computes the same, and prints what it needs: "
        "its receptive field, delay, state and multiply-adds.",
        epilog="Exit codes: 0 success; 1 a file cannot be read or written, or "
        "the model cannot run step by step; 2 bad arguments.",
    )
    add = parser.add_argument
    _add_files(add)
    add(
        "--chunk",
        type=_number,
        default=1,
        metavar="STEPS",
        help="how many steps it takes at a time: a multiple of all strides "
        "along time; default: 1",
    )
    add(
        "--window",
        type=_number,
        metavar="STEPS",
        help="how many steps a global pooling reads; default: the steps of the "
        "model's input",
    )
    return parser


def _add_files(add: Callable[..., Any]) -> None:
    """Adds what the commands share that write a model."""
    add("source", metavar="IN", help="a saved model")
    add("target", metavar="OUT.keras", type=_target, help="the file to write")
    _add_source(add)
    add(
        "--no-verify",
        action="store_true",
        help="do not compare what both models compute",
    )
    add("--force", action="store_true", help="overwrite OUT.keras")
    add(
        "--json",
        action="store_true",
        help="print the report as JSON, for other programs",
    )


def _add_input_shape(add: Callable[..., Any]) -> None:
    add(
        "--input-shape",
        type=_sizes,
        action="append",
        metavar="SIZES",
        help="the sizes of an input without the batch, for example 224,224,3, "
        "if the model has unknown sizes; repeat it for each input",
    )


def _add_source(add: Callable[..., Any]) -> None:
    """Adds the options with which `tools/commands/shared.py` reads a model."""
    add(
        "--weights",
        metavar="WEIGHTS",
        help="the file with the weights, if the model is a JSON file",
    )
    add(
        "--import",
        dest="modules",
        metavar="MODULE",
        action="append",
        default=[],
        help="a module that defines the layers and functions named in the "
        "file, or functions with the names of its Lambda layers; may be "
        "repeated",
    )
    add(
        "--unsafe",
        action="store_true",
        help="run the Python code that the file contains, for example in a "
        "Lambda layer; it can do anything, so only for files that you trust",
    )


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            "must be positive whole numbers with commas between, such as "
            f"224,224,3. Received: {text}"
        )
    return sizes


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(
            f"must be a positive whole number. Received: {text}"
        )
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be a positive number of seconds. Received: {text}"
        )
    return value


def _target(text: str) -> pathlib.Path:
    path = pathlib.Path(text)
    if path.suffix != ".keras" or not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a .keras file in a folder that exists. Received: {text}"
        )
    return path


def _writable(text: str) -> pathlib.Path:
    path = pathlib.Path(text)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a file in a folder that exists. Received: {text}"
        )
    return path


def _picture(text: str) -> pathlib.Path:
    path = _writable(text)
    if path.suffix.lower() not in _PICTURES:
        raise argparse.ArgumentTypeError(
            f"must end in {', '.join(_PICTURES)}. Received: {text}"
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError(
            "needs matplotlib; the extra `bench` of this package installs it. "
            f"Received: {text}"
        )
    return path
