"""The `layer_*` helpers for transposed convolutions, as in R's keras."""

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
    Regularizer,
    ShapeLike,
    Weights,
    Whole,
    Wholes,
)
from keras_sepconv.functional.compose import helper


@helper(keras.layers.Conv1DTranspose, 3)
def layer_conv_1d_transpose(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = 1,
    padding: PaddingWord = "valid",
    output_padding: Wholes | None = None,
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = 1,
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
    """Transposed convolution of sequences, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras.layers.Conv1DTranspose`.
    `weights` are the kernel `(*kernel_size, filters, channels)` and, with a
    bias, `(filters,)`.

    Input shape:
        `(batch, steps, channels)`, or with the channels first.

    Output shape:
        `(batch, new_steps, filters)`, or with the channels first.

    Example:

    >>> from keras_sepconv import layer_conv_1d_transpose
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 3), "float32")
    >>> tuple(layer_conv_1d_transpose(x, 4, 3, strides=2, padding="same").shape)
    (2, 16, 4)
    """


@helper(keras.layers.Conv2DTranspose, 4)
def layer_conv_2d_transpose(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1),
    padding: PaddingWord = "valid",
    output_padding: Wholes | None = None,
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = (1, 1),
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
    """Transposed convolution of images, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras.layers.Conv2DTranspose`.
    `weights` are the kernel `(*kernel_size, filters, channels)` and, with a
    bias, `(filters,)`.

    Input shape:
        `(batch, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_rows, new_cols, filters)`, or with the channels first.

    Example:

    >>> from keras_sepconv import layer_conv_2d_transpose
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 3), "float32")
    >>> tuple(layer_conv_2d_transpose(x, 4, 3, strides=2, padding="same").shape)
    (2, 16, 16, 4)
    """


@helper(keras.layers.Conv3DTranspose, 5)
def layer_conv_3d_transpose(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1, 1),
    padding: PaddingWord = "valid",
    output_padding: Wholes | None = None,
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = (1, 1, 1),
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
    """Transposed convolution of volumes, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras.layers.Conv3DTranspose`.
    `weights` are the kernel `(*kernel_size, filters, channels)` and, with a
    bias, `(filters,)`.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, filters)`,
        or with the channels first.

    Example:

    >>> from keras_sepconv import layer_conv_3d_transpose
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 8, 3), "float32")
    >>> tuple(layer_conv_3d_transpose(x, 4, 3, strides=2, padding="same").shape)
    (2, 16, 16, 16, 4)
    """
