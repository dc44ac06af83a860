"""The kernel that defines what all kernels compute, in public `keras.ops`.

Every other kernel computes the same, only faster. This kernel runs on every
backend of Keras. On TensorFlow the name "portable" runs the kernel `native`
(`tensorflow/native.py`), because Keras's operations are wrong in many cases
there.
"""

import dataclasses

import keras
from keras import ops

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import Call, Kernel, padded_first

_BACKEND = keras.backend.backend()
_HALF = ("float16", "bfloat16")


@padded_first
def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Runs a depthwise convolution, then a 1x1 one, then adds the bias."""
    is_last = spec.data_format == "channels_last"
    if _BACKEND == "torch" and is_last and inputs.shape[-1] == 1:
        # With a single channel, Keras's permuted image has strides that torch
        # misreads.
        batch, *sizes, _ = inputs.shape
        spec = dataclasses.replace(spec, data_format="channels_first")
        inputs = ops.reshape(inputs, (batch, 1, *sizes))
        outputs = run(spec, inputs, depthwise_kernel, pointwise_kernel, bias)
        return ops.moveaxis(outputs, 1, -1)
    outputs = inputs
    if depthwise_kernel is not None:
        outputs = ops.depthwise_conv(
            inputs,
            depthwise_kernel,
            strides=spec.strides,
            padding=spec.padding,
            data_format=spec.data_format,
            dilation_rate=spec.dilation_rate,
        )
    if pointwise_kernel is not None:
        outputs = ops.conv(
            outputs, pointwise_kernel, data_format=spec.data_format
        )
    return outputs if bias is None else _add_bias(spec, outputs, bias)


def _add_bias(spec: ConvSpec, outputs: Tensor, bias: Tensor) -> Tensor:
    """Adds the bias; on JAX, half precision is added in float32.

    JAX sums the gradient of a half-precision bias in half precision. On a large
    image most of the sum is lost.
    """
    dtype = keras.backend.standardize_dtype(outputs.dtype)
    widen = dtype in _HALF and _BACKEND == "jax"
    if widen:
        outputs, bias = ops.cast(outputs, "float32"), ops.cast(bias, "float32")
    if spec.data_format == "channels_first":
        bias = ops.reshape(bias, (1, -1) + (1,) * spec.rank)
    outputs = ops.add(outputs, bias)
    return ops.cast(outputs, dtype) if widen else outputs


def _why_not(call: Call) -> str | None:
    if _BACKEND == "numpy" and call.dtype == "float64":
        return "Keras's numpy backend convolves float64 in float32"
    return None


KERNEL = Kernel("portable", _why_not, run)
