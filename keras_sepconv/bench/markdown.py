"""The tables of one or several runs as Markdown."""

import itertools
from collections.abc import Iterable, Sequence

from keras_sepconv._arguments import APPLICATIONS as NETWORKS
from keras_sepconv.bench import summary
from keras_sepconv.bench._markdown_cases import suite_tables, table
from keras_sepconv.bench.report import LEGEND, how, place, verdict
from keras_sepconv.bench.results import (
    KINDS,
    BackendResult,
    Result,
    title,
)

_NAMES = {"forward": "forward", "training": "training step"}


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


def merged(runs: Iterable[Result]) -> list[BackendResult]:
    """Returns each backend once, with its cases from all runs.

    Raises:
        ValueError: A case was run twice with the same settings.
    """
    found: dict[str, BackendResult] = {}
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


def _of(backends: list[BackendResult]) -> list[str]:
    """Returns the suites."""
    suites = (c["suite"] for backend in backends for c in backend["cases"])
    return list(dict.fromkeys(suites))


def heading(suite: str) -> str:
    """Returns the heading of a suite's cases."""
    return "Whole networks" if suite == NETWORKS else f"Suite `{suite}`"


def cases(backends: list[BackendResult], suite: str) -> str:
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


def _summary(backends: list[BackendResult]) -> str:
    """Returns a table of means and worst cases for each backend."""
    headings = ["suite", "cases"]
    for kind in KINDS:
        headings += [f"{_NAMES[kind]}, mean", "worst"]
    tables = []
    for backend in backends:
        rows = []
        for name in _of([backend]):
            groups = [
                group
                for kind in KINDS
                if (group := summary.group(backend["cases"], name, kind))
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


def _losses(backends: list[BackendResult]) -> str:
    """Returns every measurement in which stock Keras was faster."""
    measurements = [
        (measurement["speedup"], title(backend), case["name"], _NAMES[kind])
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


def _costs(backends: list[BackendResult]) -> str:
    rows = []
    for backend in backends:
        for name, ratios in summary.cost_ratios(backend["cases"]).items():
            median, worst, where = summary.median_and_worst(ratios)
            row = (title(backend), name, verdict(median), verdict(worst), where)
            rows.append(row)
    headings = ("backend", "stock/ours", "median", "worst", "of")
    return table(headings, rows, words=2) if rows else ""
