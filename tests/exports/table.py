"""Exports every cell with stock Keras's layers and with ours, and compares.

    python tests/exports/table.py

This writes the results into docs/export.md: for each backend and format, how
many cells are right in the runtime, how many operations the files have, and the
errors. `tox run -e exports` has all packages that it needs.
"""

import json
import pathlib
import sys
import tempfile
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import tables

MARK = "<!-- made by tests/exports/table.py: -->\n"
BACKENDS = ("tensorflow", "jax", "torch", "openvino")
HOMES = {"stock": "keras.layers", "ours": "keras_sepconv"}

# For one format, by home and cell: the error and the number of operations.
Results = dict[str, dict[str, tuple[str | None, int]]]


def tried() -> dict[str, Results]:
    """Exports every cell under the active backend."""
    from cells import CELLS, CELLS_OF_OURS, run
    from formats import FORMATS

    found: dict[str, Results] = {}
    for form in FORMATS:
        for home, module in HOMES.items():
            cells = CELLS if home == "stock" else {**CELLS, **CELLS_OF_OURS}
            results = found.setdefault(form, {}).setdefault(home, {})
            for name, cell in cells.items():
                with tempfile.TemporaryDirectory() as folder:
                    results[name] = run(
                        cell, module, form, pathlib.Path(folder)
                    )
    return found


def table(found: dict[str, dict[str, Results]]) -> Iterator[str]:
    """Yields the lines of the page."""
    columns = ["backend", "format", "stock", "ours"]
    columns += ["operations, stock", "ours", "only ours"]
    yield "| " + " | ".join(columns) + " |"
    yield "|---" * len(columns) + "|"
    for backend, forms in found.items():
        for form, results in forms.items():
            shared = set(results["stock"])
            more = set(results["ours"]) - shared
            yield (
                "| "
                + " | ".join(
                    [
                        backend,
                        f"`{form}`",
                        right(results["stock"], shared),
                        right(results["ours"], shared),
                        *operations(results),
                        right(results["ours"], more),
                    ]
                )
                + " |"
            )
    yield ""
    yield "These exports failed. A *cell* is one layer in one format. The"
    yield "errors are cut."
    yield ""
    yield "| backend | format | cells | stock | ours |"
    yield "|---|---|---|---|---|"
    for backend, forms in found.items():
        for form, results in forms.items():
            rows: dict[tuple[str, str], list[str]] = {}
            for name, (problem, _) in results["ours"].items():
                stock = results["stock"].get(name, ("has none", 0))[0]
                if problem or (stock and stock != "has none"):
                    key = (stock or "right", problem or "right")
                    rows.setdefault(key, []).append(name)
            for (stock, ours), names in rows.items():
                cells = ", ".join(names)
                yield f"| {backend} | `{form}` | {cells} | {stock} | {ours} |"


def right(results: dict[str, tuple[str | None, int]], names: set[str]) -> str:
    """Returns in words how many of the cells were right."""
    good = sum(results[name][0] is None for name in names)
    return f"{good} of {len(names)}"


def operations(results: Results) -> tuple[str, str]:
    """Returns the numbers of operations, for cells that are right with both."""
    both = [
        name
        for name, (problem, nodes) in results["stock"].items()
        if problem is None and results["ours"][name][0] is None and nodes
    ]
    sums = [sum(results[home][name][1] for name in both) for home in HOMES]
    return (str(sums[0]), str(sums[1])) if both else ("", "")


def main() -> None:
    """Runs each backend in a new process, and writes the page."""
    if sys.argv[1:]:
        pathlib.Path(sys.argv[1]).write_text(json.dumps(tried()))
        return
    found = {
        backend: tables.run(__file__, environment={"KERAS_BACKEND": backend})
        for backend in BACKENDS
    }
    tables.write("export.md", MARK, "\n".join(table(found)) + "\n")


if __name__ == "__main__":
    main()
