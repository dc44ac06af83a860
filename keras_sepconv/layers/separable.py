"""Separable convolution layers: one base for every rank, and thin ranks."""

from typing import Any, ClassVar

import keras

from keras_sepconv._spec import Padding, Shape, boolean, integer
from keras_sepconv.layers._base import BaseConv


class BaseSeparableConv(BaseConv):
    """Separable convolution of any rank.

    A depthwise convolution filters each channel by itself; a pointwise one, a
    matrix product, mixes the channels; then come the bias and the activation.
    What it computes is `keras_sepconv.ops.separable_conv`.

    It takes the place of the Keras layer of the same name, where there is one:
    the constructor, the weights, the weights files and the config are the same,
    as long as nothing is asked for that Keras lacks. Two differences are
    deliberate:

    - A fan-based initializer given *by name* for the depthwise kernel uses the
      fans that this kernel has (see `keras_sepconv.layers.DepthwiseFans`). An
      initializer object is taken as it is, so
      `depthwise_initializer=keras.initializers.GlorotUniform()` is what stock
      Keras does, and so is a config that stock Keras saved.
    - Strides together with dilation are refused at construction, as the
      documentation of the Keras layer says. The operations accept both.

    Each rank has its own constructor, with these arguments:

    Args:
        filters: The number of output channels.
        kernel_size: The size of the depthwise window: a whole number, or one
            for each spatial axis.
        strides: The stride of the depthwise convolution, likewise.
        padding: `"valid"` (none), `"same"` (zeros, split evenly, so that
            stride 1 keeps the size) or, with one spatial axis, `"causal"`
            (zeros before, so that no output sees a later step), in upper or
            lower case. Or numbers of zeros: one for both sides of every axis,
            or for each axis one or a pair, before and after it.
        data_format: `"channels_last"`, `"channels_first"`, or `None` for
            `keras.config.image_data_format()`. Both work on every backend, on
            a CPU too.
        dilation_rate: The dilation of the depthwise window, as `kernel_size`.
        depth_multiplier: The number of depthwise filters for each input
            channel.
        activation: A name or a function to apply last. `None`: none.
        use_bias: Whether to add a bias before the activation.
        depthwise_initializer: A name or an object. `None`:
            `"glorot_uniform"`.
        pointwise_initializer: A name or an object. `None`:
            `"glorot_uniform"`.
        bias_initializer: A name or an object. `None`: `"zeros"`.
        depthwise_regularizer: A penalty on the depthwise kernel.
        pointwise_regularizer: A penalty on the pointwise kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        depthwise_constraint: A projection of the depthwise kernel after each
            update.
        pointwise_constraint: A projection of the pointwise kernel.
        bias_constraint: A projection of the bias.
        depthwise_use_bias: Whether to add a bias between the two steps, of
            zeros at first, after the other weights in `weights`.
        depthwise_activation: A name or a function to apply between the steps.
        implementation: `None` for the fastest that can, or a name from
            `keras_sepconv.ops.implementations()`: exactly that one runs, or
            the call raises and says why not. A name is part of the saved
            config, and the backend that loads it must have one of that name.
        **kwargs: What every `keras.layers.Layer` takes: `name`, `dtype`,
            `trainable`.

    Input shape:
        `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` if
        `data_format="channels_first"`. Batch and sizes may be unknown, and so
        may the channels once the weights are made.
        Integers are cast to the layer's compute dtype.

    Output shape:
        `(batch, *new_sizes, filters)`, or `(batch, filters, *new_sizes)`. A
        size `n` becomes `ceil(n / stride)` with padding `"same"` and
        `"causal"`, else `floor((n + zeros - span) / stride) + 1`, where
        `span = (kernel_size - 1) * dilation_rate + 1`.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: An argument with the wrong value, or an input of the wrong
            shape; in a call, before anything is built.
    """

    _attributes: ClassVar[dict[str, str]] = {
        "depthwise": "depthwise_kernel",
        "pointwise": "pointwise_kernel",
        "bias": "bias",
    }
    _weight_names = (*_attributes.values(), "depthwise_bias")

    def __init__(
        self, rank: int, options: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(rank, options, **kwargs)
        self.filters = integer("filters", options["filters"])
        self.depthwise_use_bias = boolean(
            "depthwise_use_bias", options["depthwise_use_bias"]
        )
        activation = keras.activations.get(options["depthwise_activation"])
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

        Those that stock Keras lacks are there only where they are not default.
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
class SeparableConv1D(BaseSeparableConv, keras.layers.SeparableConv1D):  # type: ignore[misc]
    """Separable convolution of sequences; see `BaseSeparableConv` for rules.

    Args:
        filters: The number of output channels.
        kernel_size: A whole number.
        strides: A whole number.
        padding: `"valid"`, `"same"`, `"causal"`, or zeros in numbers.
        data_format: `"channels_last"`, `"channels_first"` or `None`.
        dilation_rate: A whole number.
        depth_multiplier: Depthwise filters for each input channel.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (with the true fans) or an object.
        pointwise_initializer: A name or an object.
        bias_initializer: A name or an object.
        depthwise_regularizer: A name, an object or a function.
        pointwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        pointwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        depthwise_use_bias: Whether to add a bias between the steps.
        depthwise_activation: A name or a function to apply between the steps.
        implementation: `None`, or a name from
            `keras_sepconv.ops.implementations()`.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_steps, filters)`, or `(batch, filters, new_steps)`.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: An argument with the wrong value, or an input of the wrong
            shape.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.SeparableConv1D(16, 3, activation="relu")
    >>> tuple(layer(np.ones((4, 28, 2), "float32")).shape)
    (4, 26, 16)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 2, 1), (1, 2, 16), (16,)]
    """

    def __init__(
        self,
        filters: Any,
        kernel_size: Any,
        strides: Any = 1,
        padding: Padding = "valid",
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
        *,
        depthwise_use_bias: bool = False,
        depthwise_activation: Any = None,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(1, locals(), **kwargs)


@keras.saving.register_keras_serializable(package="keras_sepconv")
class SeparableConv2D(BaseSeparableConv, keras.layers.SeparableConv2D):  # type: ignore[misc]
    """Separable convolution of images; see `BaseSeparableConv` for the rules.

    Args:
        filters: The number of output channels.
        kernel_size: A whole number, or `(height, width)`.
        strides: A whole number, or one for rows and one for columns.
        padding: `"valid"`, `"same"`, or zeros in numbers.
        data_format: `"channels_last"`, `"channels_first"` or `None`.
        dilation_rate: A whole number, or one for rows and one for columns.
        depth_multiplier: Depthwise filters for each input channel.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (with the true fans) or an object.
        pointwise_initializer: A name or an object.
        bias_initializer: A name or an object.
        depthwise_regularizer: A name, an object or a function.
        pointwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        pointwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        depthwise_use_bias: Whether to add a bias between the steps.
        depthwise_activation: A name or a function to apply between the steps.
        implementation: `None`, or a name from
            `keras_sepconv.ops.implementations()`.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, rows, cols, channels)`, or `(batch, channels, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_rows, new_cols, filters)`, or
        `(batch, filters, new_rows, new_cols)`.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: An argument with the wrong value, or an input of the wrong
            shape.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.SeparableConv2D(16, 3, activation="relu")
    >>> tuple(layer(np.ones((4, 28, 28, 1), "float32")).shape)
    (4, 26, 26, 16)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 1, 1), (1, 1, 1, 16), (16,)]
    """

    def __init__(
        self,
        filters: Any,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: Padding = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
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
        *,
        depthwise_use_bias: bool = False,
        depthwise_activation: Any = None,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, locals(), **kwargs)


@keras.saving.register_keras_serializable(package="keras_sepconv")
class SeparableConv3D(BaseSeparableConv):
    """Separable convolution of volumes; see `BaseSeparableConv` for the rules.

    Args:
        filters: The number of output channels.
        kernel_size: A whole number, or `(depth, height, width)`.
        strides: A whole number, or one each for depth, rows and columns.
        padding: `"valid"`, `"same"`, or zeros in numbers.
        data_format: `"channels_last"`, `"channels_first"` or `None`.
        dilation_rate: A whole number, or one each for depth, rows and columns.
        depth_multiplier: Depthwise filters for each input channel.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (with the true fans) or an object.
        pointwise_initializer: A name or an object.
        bias_initializer: A name or an object.
        depthwise_regularizer: A name, an object or a function.
        pointwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        pointwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        depthwise_use_bias: Whether to add a bias between the steps.
        depthwise_activation: A name or a function to apply between the steps.
        implementation: `None`, or a name from
            `keras_sepconv.ops.implementations()`.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or
        `(batch, channels, depth, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, filters)`, or
        `(batch, filters, new_depth, new_rows, new_cols)`.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: An argument with the wrong value, or an input of the wrong
            shape.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.SeparableConv3D(16, 3, activation="relu")
    >>> tuple(layer(np.ones((4, 8, 28, 28, 1), "float32")).shape)
    (4, 6, 26, 26, 16)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 3, 1, 1), (1, 1, 1, 1, 16), (16,)]
    """

    def __init__(
        self,
        filters: Any,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: Padding = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1, 1),
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
        *,
        depthwise_use_bias: bool = False,
        depthwise_activation: Any = None,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(3, locals(), **kwargs)
