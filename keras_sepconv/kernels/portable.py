"""The meaning of the two operations, in public `keras.ops`.

Every other kernel may only be faster. This one runs on every backend that
Keras has. What Keras's own operations get wrong on one of them is put right
here, each time with its cause; all of that concerns TensorFlow and half
precision.
"""

import dataclasses
import math

import keras
from keras import ops

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import Call, Kernel

_BACKEND = keras.backend.backend()
_HALF = ("float16", "bfloat16")


def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """A depthwise convolution, a 1x1 convolution, and one number a channel."""
    if _BACKEND == "tensorflow":
        convolve = _convolve_on_tensorflow
    else:
        convolve = _convolve
    outputs = convolve(spec, inputs, depthwise_kernel, pointwise_kernel)
    return outputs if bias is None else _add_bias(spec, outputs, bias)


def _convolve(
    spec: ConvSpec, inputs: Tensor, depthwise: Tensor, pointwise: Tensor | None
) -> Tensor:
    outputs = _depthwise_conv(spec, inputs, depthwise)
    if pointwise is None:
        return outputs
    return ops.conv(outputs, pointwise, data_format=spec.data_format)


def _depthwise_conv(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    return ops.depthwise_conv(
        inputs,
        kernel,
        strides=spec.strides,
        padding=spec.padding,
        data_format=spec.data_format,
        dilation_rate=spec.dilation_rate,
    )


def _add_bias(spec: ConvSpec, outputs: Tensor, bias: Tensor) -> Tensor:
    """Adds the bias, in float32 where half precision would spoil its gradient.

    JAX and eager TensorFlow sum the bias gradient of a half-precision addition
    in half precision, which loses most of it on a large image.
    """
    dtype = keras.backend.standardize_dtype(outputs.dtype)
    widen = dtype in _HALF and _BACKEND in ("jax", "tensorflow")
    if widen:
        outputs, bias = ops.cast(outputs, "float32"), ops.cast(bias, "float32")
    if spec.data_format == "channels_last":
        outputs = ops.add(outputs, bias)
    else:
        # TensorFlow's `keras.ops.add` takes any vector of the width's length
        # for a bias along the width; subtracting has no such shortcut.
        bias = ops.reshape(bias, (1, -1) + (1,) * spec.rank)
        outputs = ops.subtract(outputs, ops.negative(bias))
    return ops.cast(outputs, dtype) if widen else outputs


def _convolve_on_tensorflow(
    spec: ConvSpec, inputs: Tensor, depthwise: Tensor, pointwise: Tensor | None
) -> Tensor:
    """Convolves in channels_last, and survives sizes known only at run time.

    TensorFlow's CPU kernels want the channels last. On nothing to compute they
    return uninitialised memory, the input's shape, or gradients of garbage: so
    only an empty batch ever reaches them, its result gets the right shape, and
    the gradients that come of it are replaced by zeros. Sizes known beforehand
    are checked beforehand and cost nothing here.
    """
    if spec.data_format == "channels_first":
        last = dataclasses.replace(spec, data_format="channels_last")
        inputs = ops.moveaxis(inputs, 1, -1)
        outputs = _convolve_on_tensorflow(last, inputs, depthwise, pointwise)
        return ops.moveaxis(outputs, -1, 1)
    batch, *sizes = ops.shape(inputs)[:-1]
    if all(isinstance(size, int) for size in (batch, *sizes)):
        return _convolve_native(spec, inputs, depthwise, pointwise)
    new_sizes = [
        ops.maximum(spec.output_size(axis, size), 0)
        for axis, size in enumerate(sizes)
    ]
    filled = ops.all(ops.stack([batch, *new_sizes]) > 0)
    if spec.padding == "valid" and None in tuple(inputs.shape[1:-1]):
        inputs = inputs[: ops.where(filled, batch, 0)]
    outputs = _convolve_native(
        spec,
        inputs,
        ops.where(filled, depthwise, 0),
        None if pointwise is None else ops.where(filled, pointwise, 0),
    )
    return ops.reshape(outputs, (batch, *new_sizes, outputs.shape[-1]))


def _convolve_native(
    spec: ConvSpec, inputs: Tensor, depthwise: Tensor, pointwise: Tensor | None
) -> Tensor:
    """Convolves with what TensorFlow's depthwise op can do.

    It accumulates the kernel's gradient of a half-precision convolution in
    half precision (bfloat16 with `TF_ENABLE_ONEDNN_OPTS=0` only), and it has
    neither unequal strides (with that setting in no dtype) nor, in older
    versions of Keras, strides with dilation.
    """
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    if dtype in _HALF:
        inputs = ops.cast(inputs, "float32")
        depthwise = ops.cast(depthwise, "float32")
    if math.prod(depthwise.shape) == 1:
        # As below, with or without a bias.
        every = tuple(slice(None, None, stride) for stride in spec.strides)
        outputs = ops.multiply(inputs[(slice(None), *every)], depthwise)
    elif len(set(spec.strides)) > 1 or (
        max(spec.strides) > 1 and max(spec.dilation_rate) > 1
    ):
        outputs = _strided_by_slicing(spec, inputs, depthwise)
    else:
        outputs = _depthwise_conv(spec, inputs, depthwise)
    outputs = ops.cast(outputs, dtype)
    if pointwise is None:
        return outputs
    if math.prod(pointwise.shape) == 1:
        # With a bias added, oneDNN now and then aborts while it reorders the
        # one weight. Multiplying is what is left of the matrix product.
        return ops.multiply(outputs, pointwise)
    return ops.conv(outputs, pointwise, data_format="channels_last")


def _strided_by_slicing(
    spec: ConvSpec, inputs: Tensor, kernel: Tensor
) -> Tensor:
    """Takes every stride-th output of the same convolution at stride 1.

    A stride lets `"same"` put fewer zeros before the image, so that the first
    output to take lies a few positions in.
    """
    dense = dataclasses.replace(spec, strides=(1,) * spec.rank)
    outputs = _depthwise_conv(dense, inputs, kernel)
    taken: list[slice] = [slice(None)]
    for axis, size in enumerate(ops.shape(inputs)[1:-1]):
        first = dense.pad_before(axis, size) - spec.pad_before(axis, size)
        taken.append(slice(first, None, spec.strides[axis]))
    return outputs[tuple(taken)]


def _why_not(call: Call) -> str | None:
    if _BACKEND == "tensorflow" and call.spec.rank == 3:
        return "TensorFlow has no depthwise convolution in three dimensions"
    if _BACKEND == "numpy" and call.dtype == "float64":
        return "Keras's numpy backend convolves float64 in float32"
    return None


KERNEL = Kernel("portable", _why_not, run)
