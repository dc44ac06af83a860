"""Runs what is timed on each backend, and makes the frameworks' own layers."""

import importlib.util
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_sepconv._spec import Tensor
from keras_sepconv.bench.cases import Case
from keras_sepconv.bench.results import KINDS, Result

# The first takes a kind, inputs and a cotangent, and returns the value, and in
# training also the gradients of the inputs and of all weights, once they are
# computed. The second takes inputs and a cotangent before the first runs, and
# returns what compiling costs, or nothing where that is not known.
Subject: TypeAlias = tuple[Callable[..., list[Tensor]], Callable[..., Result]]


def subject(
    function: Callable[[Tensor, Any], Tensor],
    weights: Callable[[], Any],
    xla: bool,
) -> Subject:
    """Returns a function as users run it; `xla` is for TensorFlow alone."""
    make = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
    return make[keras.backend.backend()](function, weights, xla)


def _jax(function: Any, weights: Any, xla: bool) -> Subject:
    import jax

    def forward(weights: Any, inputs: Tensor, unused: Tensor) -> Tensor:
        return function(inputs, weights)

    def training(weights: Any, inputs: Tensor, cotangent: Tensor) -> Any:
        outputs, pullback = jax.vjp(function, inputs, weights)
        return outputs, pullback(cotangent)

    jitted = {"forward": jax.jit(forward), "training": jax.jit(training)}

    def run(kind: str, *batch: Tensor) -> list[Tensor]:
        results = jitted[kind](weights(), *batch)
        return list(jax.tree.leaves(jax.block_until_ready(results)))

    def costs(*batch: Tensor) -> Result:
        # The calls that follow use what is compiled here.
        seconds = {}
        for kind in KINDS:
            start = time.perf_counter()
            compiled = jitted[kind].lower(weights(), *batch).compile()
            seconds[kind] = time.perf_counter() - start
        peak = compiled.memory_analysis()
        peak = peak and peak.temp_size_in_bytes + peak.output_size_in_bytes
        return {"compile_seconds": seconds, "peak_bytes": peak}

    return run, costs


def _tensorflow(function: Any, weights: Any, xla: bool) -> Subject:
    import tensorflow as tf

    def forward(inputs: Tensor, unused: Tensor) -> Any:
        return [function(inputs, weights())]

    def training(inputs: Tensor, cotangent: Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs, weights())
        sources = [inputs, *weights()]
        return outputs, *tape.gradient(outputs, sources, cotangent)

    compiled = {
        "forward": tf.function(forward, jit_compile=xla),
        "training": tf.function(training, jit_compile=xla),
    }

    def run(kind: str, *batch: Tensor) -> list[Tensor]:
        results = list(compiled[kind](*batch))
        if tf.config.list_physical_devices("GPU"):
            tf.test.experimental.sync_devices()
        return results

    return run, lambda *batch: {}


def _torch(function: Any, weights: Any, xla: bool) -> Subject:
    import torch

    def run(kind: str, inputs: Tensor, cotangent: Tensor) -> list[Tensor]:
        if kind == "forward":
            with torch.no_grad():
                results = [function(inputs, weights())]
        else:
            inputs = inputs.detach().requires_grad_(True)
            value = function(inputs, weights())
            sources = [inputs, *weights()]
            gradients = torch.autograd.grad(value, sources, cotangent)
            results = [value.detach(), *gradients]
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return results

    return run, lambda *batch: {}


def device() -> str:
    """Returns the name of the default device."""
    if keras.backend.backend() == "jax":
        from jax import devices

        return str(devices()[0].device_kind)
    if keras.backend.backend() == "torch":
        from torch import cuda

        return str(cuda.get_device_name()) if cuda.is_available() else "cpu"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details
    return details(gpus[0]).get("device_name", "GPU") if gpus else "cpu"


def release() -> None:
    """Removes compiled functions from JAX's cache; others have none."""
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()


def peers(case: Case, weights: list[np.ndarray]) -> dict[str, Subject]:
    """Returns the framework's own layers in channels_last, if it has any."""
    if keras.backend.backend() == "torch":
        pair = torch_pair(case, weights)

        def function(inputs: Tensor, weights: Any) -> Tensor:
            return pair(inputs.movedim(-1, 1)).movedim(1, -1)

        own = list(pair.parameters())
        return {"torch": subject(function, lambda: own, False)}
    if keras.backend.backend() == "jax" and importlib.util.find_spec("flax"):
        return {"flax": _flax(case, weights)}
    return {}


def _flax(case: Case, weights: list[np.ndarray]) -> Subject:
    from flax import nnx

    wide, ones = case.channels * case.multiplier, (1,) * len(case.sizes)
    convolution = nnx.Conv(
        case.channels,
        wide,
        case.kernel_size,
        case.strides,
        padding=str(case.padding).upper(),
        kernel_dilation=case.dilation_rate,
        feature_group_count=case.channels,
        use_bias=False,
        rngs=nnx.Rngs(0),
    )
    pointwise = nnx.Conv(wide, case.filters, ones, rngs=nnx.Rngs(0))
    own = convolution.kernel, pointwise.kernel, pointwise.bias
    for variable, value in zip(own, weights, strict=True):
        value = value.reshape(variable.shape)
        variable.set_value(keras.ops.convert_to_tensor(value))
    definition, state = nnx.split(nnx.Sequential(convolution, pointwise))

    def function(inputs: Tensor, state: Any) -> Tensor:
        return nnx.merge(definition, state)(inputs)

    return subject(function, lambda: state, True)


def torch_pair(case: Case, weights: list[np.ndarray]) -> Any:
    """Returns the two convolutions of torch, in channels_last memory."""
    import torch

    wide, rank = case.channels * case.multiplier, len(case.sizes)
    convolution = getattr(torch.nn, f"Conv{rank}d")
    reach = zip(case.kernel_size, case.dilation_rate, strict=True)
    zeros = tuple((size - 1) * rate // 2 for size, rate in reach)
    sizes = case.channels, wide, case.kernel_size, case.strides, zeros
    first = convolution(*sizes, case.dilation_rate, case.channels, bias=False)
    pair = torch.nn.Sequential(first, convolution(wide, case.filters, 1))
    depthwise, pointwise, bias = map(torch.from_numpy, weights)
    depthwise = depthwise.reshape(*case.kernel_size, wide, 1)
    kernel = depthwise.movedim((-2, -1), (0, 1))
    values = kernel, pointwise.movedim((-1, -2), (0, 1)), bias
    with torch.no_grad():
        for parameter, value in zip(pair.parameters(), values, strict=True):
            parameter.copy_(value)
    if rank > 1:
        last = (torch.channels_last, torch.channels_last_3d)[rank - 2]
        pair = pair.to(memory_format=last)
    return pair.cuda() if torch.cuda.is_available() else pair
