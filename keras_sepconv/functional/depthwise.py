"""The `layer_*` helpers for depthwise convolutions."""

# `help` and editors then show the names of the types.
from __future__ import annotations

from typing import Any

from keras_sepconv import layers
from keras_sepconv._types import (
    REQUIRED,
    Activation,
    Constraint,
    DataFormat,
    Initializer,
    Padding,
    Padding1D,
    Regularizer,
    ShapeLike,
    Weights,
    Whole,
    Wholes,
)
from keras_sepconv.functional.compose import helper


@helper(layers.DepthwiseConv1D, 3)
def layer_depthwise_conv_1d(
    object: Any = None,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = 1,
    padding: Padding1D = "valid",
    depth_multiplier: Whole = 1,
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = 1,
    activation: Activation = None,
    use_bias: bool = True,
    depthwise_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    depthwise_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    depthwise_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Depthwise convolution of sequences, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras_sepconv.DepthwiseConv1D`.
    `weights` are the kernel `(*kernel_size, channels, depth_multiplier)` and,
    with a bias, `(channels * depth_multiplier,)`.

    Input shape:
        `(batch, steps, channels)`, or with the channels first.

    Output shape:
        `(batch, new_steps, channels * depth_multiplier)`,
        or with the channels first.

    Example:

    >>> from keras_sepconv import layer_depthwise_conv_1d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 3), "float32")
    >>> tuple(layer_depthwise_conv_1d(x, kernel_size=3).shape)
    (2, 6, 3)
    """


@helper(layers.DepthwiseConv2D, 4)
def layer_depthwise_conv_2d(
    object: Any = None,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1),
    padding: Padding = "valid",
    depth_multiplier: Whole = 1,
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = (1, 1),
    activation: Activation = None,
    use_bias: bool = True,
    depthwise_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    depthwise_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    depthwise_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Depthwise convolution of images, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras_sepconv.DepthwiseConv2D`.
    `weights` are the kernel `(*kernel_size, channels, depth_multiplier)` and,
    with a bias, `(channels * depth_multiplier,)`.

    Input shape:
        `(batch, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_rows, new_cols, channels * depth_multiplier)`,
        or with the channels first.

    Example:

    >>> from keras_sepconv import layer_depthwise_conv_2d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 3), "float32")
    >>> tuple(layer_depthwise_conv_2d(x, kernel_size=3).shape)
    (2, 6, 6, 3)
    """


@helper(layers.DepthwiseConv3D, 5)
def layer_depthwise_conv_3d(
    object: Any = None,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1, 1),
    padding: Padding = "valid",
    depth_multiplier: Whole = 1,
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = (1, 1, 1),
    activation: Activation = None,
    use_bias: bool = True,
    depthwise_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    depthwise_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    depthwise_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Depthwise convolution of volumes, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes, `weights` and the
    errors. The other arguments are those of `keras_sepconv.DepthwiseConv3D`.
    `weights` are the kernel `(*kernel_size, channels, depth_multiplier)` and,
    with a bias, `(channels * depth_multiplier,)`.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, channels * depth_multiplier)`,
        or with the channels first.

    Example:

    >>> from keras_sepconv import layer_depthwise_conv_3d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 8, 3), "float32")
    >>> tuple(layer_depthwise_conv_3d(x, kernel_size=3).shape)
    (2, 6, 6, 6, 3)
    """
