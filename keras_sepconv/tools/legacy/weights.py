"""Reads weights that tf.keras up to 2.15 saved, in both of its layouts.

Keras 3 uses its own order of the layers. The weights in the file have the order
of the config in the file, so this module uses that order.
"""

import re
from collections.abc import Iterator
from typing import Any

import h5py
import keras

from keras_sepconv.tools.legacy.files import (
    RefusedError,
    array,
    below,
    names,
    slashless,
)

# The groups with a model's layers in 2.15, and in 2.12 to 2.14.
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")


class Order:
    """The layers of each model in the file: their names and classes.

    Args:
        config: The config of the model in the file.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._models: dict[str, list[tuple[str, str]]] = {}
        self._add(config)

    def _add(self, data: Any) -> None:
        if isinstance(data, dict):
            config = data.get("config")
            nodes = config.get("layers") if isinstance(config, dict) else config
            if "class_name" in data and isinstance(nodes, list):
                self._models.setdefault(_name(data), _listed(nodes))
            data = list(data.values())
        if isinstance(data, list):
            for item in data:
                self._add(item)

    def layers(self, model: Any) -> list[tuple[Any, str]]:
        """Returns a model's layers in the order of the file, with classes."""
        live = {layer.name: layer for layer in model.layers}
        listed = [x for x in self._models.get(model.name, ()) if x[0] in live]
        if len(listed) == len(live):
            return [(live[name], class_name) for name, class_name in listed]
        return [(x, type(x).__name__) for x in model.layers]


def load(model: Any, order: Order, file: h5py.File) -> None:
    """Sets all the weights of `model`.

    Args:
        model: The model that was made from the config of the file.
        order: The order of the layers in that config.
        file: The weights, in either layout.

    Raises:
        RefusedError: The weights are not those of this model.
    """
    group = below(file, "model_weights") if "model_weights" in file else file
    if "layer_names" in group.attrs or "layer_names0" in group.attrs:
        _load_by_layer(model, order, group)
    elif any(key in group for key in (*_CONTAINERS, "vars")):
        loaded = _load_by_path(model, order, group)
        stored = _count(group)
        if not loaded == stored == len(model.weights):
            raise RefusedError(
                f"the model has {len(model.weights)} weights, and the file "
                f"{stored}, of which {loaded} fit"
            )
    else:
        raise RefusedError("it is HDF5, but holds no weights of Keras")


def _load_by_layer(model: Any, order: Order, group: h5py.Group) -> None:
    """Sets the weights from a file with one list for each layer."""
    layers = [x for x, _ in order.layers(model) if x.weights]
    stored = {}
    for path in names(group, "layer_names"):
        inside = below(group, path)
        listed = names(inside, "weight_names")
        if listed:
            stored[slashless(path)] = (inside, listed)
    if len(stored) != len(layers):
        raise RefusedError(
            f"the model has {len(layers)} layers with weights, and the file "
            f"{len(stored)}"
        )
    # The names are used if they are the same; Keras may have renumbered them.
    by_name = {layer.name for layer in layers} == set(stored)
    for layer, name in zip(layers, list(stored), strict=True):
        inside, listed = stored[layer.name if by_name else name]
        variables = [x for part in _split(layer, order) for x in part]
        if len(variables) != len(listed):
            raise RefusedError(
                f"layer '{layer.name}' has {len(variables)} weights, and the "
                f"file {len(listed)}"
            )
        for variable, path in zip(variables, listed, strict=True):
            value = array(inside, path)
            _check_shape(layer, variable, value)
            variable.assign(value)
        _finish(layer)


def _split(layer: Any, order: Order) -> tuple[list[Any], list[Any]]:
    """Returns the trainable and other weights, in the order of tf.keras."""
    if not isinstance(layer, keras.Model):
        return list(layer.trainable_weights), list(layer.non_trainable_weights)
    trainable: list[Any] = []
    other: list[Any] = []
    seen: set[int] = set()
    for inner, _ in order.layers(layer):
        parts = _split(inner, order)
        for found, into in zip(parts, (trainable, other), strict=True):
            into += [x for x in found if id(x) not in seen]
            seen |= {id(x) for x in found}
    return trainable, other


