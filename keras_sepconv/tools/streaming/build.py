"""Builds the model that runs step by step."""

from typing import Any

import keras

from keras_sepconv.tools.conversion.carry import copy_weights, twin
from keras_sepconv.tools.streaming.stream import Stream
from keras_sepconv.tools.streaming.walk import Call, Walk

# The states of a recurrent layer.
_ENDS = ("_state", "_cell_state")


class Builder:
    """Builds a step model from the calls of a walk.

    Attributes:
        model: The step model. All its layers are new.
    """

    def __init__(self, walk: Walk) -> None:
        self._chunk = walk.chunk
        self._batch = walk.model.inputs[0].shape[0]
        # What has the outputs and the next states, by the names of the inputs.
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._names = {*walk.inputs, *walk.outputs}
        self._made: dict[int, tuple[Any, Any]] = {}
        self._tensors: dict[Any, Any] = {}
        for name, stream in walk.inputs.items():
            shape = (walk.chunk, *stream.shape[2:])
            self._tensors[stream] = self._input(name, shape, stream.dtype)
        for call in walk.calls:
            self._run(call)
        for name, stream in walk.outputs.items():
            self._outputs[name] = self._tensors[stream]
        self.model = keras.Model(
            self._inputs, self._outputs, name=f"{walk.model.name}_step"
        )

    def _input(self, name: str, shape: Any, dtype: str) -> Any:
        tensor = keras.Input(
            batch_shape=(self._batch, *shape), dtype=dtype, name=name
        )
        self._inputs[name] = tensor
        return tensor

    def _name(self, wanted: str) -> str:
        """Returns a name that is not in use; it may get a number."""
        name, number = wanted, 1
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name

    def _layer(self, call: Call) -> Any:
        if id(call.layer) not in self._made:
            name = self._name("_".join(call.path))
            changes = dict(call.plan.changes)
            if call.plan.is_recurrent and self._chunk == 1:
                # The graph has no loop then.
                changes["unroll"] = True
            new = twin(call.layer, name, changes)
            self._made[id(call.layer)] = (new, call.layer)
        return self._made[id(call.layer)][0]

    def _run(self, call: Call) -> None:
        given = call.args, call.kwargs
        args, kwargs = keras.tree.map_structure(
            lambda value: (
                self._tensors[value] if isinstance(value, Stream) else value
            ),
            given,
        )
        # What a layer with a state reads, also if it is given by its name.
        steps = next(
            self._tensors[value]
            for value in keras.tree.flatten(given)
            if isinstance(value, Stream)
        )
        if call.plan.is_left_out:
            results = steps
        else:
            layer = self._layer(call)
            if call.plan.is_recurrent:
                results = self._recurrent(call, layer, steps)
            elif call.plan.keep:
                results = layer(self._joined(call, steps))
            else:
                results = layer(*args, **kwargs)
            if isinstance(layer, keras.layers.Layer):
                copy_weights(call.layer, layer)
        pairs = zip(call.results, keras.tree.flatten(results), strict=True)
        self._tensors.update(pairs)

    def _joined(self, call: Call, steps: Any) -> Any:
        """Returns the state and the new steps; gives the next state."""
        own = "_".join(call.path)
        keep, dtype, rank = call.plan.keep, steps.dtype, len(steps.shape) - 2
        name = self._name(f"{own}_state")
        state = self._input(name, (keep, *steps.shape[2:]), dtype)
        join = keras.layers.Concatenate(
            1, dtype=dtype, name=self._name(f"{own}_joined")
        )
        joined = join([state, steps])
        cropping: Any = (joined.shape[1] - keep, 0)
        options = {"dtype": dtype, "name": self._name(f"{own}_next")}
        if rank > 1:
            cropping = (cropping, *[(0, 0)] * (rank - 1))
            options["data_format"] = "channels_last"
        crop = getattr(keras.layers, f"Cropping{rank}D")(cropping, **options)
        self._outputs[name] = crop(joined)
        return joined

    def _recurrent(self, call: Call, layer: Any, steps: Any) -> Any:
        """Returns what a recurrent layer makes; gives its next states."""
        own = "_".join(call.path)
        sizes = layer.state_size
        names = [self._name(f"{own}{end}") for end in _ENDS[: len(sizes)]]
        states = [
            self._input(name, (size,), layer.compute_dtype)
            for name, size in zip(names, sizes, strict=True)
        ]
        results, *after = layer(steps, initial_state=states)
        self._outputs.update(zip(names, after, strict=True))
        return results
