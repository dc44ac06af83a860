"""The checks of arguments, and the sizes that are known before run time.

All arguments of users pass through the functions of this module, so each rule
and its message are in one place.
"""

import difflib
import math
import numbers
import reprlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

# The padding that a user passes, before `padding` has checked it.
Padding: TypeAlias = str | int | Sequence[int | Sequence[int]]

# Larger sizes overflow inside every backend, because they have 32 bits.
LARGEST = 2**31 - 1
_NA_INTEGER = -(2**31)

DATA_FORMATS = ("channels_last", "channels_first")


def wrong(
    name: str, rule: str, value: Any, error: type[Exception] = ValueError
) -> Exception:
    """Returns the error for an argument that breaks its rule."""
    hint = ""
    for item in value if _is_list(value) else (value,):
        if is_na(item):
            hint = f" R's NA arrives as {item}."
    return error(
        f"`{name}` must be {rule}.{hint} Received: {name}={short_text(value)}"
    )


def is_na(value: Any) -> bool:
    """Tells whether `value` may be R's NA, as reticulate converts it.

    A logical NA becomes True, an integer NA the smallest integer of 32 bits,
    and a double NA becomes NaN. None of these is a valid size.
    """
    return isinstance(value, numbers.Real) and (
        value is True or value == _NA_INTEGER or value != value
    )


def short_text(value: Any) -> str:
    """Returns a short text of a value for a message; it never raises.

    The `repr` of a value may be very long, or it may raise an error: Python
    does not write an integer with more than 4300 digits.
    """
    try:
        return _SHORT.repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


class _Short(reprlib.Repr):
    def repr_instance(self, x: Any, level: int) -> str:
        """Returns an array's shape, because its numbers say little."""
        shape = static_shape(x) if hasattr(x, "shape") else None
        if not shape or math.prod(size or 1 for size in shape) <= self.maxlist:
            return super().repr_instance(x, level)
        return f"<{type(x).__name__} of shape {shape}>"


_SHORT = _Short()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 8
_SHORT.maxstring = _SHORT.maxother = 300


def check_keywords(
    who: str, given: Mapping[str, Any], known: Iterable[str]
) -> None:
    """Raises a `ValueError` for a keyword that is a misspelt argument.

    Args:
        who: What takes the arguments.
        given: Its keywords. Those of every layer are like none of its own.
        known: The names of its own arguments.
    """
    names = set(known)
    for name in given.keys() - names:
        near = difflib.get_close_matches(name, names)
        if near:
            raise ValueError(
                f"{who} has no argument `{name}`; the nearest name is "
                f"`{near[0]}`. Received: {name}={short_text(given[name])}"
            )


def integer(
    name: str,
    value: Any,
    rule: str = "a positive whole number",
    least: int = 1,
) -> int:
    """Returns `value` as an `int`, a positive one by default.

    Floats that are whole numbers and NumPy scalars count as integers, because
    numbers from R are doubles. A fraction is never rounded.

    Args:
        name: The name of the argument, for the message.
        value: The value that the user passed.
        rule: What the argument must be, for the message.
        least: The smallest allowed number.

    Raises:
        TypeError: `value` is not a number, or it is a bool.
        ValueError: `value` is a fraction, too small, or above 2**31 - 1.
    """
    number: Any = value.item() if _is_scalar_array(value) else value
    is_number = isinstance(number, numbers.Real)
    if isinstance(number, bool) or not is_number:
        raise wrong(name, rule, value, TypeError)
    if not least <= number <= LARGEST or number != int(number):
        raise wrong(name, rule, value)
    return int(number)


