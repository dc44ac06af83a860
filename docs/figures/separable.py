"""Draws what a separable convolution computes: separable.svg.

Every shade is a number of a real one, with an image of three channels:

    python docs/figures/separable.py
"""

import pathlib

import drawing
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Polygon, Rectangle

SIDE, CHANNELS, FILTERS = 8, 3, 4
COLORS = (drawing.BLUE, drawing.VERMILION, drawing.GREEN)
KERNELS = np.array(
    [
        [[1, 2, 1], [2, 4, 2], [1, 2, 1]],  # Blurs.
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],  # Finds upright edges.
        [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],  # Finds what stands out.
    ]
)
# A row for each channel, a column for each filter.
MATRIX = np.array(
    [[0.1, -0.1, 0.1, 0], [0.2, 0, -0.2, 0.1], [0, 0.4, 0.1, 0.3]]
)
# Where the window is that the drawing follows: its first row and column.
ROW, COL = 2, 3

# Tenths of an inch, from the top left.
WIDTH, HEIGHT = 48, 73.5
COLUMNS = (18, 30, 42)
OUTPUTS = (15, 24.7, 34.4, 44)
INK = "#222222"
LABELS = (
    (6, "input", "8 x 8 pixels,\n3 channels"),
    (
        26,
        "depthwise",
        "one 3 x 3 kernel\nfor each channel;\nthe channels\nstay apart",
    ),
    (47, "pointwise", "1 x 1: mixes the\nchannels of\neach pixel"),
    (56, "output", "8 x 8,\n4 filters"),
)


