"""Converts arguments of R users to arguments of layers."""

import difflib
import functools
import inspect
import numbers
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from keras_sepconv._checks import boolean, data_format, integer, option, wrong

# The largest number of spatial axes that a layer has.
_MOST_AXES = 3
# The module in which Keras looks up a name, by the ending of the argument.
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


def unwrap(value: Any) -> Any:
    """Returns the value of a vector with one element, and lists for vectors.

    In R a number is a vector with one element. Most R functions also accept a
    list or a one-dimensional array with one element.
    """
    is_vector = isinstance(value, np.ndarray) and value.ndim == 1
    items = value.tolist() if is_vector else value
    if isinstance(items, (list, tuple)) and len(items) == 1:
        (item,) = items
        return item if isinstance(item, (numbers.Number, str)) else items
    return items


def name_of(value: Any) -> str | None:
    """Returns a valid name of a layer, a model or an input, or `None`."""
    if value is not None and (not isinstance(value, str) or "/" in value):
        raise wrong("name", "a string without a slash", value, TypeError)
    return value


def dtype_of(name: str, value: Any) -> str | None:
    """Returns the dtype of weights and inputs for a dtype or a policy."""
    if value is None:
        return None
    try:
        policy = keras.dtype_policies.get(value)
    except Exception:  # Keras 3.6 raises an AttributeError for an empty dict.
        rule = "a dtype or a policy" + _nearest(value, _DTYPES)
        raise wrong(name, rule, value) from None
    dtype: str = policy.variable_dtype
    return dtype


def raise_for_unknown_names(options: dict[str, Any]) -> None:
    """Raises a `ValueError` that names an argument that Keras does not know.

    Call it only after Keras has raised an error. It makes the objects a second
    time, and that may draw random numbers.
    """
    for name, value in options.items():
        kind = name.rsplit("_", 1)[-1]
        module = _MODULES.get(kind)
        try:
            if module is not None:
                module.get(value)
        except Exception:  # A class of the user may raise anything.
            article = "an" if kind[0] in "ai" else "a"
            rule = f"{article} {kind}, by name or as an object"
            rule += _nearest(value, set(dir(module)) - _NO_NAMES)
            raise wrong(name, rule, value) from None


def _nearest(value: Any, names: Iterable[str]) -> str:
    """Returns a hint with the known name that is most like `value`."""
    word = value.lower() if isinstance(value, str) else ""
    near = difflib.get_close_matches(word, names, cutoff=0.5)
    return f'; the nearest name is "{near[0]}"' if near else ""


def normalise_for_keras(
    layer_class: Any, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Returns the normalised arguments of a layer of Keras.

    The layers of this package normalise their arguments themselves.

    Args:
        layer_class: The class of the layer.
        arguments: The arguments that the user passed. Only whole numbers, flags
            and words from a fixed list are checked here.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: A fraction, a number out of range, or an unknown word.
    """
    normalisers = dict(_NORMALISERS)
    if layer_class is keras.layers.UpSampling1D:
        normalisers["size"] = integer
    # In R, layers with one dimension have no data format. Keras would use the
    # one of its configuration.
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
    groups = options.get("groups")
    if groups and options["filters"] % groups:
        rule = f"a divisor of filters={options['filters']}"
        raise wrong("groups", rule, groups)
    return options


def _whole_numbers(name: str, value: Any) -> Any:
    """Returns one whole number, or a tuple of numbers or of pairs.

    The layer checks that there are as many as it has axes.
    """
    if name == "output_padding" and value is None:
        return value
    least = 0 if name in ("padding", "output_padding", "cropping") else 1
    rule = "a positive whole number" if least else "a whole number, 0 or more"
    items = _items_of(value)
    if items is None:
        return integer(name, value, rule, least)
    rule += ", or a list of them, one for each axis"
    has_pairs = name in ("padding", "cropping")
    if has_pairs:
        rule += ", or of pairs"

    def number_or_pair(item: Any) -> Any:
        pair = _items_of(item) if has_pairs else None
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


def _items_of(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """Returns the items of a list, or `None` for anything else."""
    items = value.tolist() if isinstance(value, np.ndarray) else value
    return items if isinstance(items, (list, tuple)) else None


def _rate(name: str, value: Any) -> float:
    """Returns the share of units that dropout removes."""
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
    "kernel_size": _whole_numbers,
    "strides": _whole_numbers,
    "dilation_rate": _whole_numbers,
    "output_padding": _whole_numbers,
    "size": _whole_numbers,
    "padding": _whole_numbers,
    "cropping": _whole_numbers,
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
