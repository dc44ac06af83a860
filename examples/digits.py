"""Trains networks to read digits with separable convolutions.

Two small networks, a Sequential and a functional one, are trained twice: with
`keras_sepconv.layer_separable_conv_2d`, and with stock Keras's layer. Ours are
saved, and new processes load them under every backend. There they must predict
the same. At the end there is a table and a picture:

    python examples/digits.py
"""

import argparse
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

BACKENDS = ("jax", "tensorflow", "torch")
CIFAR10 = ["plane", "car", "bird", "cat", "deer",
           "dog", "frog", "horse", "ship", "truck"]  # fmt: skip
EPOCHS = {"digits": 20, "mnist": 5, "cifar10": 30}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", choices=EPOCHS, default="digits")
parser.add_argument("--backend", choices=BACKENDS, default="jax")
parser.add_argument("--epochs", type=int, help="default: by the dataset")
parser.add_argument("--out", type=Path, default=Path("digits-out"))
options = parser.parse_args()

# Keras reads its backend once, when it is imported.
os.environ["KERAS_BACKEND"] = options.backend

import keras  # noqa: E402

import keras_sepconv  # noqa: E402

BATCH_SIZE = 32
MOMENTUM = 0.9  # Keras's default averages over more steps than an epoch has.
MIN_ACCURACY = 0.97
TOLERANCE = 1e-5
# Color-blind eyes and gray print tell these apart, by hue and by lightness.
BLUE, ORANGE = "#084594", "#e6811c"
SIGNED = LinearSegmentedColormap.from_list("", [ORANGE, "white", BLUE])

# This is all the code that is needed to use a model in another process. The
# import makes the layers known to Keras. `compile=False` is there because a
# model that was compiled under JAX would be compiled under torch too, which
# takes longer than it saves.
PREDICT = """
import sys
import keras, keras_sepconv, numpy

images, *paths = sys.argv[1:]
for path in paths:
    model = keras.models.load_model(path, compile=False)
    predictions = model.predict(numpy.load(images), verbose=0)
    numpy.save(f"{path}.{keras.backend.backend()}.npy", predictions)
"""


# Images in [0, 1], `(count, rows, cols, channels)`, and their labels.
Data = tuple[np.ndarray, np.ndarray]


@dataclass
class Result:
    """A trained network and its results."""

    layers: str
    kind: str
    model: keras.Model
    seconds: float
    milliseconds: float
    predictions: np.ndarray
    accuracy: float
    differences: dict[str, float] = field(default_factory=dict)


def load_data(dataset: str) -> tuple[Data, Data]:
    """Returns the training and the test data; only digits needs no download."""
    if dataset == "digits":
        images, labels = load_digits(return_X_y=True)
        images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
        train, test, train_labels, test_labels = train_test_split(
            images, labels, test_size=0.25, stratify=labels, random_state=0
        )
        return (train, train_labels), (test, test_labels)
    try:
        parts = getattr(keras.datasets, dataset).load_data()
    except Exception as error:  # Keras raises this class of error.
        sys.exit(f"Could not load {dataset}: {error}")
    (train, train_labels), (test, test_labels) = parts
    # MNIST lacks the axis of its one channel; CIFAR-10's labels are a column.
    shape = (-1, *train.shape[1:3], 3 if dataset == "cifar10" else 1)
    train = train.reshape(shape).astype("float32") / 255
    test = test.reshape(shape).astype("float32") / 255
    return (train, train_labels.ravel()), (test, test_labels.ravel())


def layer_stock(
    object: Any, filters: int, size: int, input_shape: Any = None, **kwargs: Any
) -> Any:
    """Does the same as our helper, with the layer of stock Keras."""
    layer = keras.layers.SeparableConv2D(filters, size, **kwargs)
    if not isinstance(object, keras.Sequential):
        return layer(object)
    if input_shape is not None:
        object.add(keras.Input(input_shape))
    object.add(layer)
    return object


# A helper adds a layer to a Sequential, or applies it to a tensor. Its
# arguments are the number of filters, the kernel size, and others of the layer.
Helper = Callable[..., Any]
HELPERS: dict[str, Helper] = {
    "ours": keras_sepconv.layer_separable_conv_2d,
    "stock": layer_stock,
}
COMMON = {"padding": "same", "activation": "relu"}
FIRST = {
    **COMMON,
    "depth_multiplier": 16,
    # Larger images can spare the detail, and training takes a fourth.
    "strides": 1 if options.dataset == "digits" else 2,
}


