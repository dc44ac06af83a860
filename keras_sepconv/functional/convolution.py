"""The `layer_*` helpers for convolutions, in the manner of R's keras."""

from typing import Any

from keras_sepconv.functional.compose import batch_shape, compose
from keras_sepconv.layers import SeparableConv2D


def layer_separable_conv_2d(
    object: Any = None,
    filters: Any = None,
    kernel_size: Any = None,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    depth_multiplier: Any = 1,
    activation: Any = None,
    use_bias: bool = True,
    depthwise_initializer: Any = "glorot_uniform",
    pointwise_initializer: Any = "glorot_uniform",
    bias_initializer: Any = "zeros",
    depthwise_regularizer: Any = None,
    pointwise_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: Any = None,
    depthwise_constraint: Any = None,
    pointwise_constraint: Any = None,
    bias_constraint: Any = None,
    input_shape: Any = None,
    batch_input_shape: Any = None,
    batch_size: Any = None,
    dtype: Any = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Any = None,
) -> Any:
    """Separable convolution of images, composed with `object`.

    The function of the same name in R's `keras`. Whole-number floats count as
    integers everywhere, because numbers from R are doubles.

    Args:
        object: What to compose the layer with. `None`: return the layer. A
            `keras.Sequential`: add the layer and return the same model. A
            tensor (`keras.KerasTensor`, a tensor of the active backend,
            `keras.Variable`, NumPy array): return the layer's result.
        filters: The number of output channels; required.
        kernel_size: A whole number, or `(height, width)`; required.
        strides: A whole number, or one for rows and one for columns.
        padding: `"valid"` or `"same"`, in upper or lower case.
        data_format: `"channels_last"`, `"channels_first"`, or `None` for
            `keras.config.image_data_format()`.
        dilation_rate: A whole number, or one for rows and one for columns. Not
            together with strides.
        depth_multiplier: Depthwise filters for each input channel.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (with a depthwise kernel's true fans) or
            an object (as it is).
        pointwise_initializer: A name, an object or a function.
        bias_initializer: A name, an object or a function.
        depthwise_regularizer: A name, an object or a function.
        pointwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        pointwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        input_shape: `(rows, cols, channels)`, or with the channels first;
            `None` is an unknown size. Used when the layer becomes the first of
            an empty `keras.Sequential`, which is then built at once; ignored
            elsewhere.
        batch_input_shape: The same with the batch size before; it wins over
            `input_shape`.
        batch_size: The batch size that goes with `input_shape`.
        dtype: A dtype name or a `keras.DTypePolicy`.
        name: The layer's name.
        trainable: Whether the weights are trained. `None`: yes.
        weights: Arrays to start with: depthwise kernel
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
    layer = SeparableConv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        data_format=data_format,
        dilation_rate=dilation_rate,
        depth_multiplier=depth_multiplier,
        activation=activation,
        use_bias=use_bias,
        depthwise_initializer=depthwise_initializer,
        pointwise_initializer=pointwise_initializer,
        bias_initializer=bias_initializer,
        depthwise_regularizer=depthwise_regularizer,
        pointwise_regularizer=pointwise_regularizer,
        bias_regularizer=bias_regularizer,
        activity_regularizer=activity_regularizer,
        depthwise_constraint=depthwise_constraint,
        pointwise_constraint=pointwise_constraint,
        bias_constraint=bias_constraint,
        dtype=dtype,
        name=name,
        trainable=True if trainable is None else trainable,
    )
    layer.batch_input_shape = batch_shape(
        rank=4,
        channel_axis=1 if layer.data_format == "channels_first" else 3,
        input_shape=input_shape,
        batch_input_shape=batch_input_shape,
        batch_size=batch_size,
    )
    return compose(object, layer, weights, 3 if layer.use_bias else 2)
