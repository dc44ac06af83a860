"""The `layer_*` helpers for separable convolutions."""

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
from keras_sepconv.functional.compose import compose


def layer_separable_conv_1d(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = 1,
    padding: Padding1D = "valid",
    data_format: DataFormat | None = "channels_last",
    dilation_rate: Wholes = 1,
    depth_multiplier: Whole = 1,
    activation: Activation = None,
    use_bias: bool = True,
    depthwise_initializer: Initializer = "glorot_uniform",
    pointwise_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    depthwise_regularizer: Regularizer = None,
    pointwise_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    depthwise_constraint: Constraint = None,
    pointwise_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Separable convolution of sequences, composed with `object`.

    For `object`, the shapes, how `weights` are used and what is raised see
    `layer_separable_conv_2d`; the other arguments are those of
    `keras_sepconv.SeparableConv1D`.
    `weights` are the depthwise kernel
    `(*kernel_size, channels, depth_multiplier)`, the pointwise kernel
    `(1, channels * depth_multiplier, filters)` and, with a bias, `(filters,)`.

    Input shape:
        `(batch, steps, channels)`, or with the channels first.

    Output shape:
        `(batch, new_steps, filters)`, or with the channels first.

    Example:

    >>> from keras_sepconv import layer_separable_conv_1d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 3), "float32")
    >>> tuple(layer_separable_conv_1d(x, filters=4, kernel_size=3).shape)
    (2, 6, 4)
    """
    return compose(layers.SeparableConv1D, 3, locals())


def layer_separable_conv_2d(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1),
    padding: Padding = "valid",
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = 1,
    depth_multiplier: Whole = 1,
    activation: Activation = None,
    use_bias: bool = True,
    depthwise_initializer: Initializer = "glorot_uniform",
    pointwise_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    depthwise_regularizer: Regularizer = None,
    pointwise_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    depthwise_constraint: Constraint = None,
    pointwise_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Separable convolution of images, composed with `object`.

    The function of the same name in R's `keras`. Whole-number floats count as
    integers everywhere, because numbers from R are doubles, and a list or an
    array of one value as the value.

    Args:
        object: What to compose the layer with. `None`: return the layer. A
            `keras.Sequential`: add the layer and return the same model. A
            tensor (`keras.KerasTensor`, a tensor of the active backend,
            `keras.Variable`, NumPy array): return the layer's result.
        filters: The number of output channels; required.
        kernel_size: A whole number, or `(height, width)`: `(2, 5)` spans two
            rows and five columns. Required.
        strides: A whole number, or one for rows and one for columns.
        padding: `"valid"` or `"same"`, in upper or lower case, or zeros in
            numbers.
        data_format: `"channels_last"`, `"channels_first"`, or `None` for
            `keras.config.image_data_format()`.
        dilation_rate: A whole number, or one for rows and one for columns. Not
            together with strides.
        depth_multiplier: Depthwise filters for each input channel.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (scaled for a depthwise kernel) or
            an object (as it is).
        pointwise_initializer: A name, an object or a function.
        bias_initializer: A name, an object or a function.
        depthwise_regularizer: A name, an object or, from Keras 3.15, a
            function.
        pointwise_regularizer: A name, an object or, from Keras 3.15, a
            function.
        bias_regularizer: A name, an object or, from Keras 3.15, a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or, from Keras 3.15, a
            function.
        pointwise_constraint: A name, an object or, from Keras 3.15, a
            function.
        bias_constraint: A name, an object or, from Keras 3.15, a function.
        input_shape: `(rows, cols, channels)`, or with the channels first;
            `None` and R's NA are an unknown size. Used when the layer, if it
            was not built before, becomes the first of an empty
            `keras.Sequential`, which is then built at once. Elsewhere it is
            ignored, with a warning where it differs.
        batch_input_shape: The same with the batch size before; it wins over
            `input_shape`.
        batch_size: The batch size that goes with `input_shape`.
        dtype: A dtype name or a `keras.DTypePolicy`. With integers only the
            input that the helper makes is of them.
        name: The layer's name.
        trainable: Whether the weights are trained. `None`: yes.
        weights: Arrays to start with, in a list or a dict: depthwise kernel
            `(height, width, channels, depth_multiplier)`, pointwise kernel
            `(1, 1, channels * depth_multiplier, filters)` and, with a bias,
            `(filters,)`. They are what the layer is built with; they are not
            part of its config, so a copy made before that lacks them, and the
            shapes above too.

    Returns:
        A `keras_sepconv.SeparableConv2D`, or `object` with the layer added, or
        a tensor `(batch, new_rows, new_cols, filters)`, or with the channels
        first.

    Raises:
        TypeError: A missing `filters` or `kernel_size`, an argument of the
            wrong type, or another `object`.
        ValueError: An argument with the wrong value, or an input of the wrong
            shape. A model given as `object` is then as it was.

    Example:

    >>> import keras
    >>> from keras_sepconv import layer_separable_conv_2d
    >>> model = keras.Sequential()
    >>> model = layer_separable_conv_2d(
    ...     model, filters=32, kernel_size=3, input_shape=(28, 28, 1)
    ... )
    >>> model.output_shape
    (None, 26, 26, 32)
    """
    return compose(layers.SeparableConv2D, 4, locals())


def layer_separable_conv_3d(
    object: Any = None,
    filters: Whole = REQUIRED,
    kernel_size: Wholes = REQUIRED,
    strides: Wholes = (1, 1, 1),
    padding: Padding = "valid",
    data_format: DataFormat | None = None,
    dilation_rate: Wholes = 1,
    depth_multiplier: Whole = 1,
    activation: Activation = None,
    use_bias: bool = True,
    depthwise_initializer: Initializer = "glorot_uniform",
    pointwise_initializer: Initializer = "glorot_uniform",
    bias_initializer: Initializer = "zeros",
    depthwise_regularizer: Regularizer = None,
    pointwise_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
    activity_regularizer: Regularizer = None,
    depthwise_constraint: Constraint = None,
    pointwise_constraint: Constraint = None,
    bias_constraint: Constraint = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
) -> Any:
    """Separable convolution of volumes, composed with `object`.

    For `object`, the shapes, how `weights` are used and what is raised see
    `layer_separable_conv_2d`; the other arguments are those of
    `keras_sepconv.SeparableConv3D`.
    `weights` are the depthwise kernel
    `(*kernel_size, channels, depth_multiplier)`, the pointwise kernel
    `(1, 1, 1, channels * depth_multiplier, filters)` and, with a bias,
    `(filters,)`.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, filters)`, or with the channels
        first.

    Example:

    >>> from keras_sepconv import layer_separable_conv_3d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 8, 3), "float32")
    >>> tuple(layer_separable_conv_3d(x, filters=4, kernel_size=3).shape)
    (2, 6, 6, 6, 4)
    """
    return compose(layers.SeparableConv3D, 5, locals())
