"""The tables that the benchmark prints."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_sepconv.bench import summary
from keras_sepconv.bench.results import (
    KINDS,
    BackendResult,
    CaseResult,
    Quartiles,
    Result,
    title,
)

# A console of this width has room for the description of a case.
_WIDE = 100

LEGEND = (
    "stock/ours: the time of stock Keras divided by ours, with the same "
    "weights; the median of the rounds. Below 1 ours is slower, and the number "
    "is marked 'loss'. Stock Keras is SeparableConv1D or SeparableConv2D, with "
    "its input padded by hand where padding is causal; for volumes it is "
    "Conv3D with as many groups as channels, then a 1x1x1 Conv3D. quartiles: "
    "those of stock/ours. ours/floor: our time divided by the time of the "
    "pointwise matrix product alone (in training: of its three products). "
    "Whole networks: predict_on_batch and train_on_batch; ours is the "
    "converted network, inference is the one converted with inference=True."
)
# The suite of a user's own model.
OWN = "model"
OWN_LEGEND = (
    "stock/ours: the time of your model divided by its time when accelerated; "
    "the median of the rounds. Below 1 accelerating makes it slower, and the "
    "number is marked 'loss'. quartiles: those of stock/ours. ours/inference: "
    "what convert_model(model, inference=True) gains over accelerating."
)


def number(value: float) -> str:
    """Returns a ratio or a time with three digits."""
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}"


def verdict(value: float) -> str:
    """Returns a ratio; a loss is marked by the word."""
    # A loss is never rounded up to 1.
    return f"loss {min(value, 0.99):.2f}" if value < 1 else number(value)


def _speedup(value: float) -> Text:
    return Text(verdict(value), "bold magenta" if value < 1 else "green")


def _quartiles(values: Quartiles) -> str:
    return f"{number(values[0])}-{number(values[2])}"


def _table(heading: str) -> Table:
    return Table(
        title=heading,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )


def report(console: Console, result: Result) -> None:
    """Prints all tables.

    Args:
        console: Where to print.
        result: The result of a run.
    """
    header(console, result)
    for backend in result["backends"]:
        for kind in summary.kinds(backend["cases"]):
            console.print(_cases(console.width >= _WIDE, backend, kind))
        for case in backend["cases"]:
            for message in case["wrong"]:
                console.print(
                    f"FAILED {case['name']}: {message}", style="bold red"
                )
        if any(not case["wrong"] for case in backend["cases"]):
            console.print(_groups(backend))
        costs = summary.cost_ratios(backend["cases"])
        if costs:
            console.print(_costs(backend, costs))
    suites = {c["suite"] for b in result["backends"] for c in b["cases"]}
    legend = OWN_LEGEND if suites == {OWN} else LEGEND
    console.print(legend, style="dim")


def header(console: Console, result: Result) -> None:
    """Prints what the run was made on."""
    lines = [f"{place(result)}, {result['date']}"]
    lines += [
        f"{title(backend)} on {backend['device']}: {how(backend)}"
        for backend in result["backends"]
    ]
    for line in lines:
        console.print(line, highlight=False)


def place(result: Result) -> str:
    """Returns the machine and the Python of a run."""
    machine = result["machine"]
    return (
        f"{machine['processor']}, {machine['cores'] or '?'} cores, "
        f"{machine['threads']} threads, {machine['system']}, "
        f"Python {machine['python']}"
    )


def how(backend: BackendResult) -> str:
    """Returns the versions and the time of a measurement."""
    versions = ", ".join(
        f"{name} {version or 'not installed'}"
        for name, version in backend["versions"].items()
    )
    return f"{versions}; {backend['seconds']:g} s a measurement"


# Ours as well, with the normalisations folded: the question is what that gains.
_FURTHER = "inference"


def _cases(wide: bool, backend: BackendResult, kind: str) -> Table:
    heading = "training step" if kind == "training" else kind
    table = _table(f"{title(backend)}: {heading}")
    table.add_column("case", no_wrap=True)
    if wide:
        table.add_column("shape", no_wrap=True)
    peers = _peers(backend["cases"], kind)
    for heading in ("stock\n/ours", "quartiles", "ours\nms", "ours\n/floor"):
        table.add_column(heading, justify="right", no_wrap=True)
    for peer in peers:
        heading = f"{peer}\n/ours"
        if peer == _FURTHER:
            heading = f"ours\n/{peer}"
        table.add_column(heading, justify="right", no_wrap=True)
    for case in backend["cases"]:
        name = [case["name"], case["description"]][: 2 if wide else 1]
        table.add_row(*name, *_measured(case, kind, peers))
    return table


def _peers(cases: list[CaseResult], kind: str) -> list[str]:
    found: dict[str, None] = {}
    for case in cases:
        if kind in case["measurements"]:
            found.update(dict.fromkeys(case["measurements"][kind]["peers"]))
    return list(found)


def _measured(case: CaseResult, kind: str, peers: list[str]) -> list[Any]:
    if case["wrong"]:
        return [Text("FAILED", "bold red"), *[""] * (3 + len(peers))]
    if kind not in case["measurements"]:
        return [""] * (4 + len(peers))
    measurement = case["measurements"][kind]
    floor = measurement["over_floor"]
    return [
        _speedup(measurement["speedup"][1]),
        _quartiles(measurement["speedup"]),
        number(measurement["milliseconds"]["ours"][1]),
        "" if floor is None else number(floor[1]),
        # A peer may not support a case.
        *(
            _speedup(_against(peer, measurement["peers"][peer][1]))
            if peer in measurement["peers"]
            else ""
            for peer in peers
        ),
    ]


def _against(peer: str, ratio: float) -> float:
    return 1 / ratio if peer == _FURTHER else ratio


def _groups(backend: BackendResult) -> Table:
    table = _table(f"{title(backend)}: stock/ours, together")
    table.add_column("cases", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("geometric\nmean", justify="right", no_wrap=True)
    table.add_column("worst", justify="right", no_wrap=True)
    table.add_column("of")
    for name in summary.groups(backend["cases"]):
        for kind in KINDS:
            group = summary.group(backend["cases"], name, kind)
            if group is None:
                continue
            first = kind == KINDS[0]
            table.add_row(
                f"{name} ({group.size})" if first else "",
                kind,
                _speedup(group.mean),
                _speedup(group.worst),
                group.where,
            )
    return table


def _costs(
    backend: BackendResult,
    costs: dict[str, list[tuple[float, str]]],
) -> Table:
    table = _table(f"{title(backend)}: other costs, stock/ours")
    table.add_column("", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("worst", justify="right", no_wrap=True)
    table.add_column("of")
    for name, ratios in costs.items():
        median, worst, where = summary.median_and_worst(ratios)
        table.add_row(name, _speedup(median), _speedup(worst), where)
    return table


def compare(console: Console, old: Result, new: Result) -> None:
    """Prints the speed-ups of two runs side by side."""
    for difference in summary.differences(old, new):
        console.print(f"Not the same in both: {difference}", style="bold")
    found = False
    for before, now in summary.pairs(old, new):
        found = True
        table = _table(f"{title(now)}: stock/ours, then and now")
        table.add_column("case", no_wrap=True)
        table.add_column("")
        for heading in ("then", "now", "change"):
            table.add_column(heading, justify="right", no_wrap=True)
        for change in summary.changes(before, now):
            table.add_row(*_changed(change))
        console.print(table)
    if not found:
        console.print("The older run has nothing that can be compared.")


def _changed(change: summary.Change) -> list[Any]:
    name = change.case if change.kind == KINDS[0] else ""
    old, new = change.old, change.new
    percent = ""
    if old is not None and new is not None:
        percent = f"{100 * (new / old - 1):+.0f} %"
    return [
        name,
        change.kind,
        "-" if old is None else _speedup(old),
        "-" if new is None else _speedup(new),
        percent,
    ]
