"""The command line of `python -m keras_sepconv stream`."""

import argparse
from typing import Any

from keras_sepconv.tools.commands import shared
from keras_sepconv.tools.streaming.model import streaming_model


def run(options: argparse.Namespace) -> int:
    """Makes a step model and reports; returns the exit code."""
    shared.check_target(options)
    model = shared.attempt("stream", lambda: _stream(options))
    if model is None:
        return 1
    shared.print_report(model.streaming_report, options)
    return 0


def _stream(options: argparse.Namespace) -> Any:
    """Returns the step model, written to its file."""
    with shared.console().status(f"reading {options.source}") as status:
        model = shared.load(options, options.source, compile=False)
        status.update(f"making {model.name} run step by step")
        step_model = streaming_model(
            model,
            options.chunk,
            window=options.window,
            verify=not options.no_verify,
        )
        status.update(f"writing {options.target}")
        shared.write(step_model, options.target)
    return step_model
