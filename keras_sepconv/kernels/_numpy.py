"""The kernel of the numpy backend. It uses only NumPy and supports all dtypes.

Keras's own convolution on this backend calls JAX, which computes in float32.
"""

import itertools

import numpy as np

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import Call, Kernel, channels_last


@channels_last
def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Passes over the image once for each tap, then multiplies the matrix."""
    # The other backends do not warn of a NaN.
    with np.errstate(invalid="ignore", over="ignore"):
        outputs = _wide(inputs)
        if depthwise_kernel is not None:
            outputs = _depthwise_conv(spec, outputs, _wide(depthwise_kernel))
        if pointwise_kernel is not None:
            matrix = pointwise_kernel.reshape(pointwise_kernel.shape[-2:])
            outputs = outputs @ _wide(matrix)
        if bias is not None:
            outputs = outputs + _wide(bias)
        return outputs.astype(inputs.dtype)


def _depthwise_conv(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    pads, reaches = [], []
    for axis, size in enumerate(inputs.shape[1:-1]):
        pads.append(spec.pads(axis, size))
        outputs = spec.output_size(axis, size)
        reaches.append((outputs - 1) * spec.strides[axis] + 1)
    padded = np.pad(inputs, [(0, 0), *pads, (0, 0)])
    total = np.zeros((), padded.dtype)
    for tap in itertools.product(*map(range, spec.kernel_size)):
        window = tuple(
            slice(i * rate, i * rate + reach, stride)
            for i, rate, reach, stride in zip(
                tap, spec.dilation_rate, reaches, spec.strides, strict=True
            )
        )
        image = padded[(slice(None), *window)]
        total = total + image[..., None] * kernel[tap]
    return total.reshape((*total.shape[:-2], -1))


def _wide(array: Tensor) -> Tensor:
    """Casts half precision to float32, so that sums are precise enough."""
    return np.asarray(array, np.promote_types(array.dtype, np.float32))


def _why_not(call: Call) -> str | None:
    return None


KERNELS = (Kernel("taps", _why_not, run),)
