"""Several threads call one model. Row E17 tests that they build it once."""

import concurrent.futures

import keras
import numpy as np
import pytest
from backends import BACKEND

import keras_sepconv as ks
from keras_sepconv import convert_model

THREADS = 8
# On JAX, Keras's own `predict` donates its variables to the compiled function
# and then sets them again. So two calls at once fail, also with stock layers.
WAYS = ["call"] if BACKEND == "jax" else ["call", "predict"]
L = keras.layers


def ours():
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            ks.SeparableConv2D(6, 3, activation="relu"),
            ks.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            L.GlobalAveragePooling2D(),
        ]
    )


def converted():
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            L.Conv2D(8, 1),
            L.DepthwiseConv2D(3, strides=2),
            L.BatchNormalization(),
            L.SeparableConv2D(4, 3, padding="same"),
            L.GlobalAveragePooling2D(),
        ]
    )
    return convert_model(model, inference=True)


@pytest.mark.parametrize("make", [ours, converted])
@pytest.mark.parametrize("way", WAYS)
def test_eight_threads_see_what_one_sees(make, way, rng):
    """They call the model at once, with new images of different sizes."""
    model = make()
    images = [
        rng.standard_normal((2, 9 + size, 12 - size, 3)).astype("float32")
        for size in (0, 1, 2)
    ]
    images *= THREADS

    def run(image):
        if way == "predict":
            return model.predict_on_batch(image)
        return keras.ops.convert_to_numpy(model(image))

    if way == "predict":
        # Keras makes its own predict function at the first call, unlocked.
        run(images[0])
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(run, images))
    for image, one in zip(images, found, strict=True):
        np.testing.assert_array_equal(one, run(image))
