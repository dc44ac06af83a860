"""Runs a convolution layer, of Keras or of this package, by our operations.

The layers of Keras and of this package have the same attributes. So only this
module decides which layer is separable, depthwise or pointwise, and which
operations its call runs.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras

from keras_sepconv import kernels, ops
from keras_sepconv._spec import ConvSpec, Shape, Tensor, cast

_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def kind(layer: Any, channels: int | None = None) -> str | None:
    """Returns `"separable"`, `"depthwise"`, `"pointwise"`, `None` for others.

    Args:
        layer: A convolution layer of Keras or of this package.
        channels: The input channels; needed for a plain convolution that has
            no weights yet.
    """
    if isinstance(layer, _PLAIN):
        if layer.groups > 1 and layer.built:
            channels = int(layer.kernel.shape[-2]) * layer.groups
        return plain_kind(layer.groups, layer.kernel_size, channels)
    # On torch, `hasattr` takes long for an attribute that a layer lacks.
    own = vars(layer)
    if "pointwise_initializer" in own:
        return "separable"
    return "depthwise" if "depthwise_initializer" in own else None


def plain_kind(
    groups: int, kernel_size: Any, channels: int | None
) -> str | None:
    """Returns the kind of a plain convolution.

    Args:
        groups: The number of groups.
        kernel_size: The sizes of the kernel.
        channels: The number of input channels, `None` if unknown.
    """
    if groups == 1:
        return "pointwise" if math.prod(kernel_size) == 1 else None
    return "depthwise" if groups == channels else None


def call(
    layer: Any,
    inputs: Tensor,
    implementation: str | None,
    otherwise: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Returns what a layer with weights computes.

    Args:
        layer: The layer.
        inputs: Its input.
        implementation: The implementation of the operations, or `None`.
        otherwise: What a layer without a `kind` runs instead. Plain
            convolutions need it.
    """
    run = _RUN.get(kind(layer))
    if run is None:
        assert otherwise is not None, "only plain convolutions have no kind"
        return otherwise(inputs)
    dtype = layer.compute_dtype
    # Keras does not cast integer inputs.
    inputs = cast(inputs, dtype)
    bias = _cast(layer.bias, dtype)
    outputs = run(layer, inputs, bias, dtype, implementation)
    return outputs if layer.activation is None else layer.activation(outputs)


def _separable(
    layer: Any, inputs: Tensor, bias: Any, dtype: str, by: str | None
) -> Tensor:
    depthwise = _cast(layer.depthwise_kernel, dtype)
    pointwise = _cast(layer.pointwise_kernel, dtype)
    options = _options(layer, by)
    if not _in_two_steps(layer):
        return ops.separable_conv(
            inputs, depthwise, pointwise, bias=bias, **options
        )
    between = _cast(layer.depthwise_bias, dtype)
    outputs = ops.depthwise_conv(inputs, depthwise, bias=between, **options)
    if layer.depthwise_activation is not None:
        outputs = layer.depthwise_activation(outputs)
    return ops.pointwise_conv(
        outputs, pointwise, layer.data_format, by, bias=bias
    )


def _depthwise(
    layer: Any, inputs: Tensor, bias: Any, dtype: str, by: str | None
) -> Tensor:
    kernel = _cast(layer.kernel, dtype)
    if isinstance(layer, _PLAIN):
        shape = (*layer.kernel_size, layer.groups, -1)
        kernel = keras.ops.reshape(kernel, shape)
    return ops.depthwise_conv(inputs, kernel, bias=bias, **_options(layer, by))


def _pointwise(
    layer: Any, inputs: Tensor, bias: Any, dtype: str, by: str | None
) -> Tensor:
    if max(layer.strides) > 1:
        inputs = inputs[_positions_read(layer)]
    kernel = _cast(layer.kernel, dtype)
    return ops.pointwise_conv(inputs, kernel, layer.data_format, by, bias=bias)


_RUN: dict[str | None, Any] = {
    "separable": _separable,
    "depthwise": _depthwise,
    "pointwise": _pointwise,
}


class FastCall:
    """Replaces the `call` of one layer of Keras by our operations.

    It is an attribute of the layer, so Python finds it before the method of the
    class. Keras does not save, copy or count this attribute.
    """

    def __init__(self, layer: Any, implementation: str | None) -> None:
        self.layer = layer
        self.implementation = implementation

    def __call__(self, inputs: Tensor) -> Tensor:
        plain = functools.partial(type(self.layer).call, self.layer)
        return call(self.layer, inputs, self.implementation, plain)


def set_call(layer: Any, call: Callable[..., Tensor] | None) -> None:
    """Gives a layer a `call` of its own, or with `None` that of its class."""
    if call is not None:
        layer.call = call
    elif "call" in vars(layer):
        del layer.call


def is_accelerated(layer: Any) -> bool:
    """Tells whether a layer of Keras runs our operations."""
    return isinstance(vars(layer).get("call"), FastCall)


def operations(layer: Any, input_shape: tuple[int, ...]) -> list[kernels.Call]:
    """Returns the kernel calls that `call` makes, in order.

    The list is empty for a layer without a `kind`.

    Args:
        layer: A convolution layer of Keras or of this package.
        input_shape: The shape of its input.
    """
    spec = ConvSpec.normalise(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.data_format,
        layer.dilation_rate,
    )
    channels, dtype = input_shape[spec.channel_axis], layer.compute_dtype
    what = kind(layer, channels)
    if what is None:
        return []
    if what == "pointwise":
        return [_pointwise_call(spec, input_shape, layer.filters, dtype)]
    multiplier = getattr(layer, "depth_multiplier", None)
    if multiplier is None:
        multiplier = layer.filters // layer.groups
    alone = kernels.Call(spec, input_shape, multiplier, None, dtype)
    if what == "depthwise":
        return [alone]
    if _in_two_steps(layer):
        between = alone.output_shape
        return [alone, _pointwise_call(spec, between, layer.filters, dtype)]
    return [kernels.Call(spec, input_shape, multiplier, layer.filters, dtype)]


def _cast(weight: Any, dtype: str) -> Tensor | None:
    # Keras does not cast weights in `stateless_call` under mixed precision, nor
    # float64 weights under numpy.
    if weight is None:
        return None
    return cast(weight, dtype)


def _options(layer: Any, implementation: str | None) -> dict[str, Any]:
    return {
        "strides": layer.strides,
        "padding": layer.padding,
        "data_format": layer.data_format,
        "dilation_rate": layer.dilation_rate,
        "implementation": implementation,
    }


def _positions_read(layer: Any) -> tuple[slice, ...]:
    """Returns the positions that a kernel of size 1 reads, for any padding."""
    every = tuple(slice(None, None, stride) for stride in layer.strides)
    if layer.data_format == "channels_first":
        return (slice(None), slice(None), *every)
    return (slice(None), *every)


def _in_two_steps(layer: Any) -> bool:
    """Tells whether a bias or an activation comes between the two steps."""
    bias = vars(layer).get("depthwise_use_bias")
    if bias is None:  # A layer of Keras.
        return False
    return bias or layer.depthwise_activation is not None


def _pointwise_call(
    spec: ConvSpec, shape: Shape, filters: int, dtype: str
) -> kernels.Call:
    ones = (1,) * spec.rank
    point = ConvSpec.normalise(ones, 1, "same", spec.data_format, 1)
    return kernels.Call(point, shape, 1, filters, dtype)
