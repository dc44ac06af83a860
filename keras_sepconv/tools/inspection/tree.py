"""The layers inside a model, and their configs inside its config."""

import collections
import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import keras

from keras_sepconv._checks import wrong

# The names of the layers from the model down to a layer.
Path: TypeAlias = tuple[str, ...]

# The config of a layer with its class, as Keras serialises it.
Node: TypeAlias = dict[str, Any]

# How often one name may be in a path.
_DEEPEST = 3

# A class may have another name than the one that Keras gives it there.
_STOCK = {
    kind for kind in vars(keras.layers).values() if isinstance(kind, type)
}


def name_of(node: Node) -> str:
    """Returns the name of a node's layer, or an empty text if it has none.

    If the config of a layer does not contain its name, the config of the graph
    around it does.
    """
    return str(node.get("name") or node["config"].get("name") or "")


def is_node(value: Any) -> bool:
    """Tells whether `value` is a serialised layer or other object."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), dict)
    )


def is_stock(layer: Any) -> bool:
    """Tells whether a layer is of a class of Keras, not of one derived."""
    return layer.__class__ in _STOCK


def check(model: Any, kind: Any, what: str) -> None:
    """Raises a `TypeError` if `model` is not an instance of a class of Keras 3.

    Args:
        model: The value that a user passed as `model`.
        kind: The class.
        what: The class in words.
    """
    if isinstance(model, kind):
        return
    hint = ""
    if "keras" in type(model).__module__ and hasattr(model, "layers"):
        hint = (
            "; to use a model of Keras 2, save it, and load the file with "
            "`keras_sepconv.load_model`"
        )
    raise wrong("model", f"{what}{hint}", model, TypeError)


def is_graph(layer: Any) -> bool:
    """Tells whether a model runs its graph of layers.

    It does not if a `call` method of a user calls the layers.
    """
    if not isinstance(layer, (keras.Sequential, keras.Function)):
        return False
    kinds = (kind for kind in type(layer).__mro__ if "call" in vars(kind))
    return next(kinds).__module__.startswith("keras.")


def as_graph(model: Any) -> Any:
    """Returns a model whose config lists its layers.

    It is the model itself. If the class of the model has its own config, it is
    a `keras.Model` with the same layers and the same graph.
    """
    if not isinstance(model, keras.Function) or not is_graph(model):
        return model
    try:
        listed = "layers" in model.get_config()
    except NotImplementedError:
        listed = False
    if listed:
        return model
    return keras.Model(model.input, model.output, name=model.name)


def replaced(
    data: Any, change: Callable[[Path, Node], Node | None], path: Path = ()
) -> Any:
    """Returns a copy of a config in which some nodes are replaced.

    Args:
        data: A node, or a part of one.
        change: Returns the new node, or `None` to keep the node; then nodes
            inside may be replaced.
        path: The names above `data`.
    """
    if is_node(data):
        name = name_of(data)
        path = (*path, name) if name else path
        other = change(path, data)
        if other is not None:
            return other
    if isinstance(data, dict):
        return {k: replaced(v, change, path) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(replaced(v, change, path) for v in data)
    return copy.deepcopy(data)


def layers(layer: Any) -> Iterator[tuple[Path, Any]]:
    """Yields every layer inside `layer` once, with its path.

    This includes layers that a user's layer keeps in an attribute.
    """
    for paths, inner in _found(layer).values():
        yield paths[0], inner


def by_path(layer: Any) -> dict[Path, Any]:
    """Returns the layers inside, by all their paths, outer layers first."""
    found = sorted(
        _found(layer).values(), key=lambda item: max(map(len, item[0]))
    )
    return {path: inner for paths, inner in found for path in paths}


def states(layer: Any) -> list[Any]:
    """Returns the states of recurrent layers inside, which are not weights."""
    return [
        variable
        for _, inner in layers(layer)
        if isinstance(inner, keras.layers.RNN) and inner.stateful
        for variable in keras.tree.flatten(inner.states or ())
    ]


def shared(layer: Any) -> dict[Path, int]:
    """Returns a number for each layer with several paths, by path."""
    return {
        path: number
        for number, (paths, _) in enumerate(_found(layer).values())
        if len(paths) > 1
        for path in paths
    }


def holders(model: Any) -> collections.Counter[int]:
    """Counts how many models or other layers contain each layer, by `id`."""
    found: collections.Counter[int] = collections.Counter()

    def count(layer: Any) -> None:
        if not isinstance(layer, keras.Model):
            found.update(id(inner) for _, inner in layers(layer))
            return
        for inner in layer.layers:
            found[id(inner)] += 1
            if found[id(inner)] == 1:
                count(inner)

    count(model)
    return found


def _found(layer: Any) -> dict[int, tuple[list[Path], Any]]:
    """Returns the layers inside with all their paths, by `id`."""
    found: dict[int, tuple[list[Path], Any]] = {}

    def look(value: Any, path: Path) -> None:
        if isinstance(value, keras.layers.Layer):
            path = (*path, value.name)
            paths, _ = found.setdefault(id(value), ([], value))
            # A layer may have a reference to the layer around it.
            if path in paths or path.count(value.name) > _DEEPEST:
                return
            paths.append(path)
            value = list(vars(value).values())
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (list, tuple, set)):
            for item in value:
                look(item, path)

    look(list(vars(layer).values()), ())
    found.pop(id(layer), None)
    return found
