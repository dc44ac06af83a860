"""Writes the tables of one or several runs as Markdown.

    python docs/figures/tables.py run.json [more.json ...] > run.md

The runs are what `python -m keras_sepconv bench --json FILE` wrote. The pages
of results use the same functions.
"""

import itertools
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from keras_sepconv.bench import results
from keras_sepconv.bench.report import (
    KIND_NAMES,
    LEGEND,
    how,
    number,
    place,
    verdict,
)
from keras_sepconv.bench.results import KINDS, Result, suites, title

# The suite of `tests/models/networks.py`.
NETWORKS = "applications"

# Returns the text of a cell, or `None` if the measurement does not have it.
Cell = Callable[[Result], str | None]


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> str:
    """Returns a Markdown table; its first `words` columns are not numbers."""
    rule = ["---"] * words + ["---:"] * (len(headings) - words)
    lines = [headings, rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def suite_tables(backends: list[Result], suite: str) -> list[str]:
    """Returns the tables of the cases of a suite."""
    chosen: list[Result] = []
    for backend in backends:
        cases = [case for case in backend["cases"] if case["suite"] == suite]
        if cases:
            chosen.append({**backend, "cases": cases})
    failures = [
        f"FAILED, {title(backend)}, {case['name']}: {message}"
        for backend in chosen
        for case in backend["cases"]
        for message in case["wrong"]
    ]
    how = "forward / training step"
    columns = [(title(backend), backend) for backend in chosen]
    tables = [
        f"Times faster than stock Keras (stock/ours), {how}:",
        _cases([(*column, _speedup) for column in columns]),
        *failures,
        f"Our time in milliseconds, {how}:",
        _cases([(*column, _milliseconds) for column in columns]),
    ]
    if suite == NETWORKS:
        return [*tables, *_inference(chosen)]
    peers = [
        (f"{peer} on {heading}", backend, _peer(peer))
        for heading, backend in columns
        for peer in _peers(backend)
    ]
    tables += [
        f"Our time over the matrix product's (ours/floor), {how}:",
        _cases([(*column, _over_floor) for column in columns]),
    ]
    if peers:
        tables += [
            f"The time of other layers over ours (peer/ours), {how}:",
            _cases(peers),
        ]
    return tables


def _inference(backends: list[Result]) -> Iterator[str]:
    """Yields the prediction times of networks converted for inference."""
    for above, below in (("stock", "inference"), ("openvino", "inference")):
        columns = [
            (title(backend), backend, _of_medians(above, below))
            for backend in backends
            if any(
                above in measurement["milliseconds"]
                for case in backend["cases"]
                for measurement in case["measurements"].values()
            )
        ]
        if columns:
            yield f"Predicting, {above}/{below}, of the median times:"
            yield _cases(columns)


def _of_medians(above: str, below: str) -> Cell:
    def cell(measurement: Result) -> str | None:
        times = measurement["milliseconds"]
        if above not in times or below not in times:
            return None
        return verdict(times[above][1] / times[below][1])

    return cell


def _cases(columns: Sequence[tuple[str, Result, Cell]]) -> str:
    """Returns a table of cases.

    A column has a heading, a backend, and a function that makes the cells.
    """
    shapes = {
        case["name"]: case["description"]
        for _, backend, _ in columns
        for case in backend["cases"]
    }
    by_name = [
        ({case["name"]: case for case in backend["cases"]}, cell)
        for _, backend, cell in columns
    ]
    rows = [
        (
            name,
            *(_said(cases.get(name), cell) for cases, cell in by_name),
            shape,
        )
        for name, shape in shapes.items()
    ]
    headings = [heading for heading, _, _ in columns]
    # The shape comes last, because a phone shows only the first columns.
    return table(["case", *headings, "shape"], rows)


def _said(case: Result | None, cell: Cell) -> str:
    if case is None:
        return "-"
    if case["wrong"]:
        return "FAILED"
    texts = [cell(measurement) for measurement in case["measurements"].values()]
    return " / ".join(text for text in texts if text is not None) or "-"


def _speedup(measurement: Result) -> str:
    return verdict(measurement["speedup"][1])


def _milliseconds(measurement: Result) -> str:
    return number(measurement["milliseconds"]["ours"][1])


def _over_floor(measurement: Result) -> str | None:
    ratios = measurement["over_floor"]
    return None if ratios is None else number(ratios[1])


def _peers(backend: Result) -> list[str]:
    names = (
        name
        for case in backend["cases"]
        for measurement in case["measurements"].values()
        for name in measurement["peers"]
    )
    return list(dict.fromkeys(names))


def _peer(name: str) -> Cell:
    def cell(measurement: Result) -> str | None:
        ratios = measurement["peers"].get(name)
        return None if ratios is None else verdict(ratios[1])

    return cell


def document(runs: Sequence[Result]) -> str:
    """Returns all tables, with the machines and the versions.

    Args:
        runs: The results. The runs of one backend are merged.
    """
    parts = [f"## {name}\n\n{text}" for name, text in sections(runs).items()]
    return "\n\n".join(parts) + "\n"


def sections(runs: Sequence[Result]) -> dict[str, str]:
    """Returns the text of each section of `document`, by its heading."""
    backends = merged(runs)
    found = {
        "Summary": f"{_summary(backends)}\n\n{LEGEND}",
        "Losses": _losses(backends),
        **{heading(suite): cases(backends, suite) for suite in _of(backends)},
        "Compiling and memory": _costs(backends),
        "Machines and versions": _machines(runs),
    }
    return {name: text for name, text in found.items() if text}


def merged(runs: Iterable[Result]) -> list[Result]:
    """Returns each backend once, with its cases from all runs.

    Raises:
        ValueError: A case was run twice with the same settings.
    """
    found: dict[str, Result] = {}
    for run in runs:
        for backend in run["backends"]:
            name = title(backend)
            first = found.get(name, {**backend, "cases": []})
            cases = [*first["cases"], *backend["cases"]]
            names = [case["name"] for case in cases]
            if len(set(names)) < len(names):
                twice = max(names, key=names.count)
                raise ValueError(f"{name} has the case {twice} twice.")
            found[name] = {**first, "cases": cases}
    return list(found.values())


def _of(backends: list[Result]) -> list[str]:
    """Returns the suites of all backends."""
    return list(dict.fromkeys(s for b in backends for s in suites(b)))


def heading(suite: str) -> str:
    """Returns the heading of a suite's cases."""
    return "Whole networks" if suite == NETWORKS else f"Suite `{suite}`"


def cases(backends: list[Result], suite: str) -> str:
    """Returns the tables of a suite's cases."""
    return "\n\n".join(suite_tables(backends, suite))


def _machines(runs: Sequence[Result]) -> str:
    return "\n".join(
        f"- {title(backend)} on {backend['device']} "
        f"({', '.join(_of([backend]))}): {how(backend)}; {place(run)}; "
        f"{run['date']}"
        for run in runs
        for backend in run["backends"]
    )


def _summary(backends: list[Result]) -> str:
    """Returns a table of means and worst cases for each backend."""
    headings = ["suite", "cases"]
    for kind in KINDS:
        headings += [f"{KIND_NAMES[kind]}, mean", "worst"]
    tables = []
    for backend in backends:
        rows = []
        for name in _of([backend]):
            groups = [
                group
                for kind in KINDS
                if (group := results.group(backend["cases"], name, kind))
            ]
            if groups:
                cells = (
                    (verdict(g.mean), f"{verdict(g.worst)} ({g.where})")
                    for g in groups
                )
                size = str(groups[0].size)
                rows.append([name, size, *itertools.chain(*cells)])
        if rows:
            tables.append(f"**{title(backend)}**\n\n{table(headings, rows)}")
    return "\n\n".join(tables)


def _losses(backends: list[Result]) -> str:
    """Returns every measurement in which stock Keras was faster."""
    measurements = [
        (measurement["speedup"], title(backend), case["name"], KIND_NAMES[kind])
        for backend in backends
        for case in backend["cases"]
        for kind, measurement in case["measurements"].items()
    ]
    lost = sorted(m for m in measurements if m[0][1] < 1)
    text = (
        f"Stock Keras was faster in {len(lost)} of {len(measurements)} "
        "measurements."
    )
    if not lost:
        return text
    rows = [
        (name, where, kind, verdict(q[1]), f"{q[0]:.2f} to {q[2]:.2f}")
        for q, where, name, kind in sorted(lost, key=lambda m: m[0][1])
    ]
    headings = ("case", "backend", "", "stock/ours", "quartiles")
    return f"{text}\n\n{table(headings, rows, words=3)}"


def _costs(backends: list[Result]) -> str:
    rows = []
    for backend in backends:
        for name, ratios in cost_ratios(backend["cases"]).items():
            median = statistics.median(ratio for ratio, _ in ratios)
            worst, where = min(ratios)
            row = (title(backend), name, verdict(median), verdict(worst), where)
            rows.append(row)
    headings = ("backend", "stock/ours", "median", "worst", "of")
    return table(headings, rows, words=2) if rows else ""


def cost_ratios(cases: list[Result]) -> dict[str, list[tuple[float, str]]]:
    """Returns the costs of stock Keras divided by ours, by kind of cost.

    Each ratio has the name of its case. Only JAX reports costs.
    """
    found: dict[str, list[tuple[float, str]]] = {}
    for case in cases:
        stock, ours = case["costs"].get("stock"), case["costs"].get("ours")
        if stock is None or ours is None:
            continue
        pairs = {
            f"compile time, {kind}": (seconds, ours["compile_seconds"][kind])
            for kind, seconds in stock["compile_seconds"].items()
        }
        pairs["memory, training"] = (stock["peak_bytes"], ours["peak_bytes"])
        for name, (above, below) in pairs.items():
            if above and below:
                pair = (above / below, case["name"])
                found.setdefault(name, []).append(pair)
    return found


if __name__ == "__main__":
    print(document([results.load(pathlib.Path(p)) for p in sys.argv[1:]]))
