"""Goes through a model and finds out how each call runs step by step."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import keras

from keras_sepconv._checks import wrong
from keras_sepconv._spec import Shape
from keras_sepconv.tools.inspection.graph import ordered, through
from keras_sepconv.tools.inspection.inputs import like
from keras_sepconv.tools.inspection.tree import Path, is_graph
from keras_sepconv.tools.streaming.plan import plan
from keras_sepconv.tools.streaming.stream import (
    Plan,
    RefusedError,
    Sizes,
    Stream,
)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of one layer.

    Attributes:
        path: The name of the layer, after the names of the models around it.
        layer: The layer, or another operation of Keras.
        args: The arguments of the call, with streams in place of tensors.
        kwargs: Likewise.
        plan: How it runs.
        results: The results.
    """

    path: Path
    layer: Any
    args: Any
    kwargs: Any
    plan: Plan
    results: list[Stream]


class Walk:
    """The calls of a causal model, in an order in which they can run.

    Attributes:
        model: The model.
        chunk: How many steps come at a time.
        inputs: The inputs of the step model, without the states.
        outputs: Its outputs, without the states.
        calls: The calls.
    """

    def __init__(self, model: Any, chunk: int, window: int | None) -> None:
        """Raises a `ValueError` if a layer cannot run step by step."""
        self.model, self.chunk = model, chunk
        if not is_graph(model) or not getattr(model, "inputs", None):
            raise _refused(
                model,
                "it is no graph of layers with known inputs",
                "Make it by the functional API, or call it once if it is a "
                "Sequential",
            )
        self.inputs = _inputs(model)
        self.steps = next(iter(self.inputs.values())).shape[1]
        self.window = window or self.steps
        self.calls: list[Call] = []
        self._error: Exception | None = None
        self._strides: dict[int, Fraction | None] = {}
        results = self._graph(model, (), list(self.inputs.values()))
        if self._error is not None:
            raise self._error
        self.outputs = dict(zip(_output_names(model), results, strict=True))
        self._check()

    def _check(self) -> None:
        clash = self.inputs.keys() & self.outputs.keys()
        if clash:
            raise _refused(
                self.model,
                f"an input and an output have the name '{min(clash)}', which "
                "is how a state is known",
                "Give one of them another name",
            )
        for stream in self.outputs.values():
            if stream.zeros:
                raise _refused(
                    self.model,
                    f"it returns {stream.zeros} more steps than it takes",
                    "Leave out the padding at its end",
                )
        made = [one for call in self.calls for one in call.results]
        strides = [one.stride.numerator for one in made if one.stride]
        least = math.lcm(1, *strides)
        if self.chunk % least:
            rule = f"a multiple of the strides along time, {least}"
            raise wrong("chunk", rule, self.chunk)

    @property
    def field(self) -> int | None:
        """How many steps an output depends on; `None` if on all before."""
        fields = [stream.field for stream in self.outputs.values()]
        return None if None in fields else max(f for f in fields if f)

    @property
    def length(self) -> int | None:
        """How many steps the whole model reads for an output, if known."""
        length = self.steps or self.window or self.field
        if self.steps or length is None:
            return length
        return self.chunk * math.ceil(length / self.chunk)

    def shapes(self, length: int) -> list[Shape]:
        """Returns shapes of the whole model's inputs, without the batch."""
        return [(length, *s.shape[2:]) for s in self.inputs.values()]

    def _graph(
        self, model: Any, path: Path, streams: list[Stream]
    ) -> list[Stream]:
        """Goes through a model; returns its outputs."""
        inputs = [
            keras.Input(batch_shape=s.shape, dtype=s.dtype, name=f"input_{n}")
            for n, s in enumerate(streams)
        ]
        # The tensors are kept, because a new one may get the id of an old one.
        known = {id(t): (t, s) for t, s in zip(inputs, streams, strict=True)}

        def note(tensor: Any, one: Stream) -> Any:
            known[id(tensor)] = tensor, one
            return tensor

        def stream(value: Any) -> Any:
            is_tensor = isinstance(value, keras.KerasTensor)
            return known[id(value)][1] if is_tensor else value

        def call(layer: Any, args: Any, kwargs: Any) -> Any:
            if is_graph(layer):
                tensors = ordered(layer, (*args, *kwargs.values()))
                found = self._graph(
                    layer, (*path, layer.name), [stream(t) for t in tensors]
                )
                return [
                    note(keras.KerasTensor(one.shape, one.dtype), one)
                    for one in found
                ]
            taken = keras.tree.map_structure(stream, (args, kwargs))
            result = layer.compute_output_spec(*args, **kwargs)
            result = keras.tree.map_structure(like, result)
            tensors = keras.tree.flatten(result)
            found = self._call(layer, (*path, layer.name), taken, tensors)
            list(map(note, tensors, found))
            return result

        return [stream(tensor) for tensor in through(model, inputs, call)]

    def _call(
        self, layer: Any, path: Path, taken: Any, tensors: list[Any]
    ) -> list[Stream]:
        """Plans one call; returns its results."""
        values = keras.tree.flatten(taken)
        streams = [value for value in values if isinstance(value, Stream)]
        constants = [value for value in values if not isinstance(value, Stream)]
        sizes = Sizes(self.chunk, self.window)
        try:
            found = plan(layer, streams, constants, sizes)
            self._check_rate(layer, streams[0].stride)
        except RefusedError as error:
            # Keras would put its own words around an error that is raised here.
            where = f"layer '{'/'.join(path)}' ({type(layer).__name__})"
            reason, way = error.args
            why = _refused(self.model, f"{where} {reason}", way)
            self._error = self._error or why
            found = Plan(streams[0].stride, streams[0].field)
        except ValueError as error:
            self._error = self._error or error
            found = Plan(None, None)
        about = found.stride, found.field, found.zeros
        results = [Stream(one.shape, one.dtype, *about) for one in tensors]
        args, kwargs = taken
        self.calls.append(Call(path, layer, args, kwargs, found, results))
        return results

    def _check_rate(self, layer: Any, stride: Fraction | None) -> None:
        before = self._strides.setdefault(id(layer), stride)
        if None not in (before, stride) and before != stride:
            raise RefusedError(
                "is shared between two rates: it is called for a step of every "
                f"{before} and of every {stride} steps of the input",
                "Give each branch a layer of its own",
            )


