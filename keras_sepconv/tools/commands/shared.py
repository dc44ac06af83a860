"""What the commands share: reading and writing a model, and the messages."""

import argparse
import contextlib
import importlib
import json
import os
import pathlib
import re
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from keras_sepconv._arguments import PROGRAM
from keras_sepconv.tools.legacy.load import load_model

# Replaces the advice of `load_model` by the options of the command line.
_WORDS = (
    (
        r"(, and|\.) [pP]ass compile=False to load (the model|it) without this "
        r"warning",
        "",
    ),
    (r"custom_objects=\{[^}]*\}", "--import MODULE"),
    (r"safe_mode=False", "--unsafe"),
    (r"`weights=`", "--weights"),
    (r"`verify=False`", "--no-verify"),
    (r"`(chunk|window)`", r"--\1"),
    (
        r"Pass the (.*) as `filepath`, and this as `weights`",
        r"Name the \1, and this with --weights",
    ),
)


def load(options: argparse.Namespace, source: str, compile: bool = True) -> Any:
    """Returns the model of a file, by the options that all commands share."""
    objects: dict[str, Any] = {}
    for name in options.modules:
        objects |= _objects(_imported(name, options.refuse))
    return load_model(
        source,
        objects,
        compile,
        not options.unsafe,
        weights=options.weights,
    )


def check_target(options: argparse.Namespace) -> None:
    """Ends the process if the file to write exists, without --force."""
    if options.target.exists() and not options.force:
        options.refuse(
            "argument OUT.keras: must not exist, unless --force is given. "
            f"Received: {options.target}"
        )


def write(model: Any, target: pathlib.Path) -> None:
    """Saves a model; the file is then whole, or as it was before."""
    # The name is known before the file exists. So an interrupt at any moment
    # leaves nothing behind.
    path = target.with_name(f".{uuid.uuid4().hex}.keras")
    try:
        model.save(path)
        os.replace(path, target)
    finally:
        path.unlink(missing_ok=True)


def _imported(name: str, refuse: Callable[[str], object]) -> Any:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except Exception as error:  # A module may raise anything.
        return refuse(
            "argument --import: must be a module that can be imported "
            f"({error}). Received: {name}"
        )
    finally:
        sys.path.remove("")


def _objects(module: Any) -> dict[str, Any]:
    """Returns the classes and functions that a module or package defines."""
    own = f"{module.__name__}."
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and f"{getattr(value, '__module__', '')}.".startswith(own)
    }


def in_own_words(error: BaseException | Warning | str) -> str:
    """Returns a message, in one line, with options in place of arguments."""
    text = " ".join(str(error).split())
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text


def attempt(command: str, work: Callable[[], Any]) -> Any:
    """Returns what `work` returns; `None` after an error, which is printed.

    Args:
        command: The command's name, for the message.
        work: Reads files. Its output goes to standard error, because standard
            output is for the report.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr), _plain_warnings(command):
            return work()
    except (OSError, ValueError) as error:
        print(f"{PROGRAM} {command}: {in_own_words(error)}", file=sys.stderr)
        return None


@contextlib.contextmanager
def _plain_warnings(command: str) -> Iterator[None]:
    """Prints the text of each warning once, without the line of code."""
    usual = warnings.showwarning
    printed: set[str] = set()

    def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
        if category is not UserWarning:
            usual(message, category, *where, **more)
            return
        text = f"{PROGRAM} {command}: {in_own_words(message)}"
        if text not in printed:
            print(text, file=sys.stderr)
        printed.add(text)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield


def print_report(report: Any, options: argparse.Namespace) -> None:
    """Prints a report, by --json as JSON and by --verbose with its table."""
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
        return
    print(report)
    if getattr(options, "verbose", False):
        console().print(report.table())


def console(**options: Any) -> Console:
    """Returns a console that does not treat brackets in names as markup.

    Args:
        **options: Those of `rich.console.Console`.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)


def table(heading: str, **options: Any) -> Table:
    """Returns an empty table in the style of all commands.

    Args:
        heading: The title.
        **options: Others of `rich.table.Table`.
    """
    return Table(
        title=heading,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        **options,
    )
