"""Prepares what is timed for one layer: stock Keras, ours, floor and peers.

And what one eager call costs for an image of almost no size, the overhead.
"""

import functools
import time
from argparse import Namespace
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_sepconv import layers, ops
from keras_sepconv._arguments import OVERHEAD
from keras_sepconv._spec import Tensor
from keras_sepconv.bench import backends
from keras_sepconv.bench.cases import CASES, Case
from keras_sepconv.bench.measure import Contest, Runs, Task
from keras_sepconv.bench.results import KINDS, Result
from keras_sepconv.tools import accelerate

# The allowed difference of two sums, relative to the sum of absolute values: 8
# roundoffs of float32 for the errors of each. docs/benchmark.md says why so few
# are enough for sums of many terms.
BOUND = 2 * 8 * 2.0**-24

# The results in the order in which a training step returns them.
_WEIGHTS = ("inputs", "depthwise_kernel", "pointwise_kernel", "bias")
_NAMES = ("value", *(f"gradient of {name}" for name in _WEIGHTS))


Arrays: TypeAlias = list[np.ndarray]


def disagreements(
    found: Arrays, expected: Arrays, magnitudes: Arrays
) -> list[str]:
    """Compares values and gradients with those of stock Keras.

    Returns the errors in words. `magnitudes` is what stock Keras computes from
    absolute values: sums of absolute values.
    """
    wrong = []
    results = zip(_NAMES, found, expected, magnitudes, strict=False)
    for name, a, b, magnitude in results:
        if a.shape != b.shape:
            wrong.append(f"{name} has the shape {a.shape}, not {b.shape}")
            continue
        bound = BOUND * magnitude
        within = np.abs(a - b) <= bound  # False for a NaN.
        if not within.all():
            at = np.unravel_index(np.argmin(within), a.shape)
            wrong.append(
                f"{name} is {a[at]:.8g} at {tuple(map(int, at))}, stock "
                f"{b[at]:.8g}, which rounding explains up to {bound[at]:.2g}"
            )
    return wrong


class _Entry:
    """A layer, a peer or the floor, with an input and a cotangent.

    The memory of both is allocated by the framework, as it is for a layer.
    Memory that is shared with NumPy may be aligned differently; a convolution
    that reads it in place takes up to a third longer.
    """

    def __init__(self, subject: Any, *batch: np.ndarray) -> None:
        tensors = map(keras.ops.convert_to_tensor, batch)
        self.run, self.costs = subject
        self.batch = tuple(keras.ops.copy(tensor) for tensor in tensors)

    def results(self, *batch: Tensor) -> list[np.ndarray]:
        """Returns the results of a forward call and of a training step."""
        taken = batch or self.batch
        results = [each for kind in KINDS for each in self.run(kind, *taken)]
        return [np.asarray(keras.ops.convert_to_numpy(r)) for r in results]


def contest(case: Case, stock: Any, ours: Any, xla: bool = False) -> Contest:
    """Prepares two layers with the same weights, the floor and the peers."""
    rng = np.random.default_rng(0)
    inputs, *weights = case.arrays(rng)
    shape = ours.compute_output_shape(inputs.shape)
    cotangent = rng.standard_normal(shape, "float32")
    entries = {}
    for name, layer in (("stock", stock), ("ours", ours)):
        layer.build(inputs.shape)
        layer.set_weights(weights)
        subject = _layer(layer, xla)
        entries[name] = _Entry(subject, inputs, cotangent)
    inputs, cotangent = _last(case, inputs), _last(case, cotangent)
    # The floor is the matrix product of the pointwise step alone.
    matrix = keras.Variable(weights[1].reshape(-1, case.filters))
    rows = cotangent.reshape(-1, case.filters)
    between = rng.standard_normal((len(rows), matrix.shape[0]), "float32")
    subject = backends.subject(
        lambda inputs, own: inputs @ own[0], lambda: [matrix.value], xla
    )
    entries["floor"] = _Entry(subject, between, rows)
    for name, subject in backends.peers(case, weights).items():
        entries[name] = _Entry(subject, inputs, cotangent)
    check = functools.partial(_check, case, stock, entries)
    runs: dict[str, Runs] = {
        kind: {
            name: functools.partial(entry.run, kind, *entry.batch)
            for name, entry in entries.items()
        }
        for kind in KINDS
    }
    return Contest(runs, check)


def _last(case: Case, array: np.ndarray) -> np.ndarray:
    """Returns an array in channels_last."""
    first = case.data_format == "channels_first"
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if first else array


def _layer(layer: Any, xla: bool) -> Any:
    """Returns a layer as users run it on the active backend."""

    def call(inputs: Tensor, weights: Any) -> Tensor:
        if keras.backend.backend() == "jax":
            return layer.stateless_call(weights, [], inputs)[0]
        return layer(inputs)

    return backends.subject(
        call, lambda: [weight.value for weight in layer.weights], xla
    )


