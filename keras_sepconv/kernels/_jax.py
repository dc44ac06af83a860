"""The JAX backend's kernel: taps on a CPU, the native convolution elsewhere."""

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
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Binds the primitive that computes it."""
    matrix = None
    if pointwise_kernel is not None:
        matrix = pointwise_kernel.reshape(pointwise_kernel.shape[-2:])
    if depthwise_kernel is None:
        # With more axes XLA transposes a copy for the matrix's gradient.
        rows = inputs.reshape(-1, inputs.shape[-1]) @ matrix
        outputs = rows if bias is None else primitives.add_bias(rows, bias)
        return outputs.reshape(*inputs.shape[:-1], outputs.shape[-1])
    form = Form(
        spec,
        inputs.shape[1:-1],
        depthwise_kernel.shape[-1],
        keras.distribution.distribution() is None,
    )
    if matrix is None:
        (outputs,) = primitives.depthwise.bind(
            inputs, depthwise_kernel, form=form, result="outputs"
        )
        return outputs if bias is None else primitives.add_bias(outputs, bias)
    if bias is None:
        bias = jnp.zeros(matrix.shape[1:], matrix.dtype)
    operands = (inputs, depthwise_kernel, matrix, bias)
    return primitives.separable.bind(*operands, form=form)[0]


def _why_not(call: Call) -> str | None:
    if None in call.input_shape:
        return "it needs to know every size of the inputs"
    return None


KERNELS = (Kernel("taps", _why_not, run),)
