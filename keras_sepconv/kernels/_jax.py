"""The JAX backend's kernel: taps on a CPU, the native convolution elsewhere."""

import dataclasses

import jax.numpy as jnp
import keras

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels import _jax_primitives as primitives
from keras_sepconv.kernels._jax_blocks import Form
from keras_sepconv.kernels._kernel import Call, Kernel, channels_last


@channels_last
def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Brings one spatial axis to two, and back."""
    if spec.rank == 1:
        flat = dataclasses.replace(
            spec,
            kernel_size=(1, *spec.kernel_size),
            strides=(1, *spec.strides),
            dilation_rate=(1, *spec.dilation_rate),
        )
        inputs, depthwise_kernel = inputs[:, None], depthwise_kernel[None]
        return run(flat, inputs, depthwise_kernel, pointwise_kernel, bias)[:, 0]
    form = Form(
        spec,
        inputs.shape[1:3],
        depthwise_kernel.shape[3],
        keras.distribution.distribution() is None,
    )
    if pointwise_kernel is None:
        (outputs,) = primitives.depthwise.bind(
            inputs, depthwise_kernel, form=form, result="outputs"
        )
        return outputs if bias is None else primitives.add_bias(outputs, bias)
    matrix = pointwise_kernel.reshape(pointwise_kernel.shape[-2:])
    if bias is None:
        bias = jnp.zeros(matrix.shape[1:], matrix.dtype)
    operands = (inputs, depthwise_kernel, matrix, bias)
    return primitives.separable.bind(*operands, form=form)[0]


def _why_not(call: Call) -> str | None:
    if call.spec.rank == 3:
        return "it has no loop over three spatial axes"
    if None in call.input_shape:
        return "it needs to know every size of the inputs"
    return None


KERNELS = (Kernel("taps", _why_not, run),)
