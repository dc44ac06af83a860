"""The style of the figures of the documentation.

People read them on phones, on dark pages and in gray print, and some readers
cannot distinguish red from green. So the figures are narrow, with letters as
large as those of the page. Their background is white; the style sheet of the
site inverts it on dark pages. They use the colours of Okabe and Ito, and also
different shapes or hatching.
"""

import pathlib
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from keras_sepconv.bench.report import KIND_NAMES, number
from keras_sepconv.bench.results import KINDS

# Okabe and Ito (2008), "Color universal design".
BLUE, ORANGE, GREEN, SKY = "#0072b2", "#e69f00", "#009e73", "#56b4e9"
VERMILION, GRAY, LIGHT = "#d55e00", "#666666", "#eeeeee"

# In inches; a phone shows this width without shrinking it.
WIDTH = 4.8

KIND_STYLES: dict[str, dict[str, Any]] = {
    "forward": {"color": BLUE, "marker": "o"},
    "training": {"color": ORANGE, "marker": "s"},
}

_STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.markersize": 5,
    "svg.hashsalt": "keras_sepconv",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


# The positions of the columns of numbers to the right of the axes, in points.
_COLUMNS = {"forward": 36, "training": 74}


def style() -> Any:
    """Returns the context for drawing and saving figures."""
    return matplotlib.rc_context(_STYLE)


def figure(
    height: float, width: float = WIDTH, layout: str | None = "constrained"
) -> Figure:
    """Returns an empty figure; the size is in inches."""
    return Figure(figsize=(width, height), layout=layout)


def write(axes: Axes, place: float, kind: str, text: str, **style: Any) -> None:
    """Writes a text into the column of a kind, to the right of the axes."""
    axes.annotate(
        text,
        (1, place),
        xycoords=axes.get_yaxis_transform(),
        xytext=(_COLUMNS[kind], 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8,
        **style,
    )


def write_ratio(axes: Axes, place: float, kind: str, value: float) -> None:
    """Writes a ratio into the column of a kind, a loss in bold."""
    is_loss = value < 1
    # A loss is never rounded up to 1.
    text = f"{min(value, 0.99):.2f}" if is_loss else number(value)
    weight = "bold" if is_loss else "normal"
    write(axes, place, kind, text, weight=weight)


def ratio_scale(axes: Axes, rows: int, label: str) -> None:
    """Sets the scale of speed-ups, and adds headings.

    Losses have a gray background.

    Args:
        axes: The axes, with everything that they show.
        rows: The number of rows; the first one, 0, is at the top.
        label: The text below the axes, in a second line.
    """
    axes.set_xscale("log")
    axes.autoscale_view()
    low, high = axes.get_xlim()
    low, high = min(low, 0.6), max(high, 2)
    axes.set(xlim=(low, high), ylim=(rows - 0.4, -1))
    axes.axvspan(low, 1, color=LIGHT, zorder=0)
    axes.axvline(1, color="black", linewidth=1)
    steps = (1, 2, 5) if high < 30 * low else (1, 3)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=LIGHT)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"time of stock Keras / time of ours\n{label}")
    for kind in KINDS:
        write(axes, -0.9, kind, kind)
        # For the legend.
        axes.plot(
            [], [], linestyle="", label=KIND_NAMES[kind], **KIND_STYLES[kind]
        )


def save(drawn: Figure, path: pathlib.Path) -> None:
    """Writes a figure; the same bytes each time, for version control."""
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    drawn.savefig(path, dpi=200, metadata=metadata.get(path.suffix.lower()))
