"""The options and messages that all commands that read a model share."""

import argparse
import contextlib
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from keras_sepconv.tools.load import load_model

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
    (
        r"Pass the (.*) as `filepath`, and this as `weights`",
        r"Name the \1, and this with --weights",
    ),
)


def add_options(add: Callable[..., Any]) -> None:
    """Adds the options by `add`, which is a parser's `add_argument`."""
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
        type=_module,
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


def _module(name: str) -> Any:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except Exception as error:  # A module may raise anything.
        raise argparse.ArgumentTypeError(
            f"must be a module that can be imported ({error}). Received: {name}"
        ) from error
    finally:
        sys.path.remove("")


def load(options: argparse.Namespace, source: str, compile: bool = True) -> Any:
    """Returns the model of a file; `options` are those of `add_options`."""
    objects: dict[str, Any] = {}
    for module in options.modules:
        objects |= _objects(module)
    return load_model(
        source,
        objects,
        compile,
        not options.unsafe,
        weights=options.weights,
    )


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


@contextlib.contextmanager
def plain_warnings(command: str) -> Iterator[None]:
    """Prints only the message of a warning, without the line of code."""
    usual = warnings.showwarning

    def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
        if category is not UserWarning:
            usual(message, category, *where, **more)
            return
        text = f"python -m keras_sepconv {command}: {in_own_words(message)}"
        print(text, file=sys.stderr)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield
