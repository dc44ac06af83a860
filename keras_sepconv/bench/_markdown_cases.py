"""The Markdown tables of the cases of a suite, a column for each backend."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from keras_sepconv._arguments import APPLICATIONS as NETWORKS
from keras_sepconv.bench.report import number, verdict
from keras_sepconv.bench.results import (
    BackendResult,
    CaseResult,
    Measurement,
    title,
)

# Returns the text of a cell, or `None` if the measurement does not have it.
Cell = Callable[[Measurement], str | None]


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> str:
    """Returns a Markdown table; its first `words` columns are not numbers."""
    rule = ["---"] * words + ["---:"] * (len(headings) - words)
    lines = [headings, rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def suite_tables(backends: list[BackendResult], suite: str) -> list[str]:
    """Returns the tables of the cases of a suite."""
    chosen: list[BackendResult] = []
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
    ]
    if suite == NETWORKS:
        return [*tables, *_inference(chosen)]
    peers = [
        (f"{peer} on {heading}", backend, _peer(peer))
        for heading, backend in columns
        for peer in _peers(backend)
    ]
    tables += [
        f"Our time in milliseconds, {how}:",
        _cases([(*column, _milliseconds) for column in columns]),
        f"Our time over the matrix product's (ours/floor), {how}:",
        _cases([(*column, _over_floor) for column in columns]),
    ]
    if peers:
        tables += [
            f"The time of other layers over ours (peer/ours), {how}:",
            _cases(peers),
        ]
    return tables


def _inference(backends: list[BackendResult]) -> Iterator[str]:
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
    def cell(measurement: Measurement) -> str | None:
        times = measurement["milliseconds"]
        if above not in times or below not in times:
            return None
        return verdict(times[above][1] / times[below][1])

    return cell


def _cases(columns: Sequence[tuple[str, BackendResult, Cell]]) -> str:
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


def _said(case: CaseResult | None, cell: Cell) -> str:
    if case is None:
        return "-"
    if case["wrong"]:
        return "FAILED"
    texts = [cell(measurement) for measurement in case["measurements"].values()]
    return " / ".join(text for text in texts if text is not None) or "-"


def _speedup(measurement: Measurement) -> str:
    return verdict(measurement["speedup"][1])


def _milliseconds(measurement: Measurement) -> str:
    return number(measurement["milliseconds"]["ours"][1])


def _over_floor(measurement: Measurement) -> str | None:
    ratios = measurement["over_floor"]
    return None if ratios is None else number(ratios[1])


def _peers(backend: BackendResult) -> list[str]:
    names = (
        name
        for case in backend["cases"]
        for measurement in case["measurements"].values()
        for name in measurement["peers"]
    )
    return list(dict.fromkeys(names))


def _peer(name: str) -> Cell:
    def cell(measurement: Measurement) -> str | None:
        ratios = measurement["peers"].get(name)
        return None if ratios is None else verdict(ratios[1])

    return cell
