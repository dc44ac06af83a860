"""The `layer_*` helpers for dense convolutions, as in R's keras."""

# `help` and editors then show the names of the types.
from __future__ import annotations

from typing import Any

import keras

from keras_sepconv._types import (
    REQUIRED,
    Activation,
    Constraint,
    DataFormat,
    Initializer,
    PaddingWord,
    PaddingWord1D,
    Regularizer,
    ShapeLike,
    Weights,
    Whole,
    Wholes,
)
from keras_sepconv.functional.compose import helper


@helper(keras.layers.Conv1D, 3)
def layer_conv_1d(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = 1,
    padding: PaddingWord1D = "valid",
    data_format: DataFormat | None = "channels_last",
    dilation_rate: Wholes = 1,
    groups: Whole = 1,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    kernel_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    kernel_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Convolution of sequences, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras.layers.Conv1D`.
    `padding` may be `"causal"`.
    `weights` are the kernel `(*kernel_size, channels / groups, filters)` and,
    with a bias, `(filters,)`.

    Input shape:
        `(batch, steps, channels)`, or with the channels first.

    Output shape:
        `(batch, new_steps, filters)`, or with the channels first.

    Example:

    >>> from keras_sepconv import layer_conv_1d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 3), "float32")
    >>> tuple(layer_conv_1d(x, filters=4, kernel_size=3).shape)
    (2, 6, 4)
    """


@helper(keras.layers.Conv2D, 4)
def layer_conv_2d(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1),
    padding: PaddingWord = "valid",
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = (1, 1),
    groups: Whole = 1,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    kernel_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    kernel_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Convolution of images, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras.layers.Conv2D`.
    `weights` are the kernel `(*kernel_size, channels / groups, filters)` and,
    with a bias, `(filters,)`.

    Input shape:
        `(batch, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_rows, new_cols, filters)`, or with the channels first.

    Example:

    >>> from keras_sepconv import layer_conv_2d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 3), "float32")
    >>> tuple(layer_conv_2d(x, filters=4, kernel_size=3).shape)
    (2, 6, 6, 4)
    """


@helper(keras.layers.Conv3D, 5)
def layer_conv_3d(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1, 1),
    padding: PaddingWord = "valid",
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = (1, 1, 1),
    groups: Whole = 1,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    kernel_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    kernel_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Convolution of volumes, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras.layers.Conv3D`.
    `weights` are the kernel `(*kernel_size, channels / groups, filters)` and,
    with a bias, `(filters,)`.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, filters)`,
        or with the channels first.

    Example:

    >>> from keras_sepconv import layer_conv_3d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 8, 3), "float32")
    >>> tuple(layer_conv_3d(x, filters=4, kernel_size=3).shape)
    (2, 6, 6, 6, 4)
    """


@helper(keras.layers.ConvLSTM2D, 5)
def layer_conv_lstm_2d(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1),
    padding: PaddingWord = "valid",
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = (1, 1),
    activation: Activation = "tanh",
    recurrent_activation: Activation = "hard_sigmoid",
    use_bias: bool = True,
    kernel_initializer: Initializer = "glorot_uniform",
    recurrent_initializer: Initializer = "orthogonal",
    bias_initializer: Initializer = "zeros",
    unit_forget_bias: bool = True,
    kernel_regularizer: Regularizer = None,
    recurrent_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    kernel_constraint: Constraint = None,
    recurrent_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    stateful: bool = False,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    batch_size: Whole | None = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    dtype: Any = None,
) -> Any:
    """Convolutional LSTM over sequences of images, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras.layers.ConvLSTM2D`.
    `"hard_sigmoid"` is that of Keras 3, `relu6(x + 3) / 6`. In R's keras it was
    `clip(0.2 * x + 0.5, 0, 1)`.
    `weights` are the kernel `(*kernel_size, channels, 4 * filters)`, the
    recurrent kernel `(*kernel_size, filters, 4 * filters)` and, with a bias,
    `(4 * filters,)`.

    Input shape:
        `(batch, time, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_rows, new_cols, filters)`, or with the channels first. With
        `return_sequences=True` there is such an output for each time.

    Example:

    >>> from keras_sepconv import layer_conv_lstm_2d
    >>> import numpy as np
    >>> x = np.zeros((2, 5, 8, 8, 3), "float32")
    >>> tuple(layer_conv_lstm_2d(x, filters=4, kernel_size=3).shape)
    (2, 6, 6, 4)
    """
