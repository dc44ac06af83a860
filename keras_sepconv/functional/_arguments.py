"""Arguments as R users give them, made into what Keras's own layers take."""

import functools
import numbers
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import boolean, data_format, integer, option, wrong

# Spatial axes of the layer with the most.
_MOST_AXES = 3


def for_keras(layer_class: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a layer of Keras, normalised.

    Layers of ours do this for themselves.

    Args:
        layer_class: The layer's class.
        arguments: What the user gave. Those that are no whole number, flag or
            word of a fixed list are left to the layer.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: A fraction, a number out of range, or an unknown word.
    """
    normalisers = dict(_NORMALISERS)
    if layer_class is keras.layers.UpSampling1D:
        normalisers["size"] = integer
    if "kernel_size" in arguments:
        words = ["valid", "same"]
        if layer_class is keras.layers.Conv1D:
            words.append("causal")
        normalisers["padding"] = functools.partial(option, options=words)
    options = {
        name: normalisers[name](name, value) if name in normalisers else value
        for name, value in arguments.items()
    }
    groups = options.get("groups", 1)
    if groups > 1 and options["filters"] % groups:
        rule = f"a divisor of filters={options['filters']}"
        raise wrong("groups", rule, groups)
    return options


def _whole(name: str, value: Any) -> Any:
    """Returns one whole number, or a tuple of them, or of pairs.

    Whether there are as many as there are axes is for the layer to say.
    """
    if name == "output_padding" and value is None:
        return value
    least = 0 if name in ("padding", "output_padding", "cropping") else 1
    rule = "a positive whole number" if least else "a whole number, 0 or more"
    items = _listed(value)
    if items is None:
        return integer(name, value, rule, least)
    rule += ", or a list of them, one for each axis"
    has_pairs = name in ("padding", "cropping")
    if has_pairs:
        rule += ", or of pairs"

    def number_or_pair(item: Any) -> Any:
        pair = _listed(item) if has_pairs else None
        if pair is None:
            return integer(name, item, rule, least)
        first, second = pair
        return tuple(integer(name, n, rule, least) for n in (first, second))

    try:
        if not 0 < len(items) <= _MOST_AXES:
            raise ValueError
        return tuple(map(number_or_pair, items))
    except (TypeError, ValueError) as error:
        raise wrong(name, rule, value, type(error)) from None


def _listed(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """Returns the items of a list, or `None` of what is none."""
    items = value.tolist() if isinstance(value, np.ndarray) else value
    return items if isinstance(items, (list, tuple)) else None


def _rate(name: str, value: Any) -> float:
    """Returns the part of a layer's units that dropout leaves out."""
    rule = "a number from 0 to 1"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise wrong(name, rule, value, TypeError)
    try:
        rate = float(value)
    except OverflowError:
        raise wrong(name, rule, value) from None
    if not 0 <= rate <= 1:
        raise wrong(name, rule, value)
    return rate


_NORMALISERS: dict[str, Callable[[str, Any], Any]] = {
    "filters": integer,
    "groups": integer,
    "kernel_size": _whole,
    "strides": _whole,
    "dilation_rate": _whole,
    "output_padding": _whole,
    "size": _whole,
    "padding": _whole,
    "cropping": _whole,
    "data_format": lambda name, value: data_format(value),
    "interpolation": functools.partial(
        option,
        options=("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"),
    ),
    "use_bias": boolean,
    "unit_forget_bias": boolean,
    "return_sequences": boolean,
    "return_state": boolean,
    "go_backwards": boolean,
    "stateful": boolean,
    "dropout": _rate,
    "recurrent_dropout": _rate,
}
