"""Every call of a layer that a model makes, with its shapes."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_sepconv._spec import Shape
from keras_sepconv.tools._tree import Path


@dataclasses.dataclass(frozen=True)
class LayerCall:
    """One call of one layer.

    Attributes:
        path: The layer's name, after the names of the models around it.
        layer: The layer, or another operation of Keras.
        inputs: The shapes of the tensors it takes; none if unknown.
        outputs: The shapes of its results, likewise.
        steps: How often it runs for one example, in a `TimeDistributed`;
            `None` if unknown.
    """

    path: Path
    layer: Any
    inputs: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    steps: int | None = 1


def product(*sizes: int | None) -> int | None:
    """Returns the product of sizes, `None` if one is unknown."""
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def calls(
    model: Any, input_shapes: Sequence[Shape] | None = None
) -> list[LayerCall]:
    """Returns the calls of a model's layers, in an order they could run in.

    The layers of nested models stand in the place of the models. What a layer
    does by code of its own is not looked into, and neither is a model that is
    neither Sequential nor functional: its layers come without shapes.

    Args:
        model: A `keras.Model`; it stays as it is.
        input_shapes: What to take for the inputs' shapes, without the batch;
            `None` for those that the model was made with.

    Raises:
        ValueError: Shapes that the model cannot take.
    """
    tensors = _inputs(model, input_shapes)
    if tensors is None or not isinstance(
        model, (keras.Sequential, keras.Function)
    ):
        return _without_shapes(model)
    walk = _Walk()
    try:
        walk.outputs(model, (), 1, (tensors,), {})
    except Exception as error:
        if input_shapes is not None:
            # Keras wraps the layer's own words in others.
            why = str(walk.error or error).strip().splitlines()[0].rstrip(".")
            raise _misfit(model, input_shapes, why) from error
        # A layer of someone's own may work only as part of a real call.
        return _without_shapes(model)
    return walk.found


def _without_shapes(model: Any, path: Path = ()) -> list[LayerCall]:
    found = []
    for layer in model.layers:
        inner = (*path, layer.name)
        if isinstance(layer, keras.Model):
            found += _without_shapes(layer, inner)
        else:
            found.append(LayerCall(inner, layer))
    return found


def _inputs(model: Any, shapes: Sequence[Shape] | None) -> list[Any] | None:
    """Returns what a model takes, `None` if that is not known yet."""
    known = getattr(model, "inputs", None)
    if shapes is None:
        return known and [_like(tensor) for tensor in known]
    if not known:
        if len(shapes) != 1:
            raise _misfit(model, shapes, "it has one input")
        return [keras.KerasTensor((None, *shapes[0]))]
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
        raise _misfit(model, shapes, f"its inputs are {asked}")
    return [
        keras.KerasTensor((tensor.shape[0], *shape), dtype=tensor.dtype)
        for tensor, shape in zip(known, shapes, strict=True)
    ]


def _misfit(model: Any, shapes: Sequence[Shape], why: str) -> ValueError:
    return ValueError(
        f"`input_shapes` must be shapes that the model '{model.name}' can "
        f"take, without the batch: {why}. Received: "
        f"input_shapes={[tuple(shape) for shape in shapes]}"
    )


class _Step(keras.Operation):  # type: ignore[misc]  # Keras is untyped.
    """Stands for an operation in a graph, and leaves no trace in it."""

    def __init__(self, name: str, output_spec: Callable[..., Any]) -> None:
        super().__init__(name=name)
        self.output_spec = output_spec

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self.output_spec(*args, **kwargs)


class _Walk:
    """Goes through models and takes down the calls."""

    def __init__(self) -> None:
        self.found: list[LayerCall] = []
        self.error: Exception | None = None

    def outputs(
        self,
        layer: Any,
        path: Path,
        steps: int | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Returns a call's symbolic result, after taking it down."""
        tensors = _tensors(args, kwargs)
        if isinstance(layer, keras.Sequential):
            result = tensors[0]
            for one in layer.layers:
                result = self.outputs(
                    one, (*path, one.name), steps, (result,), {}
                )
            return result
        if isinstance(layer, keras.Function):
            tensors = _ordered(layer, (*args, *kwargs.values()))
            return self._function(layer, path, steps, tensors)
        try:
            result = layer.compute_output_spec(*args, **kwargs)
        except Exception as error:
            self.error = self.error or error
            raise
        # A result may be an argument, and keeps then what it came from.
        result = keras.tree.map_structure(_like, result)
        if isinstance(layer, keras.layers.TimeDistributed):
            batch, times, *sizes = tensors[0].shape
            one = keras.KerasTensor((batch, *sizes), dtype=tensors[0].dtype)
            inner, times = layer.layer, product(steps, times)
            self.outputs(inner, (*path, inner.name), times, (one,), {})
            return result
        shapes, results = (
            tuple(tuple(tensor.shape) for tensor in some)
            for some in (tensors, _tensors(result))
        )
        self.found.append(LayerCall(path, layer, shapes, results, steps))
        return result

    def _function(
        self, model: Any, path: Path, steps: int | None, tensors: list[Any]
    ) -> Any:
        # Keras goes through the graph; what it builds on the way is thrown
        # away, and names keep it from counting up those of the user's layers.
        names = iter(range(2**31))

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            def output_spec(*args: Any, **kwargs: Any) -> Any:
                inner = (*path, layer.name)
                return self.outputs(layer, inner, steps, args, kwargs)

            return _Step(f"step_{next(names)}", output_spec)(*args, **kwargs)

        copy = keras.models.clone_model(
            # As it was called first, not compiled, and of no class of its own.
            keras.Model(model.inputs, model.outputs, name="copy"),
            input_tensors=[
                keras.Input(
                    batch_shape=tensor.shape,
                    dtype=tensor.dtype,
                    name=f"input_{next(names)}",
                )
                for tensor in tensors
            ],
            clone_function=lambda layer: layer,
            call_function=call,
        )
        results = [_like(tensor) for tensor in copy.outputs]
        return results[0] if len(results) == 1 else results


def _tensors(*structure: Any) -> list[Any]:
    return [
        tensor
        for tensor in keras.tree.flatten(structure)
        if isinstance(tensor, keras.KerasTensor)
    ]


def _ordered(model: Any, args: tuple[Any, ...]) -> list[Any]:
    """Returns the tensors of a call in the order of the model's inputs."""
    names = [tensor.name for tensor in model.inputs]
    if args and isinstance(args[0], dict) and set(names) <= set(args[0]):
        return [args[0][name] for name in names]
    return _tensors(args)


def _like(tensor: Any) -> Any:
    if not isinstance(tensor, keras.KerasTensor):
        return tensor
    return keras.KerasTensor(tensor.shape, dtype=tensor.dtype)
