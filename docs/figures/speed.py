"""Draws where the time goes, from the runs in docs/results.

    python docs/figures/speed.py

writes time.svg, the times of one case in units of its matrix product, and
rate.svg, what each case computes in a second against what it computes a byte.
"""

import math
import pathlib

import drawing
import tables
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from results import FIGURES, load

from keras_sepconv._spec import ConvSpec
from keras_sepconv.bench.cases import CASES, Case
from keras_sepconv.bench.report import number
from keras_sepconv.bench.results import KINDS, Result, title

SHOWN = "mobilenet_56_128"
SUITES = ("separable", "multiplier", "sequence")
NAMES = {"stock": "stock Keras", "ours": "ours", "floor": "matrix product"}
STYLES = {
    "stock": {"color": drawing.ORANGE, "hatch": "////"},
    "ours": {"color": drawing.BLUE},
    "floor": {"color": "white"},
}
MARKS = {
    "stock": {"color": drawing.ORANGE, "marker": "s"},
    "ours": {"color": drawing.BLUE, "marker": "o"},
    "floor": {"color": "black", "marker": "_", "markersize": 7},
}
BYTES = 4  # Of a float32.


def times(backends: list[Result], path: pathlib.Path) -> None:
    """Draws bars, a panel for the forward pass and one for training."""
    with drawing.style():
        figure = drawing.figure(1.3 + 1.1 * len(backends))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, kind in zip(panels, KINDS, strict=True):
            for place, backend in enumerate(backends):
                bars(axes, place, backend, kind)
            axes.set_title(drawing.KIND_NAMES[kind])
            axes.margins(x=0.3)
            axes.tick_params(axis="y", length=0)
        names = [title(backend).replace(", ", ",\n") for backend in backends]
        panels[0].set_yticks(range(len(backends)), names)
        panels[0].invert_yaxis()
        figure.supxlabel(
            "time / time of the matrix product; numbers: milliseconds",
            fontsize=9,
        )
        marks, labels = panels[0].get_legend_handles_labels()
        figure.legend(marks[:3], labels[:3], loc="outside upper left", ncols=3)
        drawing.save(figure, path)


def bars(axes: Axes, place: int, backend: Result, kind: str) -> None:
    """Draws what one backend needs for the case shown."""
    (case,) = [case for case in backend["cases"] if case["name"] == SHOWN]
    medians = {
        name: case["measurements"][kind]["milliseconds"][name][1]
        for name in NAMES
    }
    for row, (name, median) in enumerate(medians.items()):
        y, width = place + 0.27 * (row - 1), median / medians["floor"]
        style = {"edgecolor": "black", "linewidth": 0.6, **STYLES[name]}
        axes.barh(y, width, 0.25, label=NAMES[name], **style)
        axes.annotate(
            number(median),
            (width, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )


def work(case: Case) -> dict[str, tuple[float, float]]:
    """Returns floating-point operations and bytes, each moved once.

    Of the matrix product alone, and of both steps.
    """
    spec = ConvSpec.normalise(case.kernel_size, *case.options().values())
    shape = spec.output_shape(case.input_shape(), case.filters)
    outputs = math.prod(size or 0 for size in shape)
    pixels, wide = outputs // case.filters, case.channels * case.multiplier
    matrix = wide * case.filters
    taps = math.prod(case.kernel_size)
    inputs = math.prod(case.input_shape())
    product = 2 * pixels * matrix
    return {
        "floor": (product, BYTES * (pixels * wide + matrix + outputs)),
        "layer": (
            product + 2 * pixels * wide * taps,
            BYTES * (inputs + wide * taps + matrix + outputs),
        ),
    }


def rates(backends: list[Result], path: pathlib.Path) -> None:
    """Draws the forward pass of all cases, a panel for each backend."""
    with drawing.style():
        figure = drawing.figure(1 + 1.9 * len(backends))
        panels = figure.subplots(
            len(backends), sharex=True, sharey=True, squeeze=False
        )[:, 0]
        for axes, backend in zip(panels, backends, strict=True):
            points(axes, backend)
            axes.set_title(title(backend))
            axes.grid(color=drawing.LIGHT)
            axes.set_axisbelow(True)
        plain = FuncFormatter(lambda x, _: f"{x:g}")
        panels[0].set(xscale="log", yscale="log")
        panels[0].set_xticks((3, 10, 30, 100))
        panels[0].xaxis.set_major_formatter(plain)
        panels[0].xaxis.set_minor_formatter(NullFormatter())
        panels[0].yaxis.set_major_formatter(plain)
        panels[-1].set_xlabel("operations for each byte read or written once")
        figure.supylabel("billions of operations a second", fontsize=9)
        for name, mark in MARKS.items():
            panels[0].plot([], [], linestyle="", label=NAMES[name], **mark)
        marks, labels = panels[0].get_legend_handles_labels()
        figure.legend(marks, labels, loc="outside lower left", ncols=3)
        drawing.save(figure, path)


def points(axes: Axes, backend: Result) -> None:
    """Draws stock and ours at their rates, joined, and the product."""
    found = {case["name"]: case for case in backend["cases"]}
    for case in CASES:
        result = found.get(case.name)
        if case.suite not in SUITES or result is None or result["wrong"]:
            continue
        medians = result["measurements"]["forward"]["milliseconds"]
        amounts = work(case)
        rate = {
            name: amounts["floor" if name == "floor" else "layer"][0]
            / medians[name][1]
            / 1e6
            for name in NAMES
        }
        for name, mark in MARKS.items():
            operations, size = amounts["floor" if name == "floor" else "layer"]
            axes.plot(operations / size, rate[name], linestyle="", **mark)
        x = amounts["layer"][0] / amounts["layer"][1]
        axes.plot(
            [x, x],
            [rate["stock"], rate["ours"]],
            color=drawing.GRAY,
            linewidth=0.8,
            zorder=1,
        )


def main() -> None:
    """Writes both figures."""
    backends = tables.merged(load().values())
    layers = [
        b for b in backends if any(c["name"] == SHOWN for c in b["cases"])
    ]
    times(layers, FIGURES / "time.svg")
    rates(layers, FIGURES / "rate.svg")


if __name__ == "__main__":
    main()
