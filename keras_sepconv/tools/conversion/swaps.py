"""Which layer of Keras and which of this package replace each other."""

from collections.abc import Callable
from typing import Any

import keras

from keras_sepconv.layers._call import plain_kind
from keras_sepconv.tools.inspection.convolutions import (
    CONVOLUTIONS,
    OURS,
    STOCK,
    STOCK_BY_NAME,
    is_ours,
    obstacle,
)
from keras_sepconv.tools.inspection.tree import Node
from keras_sepconv.tools.inspection.words import short_error

AROUND = "another layer creates it in its own code"

# Returns the new config of a layer, or the reason why it stays, or `None` for a
# layer of another kind.
Swap = Callable[[Node], Node | str | None]


def to_ours(implementation: str | None) -> Swap:
    """Returns a function from the config of a stock layer to that of ours.

    Args:
        implementation: The implementation that our layers run.
    """

    def swap(node: Node) -> Node | str | None:
        name = node["class_name"]
        if node.get("module") != "keras.layers" or name not in STOCK_BY_NAME:
            return None
        if "Quantized" in str(node["config"].get("dtype")):
            return "it is quantized"
        if name in ("Conv1D", "Conv2D", "Conv3D") and not _is_cheap(node):
            return None
        config = dict(node["config"])
        if implementation is not None:
            config["implementation"] = implementation
        return _as(OURS[name], node, config)

    return swap


def to_stock(node: Node) -> Node | str | None:
    """Returns the config of the stock layer that replaces one of ours."""
    name = node["class_name"]
    if node.get("registered_name") != f"keras_sepconv>{name}":
        return None
    if name not in OURS:
        return None
    if name not in STOCK_BY_NAME:
        return f"Keras has no {name}"
    config = dict(node["config"])
    config.pop("implementation", None)
    if not isinstance(config["padding"], str):
        return f"Keras's {name} has no padding by numbers"
    return _as(STOCK_BY_NAME[name], node, config)


def candidate(layer: Any) -> str | None:
    """Returns why a convolution was not replaced by one of ours.

    The result is `None` if the layer is one of ours or not a convolution.
    """
    if not isinstance(layer, CONVOLUTIONS) or is_ours(layer):
        return None
    reason = obstacle(layer)
    if reason is None and type(layer) in STOCK:
        reason = AROUND
    return reason or f"{type(layer).__name__} is a class of its own"


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
        return short_error(error)
    registered = keras.saving.get_registered_name(layer)
    return {
        **node,
        "module": layer.__module__ if ">" in registered else "keras.layers",
        "class_name": layer.__name__,
        "config": config,
        "registered_name": registered if ">" in registered else None,
    }
