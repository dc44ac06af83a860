"""`python -m keras_sepconv`, or `keras-sepconv`."""

import sys
from collections.abc import Sequence

from keras_sepconv import _arguments
from keras_sepconv.bench import command as bench
from keras_sepconv.tools.commands import convert, info, stream

_COMMANDS = {
    "bench": bench.run,
    "convert": convert.run,
    "info": info.run,
    "stream": stream.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
        arguments: The arguments; `None` for those of the process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    options = _arguments.parse(words)
    return _COMMANDS[options.command](options)


if __name__ == "__main__":
    sys.exit(main())
