"""Initializers that are scaled for a depthwise kernel."""

import math
from typing import Any

import keras

from keras_sepconv._checks import wrong
from keras_sepconv._spec import Tensor


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseFans(keras.initializers.Initializer):  # type: ignore[misc]
    """An initializer of Keras, scaled for a depthwise kernel.

    Initializers such as `"glorot_uniform"` divide by the fan-in, the number of
    products that an output sums. An output of a depthwise convolution sums over
    the taps of one filter, so here `fan_in = taps` and
    `fan_out = taps * depth_multiplier`, where `taps` is the product of the
    kernel's sizes. Keras reads the kernel's shape
    `(*kernel_size, channels, depth_multiplier)` as that of a dense convolution
    and uses `fan_in = taps * channels`. Its values are too small, by up to the
    square root of the number of channels
    (https://github.com/keras-team/keras/issues/11773). The variances are those
    of Glorot and Bengio (2010), He et al. (2015) and LeCun et al. (1998).

    Args:
        name: The name of an initializer derived from
            `keras.initializers.VarianceScaling`, e.g. `"glorot_uniform"`.

    Raises:
        ValueError: `name` is not the name of such an initializer.

    Example:

    >>> from keras_sepconv.layers import DepthwiseFans
    >>> values = DepthwiseFans("he_normal")((3, 3, 512, 1))
    >>> tuple(values.shape)
    (3, 3, 512, 1)
    """

    def __init__(self, name: str) -> None:
        scaling = keras.initializers.get(name)
        is_scaling = isinstance(scaling, keras.initializers.VarianceScaling)
        if not isinstance(name, str) or not is_scaling:
            raise wrong("name", "the name of a fan-based initializer", name)
        self.name = name
        self._scaling = scaling

    def __call__(
        self, shape: tuple[int, ...], dtype: str | None = None
    ) -> Tensor:
        """Returns values; `shape` ends in the channels and the multiplier."""
        *kernel_size, channels, multiplier = shape
        taps = math.prod(kernel_size)
        fan_out = taps * multiplier
        mode = self._scaling.mode
        # The variance is the scale divided by the fan.
        keras_fan = _fan(mode, taps * channels, fan_out)
        return keras.initializers.VarianceScaling(
            scale=self._scaling.scale * keras_fan / _fan(mode, taps, fan_out),
            mode=mode,
            distribution=self._scaling.distribution,
            seed=self._scaling.seed,
        )(shape, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"name": self.name}


def _fan(mode: str, fan_in: int, fan_out: int) -> int:
    """Returns the fan of a mode, twice the average: ratios alone are used."""
    if mode == "fan_avg":
        return fan_in + fan_out
    return fan_in if mode == "fan_in" else fan_out


def get(identifier: Any) -> Any:
    """Returns the initializer of a depthwise kernel.

    Args:
        identifier: A name; a fan-based initializer is then scaled for a
            depthwise kernel. Or anything else that `keras.initializers.get`
            takes, which is used unchanged. `None` means `"glorot_uniform"`.
    """
    if identifier is None:
        identifier = "glorot_uniform"
    initializer = keras.initializers.get(identifier)
    if isinstance(identifier, str) and isinstance(
        initializer, keras.initializers.VarianceScaling
    ):
        return DepthwiseFans(identifier)
    return initializer


def serialize(initializer: Any) -> Any:
    """Returns the name of a `DepthwiseFans`, else the config of the object.

    So stock Keras can load the config of a layer that has the defaults.
    """
    if isinstance(initializer, DepthwiseFans):
        return initializer.name
    return keras.initializers.serialize(initializer)
