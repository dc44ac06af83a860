"""Depthwise convolutions of images by TensorFlow's own operation.

The operation gives wrong results in some cases. This module works around each
such case and says why.
"""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels.tensorflow.derivatives import own
from keras_sepconv.kernels.tensorflow.large import has_large_kernel, large
from keras_sepconv.kernels.tensorflow.sizes import (
    is_half,
    output_sizes,
    sizes_of,
)


def depthwise(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Runs the depthwise step, also if some sizes are known only at run time.

    If the output is empty, TensorFlow's operation returns uninitialised memory
    or the shape of the input, and its gradients are garbage. So an empty image
    is replaced by an empty batch before the operation, its result gets the
    right shape, and the gradient of the kernel is replaced by zeros. If all
    sizes are known, they were checked before, and nothing is added here.

    If only the batch size is unknown, an empty batch gets the shape that oneDNN
    returns, or oneDNN's error. A reshape would not help: TensorFlow's optimiser
    removes a reshape that changes only the batch. Any other operation would
    cost each user of such a model a pass over the image.

    Half precision is computed in float32. TensorFlow's operation accumulates
    the gradient of the kernel in the dtype of the inputs: in float16 always, in
    bfloat16 only with `TF_ENABLE_ONEDNN_OPTS=0`.
    """
    if is_half(inputs):
        wide = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
        return tf.cast(depthwise(spec, *wide), inputs.dtype)
    if math.prod(kernel.shape) == 1:
        # For the same reason as in the pointwise step; here oneDNN aborts
        # without a bias too.
        return inputs[:, :: spec.strides[0], :: spec.strides[1]] * kernel[0, 0]
    if inputs.shape.is_fully_defined():
        return _convolve(spec, inputs, kernel)
    kernel = _learning_from_something(spec, inputs, kernel)
    if None not in inputs.shape[1:].as_list():
        return _convolve(spec, inputs, kernel)
    channels = math.prod(kernel.shape[-2:])
    static = spec.output_shape(tuple(inputs.shape.as_list()), channels)
    sizes = tf.shape(inputs)
    found = output_sizes(spec, sizes[1:-1])
    if spec.padding == "valid":
        inputs = inputs[: tf.where(tf.reduce_all(found > 0), sizes[0], 0)]
    outputs = _convolve(spec, inputs, kernel)
    shape = tf.concat([sizes[:1], found, [channels]], 0)
    outputs = tf.reshape(outputs, shape)
    outputs.set_shape(static)
    return outputs


def _learning_from_something(
    spec: ConvSpec, inputs: Tensor, kernel: Tensor
) -> Tensor:
    """Returns `kernel`; its gradient is zero if the output is empty.

    The inputs are not an argument of the custom gradient. Otherwise it would
    stay in an exported graph.
    """
    inputs = own(inputs)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def same(kernel: Tensor) -> Any:
        def pull(gradient: Tensor) -> Tensor:
            sizes = tf.shape(inputs)
            left = output_sizes(spec, sizes[1:-1])
            filled = tf.reduce_all(tf.concat([sizes[:1], left], 0) > 0)
            return tf.where(filled, gradient, tf.zeros_like(gradient))

        return tf.identity(kernel), pull

    return same(kernel)


def _convolve(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves with TensorFlow's depthwise operation.

    The operation does not support strides together with dilation. Unequal
    strides are not supported in all dtypes; without oneDNN they are in none.
    """
    if kernel.shape.rank == 3:
        # The kernel of a sequence. The axis is added only here: if a custom
        # gradient reads a weight that an operation has changed, OpenVINO makes
        # an output of what the gradient leaves in the graph.
        kernel = tf.expand_dims(kernel, 0)
    if max(spec.strides) > 1 and not is_plain(spec):
        return _strided_by_slicing(spec, inputs, kernel)
    # For an empty batch, oneDNN returns gradients with wrong sizes.
    is_sure = spec.padding == "same" or None not in inputs.shape[1:].as_list()
    if is_sure and has_large_kernel(spec, kernel):
        return large(spec, inputs, kernel)
    strides, padding = (1, *spec.strides, 1), str(spec.padding).upper()
    if max(spec.dilation_rate) > 1:
        return tf.nn.depthwise_conv2d(
            inputs, kernel, strides, padding, dilations=spec.dilation_rate
        )
    # In eager mode, `tf.nn.depthwise_conv2d` takes twice as long as this.
    return tf.raw_ops.DepthwiseConv2dNative(
        input=inputs, filter=kernel, strides=strides, padding=padding
    )


def is_plain(spec: ConvSpec) -> bool:
    """Tells whether a single operation of TensorFlow computes it.

    Then each gradient is a single operation too.
    """
    return len(set(spec.strides)) == 1 and max(spec.dilation_rate) == 1


def _strided_by_slicing(
    spec: ConvSpec, inputs: Tensor, kernel: Tensor
) -> Tensor:
    """Takes every stride-th output of the same convolution with stride 1.

    With padding `"same"` and a stride, fewer zeros go before the image. So the
    first output to take is not the first one at stride 1.
    """
    dense = dataclasses.replace(spec, strides=(1, 1))
    outputs = _convolve(dense, inputs, kernel)
    taken: list[slice] = [slice(None)]
    for axis, size in enumerate(sizes_of(inputs, 1)[:-1]):
        first = dense.pads(axis, size)[0] - spec.pads(axis, size)[0]
        taken.append(slice(first, None, spec.strides[axis]))
    return outputs[tuple(taken)]
