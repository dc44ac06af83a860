"""Separable convolution layers: one base for every rank, and thin ranks."""

# `help` and editors then show the names of the types.
from __future__ import annotations

import inspect
from typing import Any, ClassVar, Generic

import keras

from keras_sepconv._checks import boolean, check_keywords, integer
from keras_sepconv._spec import Shape
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


class BaseSeparableConv(BaseConv, Generic[PaddingOfRank]):
    """What the separable layers of every rank share.

    `SeparableConv2D` describes the rules, the constructor its arguments.
    """

    _attributes: ClassVar[dict[str, str]] = {
        "depthwise": "depthwise_kernel",
        "pointwise": "pointwise_kernel",
        "bias": "bias",
    }
    _weight_names = (*_attributes.values(), "depthwise_bias")

    def __init__(
        self,
        filters: Whole,
        kernel_size: Wholes,
        strides: Wholes = 1,
        padding: PaddingOfRank = "valid",
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
        *,
        depthwise_use_bias: bool = False,
        depthwise_activation: Activation = None,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Makes a layer without weights; the first call makes the weights.

        Args:
            filters: The number of output channels.
            kernel_size: The size of the depthwise kernel: a whole number, or
                one for each spatial axis, as `(height, width)`.
            strides: The stride of the depthwise convolution: a whole number, or
                one for each spatial axis.
            padding: `"valid"` (no zeros), or `"same"` (as many zeros as keep
                the size at stride 1, the same number on both sides; an odd one
                goes to the end). Or the number of zeros: one number for all
                sides, a number for each axis, or a pair `(before, after)` for
                each axis. `SeparableConv1D` also takes `"causal"` (all zeros
                before, so that no output depends on a later step). Upper case
                is accepted.
            data_format: `"channels_last"`, `"channels_first"`, or `None` for
                `keras.config.image_data_format()`. Both work on every backend,
                on CPUs too.
            dilation_rate: The distance between neighbouring pixels of the
                depthwise kernel: a whole number, or one for each spatial axis.
            depth_multiplier: The number of depthwise filters for each input
                channel.
            activation: A name or a function, applied last. `None`: no
                activation.
            use_bias: Whether to add a bias before the activation.
            depthwise_initializer: A name (scaled for a depthwise kernel) or an
                object. `None`: `"glorot_uniform"`.
            pointwise_initializer: A name or an object. `None`:
                `"glorot_uniform"`.
            bias_initializer: A name or an object. `None`: `"zeros"`.
            depthwise_regularizer: A penalty on the depthwise kernel: a name, an
                object or a function.
            pointwise_regularizer: A penalty on the pointwise kernel.
            bias_regularizer: A penalty on the bias.
            activity_regularizer: A penalty on the output.
            depthwise_constraint: A projection of the depthwise kernel, applied
                after each update: a name, an object or a function.
            pointwise_constraint: A projection of the pointwise kernel.
            bias_constraint: A projection of the bias.
            depthwise_use_bias: Whether to add a bias between the two steps. It
                starts at zero and comes last in `weights`.
            depthwise_activation: A name or a function, applied between the
                steps.
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
        known = inspect.signature(BaseSeparableConv.__init__).parameters
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
            pointwise=(
                pointwise_initializer,
                pointwise_regularizer,
                pointwise_constraint,
            ),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
            **kwargs,
        )
        self.filters = integer("filters", filters)
        self.depthwise_use_bias = boolean(
            "depthwise_use_bias", depthwise_use_bias
        )
        activation = keras.activations.get(depthwise_activation)
        self.depthwise_activation = (
            None if activation is keras.activations.linear else activation
        )
        self.depthwise_bias: Any = None

    def _weight_shapes(self, channels: int) -> dict[str, Shape]:
        planes = channels * self.depth_multiplier
        pointwise = (1,) * self.rank + (planes, self.filters)
        return {**super()._weight_shapes(channels), "pointwise": pointwise}

    def _add_weights(self, shape: Shape) -> None:
        super()._add_weights(shape)
        if self.depthwise_use_bias:
            planes = int(self.pointwise_kernel.shape[-2])
            self.depthwise_bias = self.add_weight(
                name="depthwise_bias", shape=(planes,), initializer="zeros"
            )

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, under stock Keras's keys.

        Arguments that stock Keras lacks are left out at their defaults.
        """
        config = {**super().get_config(), "filters": self.filters}
        if self.depthwise_use_bias:
            config["depthwise_use_bias"] = True
        if self.depthwise_activation is not None:
            config["depthwise_activation"] = keras.activations.serialize(
                self.depthwise_activation
            )
        return config


@keras.saving.register_keras_serializable(package="keras_sepconv")
class SeparableConv1D(
    BaseSeparableConv[Padding1D],
    keras.layers.SeparableConv1D,  # type: ignore[misc]
):
    """Separable convolution of sequences (1D).

    The rules are those of `keras_sepconv.SeparableConv2D`.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_steps, filters)`, or `(batch, filters, new_steps)`.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.SeparableConv1D(16, 3, activation="relu")
    >>> tuple(layer(np.ones((4, 28, 2), "float32")).shape)
    (4, 26, 16)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 2, 1), (1, 2, 16), (16,)]
    """

    rank = 1


@keras.saving.register_keras_serializable(package="keras_sepconv")
class SeparableConv2D(BaseSeparableConv[Padding], keras.layers.SeparableConv2D):  # type: ignore[misc]
    """Separable convolution of images (2D).

    First a depthwise convolution filters each channel by itself. Then a
    pointwise convolution, a matrix product, mixes the channels. Then the bias
    is added and the activation is applied. `keras_sepconv.ops.separable_conv`
    defines what is computed.

    You can use it in place of `keras.layers.SeparableConv2D`: the constructor,
    the weights, the weights files and the config are the same, as long as you
    use no argument that Keras lacks. There are two deliberate differences:

    - An initializer that you give *by name* for the depthwise kernel, as
      `"glorot_uniform"`, is scaled for a depthwise kernel (see
      `keras_sepconv.layers.DepthwiseFans`). An initializer *object* is used
      unchanged. So `depthwise_initializer=keras.initializers.GlorotUniform()`
      gives the values of stock Keras, and so does a config that stock Keras
      saved.
    - The constructor raises an error if both `strides` and `dilation_rate` are
      larger than 1. The documentation of the Keras layer forbids this too.

    `SeparableConv1D` and `SeparableConv3D` follow the same rules.

    Input shape:
        `(batch, rows, cols, channels)`, or `(batch, channels, rows, cols)` if
        `data_format="channels_first"`. The batch size, the rows and the columns
        may be unknown; so may the channels, once the layer is built. Integers
        are cast to the layer's compute dtype.

    Output shape:
        `(batch, new_rows, new_cols, filters)`, or
        `(batch, filters, new_rows, new_cols)`. A size `n` becomes
        `ceil(n / stride)` with padding `"same"` and `"causal"`. Otherwise it
        becomes `floor((n + zeros - span) / stride) + 1`, where
        `span = (kernel_size - 1) * dilation_rate + 1`.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.SeparableConv2D(16, 3, activation="relu")
    >>> tuple(layer(np.ones((4, 28, 28, 1), "float32")).shape)
    (4, 26, 26, 16)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 1, 1), (1, 1, 1, 16), (16,)]
    """

    rank = 2


@keras.saving.register_keras_serializable(package="keras_sepconv")
class SeparableConv3D(BaseSeparableConv[Padding]):
    """Separable convolution of volumes (3D).

    The rules are those of `keras_sepconv.SeparableConv2D`. Keras has no such
    layer.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or
        `(batch, channels, depth, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, filters)`, or
        `(batch, filters, new_depth, new_rows, new_cols)`.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.SeparableConv3D(16, 3, activation="relu")
    >>> tuple(layer(np.ones((4, 8, 28, 28, 1), "float32")).shape)
    (4, 6, 26, 26, 16)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 3, 1, 1), (1, 1, 1, 1, 16), (16,)]
    """

    rank = 3
