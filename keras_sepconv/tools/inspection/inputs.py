"""The symbolic inputs of a model: those that it knows, or of given shapes."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_sepconv._spec import Shape


def known_input(model: Any) -> Any:
    """Returns the input that a model or a layer was made or built with.

    It is a symbolic tensor, or a structure of symbolic tensors; `None` if the
    input is not known.
    """
    if getattr(model, "inputs", None):
        sequential = isinstance(model, keras.Sequential)
        return model.inputs[0] if sequential else model.input
    # A model with its own code has the shapes of its first call.
    config = (model.get_build_config() if model.built else None) or {}
    shapes = config.get("input_shape")
    if isinstance(shapes, dict):
        tensors = {
            name: _of_shape(model, shape) for name, shape in shapes.items()
        }
        unknown = any(tensor is None for tensor in tensors.values())
        return None if unknown else tensors
    return _of_shape(model, shapes)


def _of_shape(model: Any, shape: Any) -> Any:
    if not shape or not isinstance(shape[-1], int):
        return None
    return keras.KerasTensor(shape, dtype=model.compute_dtype)


def input_of(model: Any, shapes: Sequence[Shape] | None) -> Any:
    """Returns the symbolic input of a model, or `None` if it is not known."""
    if shapes is None:
        return keras.tree.map_structure(like, known_input(model))
    known = getattr(model, "inputs", None)
    if not known:
        if len(shapes) != 1:
            raise misfit(model, shapes, "it has one input")
        return keras.KerasTensor((None, *shapes[0]))
    fits = len(known) == len(shapes) and all(
        len(tensor.shape) == len(shape) + 1
        and all(
            None in pair or pair[0] == pair[1]
            for pair in zip(tensor.shape[1:], shape, strict=True)
        )
        for tensor, shape in zip(known, shapes, strict=True)
    )
    if not fits:
        asked = ", ".join(str(tuple(tensor.shape[1:])) for tensor in known)
        raise misfit(model, shapes, f"its inputs are {asked}")
    return [
        keras.KerasTensor((tensor.shape[0], *shape), dtype=tensor.dtype)
        for tensor, shape in zip(known, shapes, strict=True)
    ]


def misfit(model: Any, shapes: Sequence[Shape], why: str) -> ValueError:
    """Returns the error for inputs of shapes that a model cannot take."""
    return ValueError(
        f"`input_shapes` must be shapes that the model '{model.name}' can "
        f"take, without the batch: {why}. Received: "
        f"input_shapes={[tuple(shape) for shape in shapes]}"
    )


def like(tensor: Any) -> Any:
    """Returns a new symbolic tensor without a history; others as they are."""
    if not isinstance(tensor, keras.KerasTensor):
        return tensor
    return keras.KerasTensor(tensor.shape, dtype=tensor.dtype)
