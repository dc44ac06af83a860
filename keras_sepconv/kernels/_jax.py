"""The JAX backend's kernel: taps on a CPU, the native convolution elsewhere.

Read the files in this order: this one, `_jax_primitives` (derivatives and
platforms), `_jax_blocks` (a few images at a time), `_jax_taps` (the sums).
"""

import functools
import importlib
import sys

import jax
import jax.numpy as jnp
import keras
from jax import lax

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels import _jax_blocks as blocks
from keras_sepconv.kernels import _jax_primitives as primitives
from keras_sepconv.kernels import portable
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
    """Binds the primitive that computes it; on a mesh uses JAX's operations."""
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
        importlib.import_module("keras_sepconv.kernels._jax_onnx").register()
    form = Form(spec, inputs.shape[1:-1], depthwise_kernel.shape[-1])
    if matrix is None:
        (outputs,) = primitives.depthwise.bind(
            inputs, depthwise_kernel, form=form, result="outputs"
        )
        return outputs if bias is None else blocks.add_bias(outputs, bias)
    if bias is None:
        bias = jnp.zeros(matrix.shape[1:], matrix.dtype)
    return primitives.separable.bind(
        inputs, depthwise_kernel, matrix, bias, form=form
    )[0]


def _multiply(inputs: Tensor, matrix: Tensor, in_rows: bool) -> Tensor:
    if not in_rows:
        return inputs @ matrix
    # With more axes XLA transposes a copy for the matrix's gradient.
    rows = inputs.reshape(-1, inputs.shape[-1]) @ matrix
    return rows.reshape(*inputs.shape[:-1], rows.shape[-1])


def _meshes(arrays: list[Tensor]) -> list[tuple[int, ...]]:
    """Returns the sizes of the meshes of devices that the arrays lie on.

    There, the type of an array says more than its shape and dtype: how it is
    sharded, or over which axes it varies. Our primitives have no rules for
    that, so they take no such array.
    """
    found = []
    # JAX 0.4 has no such types; there, Keras alone knows of a mesh.
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
    """Returns the depthwise step in operations that JAX has all rules for."""
    by_taps = functools.partial(blocks.plain, spec)
    if any(sum(size > 1 for size in mesh) > 1 for mesh in meshes):
        # XLA's partitioner multiplies the gradient of a grouped convolution's
        # kernel by the size of the axis that the batch is not split along.
        return by_taps(inputs, kernel)

    def native(inputs: Tensor, kernel: Tensor) -> Tensor:
        return portable.run(spec, inputs, kernel, None, None)

    return lax.platform_dependent(inputs, kernel, cpu=by_taps, default=native)


def _why_not(call: Call) -> str | None:
    if None in call.input_shape:
        return "it needs to know every size of the inputs"
    return None


KERNELS = (Kernel("taps", _why_not, run),)
