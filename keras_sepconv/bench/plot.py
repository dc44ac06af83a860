"""The bars that `--plot` draws."""

import pathlib

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from keras_sepconv.bench.report import number
from keras_sepconv.bench.results import KINDS, BackendResult, Result, title

# Told apart in gray print, by color-blind eyes, and by the hatching.
_STYLES = {
    "forward": {"color": "#084594"},
    "training": {"color": "#f6b26b", "hatch": "////"},
}


def plot(result: Result, path: pathlib.Path) -> None:
    """Draws the speed-ups of all cases, a panel for each backend.

    Args:
        result: What was measured.
        path: The picture's file.
    """
    backends = result["backends"]
    rows = max(len(backend["cases"]) for backend in backends)
    size = (1.5 + 6.5 * len(backends), 1.8 + 0.42 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(backends), squeeze=False)[0]
    for axes, backend in zip(panels, backends, strict=True):
        _bars(axes, backend)
    bars, labels = panels[0].get_legend_handles_labels()
    figure.legend(bars, labels, loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=150)


def _bars(axes: Axes, backend: BackendResult) -> None:
    names = [case["name"] for case in backend["cases"]]
    for offset, kind in zip((-0.2, 0.2), KINDS, strict=True):
        measured = [
            (row + offset, case["measurements"][kind]["speedup"][1])
            for row, case in enumerate(backend["cases"])
            if not case["wrong"]
        ]
        places = [place for place, _ in measured]
        widths = [value - 1 for _, value in measured]
        label = "training step" if kind == "training" else kind
        style = {"edgecolor": "black", "linewidth": 0.6, **_STYLES[kind]}
        axes.barh(places, widths, 0.4, left=1, label=label, **style)
        for place, value in measured:
            _label(axes, place, value)
    for row, case in enumerate(backend["cases"]):
        if case["wrong"]:
            axes.text(1, row, " FAILED", va="center", weight="bold")
    axes.axvline(1, color="black", linewidth=1.5)
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.01)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.6), max(high, 1.7))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_title(f"{title(backend)}: times faster than stock Keras")
    axes.set_xlabel("time of stock Keras / time of ours (1: equally fast)")


def _label(axes: Axes, place: float, value: float) -> None:
    axes.annotate(
        number(value),
        (value, place),
        xytext=(3 if value >= 1 else -3, 0),
        textcoords="offset points",
        ha="left" if value >= 1 else "right",
        va="center",
        fontsize=7,
    )