def integers(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """Returns `value` as one positive `int` for each of `rank` axes.

    Args:
        name: The name of the argument, for the message.
        value: One whole number for all axes, or a list, tuple or array with
            one for each axis.
        rank: The number of spatial axes.

    Raises:
        TypeError: `value`, or an element of it, is not a number.
        ValueError: The wrong length, or an element that `integer` refuses.
    """
    each = "a positive whole number"
    rule = f"{each}, or {rank} of them" if rank > 1 else each
    is_vector = isinstance(value, np.ndarray) and value.ndim == 1
    items = value.tolist() if is_vector else value
    if _is_list(items):
        if len(items) != rank:
            raise wrong(name, rule, value)
        try:
            return tuple(integer(name, item, rule) for item in items)
        except (TypeError, ValueError) as error:
            raise wrong(name, rule, value, type(error)) from None
    return (integer(name, value, rule),) * rank


def boolean(name: str, value: Any) -> bool:
    """Returns `value` as a `bool`, or raises a `TypeError`."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong(name, "True or False", value, TypeError)
    return bool(value)


def option(name: str, value: Any, options: Sequence[str]) -> str:
    """Returns `value` in lower case if it is one of `options`.

    Raises:
        TypeError: `value` is not a string.
        ValueError: `value` is not one of `options`.
    """
    rule = " or ".join(f'"{option}"' for option in options)
    if not isinstance(value, str):
        raise wrong(name, rule, value, TypeError)
    if value.lower() not in options:
        raise wrong(name, rule, value)
    return value.lower()


def check_weights_dtype(given: Any, dtype: str) -> None:
    """Raises a `ValueError` if weights of `dtype` cannot be trained.

    Args:
        given: The value that the user passed, for the message.
        dtype: The dtype of the weights that follows from it.
    """
    if not keras.backend.is_float_dtype(dtype):
        rule = "a float dtype or a policy, because the weights are of it"
        raise wrong("dtype", rule, given)


def padding(value: Any, rank: int) -> Padding:
    """Returns `value` in the plain types that a config contains.

    Args:
        value: `"valid"`, `"same"` or, with one spatial axis, `"causal"`, in
            upper or lower case. Or the number of zeros: one number for all
            sides, a number for each axis, or a pair `(before, after)` for each
            axis.
        rank: The number of spatial axes.

    Raises:
        TypeError: `value`, or an element of it, is not a word or a number.
        ValueError: Another word, a negative number, or the wrong length.
    """
    words = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
    rule = ", ".join(f'"{word}"' for word in words)
    rule += ", a whole number of zeros, or a list with " + (
        "one number or (before, after) pair"
        if rank == 1
        else f"{rank} numbers or (before, after) pairs, one for each axis"
    )

    def numbers_in(item: Any, depth: int) -> Any:
        items = item.tolist() if isinstance(item, np.ndarray) else item
        if not _is_list(items):
            return integer("padding", items, rule, 0)
        if depth == 0 or len(items) != (rank if depth == 2 else 2):
            raise wrong("padding", rule, value)
        return tuple(numbers_in(one, depth - 1) for one in items)

    if isinstance(value, str):
        if value.lower() not in words:
            raise wrong("padding", rule, value)
        return value.lower()
    try:
        found: Padding = numbers_in(value, 2)
    except (TypeError, ValueError) as error:
        raise wrong("padding", rule, value, type(error)) from None
    return found


def data_format(value: Any) -> str:
    """Returns the data format; `None` follows the Keras configuration."""
    if value is None:
        value = keras.config.image_data_format()
    return option("data_format", value, DATA_FORMATS)


def static_shape(tensor: Any) -> tuple[int | None, ...] | None:
    """Returns the sizes that are known before run time, `None` for the others.

    Symbolic sizes (`torch.SymInt`, dimension expressions of JAX) count as
    unknown. If even the rank is unknown, the result is `None`.
    """
    try:
        sizes = tuple(tensor.shape)
    except ValueError:  # tf.TensorShape(None) cannot be iterated.
        return None
    return tuple([n if type(n) is int else known(n) for n in sizes])


def known(size: Any) -> int | None:
    """Returns a size if it is known before run time, otherwise `None`.

    In `torch.jit.trace` sizes are tensors; the sizes of the example count as
    known.
    """
    if isinstance(size, int):
        return size
    if not hasattr(size, "ndim"):
        return None
    with warnings.catch_warnings():
        # torch warns that the trace uses the size of the example. That is
        # wanted here.
        warnings.simplefilter("ignore")
        return int(size)


def _is_list(value: Any) -> bool:
    no_list = (str, bytes, bytearray)
    return isinstance(value, Sequence) and not isinstance(value, no_list)


def _is_scalar_array(value: Any) -> bool:
    return isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and value.ndim == 0
    )
