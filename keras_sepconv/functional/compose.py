"""What every helper does with its layer: return it, add it, or call it."""

import numbers
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import Shape, boolean, shown
from keras_sepconv.functional._arguments import for_keras
from keras_sepconv.functional._shapes import batch_shape
from keras_sepconv.functional._weights import start_from
from keras_sepconv.layers._base import BaseConv
from keras_sepconv.layers._first_input import input_layer, start_with


def compose(layer_class: Any, rank: int, arguments: dict[str, Any]) -> Any:
    """Does what a helper is there for.

    Args:
        layer_class: What to construct.
        rank: How many dimensions the layer's input has, batch included.
        arguments: The helper's `locals()`: `object`, the layer's arguments,
            `input_shape`, `batch_input_shape`, `batch_size` and `weights`.

    Returns:
        With `object=None` the layer; with a `keras.Sequential` the same model
        with the layer added; with a tensor (`keras.KerasTensor`, a tensor of
        the active backend, `keras.Variable`, NumPy array) the result of calling
        the layer.

    Raises:
        TypeError: Any other `object`; an argument of the wrong type.
        ValueError: An argument with the wrong value, and what adding or calling
            raises. A model is then as it was.
    """
    options = dict(arguments)
    target, weights = options.pop("object"), options.pop("weights")
    _check_object(target)
    shapes = [
        options.pop(name)
        for name in ("input_shape", "batch_input_shape", "batch_size")
    ]
    trainable = options["trainable"]
    options["trainable"] = trainable is None or boolean("trainable", trainable)
    if not issubclass(layer_class, BaseConv):
        options = for_keras(layer_class, options)
    layer = layer_class(**options)
    first = batch_shape(layer, rank, *shapes)
    start_from(layer, weights, _weight_count(options))
    if isinstance(target, keras.Sequential):
        _add(target, layer, first)
        return target
    if target is not None:
        return layer(target)
    if first is not None:
        start_with(layer, first)
    return layer


def _weight_count(options: dict[str, Any]) -> int:
    count = sum(name.endswith("_initializer") for name in options)
    return count - (count > 0 and not options["use_bias"])


def _add(model: keras.Sequential, layer: Any, first: Shape | None) -> None:
    """Adds `layer`, or leaves `model` as it was.

    `Sequential.add` appends the layer ahead of finding out whether it can be
    built. What undoes this is Keras's own, since a subclass may take other
    arguments.
    """
    before, built = _all_layers(model), model.built
    try:
        if first is not None and not before:
            model.add(input_layer(layer, first))
        model.add(layer)
    except BaseException:
        if len(_all_layers(model)) > len(before):
            while _all_layers(model):
                keras.Sequential.pop(model, rebuild=False)
            for old in before:
                keras.Sequential.add(model, old, rebuild=False)
            if built and isinstance(before[0], keras.layers.InputLayer):
                model.build(before[0].batch_shape)
            model.built = built
        raise


def _all_layers(model: keras.Sequential) -> list[Any]:
    """Returns the layers with the input, which `Sequential.layers` hides."""
    return list(super(keras.Sequential, model).layers)


def _check_object(object: Any) -> None:
    """Raises a `TypeError` for what no layer can be composed with."""
    known = (
        keras.Sequential,
        keras.KerasTensor,
        keras.Variable,
        np.ndarray,
        type(None),
    )
    if isinstance(object, known) or keras.ops.is_tensor(object):
        return
    kind = f"{type(object).__module__}.{type(object).__qualname__}"
    received, hint = f"<{kind} object>", ""
    if isinstance(object, (numbers.Number, str)):
        received = shown(object)
        hint = " It comes first; name the other arguments to leave it out."
    elif isinstance(object, keras.Model) and hasattr(object, "outputs"):
        hint = " To go on from a functional model, pass `model.output`."
    elif isinstance(object, keras.Layer):
        hint = " To go on from a layer or model, call it and pass its result."
    elif kind.startswith(
        ("tf_keras.", "keras.engine", "tensorflow.python.keras")
    ):
        hint = " This is a model or layer of Keras 2; rebuild it with Keras 3."
    backend = keras.backend.backend()
    raise TypeError(
        "`object` must be None, a keras.Sequential, or a tensor (a "
        f"keras.KerasTensor, a tensor of the {backend} backend, a "
        f"keras.Variable or a NumPy array).{hint} Received: object={received}"
    )
