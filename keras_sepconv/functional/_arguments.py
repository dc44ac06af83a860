"""Arguments as R users give them, made into what Keras's own layers take."""

import functools
import numbers
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import boolean, data_format, integer, option, wrong


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
    return {
        name: normalisers[name](name, value) if name in normalisers else value
        for name, value in arguments.items()
    }


def _whole(name: str, value: Any) -> Any:
    """Returns one whole number, or a tuple of them, or of tuples.

    Whether there are as many as there are axes is for the layer to say.
    """
    if name == "output_padding" and value is None:
        return value
    least = 0 if name in ("padding", "output_padding", "cropping") else 1
    rule = "a positive whole number" if least else "a whole number, 0 or more"
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, (list, tuple)):
        return integer(name, items, rule, least)
    try:
        return tuple(_whole(name, item) for item in items)
    except (TypeError, ValueError) as error:
        rule += ", or a list of them"
        raise wrong(name, rule, value, type(error)) from None


def _rate(name: str, value: Any) -> float:
    """Returns the part of a layer's units that dropout leaves out."""
    rule = "a number from 0 to 1"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise wrong(name, rule, value, TypeError)
    rate = float(value)
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