def sequential(conv: Helper, shape: tuple[int, ...]) -> keras.Model:
    """Returns a Sequential; its first layer knows the shape of the images."""
    model = keras.Sequential()
    conv(model, 32, 5, input_shape=shape, **FIRST)
    for filters in (64, 128):
        model.add(keras.layers.BatchNormalization(momentum=MOMENTUM))
        model.add(keras.layers.MaxPooling2D())
        conv(model, filters, 3, **COMMON)
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dropout(0.4))
    model.add(keras.layers.Dense(10, activation="softmax"))
    return model


def functional(conv: Helper, shape: tuple[int, ...]) -> keras.Model:
    """Returns a model with shortcuts, which a Sequential cannot have."""
    inputs = keras.Input(shape)
    x = conv(inputs, 32, 5, **FIRST)
    for filters in (64, 128):
        x = keras.layers.BatchNormalization(momentum=MOMENTUM)(x)
        x = keras.layers.MaxPooling2D()(x)
        shortcut = keras.layers.Conv2D(filters, 1)(x)
        x = conv(x, filters, 3, **COMMON)
        x = keras.layers.add([x, shortcut])
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.4)(x)
    outputs = keras.layers.Dense(10, activation="softmax")(x)
    return keras.Model(inputs, outputs)


NETWORKS = {"sequential": sequential, "functional": functional}


def train(layers: str, kind: str, data: Data, test: Data) -> Result:
    """Returns one network, trained from the same seed as every other."""
    print(f"\nTraining: {layers}, {kind}")
    images, labels = data
    epochs = options.epochs or EPOCHS[options.dataset]
    keras.utils.set_random_seed(0)
    model = NETWORKS[kind](HELPERS[layers], images.shape[1:])
    steps = math.ceil(len(images) / BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps)
    model.compile(
        keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    ends: list[float] = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: ends.append(time.perf_counter())
    )
    start = time.perf_counter()
    model.fit(
        images, labels, batch_size=BATCH_SIZE, epochs=epochs, callbacks=[note]
    )
    seconds = time.perf_counter() - start
    # Keras compiles in the first epoch.
    later = np.median(np.diff(ends)) if epochs > 1 else np.nan
    milliseconds = 1000 * float(later) / steps
    predictions = model.predict(test[0], verbose=0)
    accuracy = float(np.mean(predictions.argmax(-1) == test[1]))
    return Result(
        layers, kind, model, seconds, milliseconds, predictions, accuracy
    )


