"""Which layer stands for which, in both directions."""

from collections.abc import Callable
from typing import Any

import keras

from keras_sepconv import layers
from keras_sepconv.layers._call import is_accelerated, kind, plain_kind
from keras_sepconv.tools._tree import Node
from keras_sepconv.tools._words import said
from keras_sepconv.tools.counts import CONVOLUTIONS

_OURS = {
    name: getattr(layers, name)
    for name in layers.__all__
    if issubclass(getattr(layers, name), keras.layers.Layer)
}
# Those that Keras has too.
_STOCK = {
    name: getattr(keras.layers, name)
    for name in _OURS
    if hasattr(keras.layers, name)
}

STOCK = tuple(_STOCK.values())

AROUND = "the code of the layer around it makes it"

# What a node becomes, or why it cannot.
Swap = Callable[[Node], Node | str | None]


def to_ours(implementation: str | None) -> Swap:
    """Returns what makes of a stock layer's node that of ours.

    Args:
        implementation: What our layers are to run by.
    """

    def swap(node: Node) -> Node | str | None:
        name = node["class_name"]
        if node.get("module") != "keras.layers" or name not in _STOCK:
            return None
        if "Quantized" in str(node["config"].get("dtype")):
            return "it is quantized"
        if name in ("Conv1D", "Conv2D", "Conv3D") and not _is_cheap(node):
            return None
        config = dict(node["config"])
        if implementation is not None:
            config["implementation"] = implementation
        return _as(_OURS[name], node, config)

    return swap


def to_stock(node: Node) -> Node | str | None:
    """Returns the node of the stock layer that stands for one of ours."""
    name = node["class_name"]
    if node.get("registered_name") != f"keras_sepconv>{name}":
        return None
    if name not in _OURS:
        return None
    if name not in _STOCK:
        return f"Keras has no {name}"
    config = dict(node["config"])
    config.pop("implementation", None)
    if not isinstance(config["padding"], str):
        return f"Keras's {name} has no padding by numbers"
    return _as(_STOCK[name], node, config)


def obstacle(layer: Any) -> str | None:
    """Returns why a convolution of Keras cannot run our operations, if so."""
    stock = next((one for one in STOCK if isinstance(layer, one)), None)
    if stock is None:
        return "it is transposed"
    if is_quantized(layer.dtype_policy):
        return "it is quantized"
    if isinstance(layer, _PLAIN) and not _may_be_cheap(layer):
        return "it is dense"
    for name in ("call", "convolution_op"):
        own = getattr(type(layer), name, None)
        if own is not getattr(stock, name, None):
            return f"its class {type(layer).__name__} has its own `{name}`"
        if name in vars(layer) and not is_accelerated(layer):
            return f"it has its own `{name}`"
    return None


def candidate(layer: Any) -> str | None:
    """Returns why a convolution was not replaced by one of ours.

    `None` if it is one of ours, or no convolution.
    """
    if not isinstance(layer, CONVOLUTIONS) or is_ours(layer):
        return None
    reason = obstacle(layer)
    if reason is None and type(layer) in STOCK:
        reason = AROUND
    return reason or f"{type(layer).__name__} is a class of its own"


def is_ours(layer: Any) -> bool:
    """Tells whether a layer is one of ours."""
    return isinstance(layer, tuple(_OURS.values()))


_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def is_quantized(policy: Any) -> bool:
    """Tells whether a dtype policy is one of quantized layers."""
    return "Quantized" in type(policy).__name__


def _may_be_cheap(layer: Any) -> bool:
    # Without weights, groups may be as many as the channels will be.
    return kind(layer) is not None or (layer.groups > 1 and not layer.built)


def _is_cheap(node: Node) -> bool:
    config, shape = node["config"], None
    build = node.get("build_config")
    if build:
        shape = build.get("input_shape")
    channels = None
    if shape:
        first = config["data_format"] == "channels_first"
        channels = shape[1 if first else -1]
    found = plain_kind(config["groups"], config["kernel_size"], channels)
    return found is not None


def _as(layer: Any, node: Node, config: dict[str, Any]) -> Node | str:
    try:
        layer.from_config(config)
    except (TypeError, ValueError) as error:
        return said(error)
    registered = keras.saving.get_registered_name(layer)
    return {
        **node,
        "module": layer.__module__ if ">" in registered else "keras.layers",
        "class_name": layer.__name__,
        "config": config,
        "registered_name": registered if ">" in registered else None,
    }
