"""The arguments of the command line, read without Keras.

Keras takes seconds to import, and `--help` needs nothing of it. So nothing here
imports more than the standard library.
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
# The suites of single layers, and that of whole networks.
SUITES = ("separable", "multiplier", "sequence", "volume")
APPLICATIONS = "applications"

_PICTURES = (".png", ".svg", ".pdf")


def answer_first() -> None:
    """Reads the arguments, if this process was started as the command.

    `--help`, `--version` and a bad argument end the process here; so does a
    backend that Keras cannot import. Other processes are left alone.
    """
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":
        # So it is called until Python has found the module. The words of the
        # process have its name, ahead of the arguments.
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
    ):
        command = add_to(commands)
        command.set_defaults(command=name, refuse=command.error)
    if list(words).count("--") > 1:
        # argparse makes of the second an argument that is an empty list.
        parser.error(
            f"argument --: must stand once. Received: {' '.join(words)}"
        )
    return parser.parse_args(words)


def _bench(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "bench",
        help="time your model, or our layers, against stock Keras",
        description="With FILE, times your model on the active backend: as it "
        "is, accelerated, and converted with inference=True. Without FILE, "
        "times our layers against those of stock Keras. Both compare the "
        "results first.",
        epilog="Exit codes: 0 all right; 1 numbers that are not those of stock "
        "Keras, or a file that cannot be read; 2 bad arguments.",
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
        help=f"of {', '.join(BACKENDS)}; default: the active one",
    )
    add(
        "--suite",
        nargs="+",
        action="extend",
        choices=(*SUITES, APPLICATIONS),
        metavar="NAME",
        help=f"of {', '.join(SUITES)} and {APPLICATIONS}, which are whole "
        f"networks; default: all but {APPLICATIONS}",
    )
    add(
        "--case",
        nargs="+",
        action="extend",
        metavar="PATTERN",
        help="the cases whose names match, as in 'mobilenet_*'; default: all",
    )
    add(
        "--quick",
        action="store_true",
        help="a few cases and a short clock, under a minute",
    )
    add(
        "--seconds",
        type=_seconds,
        help="the time for a measurement, of which a case has two; default: "
        "2, or 0.5 with --quick",
    )
    add(
        "--jit-compile",
        action="store_true",
        help="TensorFlow's XLA mode; --implementation is then taps",
    )
    add(
        "--implementation",
        metavar="NAME",
        help="what our layers ask for; default: what they choose",
    )
    add(
        "--json",
        type=_writable,
        metavar="FILE",
        help="write everything to a file",
    )
    add(
        "--compare",
        metavar="FILE",
        help="an older --json file, to print its ratios beside",
    )
    add(
        "--plot",
        type=_picture,
        metavar="FILE",
        help="draw the ratios, as .png, .svg or .pdf; needs matplotlib",
    )
    add(
        "--markdown",
        type=_writable,
        metavar="FILE",
        help="write the tables as Markdown",
    )
    return parser


def _convert(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "convert",
        help="make a saved model faster",
        description="Replaces the separable, depthwise and pointwise "
        "convolutions in a saved model by the layers of this package, checks "
        "that it computes the same, and says what was replaced and what not. "
        "It reads what `keras_sepconv.load_model` does, files of tf.keras too.",
        epilog="Exit codes: 0 all right; 1 a file that cannot be read or "
        "written, or a model that would compute something else; 2 bad "
        "arguments.",
    )
    add = parser.add_argument
    add("source", metavar="IN", help="a saved model")
    add("target", metavar="OUT.keras", type=_target, help="the file to write")
    add(
        "--inference",
        action="store_true",
        help="fold BatchNormalization too; the result only predicts",
    )
    add(
        "--restore",
        action="store_true",
        help="the way back: layers of Keras for those of this package",
    )
    add(
        "--implementation",
        metavar="NAME",
        help="what the layers are to run by, such as taps",
    )
    add(
        "--no-verify",
        action="store_true",
        help="do not compare what both models compute",
    )
    _add_source(add)
    add("--force", action="store_true", help="overwrite OUT.keras")
    add("--verbose", action="store_true", help="list each layer")
    add(
        "--json",
        action="store_true",
        help="print the report as JSON, for other programs",
    )
    return parser


def _info(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="show what a model costs, and what runs its convolutions",
        description="Shows a saved model's layers: their shapes, parameters "
        "and multiply-adds, the share of depthwise and pointwise ones, and "
        "which implementation runs each convolution on the active backend.",
        epilog="Exit codes: 0 all right; 1 a file that cannot be read; 2 bad "
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


def _add_input_shape(add: Callable[..., Any]) -> None:
    add(
        "--input-shape",
        type=_sizes,
        action="append",
        metavar="SIZES",
        help="the sizes of an input without the batch, as in 224,224,3, where "
        "the model leaves some unknown; once for each input",
    )


def _add_source(add: Callable[..., Any]) -> None:
    """Adds what `keras_sepconv.tools._source` reads a model by."""
    add(
        "--weights",
        metavar="WEIGHTS",
        help="the file of the weights, where the model is JSON",
    )
    add(
        "--import",
        dest="modules",
        metavar="MODULE",
        action="append",
        default=[],
        help="a module with the layers and functions that the file names, "
        "or functions named as its Lambda layers; may be repeated",
    )
    add(
        "--unsafe",
        action="store_true",
        help="run Python code that the file carries, as in a Lambda layer, "
        "which can do anything; only for files that you trust",
    )


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            "must be positive whole numbers with commas between, as in "
            f"224,224,3. Received: {text}"
        )
    return sizes


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
            "needs matplotlib, which the extra `bench` of this package brings. "
            f"Received: {text}"
        )
    return path
