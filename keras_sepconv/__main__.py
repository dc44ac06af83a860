"""`python -m keras_sepconv`, or `keras-sepconv`."""

import argparse
import sys
from collections.abc import Sequence

from keras_sepconv._version import __version__
from keras_sepconv.bench import command as bench
from keras_sepconv.tools import command as convert
from keras_sepconv.tools import info


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
        arguments: The arguments; `None` for those of the process.
    """
    parser = argparse.ArgumentParser(
        "python -m keras_sepconv", description="Separable convolutions."
    )
    parser.add_argument(
        "--version", action="version", version=f"keras_sepconv {__version__}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    bench.add_to(commands)
    convert.add_to(commands)
    info.add_to(commands)
    words = sys.argv[1:] if arguments is None else arguments
    if list(words).count("--") > 1:
        # argparse turns the second one into an argument that is an empty list.
        parser.error(
            f"argument --: must be used once. Received: {' '.join(words)}"
        )
    options = parser.parse_args(words)
    code: int = options.run(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
