"""Runs commands side by side, as many at a time as there are cores.

    python tests/side_by_side.py "KERAS_BACKEND=jax pytest tests" "mypy" ...

A command may begin with settings of the environment. The output of a command is
printed when it ends. The exit code is 1 if a command failed. Put long commands
first.
"""

import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import time

# Each of the commands may import several frameworks and take 3 GB.
MOST = 4


def run(line: str) -> int:
    """Runs a command, prints its output, and returns its exit code."""
    words = shlex.split(line)
    environment = dict(os.environ)
    while re.match(r"\w+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    start = time.monotonic()
    done = subprocess.run(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.monotonic() - start
    end = f"exit code {done.returncode} after {seconds:.0f} seconds"
    # One call, so that the lines of two commands do not mix.
    print(f"\n$ {line}\n{done.stdout}{line}: {end}\n", end="", flush=True)
    return done.returncode


def main() -> int:
    cores = min(os.cpu_count() or 1, MOST)
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        codes = list(pool.map(run, sys.argv[1:]))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