def _load_by_path(layer: Any, order: Order, group: Any) -> int:
    """Sets the weights from a file with a group for each layer.

    Returns:
        The number of weights that were set.
    """
    count = _load_own(layer, group)
    if isinstance(layer, keras.Model):
        container = next((key for key in _CONTAINERS if key in group), None)
        if container is not None:
            inside = below(group, container)
            for inner, key in _matched(order.layers(layer), inside):
                count += _load_by_path(inner, order, below(inside, key))
            return count
    for key in group:
        # Wrappers and recurrent layers have layers in attributes. An attribute
        # of the class is not part of this layer.
        inner = None if hasattr(type(layer), key) else getattr(layer, key, None)
        if isinstance(inner, keras.layers.Layer) and inner is not layer:
            count += _load_by_path(inner, order, below(group, key))
        elif isinstance(inner, (list, tuple)):
            inside = below(group, key)
            listed = [
                (x, type(x).__name__)
                for x in inner
                if isinstance(x, keras.layers.Layer)
            ]
            for item, name in _matched(listed, inside):
                count += _load_by_path(item, order, below(inside, name))
    return count


def _load_own(layer: Any, group: h5py.Group) -> int:
    own = below(group, "vars") if "vars" in group else ()
    if not len(own):
        return 0
    values = {key: array(own, key) for key in own}
    weights = layer.weights
    if len(values) == len(weights):
        for index, weight in enumerate(weights):
            _check_shape(layer, weight, values.get(str(index)))
    try:
        layer.load_own_variables(values)
    except ValueError as error:
        raise RefusedError(
            f"the weights of layer '{layer.name}' do not fit ({error})"
        ) from error
    return len(values)


def _matched(
    layers: list[tuple[Any, str]], group: h5py.Group
) -> Iterator[tuple[Any, str]]:
    """Yields each layer with the name of its group.

    The name consists of the class and a number. The numbers grow in all
    versions, but they may start differently. The underscores differ too.
    """
    turns: dict[str, list[str]] = {}
    # HDF5 lists "x_10" before "x_2".
    for key in sorted(group, key=len):
        turns.setdefault(_plain(key), []).append(key)
    for layer, class_name in layers:
        keys = turns.get(_plain(class_name), [])
        if keys:
            yield layer, keys.pop(0)
        elif layer.weights:
            raise RefusedError(f"it has no weights for layer '{layer.name}'")


def _plain(name: str) -> str:
    """Returns the name of a class or group, the same for all versions."""
    return re.sub(r"_\d+$", "", name).replace("_", "").lower()


def _check_shape(layer: Any, variable: Any, value: Any) -> None:
    if value is not None and tuple(variable.shape) != value.shape:
        raise RefusedError(
            f"weight '{variable.name}' of layer '{layer.name}' has the shape "
            f"{tuple(variable.shape)}, and in the file {value.shape}"
        )


def _finish(layer: Any) -> None:
    # `Normalization` computes with numbers that it derives from its weights.
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()
    for inner in getattr(layer, "layers", ()):
        _finish(inner)


def _count(group: h5py.Group) -> int:
    """Returns the number of layers' weights in a file."""
    found = 0

    def visit(_: str, item: Any) -> None:
        nonlocal found
        found += isinstance(item, h5py.Dataset)

    for key in (*_CONTAINERS, "vars"):
        if key in group:
            below(group, key).visititems(visit)
    return found


def _name(node: dict[str, Any]) -> str:
    config = node["config"]
    named = config if isinstance(config, dict) else node
    return str(named.get("name"))


def _listed(nodes: list[Any]) -> list[tuple[str, str]]:
    return [
        (_name(node), str(node["class_name"]).split(">")[-1])
        for node in nodes
        if isinstance(node, dict) and "class_name" in node
    ]
