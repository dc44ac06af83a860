"""Initial weights of a layer, passed as arrays."""

import functools
from typing import Any

import keras
import numpy as np

# The number of items that a message shows, as for any other list.
_MOST_SHOWN = 8


def start_from(layer: Any, weights: Any, count: int) -> None:
    """Makes `layer` use `weights` as initial values when it is built.

    The arrays become initializers. They are not assigned, because Keras may
    build a layer in a scope in which variables cannot be assigned.

    Args:
        layer: A layer that is not built.
        weights: The weights that the user passed; with `None` nothing changes.
        count: The number of weights that the layer will have.

    Raises:
        TypeError: `weights` is not a list of numeric arrays.
        ValueError: The number of arrays is wrong. A wrong shape raises an error
            when the layer is built.
    """
    if weights is None:
        return
    arrays = _arrays(weights, count)
    # A recurrent layer has the weights of its cell.
    owner = getattr(layer, "cell", layer)
    build, add_weight = owner.build, owner.add_weight

    @functools.wraps(build)
    def build_with_arrays(*args: Any, **kwargs: Any) -> None:
        rest, new = iter(arrays), []

        def add_array(**options: Any) -> Any:
            what = f"{options.get('name')} of layer '{layer.name}'"
            array = _of_shape(next(rest), options["shape"], what, arrays)
            options["initializer"] = lambda shape, dtype=None: (
                keras.ops.convert_to_tensor(array, dtype=dtype)
            )
            new.append(add_weight(**options))
            return new[-1]

        owner.add_weight = add_array
        try:
            build(*args, **kwargs)
        except BaseException:
            _remove(owner, new)
            raise
        finally:
            del vars(owner)["add_weight"]
        owner.build = build

    owner.build = build_with_arrays


def _arrays(weights: Any, count: int) -> list[Any]:
    """Returns `weights` as a list of `count` numeric arrays."""
    if isinstance(weights, dict):  # A named list of R.
        weights = list(weights.values())
    is_list = isinstance(weights, (list, tuple))
    if count == 0 and not (is_list and not weights):
        raise ValueError(
            "`weights` must be None, because the layer has no weights. "
            f"{_received(weights)}"
        )
    number = f"{count} arrays" if count > 1 else "1 array"
    message = f"`weights` must be a list of {number} of numbers."
    if not is_list:
        raise TypeError(f"{message} {_received(weights)}")
    try:
        arrays = [_array(weight) for weight in weights]
    except Exception as error:  # Each backend raises another error.
        raise TypeError(f"{message} {_received(weights)}") from error
    if len(arrays) != count:
        raise ValueError(f"{message} {_received(arrays)}")
    return arrays


def _array(weight: Any) -> Any:
    array = np.asarray(keras.ops.convert_to_numpy(weight))
    # NumPy would convert None, texts with digits and True (which may be R's NA)
    # to numbers. bfloat16 has the kind V.
    if array.dtype.kind not in "iufV":
        raise TypeError(f"not numbers, but {array.dtype}")
    return array.astype("float64")


def _of_shape(array: Any, shape: Any, what: str, arrays: list[Any]) -> Any:
    """Returns `array` if it has `shape`.

    A number from R, for a vector with one element, gets this shape.
    """
    shape = tuple(shape)
    if array.shape == () and shape == (1,):
        return array.reshape(1)
    if array.shape != shape:
        raise ValueError(
            f"`weights` must have the shape {shape} for the {what}. "
            f"{_received(arrays)}"
        )
    return array


def _remove(owner: Any, new: list[Any]) -> None:
    """Removes the weights that a failed `build` has left in its layer."""
    for name, value in list(vars(owner).items()):
        if any(value is weight for weight in new):
            delattr(owner, name)


def _received(weights: Any) -> str:
    """Returns the end of a message. It has shapes, as numbers are too long."""
    if not isinstance(weights, (list, tuple)):
        return f"Received: weights={_outline(weights)}"
    outlines = [_outline(weight) for weight in weights[:_MOST_SHOWN]]
    if len(weights) > _MOST_SHOWN:
        outlines.append("...")
    return f"Received: weights=[{', '.join(outlines)}]"


def _outline(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    return f"<{kind}>" if shape is None else f"<{kind} {tuple(shape)}>"
