"""Times a depthwise and a 1x1 convolution against a separable layer.

    KERAS_BACKEND=jax python tests/long/pairs.py

This prints the median milliseconds of `predict_on_batch` and `train_on_batch`
for 8 images of 56x56 with 128 channels, measured in turns. It measures the pair
with stock layers and converted, each with nothing between and with a
normalisation and an activation between; and a separable layer of this package.
"""

import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

import keras_sepconv

ROUNDS = 25
SHAPE = (56, 56, 128)


def compiled(*layers: keras.Layer) -> keras.Model:
    """Returns the layers as a model that can be trained."""
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    model.compile("sgd", "mse")
    return model


def pair(*between: keras.Layer) -> keras.Model:
    """Returns the two convolutions with layers between."""
    depthwise = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)
    return compiled(depthwise, *between, keras.layers.Conv2D(SHAPE[-1], 1))


def normalised() -> keras.Model:
    """Returns the pair with normalisations and activations, as MobileNet."""
    return pair(keras.layers.BatchNormalization(), keras.layers.ReLU())


def main() -> None:
    """Times everything and prints it."""
    convert = keras_sepconv.convert_model
    models = {
        "pair, stock": pair(),
        "pair, converted": convert(pair()),
        "separable layer": compiled(
            keras_sepconv.SeparableConv2D(SHAPE[-1], 3, padding="same")
        ),
        "pair with normalisation, stock": normalised(),
        "pair with normalisation, converted": convert(normalised()),
    }
    images = np.random.default_rng(0).random((8, *SHAPE), "float32")
    ways: dict[str, Callable[[keras.Model], object]] = {
        "predict": lambda model: model.predict_on_batch(images),
        "train": lambda model: model.train_on_batch(images, images),
    }
    for way, run in ways.items():
        times: dict[str, list[float]] = {name: [] for name in models}
        for turn in range(ROUNDS + 2):
            for name, model in models.items():
                start = time.perf_counter()
                run(model)
                if turn > 1:
                    times[name].append(time.perf_counter() - start)
        for name, found in times.items():
            median = 1e3 * statistics.median(found)
            print(f"{keras.backend.backend()} {way:8} {median:6.1f}  {name}")


if __name__ == "__main__":
    main()
