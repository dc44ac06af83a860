"""Goes through the graph of a functional model."""

import itertools
from collections.abc import Callable
from typing import Any

import keras


class _Step(keras.Operation):  # type: ignore[misc]  # Keras is untyped.
    """Takes the place of an operation while Keras goes through a graph."""

    def __init__(self, name: str, output_spec: Callable[..., Any]) -> None:
        super().__init__(name=name)
        self.output_spec = output_spec

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self.output_spec(*args, **kwargs)


def through(
    model: Any, inputs: list[Any], call: Callable[[Any, Any, Any], Any]
) -> list[Any]:
    """Goes through the graph of a functional model; returns its outputs.

    Args:
        model: The model. It does not change.
        inputs: A symbolic `keras.Input` for each of its inputs.
        call: Gets each operation with the arguments of its call, in an order in
            which they can run. It returns new symbolic tensors, its results.
    """
    # Keras goes through the graph. The graph that it builds on the way is not
    # used. The steps have names, so that Keras does not use up numbers for the
    # names of the user's layers.
    numbers = itertools.count()

    def step(layer: Any, *args: Any, **kwargs: Any) -> Any:
        def output_spec(*args: Any, **kwargs: Any) -> Any:
            return call(layer, args, kwargs)

        return _Step(f"step_{next(numbers)}", output_spec)(*args, **kwargs)

    copy = keras.models.clone_model(
        # A plain model with the inputs of the first call, not compiled.
        keras.Model(model.inputs, model.outputs, name="copy"),
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=step,
    )
    return list(copy.outputs)


def ordered(model: Any, args: tuple[Any, ...]) -> list[Any]:
    """Returns the tensors of a call in the order of the model's inputs."""
    names = [tensor.name for tensor in model.inputs]
    if isinstance(args[0], dict) and set(names) <= set(args[0]):
        return [args[0][name] for name in names]
    return tensors_of(args)


def tensors_of(*structure: Any) -> list[Any]:
    """Returns the tensors in arguments, symbolic or with values."""
    return [
        tensor
        for tensor in keras.tree.flatten(structure)
        if isinstance(tensor, keras.KerasTensor) or keras.ops.is_tensor(tensor)
    ]
