"""Which layer stands for which, in both directions."""

import math
from collections.abc import Callable
from typing import Any

import keras

from keras_sepconv import layers
from keras_sepconv.tools._tree import Node
from keras_sepconv.tools._words import said

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


def candidate(layer: Any) -> str | None:
    """Returns why a layer that `to_ours` could mean was not replaced.

    `None` if it means no such layer, or is one of ours.
    """
    if not isinstance(layer, tuple(_STOCK.values())):
        return None
    if isinstance(layer, tuple(_OURS.values())):
        return None
    if isinstance(layer, _PLAIN) and not _cheap(
        layer.groups, layer.kernel_size, _channels(layer)
    ):
        return None
    if type(layer) not in _STOCK.values():
        return f"{type(layer).__name__} is a class of its own"
    return "the code of the layer around it makes it"


def is_ours(layer: Any) -> bool:
    """Tells whether a layer is one of ours."""
    return isinstance(layer, tuple(_OURS.values()))


_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def _channels(layer: Any) -> int | None:
    return layer.kernel.shape[-2] * layer.groups if layer.built else None


def _cheap(groups: int, kernel_size: Any, channels: int | None) -> bool:
    """Tells whether a plain convolution is depthwise or pointwise."""
    if groups == 1:
        return bool(math.prod(kernel_size) == 1)
    return bool(groups == channels)


def _is_cheap(node: Node) -> bool:
    config, shape = node["config"], None
    build = node.get("build_config")
    if build:
        shape = build.get("input_shape")
    channels = None
    if shape:
        first = config["data_format"] == "channels_first"
        channels = shape[1 if first else -1]
    return _cheap(config["groups"], config["kernel_size"], channels)


def _as(kind: Any, node: Node, config: dict[str, Any]) -> Node | str:
    try:
        kind.from_config(config)
    except (TypeError, ValueError) as error:
        return said(error)
    registered = keras.saving.get_registered_name(kind)
    return {
        **node,
        "module": kind.__module__ if ">" in registered else "keras.layers",
        "class_name": kind.__name__,
        "config": config,
        "registered_name": registered if ">" in registered else None,
    }
