"""Arguments as R users give them, made into what layers take."""

import difflib
import functools
import inspect
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import boolean, data_format, integer, option, wrong

# Spatial axes of the layer with the most.
_MOST_AXES = 3
# Where Keras finds what an argument names, by how the argument's name ends.
_MODULES = {
    "activation": keras.activations,
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}
_NO_NAMES = {"get", "serialize", "deserialize"}
_DTYPES = (
    *("float16", "float32", "float64", "bfloat16"),
    *("mixed_float16", "mixed_bfloat16"),
    *("int8", "uint8", "int16", "int32", "int64"),
)


def plain(value: Any) -> Any:
    """Returns a value without what R wraps around one, and lists for vectors.

    R knows no number but a vector of one, and most of its functions take a
    list or a one-dimensional array of one for it.
    """
    is_vector = isinstance(value, np.ndarray) and value.ndim == 1
    items = value.tolist() if is_vector else value
    if isinstance(items, (list, tuple)) and len(items) == 1:
        (item,) = items
        return item if isinstance(item, (numbers.Number, str)) else items
    return items


def name_of(value: Any) -> str | None:
    """Returns the name of a layer, a model or an input, `None` for none."""
    if value is not None and (not isinstance(value, str) or "/" in value):
        raise wrong("name", "a string without a slash", value, TypeError)
    return value


def dtype_of(name: str, value: Any) -> str | None:
    """Returns the dtype of weights and inputs that a dtype or policy means."""
    if value is None:
        return None
    try:
        policy = keras.dtype_policies.get(value)
    except Exception:  # Keras 3.6 raises an AttributeError for an empty dict.
        rule = "a dtype or a policy" + _nearest(value, _DTYPES)
        raise wrong(name, rule, value) from None
    dtype: str = policy.variable_dtype
    return dtype


def blame(options: dict[str, Any]) -> None:
    """Raises a `ValueError` that names an argument that Keras does not know.

    For when Keras has refused one: making them twice would draw numbers.
    """
    for name, value in options.items():
        kind = name.rsplit("_", 1)[-1]
        module = _MODULES.get(kind)
        try:
            if module is not None:
                module.get(value)
        except Exception:  # Whatever a class of the user's raises.
            article = "an" if kind[0] in "ai" else "a"
            rule = f"{article} {kind}, by name or as an object"
            rule += _nearest(value, sorted(set(dir(module)) - _NO_NAMES))
            raise wrong(name, rule, value) from None


def _nearest(value: Any, names: Sequence[str]) -> str:
    """Returns a hint at the known name that a misspelt one is like."""
    word = value.lower() if isinstance(value, str) else ""
    near = difflib.get_close_matches(word, names, 1, cutoff=0.5)
    return f'; the nearest name is "{near[0]}"' if near else ""


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
    # R has none for one dimension, and Keras would take the configuration's.
    if "data_format" in inspect.signature(layer_class).parameters:
        arguments = {"data_format": "channels_last", **arguments}
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
