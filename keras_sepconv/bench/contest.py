"""Prepares everything that is timed for one case."""

import dataclasses
import functools
import types
from collections.abc import Callable

import keras
import numpy as np

from keras_sepconv import layers
from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.bench import _stock, gate
from keras_sepconv.bench._subject import Layer, Subject
from keras_sepconv.bench.cases import Case
from keras_sepconv.bench.results import KINDS, Costs


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        seconds: The time for one measurement; a case has two.
        jit_compile: Whether TensorFlow compiles with XLA.
        implementation: The implementation that our layers run, or `None`.
    """

    seconds: float
    jit_compile: bool = False
    implementation: str | None = None


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A subject with its inputs."""

    subject: Subject
    inputs: Tensor
    cotangent: Tensor

    def runner(self, kind: str) -> Callable[[], object]:
        if kind == "forward":
            return functools.partial(self.subject.forward, self.inputs)
        training = self.subject.training
        return functools.partial(training, self.inputs, self.cotangent)

    def results(self) -> list[np.ndarray]:
        """Returns the results of a forward call and of a training step."""
        results = [
            self.subject.forward(self.inputs),
            *self.subject.training(self.inputs, self.cotangent),
        ]
        return [np.asarray(keras.ops.convert_to_numpy(r)) for r in results]


class Contest:
    """Everything that is run for one case: stock, ours, floor and peers.

    Args:
        native: The module of this package for the backend.
        case: The case.
        settings: How to measure.
    """

    def __init__(
        self, native: types.ModuleType, case: Case, settings: Settings
    ) -> None:
        self._case = case
        options = case.options().values()
        self._spec = ConvSpec.normalise(case.kernel_size, *options)
        rng = np.random.default_rng(0)
        arrays = case.arrays(rng)
        sizes = self._spec.output_shape(arrays[0].shape, case.filters)
        shape = [size or 0 for size in sizes]  # All are known.
        arrays.append(rng.standard_normal(shape, dtype="float32"))
        self._layers = _layers(case, settings.implementation, arrays[1:4])
        inputs, cotangent = map(_tensor, (arrays[0], arrays[4]))
        jit_compile = settings.jit_compile
        self._entries = {
            name: _Entry(native.of_layer(layer, jit_compile), inputs, cotangent)
            for name, layer in self._layers.items()
        }
        cotangent = _tensor(self._channels_last(arrays[4]))
        self._entries["floor"] = _floor(native, case, cotangent, jit_compile)
        inputs = _tensor(self._channels_last(arrays[0]))
        for name, subject in native.peers(case, arrays[:4]).items():
            self._entries[name] = _Entry(subject, inputs, cotangent)

    def _channels_last(self, array: np.ndarray) -> np.ndarray:
        array = np.moveaxis(array, self._spec.channel_axis, -1)
        return np.ascontiguousarray(array)

    def runs(self, kind: str) -> dict[str, Callable[[], object]]:
        """Returns the functions to time, by name."""
        return {
            name: entry.runner(kind) for name, entry in self._entries.items()
        }

    def costs(self) -> dict[str, Costs]:
        """Returns the costs that the framework reports; call this first."""
        # The first compilation of a process takes longer, whatever it compiles.
        for kind in KINDS:
            self._entries["floor"].runner(kind)()
        return {
            name: entry.subject.costs(entry.inputs, entry.cotangent)
            for name, entry in self._entries.items()
            if entry.subject.costs is not None
        }

    def wrong(self) -> list[str]:
        """Compares ours and the peers with stock Keras, and warms all up.

        Returns:
            The errors, in words.
        """
        expected = self._entries["stock"].results()
        magnitudes = self._magnitudes()
        found = self._entries["ours"].results()
        compare = gate.disagreements
        wrong = compare(found[:1], expected[:1], magnitudes[:1])
        wrong += [
            f"in training, {message}"
            for message in compare(found[1:], expected[1:], magnitudes[1:])
        ]
        expected, magnitudes = (
            [self._channels_last(arrays[0])]
            for arrays in (expected, magnitudes)
        )
        for name in self._entries.keys() - {"stock", "ours", "floor"}:
            found = self._entries[name].results()[:1]
            # Only torch cannot pad differently on both sides.
            if name != "torch" or self._pads_evenly():
                wrong += [
                    f"the peer {name}: {message}"
                    for message in compare(found, expected, magnitudes)
                ]
        return wrong

    def _magnitudes(self) -> list[np.ndarray]:
        """Returns what stock Keras computes from absolute values."""
        layer, stock = self._layers["stock"], self._entries["stock"]
        weights = layer.get_weights()
        layer.set_weights([np.abs(weight) for weight in weights])
        absolute = map(keras.ops.abs, (stock.inputs, stock.cotangent))
        results = _Entry(stock.subject, *absolute).results()
        layer.set_weights(weights)
        return results

    def _pads_evenly(self) -> bool:
        """Tells whether padding `"same"` is the same number on both sides."""
        return all(
            self._spec.pads(axis, size) == ((span - 1) // 2, span // 2)
            for axis, (size, span) in enumerate(
                zip(self._case.sizes, self._spec.spans, strict=True)
            )
        )


def _tensor(array: np.ndarray) -> Tensor:
    """Returns a tensor in memory that the framework has allocated.

    Layers get such tensors. Memory that is shared with NumPy may be aligned
    differently; a convolution that reads it in place takes up to a third
    longer.
    """
    return keras.ops.copy(keras.ops.convert_to_tensor(array))


def _layers(
    case: Case, implementation: str | None, weights: list[np.ndarray]
) -> dict[str, Layer]:
    ours = getattr(layers, f"SeparableConv{len(case.sizes)}D")(
        **case.arguments(), **case.options(), implementation=implementation
    )
    found = {"stock": _stock.layer(case), "ours": ours}
    for layer in found.values():
        layer.build(case.input_shape())
        layer.set_weights(weights)
    return found


def _floor(
    native: types.ModuleType, case: Case, cotangent: Tensor, jit_compile: bool
) -> _Entry:
    """Returns the pointwise step alone, as a plain matrix product."""
    rng = np.random.default_rng(0)
    wide = case.channels * case.multiplier
    matrix = rng.standard_normal((wide, case.filters), dtype="float32")
    cotangent = keras.ops.reshape(cotangent, (-1, case.filters))
    shape = (int(cotangent.shape[0]), wide)
    inputs = rng.standard_normal(shape, dtype="float32")
    subject = native.floor(_tensor(matrix), jit_compile)
    return _Entry(subject, _tensor(inputs), cotangent)