def load_elsewhere(ours: list[Result], images: np.ndarray, out: Path) -> None:
    """Saves networks; records how much the loaded ones differ."""
    np.save(out / "images.npy", images)
    paths = [str(out / f"{result.kind}.keras") for result in ours]
    for result, path in zip(ours, paths, strict=True):
        result.model.save(path)
    for backend in BACKENDS:
        print(f"Loading in a fresh process: {backend}")
        process = subprocess.run(
            [sys.executable, "-c", PREDICT, str(out / "images.npy"), *paths],
            env={**os.environ, "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
        )
        if process.returncode:
            sys.exit(f"Loading under {backend} failed:\n{process.stderr}")
        for result, path in zip(ours, paths, strict=True):
            predictions = np.load(f"{path}.{backend}.npy")
            difference = np.abs(predictions - result.predictions).max()
            result.differences[backend] = float(difference)


def print_table(results: list[Result]) -> None:
    """Prints the results of every network."""
    table = Table(
        title=f"{options.dataset}, trained under {options.backend}",
        caption="fit s: seconds of fit, compilation included; ms/step: a step "
        "of it after\nthe first epoch, median of the epochs; jax, "
        "tensorflow, torch: the largest\nchange of a predicted probability "
        "once loaded there",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("layers", no_wrap=True)
    for column in ("accuracy", "params", "fit s", "ms/step", *BACKENDS):
        table.add_column(column, justify="right")
    for result in results:
        changes = [f"{result.differences.get(x, np.nan):.1g}" for x in BACKENDS]
        table.add_row(
            f"{result.layers}, {result.kind}",
            f"{result.accuracy:.2%}",
            f"{result.model.count_params():,}",
            f"{result.seconds:.1f}",
            f"{result.milliseconds:.2f}",
            *(changes if result.differences else "---"),
        )
    Console().print(table)


def show(axes: Any, image: np.ndarray, signed: bool = False) -> None:
    """Draws an image: black on white, or both signs in colours."""
    cmap = SIGNED if signed else "Greys"
    limit = np.abs(image).max() if signed else 1
    axes.imshow(image, cmap, vmin=-limit if signed else 0, vmax=limit)
    axes.set(xticks=[], yticks=[])


def draw_predictions(figure: Any, result: Result, test: Data) -> None:
    """Draws test images; those with a wrong prediction come first."""
    names, size = list("0123456789"), 10
    if options.dataset == "cifar10":
        names, size = CIFAR10, 8
    images, labels = test
    said = result.predictions.argmax(-1)
    is_wrong = said != labels
    wrong, right = np.flatnonzero(is_wrong), np.flatnonzero(~is_wrong)
    figure.suptitle(
        f"{len(right):,} of {len(said):,} test images read right (✓), "
        f"{len(wrong):,} read wrong (✗)",
        weight="bold",
    )
    grid = figure.subplots(3, 10)
    # At most two of the three rows show wrong predictions.
    for axes, index in zip(grid.flat, [*wrong[:20], *right], strict=False):
        show(axes, images[index])
        name, truth = names[said[index]], names[labels[index]]
        if is_wrong[index]:
            axes.set_title(f"✗ {name}, is {truth}", size=size, weight="bold")
            axes.spines[:].set(color=ORANGE, linewidth=4)
        else:
            axes.set_title(f"✓ {name}", size=size)
            axes.spines[:].set(color=BLUE)


def draw_kernels(figure: Any, layer: keras.Layer, image: np.ndarray) -> None:
    """Draws the depthwise kernels, and an image after each kernel."""
    kernel = layer.depthwise_kernel
    seen = keras_sepconv.ops.depthwise_conv(image[None], kernel, padding="same")
    seen = keras.ops.convert_to_numpy(seen)[0]
    # One axis for all the kernels, in the order of the output's channels.
    kernels = keras.ops.convert_to_numpy(kernel).reshape(*kernel.shape[:2], -1)
    figure.suptitle(
        "16 depthwise kernels of the first layer, and what each makes of "
        "the image on the left",
        weight="bold",
    )
    figure.supxlabel("blue: positive, orange: negative", size=10)
    grid = figure.subplots(2, 17)
    grid[0, 0].axis("off")
    show(grid[1, 0], image)
    for channel in range(16):
        show(grid[0, channel + 1], kernels[..., channel], signed=True)
        show(grid[1, channel + 1], seen[..., channel], signed=True)


def draw(result: Result, test: Data, path: Path) -> None:
    """Writes the picture of one network."""
    figure: Any = Figure(figsize=(12, 7), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 2))
    draw_predictions(top, result, test)
    draw_kernels(bottom, result.model.layers[0], test[0][0])
    figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.2)


def judge(ours: list[Result]) -> None:
    """Ends the program with a message if a network falls short."""
    for result in ours:
        if options.dataset != "cifar10" and result.accuracy < MIN_ACCURACY:
            sys.exit(
                f"The {result.kind} network reads {result.accuracy:.2%} of the "
                f"test images right; expected at least {MIN_ACCURACY:.0%}."
            )
        for backend, difference in result.differences.items():
            if not difference <= TOLERANCE:  # NaN is no agreement either.
                sys.exit(
                    f"The {result.kind} network, loaded under {backend}, is "
                    f"off by {difference:.1g}; expected {TOLERANCE} at most."
                )


def main() -> None:
    """Trains, loads elsewhere, prints, draws and judges."""
    # The images have this format, whatever the user has set in Keras.
    keras.config.set_image_data_format("channels_last")
    data, test = load_data(options.dataset)
    options.out.mkdir(parents=True, exist_ok=True)
    results = [
        train(*names, data, test) for names in product(HELPERS, NETWORKS)
    ]
    ours = [result for result in results if result.layers == "ours"]
    load_elsewhere(ours, test[0], options.out)
    draw(ours[0], test, options.out / "digits.png")
    print_table(results)
    print(f"The picture: {options.out / 'digits.png'}")
    judge(ours)


if __name__ == "__main__":
    main()
