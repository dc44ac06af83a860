"""Depthwise convolution layers: one base for every rank, and thin ranks."""

# `help` and editors then show the names of the types.
from __future__ import annotations

from typing import Any, ClassVar

import keras

from keras_sepconv._spec import check_keywords
from keras_sepconv._types import (
    Activation,
    Constraint,
    DataFormat,
    Initializer,
    Padding,
    Padding1D,
    Regularizer,
    Whole,
    Wholes,
)
from keras_sepconv.layers._base import BaseConv


class BaseDepthwiseConv(BaseConv):
    """What the depthwise layers of every rank share.

    `DepthwiseConv2D` describes the rules, for users.
    """

    _attributes: ClassVar[dict[str, str]] = {
        "depthwise": "kernel",
        "bias": "bias",
    }
    _weight_names = tuple(_attributes.values())

    def __init__(
        self, rank: int, options: dict[str, Any], **kwargs: Any
    ) -> None:
        check_keywords(type(self).__name__, kwargs, options)
        super().__init__(rank, options, **kwargs)

    def _output_channels(self, channels: int) -> int:
        return channels * self.depth_multiplier


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseConv1D(BaseDepthwiseConv, keras.layers.DepthwiseConv1D):  # type: ignore[misc]
    """Depthwise convolution of sequences (1D).

    The rules are those of `keras_sepconv.DepthwiseConv2D`, and
    `keras_sepconv.SeparableConv2D` describes the arguments in full.

    Args:
        kernel_size: A whole number.
        strides: A whole number.
        padding: `"valid"`, `"same"`, `"causal"`, or numbers of zeros.
        depth_multiplier: Filters for each input channel.
        data_format: `"channels_last"`, `"channels_first"` or `None`.
        dilation_rate: A whole number.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (scaled for a depthwise
            kernel) or an object.
        bias_initializer: A name or an object.
        depthwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        implementation: `None`, or a name from
            `keras_sepconv.ops.implementations()`.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_steps, channels * depth_multiplier)`, or
        `(batch, channels * depth_multiplier, new_steps)`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value, or the input has the wrong
            shape.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.DepthwiseConv1D(3, depth_multiplier=2)
    >>> tuple(layer(np.ones((4, 28, 3), "float32")).shape)
    (4, 26, 6)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 2), (6,)]
    """

    def __init__(
        self,
        kernel_size: Wholes,
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
        *,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(1, locals(), **kwargs)


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseConv2D(BaseDepthwiseConv, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """Depthwise convolution of images (2D).

    Each input channel is filtered by itself, with `depth_multiplier` filters.
    Nothing mixes the channels. Then the bias is added and the activation is
    applied. `keras_sepconv.ops.depthwise_conv` defines what is computed.

    You can use it in place of `keras.layers.DepthwiseConv2D`. The rules are
    those of `keras_sepconv.SeparableConv2D`, which describes in full the
    arguments that both have. `DepthwiseConv1D` and `DepthwiseConv3D` follow
    the same rules.

    Args:
        kernel_size: A whole number, or `(height, width)`.
        strides: A whole number, or one for rows and one for columns.
        padding: `"valid"`, `"same"`, or numbers of zeros.
        depth_multiplier: Filters for each input channel.
        data_format: `"channels_last"`, `"channels_first"` or `None`.
        dilation_rate: A whole number, or one for rows and one for columns.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (scaled for a depthwise
            kernel) or an object.
        bias_initializer: A name or an object.
        depthwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        implementation: `None`, or a name from
            `keras_sepconv.ops.implementations()`.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, rows, cols, channels)`, or `(batch, channels, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_rows, new_cols, channels * depth_multiplier)`, or
        `(batch, channels * depth_multiplier, new_rows, new_cols)`. The filters
        of the first input channel come first.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value, or the input has the wrong
            shape.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.DepthwiseConv2D(3, depth_multiplier=2)
    >>> tuple(layer(np.ones((4, 28, 28, 3), "float32")).shape)
    (4, 26, 26, 6)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 3, 2), (6,)]
    """

    def __init__(
        self,
        kernel_size: Wholes,
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
        *,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, locals(), **kwargs)


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseConv3D(BaseDepthwiseConv):
    """Depthwise convolution of volumes (3D).

    The rules are those of `keras_sepconv.DepthwiseConv2D`, and
    `keras_sepconv.SeparableConv2D` describes the arguments in full. Keras has
    no such layer.

    Args:
        kernel_size: A whole number, or `(depth, height, width)`.
        strides: A whole number, or one each for depth, rows and columns.
        padding: `"valid"`, `"same"`, or numbers of zeros.
        depth_multiplier: Filters for each input channel.
        data_format: `"channels_last"`, `"channels_first"` or `None`.
        dilation_rate: A whole number, or one each for depth, rows and columns.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (scaled for a depthwise
            kernel) or an object.
        bias_initializer: A name or an object.
        depthwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        implementation: `None`, or a name from
            `keras_sepconv.ops.implementations()`.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or
        `(batch, channels, depth, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, channels * depth_multiplier)`,
        or with the channels first.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value, or the input has the wrong
            shape.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.DepthwiseConv3D(3, depth_multiplier=2)
    >>> tuple(layer(np.ones((4, 8, 28, 28, 3), "float32")).shape)
    (4, 6, 26, 26, 6)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 3, 3, 2), (6,)]
    """

    def __init__(
        self,
        kernel_size: Wholes,
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
        *,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(3, locals(), **kwargs)
