"""The command line of `python -m keras_sepconv stream`."""

import argparse
import json
from typing import Any

from keras_sepconv.tools import _source
from keras_sepconv.tools.report import console
from keras_sepconv.tools.streaming import streaming_model


def run(options: argparse.Namespace) -> int:
    """Makes a step model and reports; returns the exit code."""
    _source.check_target(options)
    model = _source.attempt("stream", lambda: _stream(options))
    if model is None:
        return 1
    report = model.streaming_report
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(report)
    return 0


def _stream(options: argparse.Namespace) -> Any:
    """Returns the step model, written to its file."""
    with console(stderr=True).status(f"reading {options.source}") as status:
        model = _source.load(options, options.source, compile=False)
        status.update(f"making {model.name} run step by step")
        step_model = streaming_model(
            model,
            options.chunk,
            window=options.window,
            verify=not options.no_verify,
        )
        status.update(f"writing {options.target}")
        _source.write(step_model, options.target)
    return step_model
