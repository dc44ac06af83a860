"""A caller that `mypy --strict` checks; what it must refuse is marked."""

import keras

import keras_sepconv
from keras_sepconv import layer_conv_2d, layer_separable_conv_2d


def model() -> keras.Sequential:
    """Returns a model made with helpers."""
    model = keras_sepconv.keras_model_sequential((28, 28, 1), name="net")
    layer_separable_conv_2d(model, filters=8, kernel_size=(3, 3), strides=2)
    layer_conv_2d(model, 4.0, [3.0, 3.0], padding="same", weights=None)
    return model


layer_conv_2d(None, 4, 3, padding=1)  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, depth_multiplier=2)  # type: ignore[call-arg]
layer_separable_conv_2d(None, 4, 3, use_bias="no")  # type: ignore[arg-type]
keras_sepconv.layer_conv_4d()  # type: ignore[attr-defined]
