"""Keras's convolutions, faster where they are depthwise or pointwise."""

import inspect
from typing import Any

import keras

from keras_sepconv import kernels
from keras_sepconv._checks import check_keywords, check_weights_dtype
from keras_sepconv._spec import Tensor
from keras_sepconv.layers import _call


class BaseConvolution:
    """What the three convolutions share; `Conv2D` describes it, for users."""

    def __init__(
        self: Any, *args: Any, implementation: str | None = None, **kwargs: Any
    ) -> None:
        known = inspect.signature(super().__init__).parameters
        check_keywords(type(self).__name__, kwargs, known)
        super().__init__(*args, **kwargs)
        check_weights_dtype(kwargs.get("dtype"), self.variable_dtype)
        self.implementation = kernels.check_name(implementation)

    def call(self: Any, inputs: Tensor) -> Tensor:
        """Returns `activation(convolution(inputs) + bias)`."""
        plain = super().call  # type: ignore[misc]
        return _call.call(self, inputs, self.implementation, plain)

    def get_config(self) -> dict[str, Any]:
        """Returns the Keras layer's config, with `implementation` if given."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        if self.implementation is not None:
            config["implementation"] = self.implementation
        return config


@keras.saving.register_keras_serializable(package="keras_sepconv")
class Conv1D(BaseConvolution, keras.layers.Conv1D):  # type: ignore[misc]
    """`keras.layers.Conv1D`, faster where it is depthwise or pointwise.

    `keras_sepconv.layers.Conv2D` describes the arguments and the rules.

    Example:

    >>> import numpy as np
    >>> from keras_sepconv.layers import Conv1D
    >>> layer = Conv1D(8, 3, groups=4)
    >>> tuple(layer(np.ones((2, 28, 4), "float32")).shape)
    (2, 26, 8)
    """


@keras.saving.register_keras_serializable(package="keras_sepconv")
class Conv2D(BaseConvolution, keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D`, faster where it is depthwise or pointwise.

    It computes what `keras.layers.Conv2D` computes. With `groups` equal to the
    number of input channels it is a depthwise convolution, and with kernel size
    1 it is a matrix product; then the fast operations of this package run. In
    every other case the code of the Keras layer runs. The constructor, the
    weights, the weights files and the config are those of the Keras layer.

    Args:
        *args: The arguments of the Keras layer, in its order.
        implementation: `None` to choose the fastest one that supports the call,
            or a name from `keras_sepconv.ops.implementations()`.
        **kwargs: The arguments of the Keras layer.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value.

    Example:

    >>> import numpy as np
    >>> from keras_sepconv.layers import Conv2D
    >>> layer = Conv2D(8, 1, strides=2)
    >>> tuple(layer(np.ones((2, 28, 28, 4), "float32")).shape)
    (2, 14, 14, 8)
    """


@keras.saving.register_keras_serializable(package="keras_sepconv")
class Conv3D(BaseConvolution, keras.layers.Conv3D):  # type: ignore[misc]
    """`keras.layers.Conv3D`, faster where it is depthwise or pointwise.

    `keras_sepconv.layers.Conv2D` describes the arguments and the rules.

    Example:

    >>> import numpy as np
    >>> from keras_sepconv.layers import Conv3D
    >>> layer = Conv3D(8, 3, groups=4)
    >>> tuple(layer(np.ones((2, 9, 28, 28, 4), "float32")).shape)
    (2, 7, 26, 26, 8)
    """