def _check(
    case: Case, stock: Any, entries: dict[str, _Entry]
) -> tuple[list[str], dict[str, Result]]:
    """Compares ours and the peers with stock Keras."""
    # The first compilation of a process takes longer, whatever it compiles.
    entries["floor"].results()
    costs = {name: entry.costs(*entry.batch) for name, entry in entries.items()}
    weights, entry = stock.get_weights(), entries["stock"]
    expected = entry.results()
    stock.set_weights([np.abs(weight) for weight in weights])
    magnitudes = entry.results(*map(keras.ops.abs, entry.batch))
    stock.set_weights(weights)
    found = entries["ours"].results()
    wrong = disagreements(found[:1], expected[:1], magnitudes[:1])
    training = disagreements(found[1:], expected[1:], magnitudes[1:])
    wrong += [f"in training, {message}" for message in training]
    value = [[_last(case, one[0])] for one in (expected, magnitudes)]
    for name in entries.keys() - {"stock", "ours", "floor"}:
        found = entries[name].results()[:1]
        # torch adds as many zeros on one side as on the other; "same" with a
        # stride does not. Then torch does as much work with other numbers.
        even = case.padding == "same" and max(case.strides) == 1
        if name != "torch" or even:
            messages = disagreements(found, *value)
            wrong += [f"the peer {name}: {message}" for message in messages]
    return wrong, {name: cost for name, cost in costs.items() if cost}


def stock(case: Case) -> Any:
    """Returns the layer of Keras, or what users run if there is none."""
    options = case.arguments()
    if len(case.sizes) == 3:
        return _GroupedConv3D(**options, name="grouped")
    if case.padding == "causal":
        return _CausalConv1D(**options | {"padding": "valid"}, name="causal")
    return getattr(keras.layers, f"SeparableConv{len(case.sizes)}D")(**options)


class _CausalConv1D(keras.layers.SeparableConv1D):  # type: ignore[misc]
    """Pads the input itself: in Keras 3 this layer has no causal padding."""

    def call(self, inputs: Tensor) -> Tensor:
        zeros = (self.kernel_size[0] - 1) * self.dilation_rate[0]
        return super().call(keras.ops.pad(inputs, ((0, 0), (zeros, 0), (0, 0))))


class _GroupedConv3D(layers.SeparableConv3D):
    """`Conv3D(groups=channels)`, then a 1x1x1 `Conv3D`, with our weights."""

    def call(self, inputs: Tensor) -> Tensor:
        shape, form = (*self.kernel_size, 1, -1), self.data_format
        kernel = keras.ops.reshape(self.depthwise_kernel, shape)
        between = keras.ops.conv(
            inputs, kernel, self.strides, self.padding, form, self.dilation_rate
        )
        kernel = self.pointwise_kernel
        outputs = keras.ops.conv(between, kernel, data_format=form)
        return keras.ops.add(outputs, self.bias)


def _contest(case: Case, options: Namespace) -> Contest:
    ours = getattr(layers, f"SeparableConv{len(case.sizes)}D")(
        **case.arguments(), implementation=options.implementation
    )
    return contest(case, stock(case), ours, options.jit_compile)


TASKS = [
    Task(c.name, c.description, c.suite, functools.partial(_contest, c))
    for c in CASES
]


OVERHEADS = ("SeparableConv2D", "DepthwiseConv2D", "separable_conv")
_TINY = Case("tiny", (8, 8), 8, 1, 8, (3, 3), batch=1)


def _overhead(name: str, options: Namespace) -> Contest:
    arrays = [np.abs(a) for a in _TINY.arrays(np.random.default_rng(0))]
    arrays[-1] *= 0  # The operations get no bias.
    images, *weights = map(keras.ops.convert_to_tensor, arrays)
    chosen = {"implementation": options.implementation}
    runs: Runs = {}
    for who in ("stock", "ours", "accelerated"):
        given = {"padding": "same", **(chosen if who == "ours" else {})}
        of = (layers, ops) if who == "ours" else (keras.layers, keras.ops)
        if name == "separable_conv":
            if who != "accelerated":
                run = functools.partial(of[1].separable_conv, **given)
                runs[who] = functools.partial(run, images, *weights[:2])
            continue
        if name == "SeparableConv2D":
            given["filters"] = _TINY.filters
        layer = getattr(of[0], name)(kernel_size=3, **given)
        layer.build(images.shape)
        layer.set_weights([*arrays[1 : len(layer.weights)], arrays[-1]])
        if who == "accelerated":
            accelerate(layer, **chosen)
        runs[who] = functools.partial(layer, images)
    if keras.backend.backend() == "torch" and name != "DepthwiseConv2D":
        pair = backends.torch_pair(_TINY, arrays[1:])
        runs["torch"] = functools.partial(pair, images.movedim(-1, 1))
    check = functools.partial(_check_overhead, runs)
    return Contest({"forward": runs}, check, time.process_time, calls=60)


def _check_overhead(runs: Runs) -> tuple[list[str], dict[str, Result]]:
    """Compares all with stock Keras."""
    results = {name: keras.ops.convert_to_numpy(runs[name]()) for name in runs}
    if "torch" in results:
        results["torch"] = np.moveaxis(results["torch"], 1, -1)
    # All numbers are positive: a sum is its sum of absolute values.
    stock = [results["stock"]]
    wrong = [
        f"{name}: {message}"
        for name, found in results.items()
        for message in disagreements([found], stock, stock)
    ]
    return wrong, {}


TASKS += [
    Task(name, "1x8x8x8", OVERHEAD, functools.partial(_overhead, name))
    for name in OVERHEADS
]
