"""Draws what the fans of a depthwise kernel do, by running the layers.

    python docs/figures/initializer.py

writes signal.svg, the size of the signal after each of many layers, and
learning.svg, the accuracy of networks without normalisation, and prints the
numbers of both.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

# Keras reads its backend once, when it is imported.
os.environ.setdefault("KERAS_BACKEND", "jax")

import drawing
import keras
import numpy as np
from matplotlib.axes import Axes
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_sepconv

FIGURES = pathlib.Path(__file__).parent
CHANNELS, DEPTH, SEEDS = 64, 16, 5
# Of the networks that learn.
LAYERS, EPOCHS, RUNS = 8, 12, 3

LAYER = {
    "filters": CHANNELS,
    "kernel_size": 3,
    "padding": "same",
    "activation": "relu",
}
KINDS: dict[str, Callable[..., Any]] = {
    "dense Conv2D": keras.layers.Conv2D,
    "ours": keras_sepconv.SeparableConv2D,
    "stock": keras.layers.SeparableConv2D,
}
STYLES = {
    "dense Conv2D": {"color": drawing.GRAY, "marker": "^", "linestyle": ":"},
    "ours": {"color": drawing.BLUE, "marker": "o", "linestyle": "-"},
    "stock": {"color": drawing.ORANGE, "marker": "s", "linestyle": "--"},
}
NAMES = {
    "dense Conv2D": "dense Conv2D",
    "ours": "SeparableConv2D,\nours",
    "stock": "SeparableConv2D,\nstock Keras",
}


def signal(layer: Callable[..., Any], seed: int) -> list[float]:
    """Returns the standard deviation of noise, and of it after each layer."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, 16, 16, CHANNELS), dtype="float32")
    found = [float(values.std())]
    for _ in range(DEPTH):
        values = layer(**LAYER)(values)
        array = keras.ops.convert_to_numpy(values).astype("float64")
        found.append(float(array.std()))
    return found


def draw_signal(sizes: dict[str, np.ndarray], path: pathlib.Path) -> None:
    """Draws the medians over the seeds as lines, and each seed as dots."""
    with drawing.style():
        figure = drawing.figure(3.6)
        axes = figure.subplots()
        depths = np.arange(DEPTH + 1)
        for name, values in sizes.items():
            style = STYLES[name]
            median = np.median(values, 0)
            axes.plot(
                np.tile(depths, (SEEDS, 1)),
                values,
                linestyle="",
                marker=style["marker"],
                markersize=3,
                color=style["color"],
                alpha=0.4,
            )
            axes.plot(
                depths,
                median,
                color=style["color"],
                linestyle=style["linestyle"],
                linewidth=1.6,
            )
            label(axes, DEPTH, median[-1], name)
        axes.set_yscale("log")
        axes.set_xlim(-0.5, DEPTH * 1.6)
        axes.set_xticks(range(0, DEPTH + 1, 4))
        axes.grid(color=drawing.LIGHT)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"layers, each with {CHANNELS} channels and ReLU")
        axes.set_title("Standard deviation of what was unit noise")
        drawing.save(figure, path)


def label(axes: Axes, x: float, y: float, name: str) -> None:
    """Writes a line's name after its end."""
    axes.annotate(
        NAMES[name],
        (x, y),
        # Two lines end at one place.
        xytext=(6, {"ours": 10, "dense Conv2D": -12}.get(name, 0)),
        textcoords="offset points",
        va="center",
    )


def network(layer: Callable[..., Any]) -> Any:
    """Returns a plain stack of layers with their defaults."""
    stack = [layer(**LAYER) for _ in range(LAYERS)]
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            *stack,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def learn(layer: Callable[..., Any], seed: int) -> list[float]:
    """Returns the accuracy on test images after each epoch."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.25, stratify=labels, random_state=0
    )
    keras.utils.set_random_seed(seed)
    history = network(layer).fit(
        train,
        train_labels,
        batch_size=64,
        epochs=EPOCHS,
        validation_data=(test, test_labels),
        verbose=0,
    )
    return [float(value) for value in history.history["val_accuracy"]]


def draw_learning(curves: dict[str, np.ndarray], path: pathlib.Path) -> None:
    """Draws a line for each seed."""
    with drawing.style():
        figure = drawing.figure(3)
        axes = figure.subplots()
        epochs = np.arange(1, EPOCHS + 1)
        for name, values in curves.items():
            axes.plot(epochs, 100 * values.T, markersize=4, **STYLES[name])
            label(axes, EPOCHS, 100 * values[:, -1].mean(), name)
        axes.set_ylim(0, 103)
        axes.set_xlim(0.5, EPOCHS * 1.6)
        axes.set_xticks(range(0, EPOCHS + 1, 4))
        axes.grid(color=drawing.LIGHT)
        axes.set_axisbelow(True)
        axes.set_xlabel("epochs")
        axes.set_title("Percent of 450 digits read right, chance is 10")
        drawing.save(figure, path)


def main() -> None:
    """Runs, prints and draws."""
    sizes = {
        name: np.array([signal(layer, seed) for seed in range(SEEDS)])
        for name, layer in KINDS.items()
    }
    for name, values in sizes.items():
        for depth in (8, DEPTH):
            low, high = values[:, depth].min(), values[:, depth].max()
            print(f"{name}, after {depth} layers: {low:.2g} to {high:.2g}")
    draw_signal(sizes, FIGURES / "signal.svg")
    curves = {
        name: np.array([learn(KINDS[name], seed) for seed in range(RUNS)])
        for name in ("ours", "stock")
    }
    for name, values in curves.items():
        print(f"{name}, accuracy by seed: {values[:, -1]}")
    draw_learning(curves, FIGURES / "learning.svg")


if __name__ == "__main__":
    main()
