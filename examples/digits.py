"""Learn to read digits with separable convolutions, on three backends.

Two small networks, a Sequential and a functional one, are trained twice: with
`keras_sepconv.layer_separable_conv_2d`, and with the layer of stock Keras. Ours
are saved, loaded by fresh processes under every backend, and must predict the
same there. It ends with a table and a picture:

    python examples/digits.py
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

BACKENDS = ("jax", "tensorflow", "torch")
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

MIN_ACCURACY = 0.97
TOLERANCE = 1e-5
RIGHT, WRONG = "#0072b2", "#d55e00"  # Told apart by color-blind eyes.

# All that it takes to load a model elsewhere: the second import makes the
# layers known to Keras.
PREDICT = """
import sys
import keras, keras_sepconv, numpy

images, *paths = sys.argv[1:]
for path in paths:
    model = keras.models.load_model(path)
    predictions = model.predict(numpy.load(images), verbose=0)
    numpy.save(f"{path}.{keras.backend.backend()}.npy", predictions)
"""


@dataclass
class Data:
    """Images in [0, 1], `(count, rows, cols, channels)`, and their labels."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    names: list[str]


@dataclass
class Result:
    """A trained network, and what is to be told about it."""

    layers: str
    kind: str
    model: keras.Model
    seconds: float
    predictions: np.ndarray
    accuracy: float
    differences: dict[str, float] = field(default_factory=dict)


def load_data(dataset: str) -> Data:
    """Returns a dataset; only the digits need no download."""
    names = [str(digit) for digit in range(10)]
    if dataset == "digits":
        images, labels = load_digits(return_X_y=True)
        images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
        train, test, train_labels, test_labels = train_test_split(
            images, labels, test_size=0.25, stratify=labels, random_state=0
        )
        return Data(train, train_labels, test, test_labels, names)
    if dataset == "cifar10":
        names = "plane car bird cat deer dog frog horse ship truck".split()
    try:
        parts = getattr(keras.datasets, dataset).load_data()
    except Exception as error:  # Keras raises no narrower one.
        sys.exit(f"Could not download {dataset}: {error}")
    (train, train_labels), (test, test_labels) = parts
    # MNIST has no axis for its one channel, CIFAR-10 has one more for labels.
    shape = (-1, *train.shape[1:3], 3 if dataset == "cifar10" else 1)
    return Data(
        train.reshape(shape).astype("float32") / 255,
        train_labels.ravel(),
        test.reshape(shape).astype("float32") / 255,
        test_labels.ravel(),
        names,
    )


def layer_stock(object: Any, input_shape: Any = None, **kwargs: Any) -> Any:
    """Does with stock Keras's layer what our helper does with ours."""
    layer = keras.layers.SeparableConv2D(**kwargs)
    if not isinstance(object, keras.Sequential):
        return layer(object)
    if input_shape is not None:
        object.add(keras.Input(input_shape))
    object.add(layer)
    return object


# What turns a network (or nothing) and a layer's arguments into a longer one.
Helper = Callable[..., Any]


def sequential(layer_conv: Helper, shape: tuple[int, ...]) -> keras.Model:
    """Returns a plain stack; the first helper also gives it its input."""
    model = keras.Sequential()
    layer_conv(
        model,
        filters=32,
        kernel_size=5,
        padding="same",
        depth_multiplier=16,
        activation="relu",
        input_shape=shape,
    )
    for filters in (64, 128):
        model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.MaxPooling2D())
        layer_conv(
            model,
            filters=filters,
            kernel_size=3,
            padding="same",
            activation="relu",
        )
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, activation="softmax"))
    return model


def functional(layer_conv: Helper, shape: tuple[int, ...]) -> keras.Model:
    """Returns a network with shortcuts, which a Sequential cannot have."""
    inputs = keras.Input(shape)
    x = layer_conv(
        inputs,
        filters=32,
        kernel_size=5,
        padding="same",
        depth_multiplier=16,
        activation="relu",
    )
    for filters in (64, 128):
        x = keras.layers.BatchNormalization()(x)
        shortcut = keras.layers.Conv2D(filters, 1, strides=2)(x)
        x = layer_conv(
            x, filters=filters, kernel_size=3, padding="same", activation="relu"
        )
        x = keras.layers.MaxPooling2D(padding="same")(x)
        x = keras.layers.add([x, shortcut])
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(10, activation="softmax")(x)
    return keras.Model(inputs, outputs)
