"""The tables that the benchmark prints, and the picture of `--plot`."""

import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_sepconv._arguments import OVERHEAD
from keras_sepconv.bench import results
from keras_sepconv.bench.results import ALL, KINDS, OWN, Result, title
from keras_sepconv.tools.commands import shared

LEGEND = (
    "stock/ours: the time of stock Keras divided by ours; the median of the "
    "rounds. Below 1 ours is slower, and the number is marked 'loss'. "
    "quartiles: those of stock/ours."
)
LEGENDS = {
    OWN: f"{LEGEND} Ours is your model after accelerate. ours/inference: what "
    "convert_model(model, inference=True) gains over that.",
    OVERHEAD: "CPU time of one eager call on one thread, for an image of 8x8 "
    "with 8 channels. accelerated: stock Keras after accelerate.",
}
LEGEND += (
    " ours/floor: our time divided by the time of the pointwise matrix product "
    "alone (in training: of its three products)."
)
KIND_NAMES = {"forward": "forward", "training": "training step"}
# The colours of Okabe and Ito, and shapes for those who see no colours.
_FORWARD, _TRAINING = ("#0072b2", "o", -0.17), ("#e69f00", "s", 0.17)
STYLES = {"forward": _FORWARD, "training": _TRAINING}


def number(value: float) -> str:
    """Returns a ratio or a time with three digits."""
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}"


def verdict(value: float) -> str:
    """Returns a ratio; a loss is marked by the word, never rounded up to 1."""
    return f"loss {min(value, 0.99):.2f}" if value < 1 else number(value)


def _ratio(value: float) -> Text:
    return Text(verdict(value), "bold magenta" if value < 1 else "green")


def place(result: Result) -> str:
    """Returns the machine and the Python of a run."""
    text = "{processor}, {cores} cores, {threads} threads, {system}, "
    text += "Python {python}"
    return text.format(**result["machine"]).replace("None", "?")


def how(backend: Result) -> str:
    """Returns the device, the versions and the time of a measurement."""
    versions = [
        f"{name} {version or 'not installed'}"
        for name, version in backend["versions"].items()
    ]
    return f"{', '.join(versions)}; {backend['seconds']:g} s a measurement"


def report(console: Console, result: Result) -> None:
    """Prints all tables."""
    console.print(f"{place(result)}, {result['date']}", highlight=False)
    for backend in result["backends"]:
        line = f"{title(backend)} on {backend['device']}: {how(backend)}"
        console.print(line, highlight=False)
    for backend in result["backends"]:
        for table in _tables(backend, console.width >= 100):
            console.print(table)
        for case in backend["cases"]:
            for message in case["wrong"]:
                line = f"FAILED {case['name']}: {message}"
                console.print(line, style="bold red")
    suite = result["backends"][0]["cases"][0]["suite"]
    console.print(LEGENDS.get(suite, LEGEND), style="dim")


def _tables(backend: Result, wide: bool) -> Iterator[Table]:
    name, cases = title(backend), backend["cases"]
    if results.suites(backend) == [OVERHEAD]:
        times = [_times(case["measurements"].get("forward")) for case in cases]
        yield _cases(f"{name}: microseconds", cases, times, wide)
        return
    for kind, words in KIND_NAMES.items():
        ratios = [_ratios(case["measurements"].get(kind)) for case in cases]
        if any(ratios) or any(case["wrong"] for case in cases):
            yield _cases(f"{name}: {words}", cases, ratios, wide)
    headings = ("cases", "", "geometric\nmean", "worst", "of")
    groups = list(_groups(backend))
    if groups:
        yield _table(f"{name}: stock/ours, together", headings, groups)


def _table(heading: str, columns: Iterable[str], rows: Iterable[Any]) -> Table:
    table = shared.table(heading)
    for name in columns:
        is_text = name in ("", "of", "case", "cases", "shape")
        justify: Any = "left" if is_text else "right"
        table.add_column(name, justify=justify, no_wrap=name != "of")
    for row in rows:
        table.add_row(*row)
    return table