def _refused(model: Any, reason: str, way: str) -> ValueError:
    return ValueError(
        f"`model` must be causal along time, axis 1, but {reason}. {way}. "
        f"Received: model={model}"
    )


def _inputs(model: Any) -> dict[str, Stream]:
    """Returns the inputs of the step model by their names."""
    tensors = list(model.inputs)
    names = ["inputs"]
    if len(tensors) > 1:
        names = [tensor.name for tensor in tensors]
        if isinstance(model.input, dict):
            names = sorted(model.input)
    for tensor in tensors:
        if len(tensor.shape) < 2 or None in tensor.shape[2:]:
            raise _refused(
                model,
                f"its input '{tensor.name}' has the shape {tensor.shape}",
                "Each input must have an axis of time, and no unknown size "
                "after it",
            )
    streams = [Stream(tensor.shape, tensor.dtype) for tensor in tensors]
    steps = {stream.shape[1] for stream in streams}
    if len(steps) > 1:
        raise _refused(
            model,
            f"its inputs have the shapes {[s.shape for s in streams]}",
            "All inputs must have the same steps, on axis 1",
        )
    return dict(zip(names, streams, strict=True))


def _output_names(model: Any) -> list[str]:
    number = len(model.outputs)
    if number == 1:
        return ["outputs"]
    if isinstance(model.output, dict) and len(model.output) == number:
        return sorted(model.output)
    return [f"outputs_{index}" for index in range(number)]
