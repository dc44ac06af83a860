"""Runs every mode with every subject, with stock Keras and with ours.

    python tests/transformations/table.py

This writes the results into docs/reliability.md. It needs all three frameworks
and takes about an hour on two cores. With the name of a backend and a file, it
runs only that backend and writes JSON:

    KERAS_BACKEND=jax python tests/transformations/table.py jax found.json
"""

import json
import pathlib
import sys
import textwrap
from collections.abc import Iterator

TESTS = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "exports")]

import tables  # noqa: E402

MARK = "<!-- made by tests/transformations/table.py: -->\n"
BACKENDS = ("jax", "tensorflow", "torch")
FLAGS = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}

# For each mode and subject: what is wrong with the result of stock Keras, and
# with ours. An empty text means that nothing is wrong.
Found = dict[str, dict[str, tuple[str, str]]]


def tried() -> Found:
    """Runs every cell under the active backend."""
    from backends import use_several_devices
    from outcomes import (
        MODES,
        RIGHT,
        as_if_large,
        every_cell,
        outcome,
        problem,
    )

    use_several_devices()
    found: Found = {}
    with as_if_large():
        for mode, subject in every_cell():
            said = []
            results = [outcome(MODES[mode], subject, who) for who in WHO]
            right = results[0]
            if mode in RIGHT:
                right = outcome(RIGHT[mode], subject, "stock")
            for result, error in results:
                if result is not None and right[0] is not None:
                    error = problem(subject, result, right[0]) or ""
                said.append(error)
            found.setdefault(mode, {})[str(subject)] = (said[0], said[1])
    return found


WHO = ("stock", "ours")


def table(found: dict[str, Found]) -> Iterator[str]:
    """Yields the transformations that fail for some cell, then the others."""
    yield "These transformations do not work for every cell:"
    yield ""
    yield "| backend | transformation | stock | ours | the errors |"
    yield "|---|---|---|---|---|"
    right: dict[str, list[str]] = {}
    for backend, modes in found.items():
        for mode, subjects in modes.items():
            counts = [
                f"{sum(not said[who] for said in subjects.values())}"
                f" of {len(subjects)}"
                for who in range(2)
            ]
            reasons = sorted(
                {
                    f"{who}: {said[number].replace('|', '/')[:80]}"
                    for said in subjects.values()
                    for number, who in enumerate(WHO)
                    if said[number]
                }
            )
            words = mode.replace("_", " ")
            if not reasons:
                right.setdefault(backend, []).append(words)
                continue
            yield (
                f"| {backend} | {words} | {counts[0]} | {counts[1]} "
                f"| {'; '.join(reasons[:2])} |"
            )
    yield ""
    yield "All others work for every cell, with stock Keras and with ours:"
    yield ""
    for backend, names in right.items():
        line = f"- {backend}: {', '.join(names)}"
        yield textwrap.fill(line, 80, subsequent_indent="  ")


def totals(found: dict[str, Found]) -> Iterator[str]:
    """Yields a table of how many cells are right under each backend."""
    yield (
        "| backend | transformations | cells | right with stock Keras "
        "| right with ours |"
    )
    yield "|---|---|---|---|---|"
    for backend, modes in found.items():
        cells = [said for mode in modes.values() for said in mode.values()]
        stock, ours = (sum(not said[who] for said in cells) for who in (0, 1))
        yield f"| {backend} | {len(modes)} | {len(cells)} | {stock} | {ours} |"
    yield ""


def main() -> None:
    """Runs each backend in a new process, and writes the page."""
    if sys.argv[2:]:
        pathlib.Path(sys.argv[2]).write_text(json.dumps(tried()))
        return
    found = {
        backend: tables.run(
            __file__, backend, environment={"KERAS_BACKEND": backend, **FLAGS}
        )
        for backend in BACKENDS
    }
    lines = [*totals(found), *table(found)]
    tables.write("reliability.md", MARK, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