def _cases(heading: str, cases: Any, found: list[Any], wide: bool) -> Table:
    """Returns a table of cases with the cells found, which may lack some."""
    columns = list(dict.fromkeys(name for row in found for name in row)) or [""]
    rows = []
    for case, row in zip(cases, found, strict=True):
        texts = [row.get(name, "") for name in columns]
        if case["wrong"]:
            texts[0] = Text("FAILED", "bold red")
        names = [case["name"], case["description"]][: 1 + wide]
        rows.append([*names, *texts])
    return _table(heading, [*["case", "shape"][: 1 + wide], *columns], rows)


def _ratios(measurement: Result | None) -> dict[str, Any]:
    if measurement is None:
        return {}
    low, middle, high = measurement["speedup"]
    cells = {
        "stock\n/ours": _ratio(middle),
        "quartiles": f"{number(low)}-{number(high)}",
        "ours\nms": number(measurement["milliseconds"]["ours"][1]),
    }
    if measurement["over_floor"]:
        cells["ours\n/floor"] = number(measurement["over_floor"][1])
    for name, (_, ratio, _) in measurement["peers"].items():
        if name == "inference":  # Ours as well: what does folding gain?
            cells["ours\n/inference"] = _ratio(1 / ratio)
        else:
            cells[f"{name}\n/ours"] = _ratio(ratio)
    return cells


def _times(measurement: Result | None) -> dict[str, str]:
    times = measurement["milliseconds"] if measurement else {}
    return {name: number(1000 * times[name][1]) for name in times}


def _groups(backend: Result) -> Iterator[Any]:
    suites = results.suites(backend)
    for name in [*suites, ALL] if len(suites) > 1 else suites:
        for kind in KINDS:
            group = results.group(backend["cases"], name, kind)
            if group is not None:
                size, mean, worst, where = group
                first = f"{name} ({size})" if kind == KINDS[0] else ""
                yield first, kind, _ratio(mean), _ratio(worst), where


def plot(result: Result, path: pathlib.Path) -> None:
    """Draws the speed-ups of all cases, a panel for each backend."""
    # Not everybody has matplotlib.
    import matplotlib
    from matplotlib.figure import Figure

    backends = result["backends"]
    rows = max(len(backend["cases"]) for backend in backends)
    # The same bytes each time, for version control.
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "sepconv"}):
        size = (4.8 * len(backends), 2.2 + 0.21 * rows)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(backends), squeeze=False)[0]
        for axes, backend in zip(panels, backends, strict=True):
            _panel(axes, backend)
        marks = panels[0].get_legend_handles_labels()
        figure.legend(*marks, loc="outside lower left", ncols=2)
        none = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        metadata = none.get(path.suffix.lower())
        figure.savefig(path, dpi=200, metadata=metadata)


def _panel(axes: Any, backend: Result) -> None:
    cases = backend["cases"]
    for kind, (color, mark, shift) in STYLES.items():
        found = [
            (row + shift, *case["measurements"][kind]["speedup"])
            for row, case in enumerate(cases)
            if kind in case["measurements"]
        ]
        rows, low, middle, high = (
            zip(*found, strict=True) if found else [()] * 4
        )
        axes.hlines(rows, low, high, color)
        axes.plot(middle, rows, mark, color=color, label=KIND_NAMES[kind])
    for row, case in enumerate(cases):
        if case["wrong"]:
            axes.text(1, row, " FAILED", va="center", weight="bold")
    axes.set_xscale("log")
    left, right = axes.get_xlim()
    axes.axvspan(min(left, 0.6), 1, color="#eeeeee", zorder=0)
    axes.axvline(1, color="black", linewidth=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(cases)), [case["name"] for case in cases])
    axes.set(
        xlim=(min(left, 0.6), max(right, 2)),
        ylim=(len(cases) - 0.4, -0.6),
        xlabel="time of stock Keras / time of ours\n"
        "line: quartiles; gray: a loss",
        title=f"{title(backend)}: times faster\nthan stock Keras",
    )
