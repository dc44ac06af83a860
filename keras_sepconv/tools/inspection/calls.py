"""Finds every call of a layer in a model, with its shapes."""

import contextlib
import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from keras_sepconv._checks import static_shape
from keras_sepconv._spec import Shape
from keras_sepconv.layers._call import set_call
from keras_sepconv.tools.inspection.graph import ordered, tensors_of, through
from keras_sepconv.tools.inspection.inputs import input_of, like, misfit
from keras_sepconv.tools.inspection.tree import (
    Path,
    is_graph,
    is_stock,
    layers,
)

_RECORDING = threading.RLock()


@dataclasses.dataclass(frozen=True)
class LayerCall:
    """One call of one layer.

    Attributes:
        path: The name of the layer, after the names of the models around it.
        layer: The layer, or another operation of Keras.
        inputs: The shapes of its input tensors; empty if unknown.
        outputs: The shapes of its results; empty if unknown.
        steps: How often it runs for one example, in a `TimeDistributed`;
            `None` if unknown.
    """

    path: Path
    layer: Any
    inputs: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    steps: int | None = 1


def product(*sizes: int | None) -> int | None:
    """Returns the product of sizes, or `None` if one is unknown."""
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def calls(
    model: Any, input_shapes: Sequence[Shape] | None = None
) -> list[LayerCall]:
    """Returns the calls of a model's layers, in an order in which they can run.

    A nested model is replaced by its layers. If a layer or a model has its own
    code, Keras runs the code on symbolic tensors. Then the layers that the code
    calls replace it.

    Args:
        model: A `keras.Model` or a layer. It does not change.
        input_shapes: The shapes of the inputs without the batch; `None` for
            those that the model was made with.

    Raises:
        ValueError: The model does not accept inputs of these shapes.
    """
    taken = input_of(model, input_shapes)
    if taken is None:
        return _without_shapes(model)
    walk = _Walk()
    try:
        walk.outputs(model, (), 1, (taken,), {})
    except Exception as error:
        if input_shapes is not None:
            # Keras wraps the message of the layer in a longer one.
            why = str(walk.error or error).strip().splitlines()[0].rstrip(".")
            raise misfit(model, input_shapes, why) from error
        # A user's layer may work only in a call with values.
        return _without_shapes(model)
    return walk.found


def _leaves(layer: Any) -> list[tuple[Path, Any]]:
    """Returns the layers inside that have no layers inside or are Keras's."""
    inner = list(layers(layer))
    own = {path for path, one in inner if not _is_code(one)}
    return [
        (path, one)
        for path, one in inner
        if path in own and not any(path[:n] in own for n in range(1, len(path)))
    ]


def _is_code(layer: Any) -> bool:
    """Tells whether a layer is a user's code that calls other layers."""
    if isinstance(layer, keras.Model):
        return True
    if is_stock(layer):
        return False
    return any(True for _ in layers(layer))


def _without_shapes(model: Any, path: Path = ()) -> list[LayerCall]:
    return [
        LayerCall((*path, *inner), layer) for inner, layer in _leaves(model)
    ]


class _Code(keras.Operation):  # type: ignore[misc]
    """Runs the code of a layer on symbolic tensors."""

    def __init__(self, layer: Any) -> None:
        super().__init__(name="code")
        self.layer = layer

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer(*args, **kwargs)


@contextlib.contextmanager
def _recorded(layer: Any, note: Callable[..., None]) -> Iterator[None]:
    """Calls `note` for each call of a layer inside, within the context."""
    with _RECORDING:
        leaves = _leaves(layer)
        before = [vars(leaf).get("call") for _, leaf in leaves]
        try:
            for path, leaf in leaves:
                set_call(leaf, _reporting(path, leaf, note))
            yield
        finally:
            for (_, leaf), call in zip(leaves, before, strict=True):
                set_call(leaf, call)


def _reporting(path: Path, leaf: Any, note: Callable[..., None]) -> Any:
    plain = leaf.call

    def call(*args: Any, **kwargs: Any) -> Any:
        result = plain(*args, **kwargs)
        note(path, leaf, (args, kwargs), result)
        return result

    return call


class _Walk:
    """Goes through models and records the calls of their layers."""

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
        """Records a call and returns its symbolic result."""
        tensors = tensors_of(args, kwargs)
        if isinstance(layer, keras.Sequential) and is_graph(layer):
            result = tensors[0]
            for one in layer.layers:
                result = self.outputs(
                    one, (*path, one.name), steps, (result,), {}
                )
            return result
        if is_graph(layer):
            tensors = ordered(layer, (*args, *kwargs.values()))
            return self._function(layer, path, steps, tensors)
        try:
            result = layer.compute_output_spec(*args, **kwargs)
        except Exception as error:
            self.error = error
            raise
        # The result may be one of the arguments, with its history. A new tensor
        # has none.
        result = keras.tree.map_structure(like, result)
        if _is_code(layer):
            self._code(layer, path, steps, args, kwargs)
            return result
        if isinstance(layer, keras.layers.TimeDistributed):
            batch, times, *sizes = tensors[0].shape
            one = keras.KerasTensor((batch, *sizes), dtype=tensors[0].dtype)
            inner, times = layer.layer, product(steps, times)
            self.outputs(inner, (*path, inner.name), times, (one,), {})
            return result
        self._note(path, layer, steps, tensors, result)
        return result

    def _note(
        self, path: Path, layer: Any, steps: int | None, taken: Any, result: Any
    ) -> None:
        shapes, results = (
            tuple(static_shape(tensor) or () for tensor in tensors_of(some))
            for some in (taken, result)
        )
        self.found.append(LayerCall(path, layer, shapes, results, steps))

    def _code(
        self,
        layer: Any,
        path: Path,
        steps: int | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Records the calls that a user's code makes."""
        before = len(self.found)
        args, kwargs = keras.tree.map_structure(_one, (args, kwargs))

        def note(inner: Path, one: Any, taken: Any, result: Any) -> None:
            self._note((*path, *inner), one, steps, taken, result)

        try:
            with _recorded(layer, note):
                _Code(layer).compute_output_spec(*args, **kwargs)
        except Exception:  # It may work only in a call with values.
            self.found[before:] = _without_shapes(layer, path)
        inside = {id(w) for _, one in layers(layer) for w in one.weights}
        if any(id(weight) not in inside for weight in layer.weights):
            self.found.append(LayerCall(path or (layer.name,), layer))

    def _function(
        self, model: Any, path: Path, steps: int | None, tensors: list[Any]
    ) -> Any:
        inputs = [
            keras.Input(
                batch_shape=tensor.shape,
                dtype=tensor.dtype,
                name=f"input_{number}",
            )
            for number, tensor in enumerate(tensors)
        ]

        def call(layer: Any, args: Any, kwargs: Any) -> Any:
            inner = (*path, layer.name)
            return self.outputs(layer, inner, steps, args, kwargs)

        results = [like(tensor) for tensor in through(model, inputs, call)]
        return results[0] if len(results) == 1 else results


def _one(tensor: Any) -> Any:
    """Returns a symbolic tensor with batch size 1 if the size is unknown."""
    if not isinstance(tensor, keras.KerasTensor):
        return tensor
    shape = (tensor.shape[0] or 1, *tensor.shape[1:])
    return keras.KerasTensor(shape, dtype=tensor.dtype)
