"""Code that `mypy --strict` checks; lines that it must refuse are marked."""

import keras
import numpy as np

import keras_sepconv
from keras_sepconv import (
    layer_conv_2d,
    layer_separable_conv_2d,
    layer_zero_padding_2d,
)


def model() -> keras.Sequential:
    """Returns a model made with helpers."""
    model = keras_sepconv.keras_model_sequential((28, 28, 1), name="net")
    layer_separable_conv_2d(model, filters=8, kernel_size=(3, 3), strides=2)
    layer_conv_2d(model, 4.0, [3.0, 3.0], padding="same", weights=None)
    layer_conv_2d(
        model, np.int64(4), np.array([3, 3]), input_shape=[None, 8, 3]
    )
    layer_zero_padding_2d(model, ((1, 1), (0, 2)), batch_size=8.0)
    model.add(keras_sepconv.SeparableConv1D(8.0, [3], padding="causal"))
    model.add(
        keras_sepconv.DepthwiseConv3D(
            (3, 3, 3), padding=((1, 0), (1, 1), 0), activation=keras.ops.relu
        )
    )
    return model


layer_conv_2d(None, "four", 3)  # type: ignore[arg-type]
layer_conv_2d(None, None, 3)  # type: ignore[arg-type]
layer_conv_2d(None, 4, "three")  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, strides=None)  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, groups=[1])  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, input_shape="28")  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, batch_size=[8])  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, weights=3)  # type: ignore[arg-type]
layer_zero_padding_2d(None, "same")  # type: ignore[arg-type]
layer_separable_conv_2d(None, "four", 3)  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, padding=1)  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, depth_multiplier=2)  # type: ignore[call-arg]
layer_separable_conv_2d(None, 4, 3, use_bias="no")  # type: ignore[arg-type]
keras_sepconv.layer_conv_4d()  # type: ignore[attr-defined]
keras_sepconv.SeparableConv2D(8)  # type: ignore[call-arg]
keras_sepconv.SeparableConv1D("four", 3)  # type: ignore[arg-type]
keras_sepconv.SeparableConv2D("four", 3)  # type: ignore[arg-type]
keras_sepconv.SeparableConv3D("four", 3)  # type: ignore[arg-type]
keras_sepconv.SeparableConv2D(8, 3, padding="full")  # type: ignore[arg-type]
keras_sepconv.SeparableConv2D(8, 3, padding="causal")  # type: ignore[arg-type]
keras_sepconv.SeparableConv2D(8, 3, activation=3)  # type: ignore[arg-type]
keras_sepconv.DepthwiseConv1D("3")  # type: ignore[arg-type]
keras_sepconv.DepthwiseConv2D("3")  # type: ignore[arg-type]
keras_sepconv.DepthwiseConv3D("3")  # type: ignore[arg-type]
keras_sepconv.DepthwiseConv1D(3, data_format="last")  # type: ignore[arg-type]
keras_sepconv.DepthwiseConv3D(3, bias_initializer=0)  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, padding="causal")  # type: ignore[arg-type]
layer_conv_2d(None, 4, 3, data_format="last")  # type: ignore[arg-type]
