"""Draws the ratios for `--plot`."""

import pathlib

from matplotlib.axes import Axes

from keras_sepconv.bench import drawing
from keras_sepconv.bench.results import (
    KINDS,
    BackendResult,
    CaseResult,
    Quartiles,
    Result,
    title,
)

_ROW = 0.21  # Inches.


def plot(result: Result, path: pathlib.Path) -> None:
    """Draws the speed-ups of all cases, a panel for each backend.

    Args:
        result: The result of a run.
        path: The file of the picture.
    """
    backends = result["backends"]
    rows = max(len(_rows(backend)) for backend in backends)
    with drawing.style():
        figure = drawing.figure(
            1.7 + _ROW * rows, drawing.WIDTH * len(backends)
        )
        panels = figure.subplots(1, len(backends), squeeze=False)[0]
        for axes, backend in zip(panels, backends, strict=True):
            _panel(axes, backend)
        marks, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            marks, labels, loc="outside lower left", ncols=2, handletextpad=0.2
        )
        drawing.save(figure, path)


def _rows(backend: BackendResult) -> list[str | CaseResult]:
    """Returns the cases, with the name of each suite before its cases."""
    rows: list[str | CaseResult] = []
    suite = None
    for case in backend["cases"]:
        if case["suite"] != suite:
            suite = case["suite"]
            rows.append(suite)
        rows.append(case)
    return rows


def _panel(axes: Axes, backend: BackendResult) -> None:
    rows = _rows(backend)
    for place, row in enumerate(rows):
        if isinstance(row, str):
            axes.axhline(place + 0.4, color=drawing.GRAY, linewidth=0.6)
        elif row["wrong"]:
            axes.text(1, place, " FAILED", va="center", weight="bold")
        else:
            for kind, measured in row["measurements"].items():
                _mark(axes, place, kind, measured["speedup"])
    names = [row if isinstance(row, str) else row["name"] for row in rows]
    axes.set_yticks(range(len(rows)), names)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_weight("bold" if isinstance(row, str) else "normal")
    drawing.ratio_scale(axes, len(rows), "line: quartiles; gray: a loss")
    axes.set_title(f"{title(backend)}:\ntimes faster than stock Keras", pad=10)


def _mark(axes: Axes, place: int, kind: str, quartiles: Quartiles) -> None:
    """Draws the median as a mark and the quartiles as a line."""
    low, median, high = quartiles
    y = place + (-0.17 if kind == KINDS[0] else 0.17)
    mark = drawing.KIND_STYLES[kind]
    edge = {"markeredgecolor": "black", "markeredgewidth": 0.5}
    axes.plot([low, high], [y, y], color=mark["color"], linewidth=1.5)
    axes.plot(median, y, **edge, **mark)
    drawing.write_ratio(axes, place, kind, median)
