"""Which convolutions there are, which are ours, and which may run ours."""

from typing import Any

import keras

from keras_sepconv import layers
from keras_sepconv.layers._call import is_accelerated, kind

SEPARABLE = (
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    layers.SeparableConv3D,
)

DEPTHWISE = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    layers.DepthwiseConv3D,
)

_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)

TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)

CONVOLUTIONS = (*SEPARABLE, *DEPTHWISE, *_PLAIN, *TRANSPOSED)

OURS = {
    name: getattr(layers, name)
    for name in layers.__all__
    if issubclass(getattr(layers, name), keras.layers.Layer)
}

# The layers of Keras with the same names.
STOCK_BY_NAME = {
    name: getattr(keras.layers, name)
    for name in OURS
    if hasattr(keras.layers, name)
}

STOCK = tuple(STOCK_BY_NAME.values())

_HOMES = ("keras.", "keras_sepconv.")


def is_ours(layer: Any) -> bool:
    """Tells whether a layer is from this package."""
    return isinstance(layer, tuple(OURS.values()))


def obstacle(layer: Any) -> str | None:
    """Returns why a convolution of Keras cannot run our operations.

    The result is `None` if it can run them.
    """
    stock = next((one for one in STOCK if isinstance(layer, one)), None)
    if stock is None:
        return "it is transposed"
    if is_quantized(layer.dtype_policy):
        return "it is quantized"
    if not _may_be_cheap(layer):
        return "it is dense"
    for name in ("call", "convolution_op"):
        own = getattr(type(layer), name, None)
        if own is not getattr(stock, name, None):
            return f"its class {type(layer).__name__} has its own `{name}`"
        if name in vars(layer) and not is_accelerated(layer):
            return f"it has its own `{name}`"
    return None


def is_quantized(policy: Any) -> bool:
    """Tells whether a dtype policy is for quantized layers."""
    return "Quantized" in type(policy).__name__


def is_known(layer: Any) -> bool:
    """Tells whether a layer is from Keras or from us, and is not quantized."""
    return (
        type(layer).__module__.startswith(_HOMES)
        and not is_quantized(layer.dtype_policy)
        and not getattr(layer, "lora_enabled", False)
    )


def _may_be_cheap(layer: Any) -> bool:
    # Before a layer is built, the number of channels is unknown; it may be the
    # number of groups.
    return kind(layer) is not None or (layer.groups > 1 and not layer.built)
