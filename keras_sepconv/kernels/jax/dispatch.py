"""What the JAX backend runs for one call.

On a CPU it sums over the taps of the kernel. Elsewhere it runs JAX's own
convolution.
"""

import functools
import importlib
import sys

import jax
import jax.numpy as jnp
import keras
from jax import lax

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels import portable
from keras_sepconv.kernels._kernel import Call, Kernel, channels_last
from keras_sepconv.kernels.jax import blocks
from keras_sepconv.kernels.jax.blocks import Form
from keras_sepconv.kernels.jax.depthwise import convolve
from keras_sepconv.kernels.jax.separable import separable_p


@channels_last
def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Binds our primitive; on a mesh of devices, runs JAX's operations."""
    operands = (inputs, depthwise_kernel, pointwise_kernel, bias)
    meshes = _meshes([array for array in operands if array is not None])
    if depthwise_kernel is not None and meshes:
        inputs = _depthwise_on_mesh(spec, meshes, inputs, depthwise_kernel)
        depthwise_kernel = None
    matrix = None
    if pointwise_kernel is not None:
        matrix = pointwise_kernel.reshape(pointwise_kernel.shape[-2:])
    if depthwise_kernel is None:
        outputs = inputs
        if matrix is not None:
            outputs = _multiply(inputs, matrix, in_rows=not meshes)
        return outputs if bias is None else blocks.add_bias(outputs, bias)
    if "jax2onnx" in sys.modules:
        importlib.import_module("keras_sepconv.kernels.jax.onnx").register()
    form = Form(spec, inputs.shape[1:-1], depthwise_kernel.shape[-1])
    if matrix is None:
        outputs = convolve(form, inputs, depthwise_kernel)
        return outputs if bias is None else blocks.add_bias(outputs, bias)
    if bias is None:
        bias = jnp.zeros(matrix.shape[1:], matrix.dtype)
    operands = (inputs, depthwise_kernel, matrix, bias)
    (outputs,) = separable_p.bind(*operands, form=form)
    return outputs


def _multiply(inputs: Tensor, matrix: Tensor, in_rows: bool) -> Tensor:
    if not in_rows:
        return inputs @ matrix
    # With more than two axes, XLA makes a transposed copy of the inputs for the
    # gradient of the matrix.
    rows = inputs.reshape(-1, inputs.shape[-1]) @ matrix
    return rows.reshape(*inputs.shape[:-1], rows.shape[-1])


def _meshes(arrays: list[Tensor]) -> list[tuple[int, ...]]:
    """Returns the sizes of the meshes of devices that hold the arrays.

    The type of an array on a mesh contains more than shape and dtype: how the
    array is sharded, or over which axes of the mesh it varies. Our primitives
    have no rules for such types, so they do not run for these arrays.
    """
    found = []
    # JAX 0.4 has no such types. There, only Keras knows about a mesh.
    kinds = map(jax.typeof, arrays) if hasattr(jax, "typeof") else ()
    for kind in kinds:
        plain = jax.core.ShapedArray(
            kind.shape, kind.dtype, weak_type=kind.weak_type
        )
        if kind != plain:
            found.append(tuple(kind.sharding.mesh.shape.values()))
    distribution = keras.distribution.distribution()
    if distribution is not None:
        found.append(tuple(distribution.device_mesh.shape))
    return found


def _depthwise_on_mesh(
    spec: ConvSpec,
    meshes: list[tuple[int, ...]],
    inputs: Tensor,
    kernel: Tensor,
) -> Tensor:
    """Returns the depthwise step, computed with operations of JAX alone."""
    by_taps = functools.partial(blocks.plain, spec)
    if any(sum(size > 1 for size in mesh) > 1 for mesh in meshes):
        # Here XLA computes a wrong gradient for the kernel of a grouped
        # convolution: it multiplies the gradient by the size of the mesh axis
        # along which the batch is not split.
        return by_taps(inputs, kernel)

    def native(inputs: Tensor, kernel: Tensor) -> Tensor:
        return portable.run(spec, inputs, kernel, None, None)

    return lax.platform_dependent(inputs, kernel, cpu=by_taps, default=native)


def _why_not(call: Call) -> str | None:
    if None in call.input_shape:
        return "it needs to know every size of the inputs"
    return None


KERNEL = Kernel("taps", _why_not, run)
