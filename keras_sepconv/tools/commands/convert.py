"""The command line of `python -m keras_sepconv convert`."""

import argparse
from typing import Any

from keras_sepconv import kernels
from keras_sepconv.tools.commands import shared
from keras_sepconv.tools.conversion.convert import convert_model, restore_model


def run(options: argparse.Namespace) -> int:
    """Converts and reports; returns the exit code."""
    refuse = options.refuse
    shared.check_target(options)
    if options.restore and (options.inference or options.implementation):
        refuse(
            "argument --restore: must be used without --inference and "
            "--implementation"
        )
    for name in ("copies", "equalize"):
        if getattr(options, name) and not options.inference:
            refuse(f"argument --{name}: must be used with --inference")
    try:
        kernels.check_name(options.implementation)
    except ValueError as error:
        refuse(f"argument --implementation: {error}")
    model = shared.attempt("convert", lambda: _convert(options))
    if model is None:
        return 1
    shared.print_report(model.conversion_report, options)
    return 0


def _convert(options: argparse.Namespace) -> Any:
    """Returns the new model, written to its file."""
    verify = not options.no_verify
    with shared.console().status(f"reading {options.source}") as status:
        model = shared.load(options, options.source)
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
        shared.write(other, options.target)
    return other
