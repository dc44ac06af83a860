"""The parts of a config that tf.keras and Keras 3 have in common."""

from typing import Any

from keras_sepconv.tools.legacy.files import slashless

Node = dict[str, Any]


def base_name(node: Node) -> str:
    """Returns the name of a node's class without its package."""
    return str(node["class_name"]).split(">")[-1]


def without_slashes(data: Any) -> Any:
    """Returns a config without `/` in names, which Keras 3 refuses."""
    if isinstance(data, dict):
        result = {key: without_slashes(item) for key, item in data.items()}
        if isinstance(result.get("name"), str):
            result["name"] = slashless(result["name"])
        return result
    if not isinstance(data, list):
        return data
    if len(data) in (3, 4) and isinstance(data[1], int):
        # A reference to a tensor of another layer. It starts with the name.
        data = [slashless(item) for item in data[:1]] + data[1:]
    return [without_slashes(item) for item in data]


def named(base: str, config: Any, registered: Any) -> Node:
    """Returns the node of a class or function that the caller knows."""
    return {
        "module": None,
        "class_name": base,
        "config": config,
        "registered_name": registered,
    }


def layers_of(node: Node) -> list[Node]:
    """Returns a model's layers. Keras before 2.2.3 wrote only the list."""
    config = node["config"]
    layers = config if isinstance(config, list) else config.get("layers", [])
    return list(layers)


def input_shape(node: Node) -> Any:
    """Returns the input shape of the first layer, also inside a model."""
    layers = layers_of(node)
    if layers:
        return input_shape(layers[0])
    config = node["config"]
    return config.get("batch_input_shape") if isinstance(config, dict) else None
