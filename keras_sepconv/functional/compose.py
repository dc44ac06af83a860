"""The common part of all helpers: they return, add or call a layer.

A helper is written as a signature with a docstring, without code; `helper`
makes a function of it.
"""

# `help` and editors then show the names of the types.
from __future__ import annotations

import functools
import inspect
import numbers
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias

import keras
import numpy as np

from keras_sepconv._checks import (
    boolean,
    check_weights_dtype,
    short_text,
    static_shape,
)
from keras_sepconv._spec import Shape
from keras_sepconv._types import REQUIRED
from keras_sepconv.functional._arguments import (
    dtype_of,
    name_of,
    normalise_for_keras,
    raise_for_unknown_names,
    unwrap,
)
from keras_sepconv.functional._shapes import (
    check_channels,
    full_shape,
    size_of,
)
from keras_sepconv.functional._weights import start_from
from keras_sepconv.layers._base import BaseConv
from keras_sepconv.layers._first_input import start_with

Parameters = ParamSpec("Parameters")
# A function with these parameters.
Helper: TypeAlias = Callable[Parameters, Any]


def helper(
    layer_class: Any, rank: int
) -> Callable[[Helper[Parameters]], Helper[Parameters]]:
    """Returns a decorator that makes a helper of a function without code.

    The helper takes the arguments of the function, with its defaults. It checks
    them, makes a layer of them, and composes it with `object`. It returns the
    layer, the model or the tensor, as `layer_separable_conv_2d` describes.

    Args:
        layer_class: The class of the layer.
        rank: The number of dimensions of the layer's input, with the batch.
    """

    def decorate(declared: Helper[Parameters]) -> Helper[Parameters]:
        signature = inspect.signature(declared)

        @functools.wraps(declared)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
            # It does nothing, but Python's error for an unknown argument then
            # has the name of the helper.
            declared(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            return _compose(layer_class, rank, given.arguments)

        return run

    return decorate


def _compose(layer_class: Any, rank: int, options: dict[str, Any]) -> Any:
    """Makes the layer of a helper from all its arguments, and composes it."""
    target, weights = options.pop("object"), options.pop("weights")
    _check_object(target)
    options = {
        # An initializer may be an array.
        name: value if name.endswith("_initializer") else unwrap(value)
        for name, value in options.items()
    }
    shapes = {
        name: options.pop(name) for name in ("input_shape", "batch_input_shape")
    }
    size = size_of("batch_size", options.pop("batch_size"))
    dtype = dtype_of("dtype", options["dtype"])
    layer = _layer(layer_class, options, dtype)
    # Under mixed precision an input has the dtype of the weights, as in Keras.
    dtype = dtype or layer.variable_dtype
    first = full_shape(shapes, size, rank)
    if first is not None:
        check_channels(layer, first, shapes)
    start_from(layer, weights, _weight_count(options))
    if first is not None and not _fits(first, target):
        given = {name: v for name, v in shapes.items() if v is not None}
        name, value = given.popitem()
        warnings.warn(
            f"`{name}` is ignored, because the layer is not the first of a "
            f"model. Received: {name}={short_text(value)}",
            stacklevel=3,
        )
    if isinstance(target, keras.Sequential):
        _add(target, layer, first, dtype)
        return target
    if target is not None:
        return layer(target)
    if first is not None:
        start_with(layer, first, dtype)
    return layer


def _layer(layer_class: Any, options: dict[str, Any], dtype: str | None) -> Any:
    """Makes the layer from the options of the user, whose dtype is `dtype`."""
    for name in ("filters", "kernel_size"):
        # An array is not compared with `==`.
        value = options.get(name, name)
        if value is None or value is REQUIRED:
            raise TypeError(f"`{name}` is required. Received: {name}=None")
    trainable = options["trainable"]
    options["trainable"] = trainable is None or boolean("trainable", trainable)
    options["name"] = name_of(options["name"])
    given = options["dtype"]
    is_ours = issubclass(layer_class, BaseConv)
    if is_ours and dtype is not None and "int" in dtype:
        # The input has integers, and the layer computes with floats.
        options["dtype"] = None
    if not is_ours:
        options = normalise_for_keras(layer_class, options)
    try:
        layer = layer_class(**options)
    except Exception:
        raise_for_unknown_names(options)
        raise
    if "use_bias" in options:
        check_weights_dtype(given, layer.variable_dtype)
    return layer


def _weight_count(options: dict[str, Any]) -> int:
    count = sum(name.endswith("_initializer") for name in options)
    return count - (not options.get("use_bias", True))


def _add(
    model: keras.Sequential, layer: Any, first: Shape | None, dtype: str
) -> None:
    """Adds `layer`; if this fails, `model` is as it was before.

    `Sequential.add` appends the layer before it knows whether the layer can be
    built. The methods of `keras.Sequential` itself undo this, because those of
    a subclass may have other arguments.
    """
    before, built = _all_layers(model), model.built
    try:
        if first is not None and not before:
            model.add(keras.layers.InputLayer(batch_shape=first, dtype=dtype))
        model.add(layer)
    except BaseException:
        if len(_all_layers(model)) > len(before):
            while _all_layers(model):
                keras.Sequential.pop(model, rebuild=False)
            for old in before:
                keras.Sequential.add(model, old, rebuild=False)
            if built and isinstance(before[0], keras.layers.InputLayer):
                model.build(before[0].batch_shape)
        raise


def _fits(first: Shape, object: Any) -> bool:
    """Tells whether a shape is used, or is the one that `object` has."""
    if isinstance(object, keras.Sequential):
        before = _all_layers(object)
        if not before:
            return True
        shape = getattr(object, "input_shape", None)
        shape = shape or getattr(before[0], "batch_shape", None)
    else:
        shape = first if object is None else static_shape(object)
    return (
        shape is not None
        and len(shape) == len(first)
        and all(
            None in pair or pair[0] == pair[1]
            for pair in zip(shape[1:], first[1:], strict=True)
        )
    )


def _all_layers(model: keras.Sequential) -> list[Any]:
    """Returns the layers with the input layer, which `layers` leaves out."""
    return list(super(keras.Sequential, model).layers)


def _check_object(object: Any) -> None:
    """Raises a `TypeError` if no layer can be composed with `object`."""
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
    items = object if isinstance(object, (list, tuple)) else [object]
    if all(isinstance(item, (numbers.Number, str)) for item in items):
        received = short_text(object)
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
