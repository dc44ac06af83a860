"""Runs layers on JAX, all inside `jax.jit`."""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from keras_sepconv._spec import Tensor
from keras_sepconv.bench._subject import Layer, Subject
from keras_sepconv.bench.cases import Case
from keras_sepconv.bench.results import Costs

PEERS = ("flax",)


def device() -> str:
    """Returns the name of the default device."""
    return str(jax.devices()[0].device_kind)


def of_layer(layer: Layer, jit_compile: bool) -> Subject:
    """Returns a Keras layer as users run it on this backend."""

    def function(inputs: Tensor, weights: Any) -> Tensor:
        return layer.stateless_call(weights, [], inputs)[0]

    return _subject(function, lambda: [w.value for w in layer.weights])


def _subject(
    function: Callable[[Tensor, Any], Tensor], weights: Callable[[], Any]
) -> Subject:
    def step(inputs: Tensor, weights: Any, cotangent: Tensor) -> Any:
        outputs, pullback = jax.vjp(function, inputs, weights)
        return outputs, pullback(cotangent)

    jitted, jitted_step = jax.jit(function), jax.jit(step)

    def forward(inputs: Tensor) -> Tensor:
        return jax.block_until_ready(jitted(inputs, weights()))

    def training(inputs: Tensor, cotangent: Tensor) -> list[Tensor]:
        results = jitted_step(inputs, weights(), cotangent)
        leaves: list[Tensor] = jax.tree.leaves(jax.block_until_ready(results))
        return leaves

    def costs(inputs: Tensor, cotangent: Tensor) -> Costs:
        # The calls that follow use what is compiled here.
        start = time.perf_counter()
        jitted.lower(inputs, weights()).compile()
        middle = time.perf_counter()
        compiled = jitted_step.lower(inputs, weights(), cotangent).compile()
        end = time.perf_counter()
        memory, peak = compiled.memory_analysis(), None
        if memory is not None:
            peak = memory.temp_size_in_bytes + memory.output_size_in_bytes
        seconds = {"forward": middle - start, "training": end - middle}
        return {"compile_seconds": seconds, "peak_bytes": peak}

    return Subject(forward, training, costs)


def floor(matrix: Tensor, jit_compile: bool) -> Subject:
    """Returns the matrix products of a pointwise step alone."""

    def product(inputs: Tensor, matrix: Tensor) -> Tensor:
        return inputs @ matrix

    def step(inputs: Tensor, matrix: Tensor, cotangent: Tensor) -> Any:
        return inputs @ matrix, cotangent @ matrix.T, inputs.T @ cotangent

    jitted, jitted_step = jax.jit(product), jax.jit(step)
    return Subject(
        lambda inputs: jax.block_until_ready(jitted(inputs, matrix)),
        lambda inputs, cotangent: list(
            jax.block_until_ready(jitted_step(inputs, matrix, cotangent))
        ),
    )


def peers(case: Case, arrays: list[np.ndarray]) -> dict[str, Subject]:
    """Returns the layers of flax in channels_last, if it is installed."""
    if importlib.util.find_spec("flax") is None:
        return {}
    from flax import nnx

    _, depthwise, pointwise, bias = arrays
    wide = case.channels * case.multiplier
    convolution = nnx.Sequential(
        nnx.Conv(
            case.channels,
            wide,
            case.kernel_size,
            case.strides,
            padding=str(case.padding).upper(),
            kernel_dilation=case.dilation_rate,
            feature_group_count=case.channels,
            use_bias=False,
            rngs=nnx.Rngs(0),
        ),
        nnx.Conv(wide, case.filters, (1,) * len(case.sizes), rngs=nnx.Rngs(0)),
    )
    first, second = convolution.layers
    first.kernel.set_value(
        jax.numpy.asarray(depthwise.reshape(*case.kernel_size, 1, wide))
    )
    second.kernel.set_value(jax.numpy.asarray(pointwise))
    second.bias.set_value(jax.numpy.asarray(bias))
    definition, state = nnx.split(convolution)

    def function(inputs: Tensor, state: Any) -> Tensor:
        return nnx.merge(definition, state)(inputs)

    return {"flax": _subject(function, lambda: state)}


def release() -> None:
    """Removes compiled functions from the cache."""
    jax.clear_caches()
