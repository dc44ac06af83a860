"""Converts and checks the arguments of the command line."""

import argparse
import importlib.util
import math
import pathlib

from keras_sepconv.bench import results

_PICTURES = (".png", ".svg", ".pdf")


def seconds(text: str) -> float:
    """Returns a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be a positive number of seconds. Received: {text}"
        )
    return value


def writable(text: str) -> pathlib.Path:
    """Returns the path of a file that can be written."""
    path = pathlib.Path(text)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a file in a folder that exists. Received: {text}"
        )
    return path


def picture(text: str) -> pathlib.Path:
    """Returns the path of a picture that can be written."""
    path = writable(text)
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


def result(text: str) -> results.Result:
    """Returns the result of an older run."""
    try:
        return results.load(pathlib.Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"must be a file that --json wrote ({error}). Received: {text}"
        ) from error
