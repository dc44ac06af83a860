"""TensorFlow: everything inside `tf.function`, with every size known."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_sepconv._spec import Tensor
from keras_sepconv.bench._subject import Layer, Subject
from keras_sepconv.bench.cases import Case

PEERS = ()


def device() -> str:
    """Returns what the default device is called."""
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

    @tf.function(jit_compile=jit_compile)
    def forward(inputs: Tensor) -> Tensor:
        return layer(inputs)

    @tf.function(jit_compile=jit_compile)
    def step(inputs: Tensor, cotangent: Tensor) -> Any:
        sources = [inputs, *(weight.value for weight in layer.weights)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        return outputs, *tape.gradient(outputs, sources, cotangent)

    return Subject(
        lambda inputs: _ready(forward(inputs)),
        lambda inputs, cotangent: list(_ready(step(inputs, cotangent))),
    )


def floor(matrix: Tensor, jit_compile: bool) -> Subject:
    """Returns the bare matrix products of a pointwise step."""

    @tf.function(jit_compile=jit_compile)
    def forward(inputs: Tensor, matrix: Tensor) -> Tensor:
        return tf.matmul(inputs, matrix)

    @tf.function(jit_compile=jit_compile)
    def step(inputs: Tensor, matrix: Tensor, cotangent: Tensor) -> Any:
        return (
            tf.matmul(inputs, matrix),
            tf.matmul(cotangent, matrix, transpose_b=True),
            tf.matmul(inputs, cotangent, transpose_a=True),
        )

    return Subject(
        lambda inputs: _ready(forward(inputs, matrix)),
        lambda inputs, cotangent: list(_ready(step(inputs, matrix, cotangent))),
    )


def peers(case: Case, arrays: list[np.ndarray]) -> dict[str, Subject]:
    """Returns nothing: what users pick on TensorFlow is Keras."""
    return {}


def release() -> None:
    """Has nothing to drop; functions own their graphs."""
