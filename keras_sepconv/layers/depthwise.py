"""Depthwise convolution layers: one base for every rank, and thin ranks."""

# `help` and editors then show the names of the types.
from __future__ import annotations

import inspect
from typing import Any, ClassVar, Generic

import keras

from keras_sepconv._checks import check_keywords
from keras_sepconv._types import (
    Activation,
    Constraint,
    DataFormat,
    Initializer,
    Padding,
    Padding1D,
    PaddingOfRank,
    Regularizer,
    Whole,
    Wholes,
)
from keras_sepconv.layers._base import BaseConv


class BaseDepthwiseConv(BaseConv, Generic[PaddingOfRank]):
    """What the depthwise layers of every rank share.

    `DepthwiseConv2D` describes the rules, the constructor its arguments.
    """

    _attributes: ClassVar[dict[str, str]] = {
        "depthwise": "kernel",
        "bias": "bias",
    }
    _weight_names = tuple(_attributes.values())

    def __init__(
        self,
        kernel_size: Wholes,
        strides: Wholes = 1,
        padding: PaddingOfRank = "valid",
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
        """Makes a layer without weights; the first call makes the weights.

        Args:
            kernel_size: A whole number, or one for each spatial axis, as
                `(height, width)`.
            strides: A whole number, or one for each spatial axis.
            padding: `"valid"` (no zeros), or `"same"` (as many zeros as keep
                the size at stride 1, the same number on both sides; an odd one
                goes to the end). Or the number of zeros: one number for all
                sides, a number for each axis, or a pair `(before, after)` for
                each axis. `DepthwiseConv1D` also takes `"causal"` (all zeros
                before, so that no output depends on a later step). Upper case
                is accepted.
            depth_multiplier: The number of filters for each input channel.
            data_format: `"channels_last"`, `"channels_first"`, or `None` for
                `keras.config.image_data_format()`. Both work on every backend,
                on CPUs too.
            dilation_rate: The distance between neighbouring pixels of the
                kernel: a whole number, or one for each spatial axis.
            activation: A name or a function, applied last. `None`: no
                activation.
            use_bias: Whether to add a bias before the activation.
            depthwise_initializer: A name (scaled for a depthwise kernel) or an
                object. `None`: `"glorot_uniform"`.
            bias_initializer: A name or an object. `None`: `"zeros"`.
            depthwise_regularizer: A penalty on the kernel: a name, an object or
                a function.
            bias_regularizer: A penalty on the bias.
            activity_regularizer: A penalty on the output.
            depthwise_constraint: A projection of the kernel, applied after each
                update: a name, an object or a function.
            bias_constraint: A projection of the bias.
            implementation: `None` to choose the fastest one that supports the
                call. Or a name from `keras_sepconv.ops.implementations()`: that
                one runs, or the call raises an error with the reason. The name
                is saved in the config; a backend that has no implementation of
                that name cannot load the layer.
            **kwargs: The arguments of every `keras.layers.Layer`: `name`,
                `dtype`, `trainable`.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument has the wrong value. A call raises it too,
                before it builds anything, if the input has the wrong shape.
        """
        known = inspect.signature(BaseDepthwiseConv.__init__).parameters
        check_keywords(type(self).__name__, kwargs, known)
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            depth_multiplier=depth_multiplier,
            activation=activation,
            use_bias=use_bias,
            activity_regularizer=activity_regularizer,
            implementation=implementation,
            depthwise=(
                depthwise_initializer,
                depthwise_regularizer,
                depthwise_constraint,
            ),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
            **kwargs,
        )

    def _output_channels(self, channels: int) -> int:
        return channels * self.depth_multiplier


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseConv1D(
    BaseDepthwiseConv[Padding1D],
    keras.layers.DepthwiseConv1D,  # type: ignore[misc]
):
    """Depthwise convolution of sequences (1D).

    The rules are those of `keras_sepconv.DepthwiseConv2D`.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_steps, channels * depth_multiplier)`, or
        `(batch, channels * depth_multiplier, new_steps)`.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.DepthwiseConv1D(3, depth_multiplier=2)
    >>> tuple(layer(np.ones((4, 28, 3), "float32")).shape)
    (4, 26, 6)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 2), (6,)]
    """

    rank = 1


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseConv2D(BaseDepthwiseConv[Padding], keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """Depthwise convolution of images (2D).

    Each input channel is filtered by itself, with `depth_multiplier` filters.
    Nothing mixes the channels. Then the bias is added and the activation is
    applied. `keras_sepconv.ops.depthwise_conv` defines what is computed.

    You can use it in place of `keras.layers.DepthwiseConv2D`. The rules are
    those of `keras_sepconv.SeparableConv2D`. `DepthwiseConv1D` and
    `DepthwiseConv3D` follow the same rules.

    Input shape:
        `(batch, rows, cols, channels)`, or `(batch, channels, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_rows, new_cols, channels * depth_multiplier)`, or
        `(batch, channels * depth_multiplier, new_rows, new_cols)`. The filters
        of the first input channel come first.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.DepthwiseConv2D(3, depth_multiplier=2)
    >>> tuple(layer(np.ones((4, 28, 28, 3), "float32")).shape)
    (4, 26, 26, 6)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 3, 2), (6,)]
    """

    rank = 2


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseConv3D(BaseDepthwiseConv[Padding]):
    """Depthwise convolution of volumes (3D).

    The rules are those of `keras_sepconv.DepthwiseConv2D`. Keras has no such
    layer.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or
        `(batch, channels, depth, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, channels * depth_multiplier)`,
        or with the channels first.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.DepthwiseConv3D(3, depth_multiplier=2)
    >>> tuple(layer(np.ones((4, 8, 28, 28, 3), "float32")).shape)
    (4, 6, 26, 26, 6)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 3, 3, 2), (6,)]
    """

    rank = 3
