"""The command line of `python -m keras_sepconv convert`."""

import argparse
import contextlib
import json
import os
import pathlib
import sys
import uuid
from collections.abc import Callable
from typing import Any

from keras_sepconv import kernels
from keras_sepconv.tools import _source
from keras_sepconv.tools.convert import convert_model, restore_model
from keras_sepconv.tools.report import console

_EPILOG = """\
Exit codes: 0 all right; 1 a file that cannot be read or written, or a model
that would compute something else; 2 bad arguments.
"""


def add_to(commands: Any) -> None:
    """Adds the command to a parser's commands."""
    parser = commands.add_parser(
        "convert",
        help="make a saved model faster",
        description="Replaces the separable, depthwise and pointwise "
        "convolutions in a saved model by the layers of this package, checks "
        "that it computes the same, and says what was replaced and what not. "
        "It reads what `keras_sepconv.load_model` does, files of tf.keras too.",
        epilog=_EPILOG,
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
        help="with --inference: make channels alike in range, which changes "
        "no result and helps a quantizer to int8",
    )
    _source.add_options(add)
    add("--force", action="store_true", help="overwrite OUT.keras")
    add("--verbose", action="store_true", help="list each layer")
    add(
        "--json",
        action="store_true",
        help="print the report as JSON, for other programs",
    )
    parser.set_defaults(run=lambda options: run(options, parser.error))


def _target(text: str) -> pathlib.Path:
    path = pathlib.Path(text)
    if path.suffix != ".keras" or not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a .keras file in a folder that exists. Received: {text}"
        )
    return path


def run(options: argparse.Namespace, refuse: Callable[[str], object]) -> int:
    """Converts and reports; returns the exit code.

    Args:
        options: The parsed arguments.
        refuse: Ends the process with a message about bad arguments.
    """
    if options.target.exists() and not options.force:
        refuse(
            "argument OUT.keras: must not exist, unless --force is given. "
            f"Received: {options.target}"
        )
    if options.restore and (options.inference or options.implementation):
        refuse(
            "argument --restore: must stand without --inference and "
            "--implementation"
        )
    for name in ("copies", "equalize"):
        if getattr(options, name) and not options.inference:
            refuse(f"argument --{name}: must stand with --inference")
    try:
        kernels.check_name(options.implementation)
    except ValueError as error:
        refuse(f"argument --implementation: {error}")
    try:
        # Whatever Keras says, standard output is for the report.
        with (
            contextlib.redirect_stdout(sys.stderr),
            _source.plain_warnings("convert"),
        ):
            model = _convert(options)
    except (OSError, ValueError) as error:
        message = _source.in_own_words(error)
        print(f"python -m keras_sepconv convert: {message}", file=sys.stderr)
        return 1
    report = model.conversion_report
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(report)
        if options.verbose:
            console().print(report.table())
    return 0


def _convert(options: argparse.Namespace) -> Any:
    """Returns the new model, written to its file."""
    verify = not options.no_verify
    with console(stderr=True).status(f"reading {options.source}") as status:
        model = _source.load(options, options.source)
        status.update(f"converting {model.name}")
        if options.restore:
            other = restore_model(model, verify=verify)
        else:
            other = convert_model(
                model,
                inference=options.inference,
                verify=verify,
                implementation=options.implementation,
                copies=options.copies,
                equalize=options.equalize,
            )
        status.update(f"writing {options.target}")
        _write(other, options.target)
    return other


def _write(model: Any, target: pathlib.Path) -> None:
    """Saves a model so that the file is whole or as it was before."""
    # The name is known before the file is there, so that an interrupt at any
    # moment leaves nothing behind.
    path = target.with_name(f".{uuid.uuid4().hex}.keras")
    try:
        model.save(path)
        os.replace(path, target)
    finally:
        path.unlink(missing_ok=True)
