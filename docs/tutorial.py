"""Draws the tutorial's pictures: `python docs/tutorial.py`.

It runs the code of the page and draws the arrays that this code makes.
"""

import os
import pathlib
import re
import tempfile
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

DOCS = pathlib.Path(__file__).parent

# Color-blind eyes and gray print tell these apart, by hue and by lightness.
BLUE, ORANGE = "#084594", "#e6811c"
SIGNED = LinearSegmentedColormap.from_list("", [ORANGE, "white", BLUE])


def run_page() -> dict[str, Any]:
    """Runs the code of the page and returns its variables."""
    text = (DOCS / "tutorial.md").read_text()
    names: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        before = os.getcwd()
        os.chdir(folder)
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            exec(block, names)
        os.chdir(before)
    return names


def show(axes: Any, image: Any, signed: bool = False) -> None:
    """Draws an image: larger is darker, and signs have colours if `signed`."""
    limit = np.abs(image).max()
    low = -limit if signed else 0
    axes.imshow(image, SIGNED if signed else "Greys", vmin=low, vmax=limit)
    axes.set(xticks=[], yticks=[])


def draw_images(names: dict[str, Any]) -> Figure:
    """Returns a row of each kind."""
    figure: Any = Figure(figsize=(5, 3), layout="constrained")
    for kind, row in enumerate(figure.subplots(3, 5)):
        for column, axes in enumerate(row):
            show(axes, names["images"][3 * column + kind, :, :, 0])
        row[0].set_ylabel(names["names"][kind])
    return figure


def draw_filters(names: dict[str, Any]) -> Figure:
    """Returns the filters, and below them an image after each filter."""
    figure: Any = Figure(figsize=(8, 2), layout="constrained")
    grid = figure.subplots(2, 9)
    grid[0, 0].axis("off")
    show(grid[1, 0], names["images"][602, :, :, 0])
    filtered = np.asarray(
        names["keras"].ops.convert_to_numpy(names["filtered"])
    )
    for channel in range(8):
        show(grid[0, channel + 1], names["kernel"][:, :, 0, channel], True)
        show(grid[1, channel + 1], filtered[0, :, :, channel], True)
    return figure


if __name__ == "__main__":
    made = run_page()
    for figure, name in (
        (draw_images(made), "tutorial_images"),
        (draw_filters(made), "tutorial_filters"),
    ):
        figure.savefig(DOCS / f"{name}.png", dpi=150)