def image() -> np.ndarray:
    """Returns a disc, a bar and a dot: `(rows, cols, channels)`."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    disc = np.hypot(rows - 3.5, cols - 3.5) < 3
    bar = (cols > 2) & (cols < 6)
    dots = (rows % 3 == 0) & (cols % 4 == 0)
    return np.stack([disc, bar, dots], -1).astype(float)


def depthwise(images: np.ndarray) -> np.ndarray:
    """Returns each channel convolved with its kernel, padded by zeros."""
    padded = np.pad(images, [(1, 1), (1, 1), (0, 0)])
    return sum(
        padded[i : i + SIDE, j : j + SIDE] * KERNELS[:, i, j]
        for i in range(3)
        for j in range(3)
    )


def shades(color: str) -> LinearSegmentedColormap:
    """Returns the colours from gray for negative over white to `color`."""
    return LinearSegmentedColormap.from_list("", ["#999999", "white", color])


def sheet(
    axes: Axes, x: float, y: float, size: float, values: np.ndarray, color: str
) -> None:
    """Draws a channel, its top in the middle at `(x, y)`."""
    limit = np.abs(values).max()
    edges = np.linspace(0, size, SIDE + 1)
    axes.pcolormesh(
        x - size / 2 + edges,
        y + edges,
        values,
        cmap=shades(color),
        vmin=-limit,
        vmax=limit,
        edgecolors="#bbbbbb",
        linewidth=0.3,
    )
    # In gray print they look alike.
    rows, cols = np.nonzero(values < 0)
    cell = size / SIDE
    axes.plot(
        x - size / 2 + (cols + 0.5) * cell,
        y + (rows + 0.5) * cell,
        linestyle="",
        marker="_",
        color=INK,
        markersize=3,
        markeredgewidth=0.8,
    )
    frame(axes, x - size / 2, y, size, color=color, linewidth=1.4)


def frame(axes: Axes, x: float, y: float, size: float, **style) -> None:
    """Draws a square from its top left corner."""
    axes.add_patch(Rectangle((x, y), size, size, fill=False, **style))


def kernel(axes: Axes, x: float, y: float, values: np.ndarray, color: str):
    """Draws a kernel with its numbers, its top in the middle at `(x, y)`."""
    cell = 2.1
    for i, j in np.ndindex(values.shape):
        left, top = x + (j - 1.5) * cell, y + i * cell
        frame(axes, left, top, cell, edgecolor=color, linewidth=0.8)
        number = f"{values[i, j]}".replace("-", "\N{MINUS SIGN}")
        axes.text(left + cell / 2, top + cell / 2, number, size=7.5, **CENTRED)
    frame(axes, x - 1.5 * cell, y, 3 * cell, color=color, linewidth=1.6)


CENTRED = {"ha": "center", "va": "center", "color": INK}


def volume(axes: Axes, x: float, y: float, colors: tuple[str, ...]) -> None:
    """Draws slabs in a row from front to back, the channels of a volume."""
    size, step = 5.5, 1.5
    for place in reversed(range(len(colors))):
        left = x - size / 2 + (place - len(colors) / 2) * step
        top = y - place * step * 0.6
        side, up = step, step * 0.6
        style = {"edgecolor": INK, "linewidth": 0.7}
        corners = {
            "front": [(0, 0), (size, 0), (size, size), (0, size)],
            "top": [(0, 0), (side, -up), (size + side, -up), (size, 0)],
            "right": [
                (size, 0),
                (size + side, -up),
                (size + side, size - up),
                (size, size),
            ],
        }
        for face, alpha in (("front", 0.35), ("top", 0.6), ("right", 0.85)):
            points = [(left + a, top + b) for a, b in corners[face]]
            axes.add_patch(Polygon(points, color="white"))
            ground = (colors[place], alpha)
            axes.add_patch(Polygon(points, facecolor=ground, **style))


def arrow(axes: Axes, begin: tuple, end: tuple, color: str = INK, **style):
    """Draws an arrow."""
    style = {"arrowstyle": "-|>", "color": color, "linewidth": 1, **style}
    axes.annotate(
        "", end, begin, arrowprops={"shrinkA": 0, "shrinkB": 0} | style
    )


def label(axes: Axes, y: float, title: str, text: str) -> None:
    """Writes what a row is, at the left."""
    style = {"va": "bottom", "ha": "left", "color": INK}
    axes.text(0, y, title, weight="bold", size=9, **style)
    axes.text(0, y + 0.4, text, size=8.5, **style | {"va": "top"})


def draw(axes: Axes) -> None:
    """Draws it all, from the top to the bottom."""
    inputs = image()
    between = depthwise(inputs)
    outputs = between @ MATRIX
    volume(axes, 30, 3, COLORS)
    for place, (x, color) in enumerate(zip(COLUMNS, COLORS, strict=True)):
        channel(axes, x, color, place, inputs, between)
        for goal, weight in zip(OUTPUTS, MATRIX[place], strict=True):
            style = {
                "linewidth": 0.4 + 5 * abs(weight),
                "linestyle": "--" if weight < 0 else "-",
                "mutation_scale": 7,
            }
            arrow(axes, (x, 43.1), (goal, 52.7), color, **style)
    for place, x in enumerate(OUTPUTS):
        sheet(axes, x, 53, 8, outputs[..., place], INK)
        window(axes, x, 53, 8, ROW + 1, COL + 1, 1)
        arrow(axes, (x, 61.2), (32 + (place - 1.5) * 2, 63.6))
    volume(axes, 30, 67.6, ("#777777",) * FILTERS)
    for y, title, text in LABELS:
        label(axes, y, title, text)


def channel(
    axes: Axes,
    x: float,
    color: str,
    place: int,
    inputs: np.ndarray,
    between: np.ndarray,
) -> None:
    """Draws one channel, its kernel, and what comes of it."""
    arrow(axes, (30 + (place - 1) * 2, 9.3), (x, 12.2))
    sheet(axes, x, 12.5, 9, inputs[..., place], color)
    window(axes, x, 12.5, 9, ROW, COL, 3)
    arrow(axes, (x, 21.7), (x, 24.2), color)
    kernel(axes, x, 24.5, KERNELS[place], color)
    arrow(axes, (x, 30.9), (x, 33.5), color)
    sheet(axes, x, 33.8, 9, between[..., place], color)
    window(axes, x, 33.8, 9, ROW + 1, COL + 1, 1)


def window(
    axes: Axes, x: float, y: float, size: float, row: int, col: int, count: int
) -> None:
    """Draws a frame around pixels of the sheet at `(x, y)`."""
    cell = size / SIDE
    left, top = x - size / 2 + col * cell, y + row * cell
    frame(axes, left, top, count * cell, color="black", linewidth=1.6)


def main() -> None:
    """Writes the figure."""
    with drawing.style():
        figure = drawing.figure(HEIGHT / 10, layout=None)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-0.7, WIDTH + 0.6), ylim=(HEIGHT, -0.5))
        axes.axis("off")
        draw(axes)
        drawing.save(figure, pathlib.Path(__file__).with_suffix(".svg"))


if __name__ == "__main__":
    main()
