"""Makes a model again from a changed config, with its weights and state."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import keras

from keras_sepconv.tools.conversion.objects import own_objects
from keras_sepconv.tools.inspection.tree import (
    Node,
    Path,
    as_graph,
    by_path,
    is_graph,
    layers,
    name_of,
    replaced,
    shared,
    states,
)
from keras_sepconv.tools.inspection.words import short_error

# A function that gives the changed weights of a layer to its replacement.
Give: TypeAlias = Callable[[Any, Any], None]


def serialized(model: Any) -> Node:
    """Returns the config that Keras writes for a model, with all its layers.

    Raises:
        ValueError: Keras cannot write it.
    """
    try:
        node: Node = keras.saving.serialize_keras_object(model)
    except Exception as error:
        raise _unmade(model, error) from error
    _name_layers(model, node)
    inside = by_path(model)

    def change(path: Path, inner: Node) -> Node | None:
        layer = inside.get(path) if name_of(inner) else None
        graph = as_graph(layer)
        if graph is layer:
            _name_layers(layer, inner)
            return None
        return {**inner, **serialized(graph)}

    return {**node, "config": replaced(node["config"], change)}


def _name_layers(model: Any, node: Node) -> None:
    """Adds the names of layers whose config does not contain the name."""
    if isinstance(model, keras.Sequential) and is_graph(model):
        nodes = reversed(node["config"]["layers"])
        for inner, layer in zip(nodes, reversed(model.layers), strict=False):
            inner["name"] = layer.name


def _unmade(model: Any, error: Exception) -> ValueError:
    return ValueError(
        "`model` must be one that Keras can make again from its config, but: "
        f"{short_error(error)}. `keras_sepconv.accelerate` takes any model. "
        f"Received: model={model}"
    )


# The name of the class below; no class of a user has it.
_ONCE = "keras_sepconv>_once"


def rebuild(model: Any, node: Node, give: Mapping[Path, Give]) -> Any:
    """Returns the model of `node`, with the weights of `model`.

    Args:
        model: The model.
        node: The config of the model, with layers replaced or folded.
        give: For some paths, the function that gives the new layer its weights.
            All other layers get the same weights as before.

    Raises:
        ValueError: A layer cannot be made again from its config, or it has
            other weights afterwards.
    """
    numbers, paths = shared(model), by_path(model)
    made: dict[Any, Any] = {}

    class Once:
        """Makes a layer that is in several places once; gives it its name."""

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            number = config["number"]
            if number not in made:
                made[number] = _made(config["node"], objects)
                made[number].name = config["name"]
            return made[number]

    def once(path: Path, inner: Node) -> Node | None:
        nameless = "name" in inner and "name" not in inner["config"]
        if path not in numbers and not (nameless and path in paths):
            return None
        number = numbers.get(path, path)
        config = {"number": number, "node": inner, "name": path[-1]}
        stand_in = {"class_name": _ONCE, "registered_name": _ONCE}
        return {**inner, **stand_in, "module": None, "config": config}

    plain = {key: item for key, item in node.items() if key != "compile_config"}
    try:
        objects = {**own_objects(model, plain), _ONCE: Once}
        other = _made(
            {**plain, "config": replaced(node["config"], once)}, objects
        )
    except Exception as error:
        raise _unmade(model, error) from error
    _mark(model, other)
    _carry(model, other, (), give)
    for state, value in zip(states(other), states(model), strict=True):
        _assign(state, value)
    for _, layer in layers(other):
        if isinstance(layer, keras.layers.Normalization):
            # It computes with numbers that it derives from its variables.
            layer.finalize_state()
    return other


def _made(node: Node, objects: dict[str, Any]) -> Any:
    # Safe mode is for files. These objects come from this process.
    return keras.saving.deserialize_keras_object(
        node, custom_objects=objects, safe_mode=False
    )


def twin(layer: Any, name: str, changes: dict[str, Any]) -> Any:
    """Returns a new layer like another one, without its weights.

    Args:
        layer: The layer, or another operation of Keras.
        name: The name of the new one.
        changes: What differs in its config.
    """
    node = keras.saving.serialize_keras_object(layer)
    # It has the shape of the whole sequence.
    node.pop("build_config", None)
    config = {**node["config"], **changes, "name": name}
    return _made({**node, "config": config}, own_objects(layer, node))


def _mark(model: Any, other: Any) -> None:
    """Copies the flags and policies that Keras leaves out of configs."""
    twins = {(): other, **by_path(other)}
    for path, old in {(): model, **by_path(model)}.items():
        new = twins.get(path)
        if new is None:  # It was folded.
            continue
        # This also sets the flag of all layers inside. They come later and then
        # get their own.
        new.trainable = old.trainable
        if isinstance(old, keras.Model):
            new.dtype_policy = old.dtype_policy


def _carry(old: Any, new: Any, path: Path, give: Mapping[Path, Give]) -> None:
    """Copies the weights of a layer to the new one."""
    if path in give:
        give[path](old, new)
        return
    inside = any(one[: len(path)] == path for one in give)
    if not inside and not is_graph(new):
        copy_weights(old, new)
        return
    twins = dict(_inside(old))
    for name, inner in _inside(new):
        _carry(twins[name], inner, (*path, name), give)


def _inside(layer: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(layer, keras.layers.TimeDistributed):
        yield layer.layer.name, layer.layer
        return
    for inner in layer.layers:
        yield inner.name, inner


def copy_weights(old: Any, new: Any) -> None:
    """Gives a layer the variables of another one, and their flags."""
    for one, other in zip(
        same(old, new, "variables"), new.variables, strict=True
    ):
        _assign(other, one)
        other.trainable = one.trainable


def _assign(variable: Any, other: Any) -> None:
    # Without a copy, JAX would share the array, and the training steps of Keras
    # donate their arrays.
    variable.assign(keras.ops.copy(other.value))


def same(old: Any, new: Any, what: str) -> list[Any]:
    """Returns the variables of `old`, if those of `new` have equal shapes."""
    before, after = getattr(old, what), getattr(new, what)
    for one, other in itertools.zip_longest(before, after):
        if one is None or other is None or one.shape != other.shape:
            raise ValueError(
                "`model` must be one that Keras can make again from its "
                f"config, but then {_described(other)} stands where there is "
                f"{_described(one)}. Received: {old.name!r}, with "
                f"{len(before)} {what}, then {len(after)}"
            )
    return list(before)


def _described(variable: Any) -> str:
    if variable is None:
        return "nothing"
    return f"{variable.path} of the shape {tuple(variable.shape)}"
