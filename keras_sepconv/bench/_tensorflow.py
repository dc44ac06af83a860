"""Runs layers on TensorFlow, all inside `tf.function` with known sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_sepconv._spec import Tensor
from keras_sepconv.bench._subject import Layer, Subject
from keras_sepconv.bench.cases import Case

PEERS = ()


def device() -> str:
    """Returns the name of the default device."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return "cpu"
    details = tf.config.experimental.get_device_details(devices[0])
    return str(details.get("device_name", "GPU"))


def _ready(results: Any) -> Any:
    if tf.config.list_physical_devices("GPU"):
        tf.test.experimental.sync_devices()
    return results


def of_layer(layer: Layer, jit_compile: bool) -> Subject:
    """Returns a Keras layer as users run it on this backend."""

    def call(inputs: Tensor) -> Tensor:
        return layer(inputs)

    def step(inputs: Tensor, cotangent: Tensor) -> Any:
        sources = [inputs, *(weight.value for weight in layer.weights)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        return outputs, *tape.gradient(outputs, sources, cotangent)

    return _subject(call, step, jit_compile)


def _subject(
    call: Callable[[Tensor], Tensor],
    step: Callable[[Tensor, Tensor], Any],
    jit_compile: bool,
) -> Subject:
    forward = tf.function(call, jit_compile=jit_compile)
    training = tf.function(step, jit_compile=jit_compile)
    return Subject(
        lambda inputs: _ready(forward(inputs)),
        lambda inputs, cotangent: list(_ready(training(inputs, cotangent))),
    )


def floor(matrix: Tensor, jit_compile: bool) -> Subject:
    """Returns the matrix products of a pointwise step alone."""
    variable = tf.Variable(matrix)

    def product(inputs: Tensor) -> Tensor:
        return tf.matmul(inputs, variable)

    def step(inputs: Tensor, cotangent: Tensor) -> Any:
        return (
            tf.matmul(inputs, variable),
            tf.matmul(cotangent, variable, transpose_b=True),
            tf.matmul(inputs, cotangent, transpose_a=True),
        )

    return _subject(product, step, jit_compile)


def peers(case: Case, arrays: list[np.ndarray]) -> dict[str, Subject]:
    """Returns nothing: on TensorFlow, users have only the layers of Keras."""
    return {}


def release() -> None:
    """Does nothing: there is no cache, functions own their graphs."""
