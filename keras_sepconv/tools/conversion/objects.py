"""Finds the classes and functions in a model that Keras does not know."""

import types
from collections.abc import Iterator
from typing import Any

import keras

from keras_sepconv.tools.inspection.tree import layers

# The classes of objects that a model is compiled with. They may contain other
# such objects.
_COMPILED = (
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
)

_TWO = (
    "Keras knows two things by the name '{0}', {1} and {2}: give each a name "
    "of its own with `keras.saving.register_keras_serializable`, and make the "
    "model again"
)


def own_objects(model: Any, node: Any) -> dict[str, Any]:
    """Returns the classes and functions in a model that Keras does not know.

    Args:
        model: The model.
        node: The config of the model.

    Returns:
        The classes and functions by their names in `node`.

    Raises:
        ValueError: Two of them have the same name.
    """
    named = set(_strings(node))
    found: dict[str, Any] = {}

    def take(kind: Any) -> None:
        for name in named & _names(kind):
            registered = keras.saving.get_registered_object(name)
            for other in (registered, found.setdefault(name, kind)):
                if other not in (None, kind):
                    raise ValueError(_TWO.format(name, kind, other))

    def look(value: Any) -> None:
        inside: Any = ()
        if isinstance(value, dict):
            inside = value.values()
        elif isinstance(value, (list, tuple, set)):
            inside = value
        elif isinstance(value, _COMPILED):
            inside = vars(value).values()
        for item in inside:
            look(item)
        is_kind = isinstance(value, (type, types.FunctionType))
        kind = value if is_kind else type(value)
        home = str(kind.__module__).split(".")[0]
        if home not in ("keras", "keras_sepconv", "builtins"):
            take(kind)

    for layer in [model, *(layer for _, layer in layers(model))]:
        look(type(layer))
        look(dict(vars(layer)))
    return found


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _strings(value)


def _names(kind: Any) -> set[str]:
    """Returns the names that Keras may write for a class or a function."""
    names = {keras.saving.get_registered_name(kind)}
    if not isinstance(kind, type):
        names.add(kind.__name__)  # Keras 3.6 writes this one.
    return names
