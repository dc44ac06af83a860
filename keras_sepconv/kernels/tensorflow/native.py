"""The kernel `native`: TensorFlow's own operations, in graph and eager mode."""

import dataclasses

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import channels_last, padded_first
from keras_sepconv.kernels.tensorflow.depthwise import depthwise
from keras_sepconv.kernels.tensorflow.derivatives import differentiable
from keras_sepconv.kernels.tensorflow.sizes import (
    is_half,
    sizes_of,
    with_channels,
)
from keras_sepconv.kernels.tensorflow.volumes import volume


@channels_last
@padded_first
def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Convolves in channels_last, the format that TensorFlow needs on a CPU.

    The bias is added in channels_last too. In channels_first, `keras.ops.add`
    adds it along the width if it is as long as the width.
    """
    if spec.rank == 1:
        flat = dataclasses.replace(
            spec,
            kernel_size=(1, *spec.kernel_size),
            strides=spec.strides * 2,
            dilation_rate=(1, *spec.dilation_rate),
        )
        if pointwise_kernel is not None:
            pointwise_kernel = tf.expand_dims(pointwise_kernel, 0)
        # The gradient of `inputs[:, None]` would copy the sequence.
        inputs = tf.expand_dims(inputs, 1)
        outputs = run(flat, inputs, depthwise_kernel, pointwise_kernel, bias)
        return tf.squeeze(outputs, 1)
    outputs = inputs
    if depthwise_kernel is not None:
        convolve = volume if spec.rank == 3 else depthwise
        outputs = convolve(spec, inputs, depthwise_kernel)
    if pointwise_kernel is not None:
        return _pointwise(outputs, pointwise_kernel, bias)
    return outputs if bias is None else _add_bias(outputs, bias)


def _pointwise(inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    channels, filters = kernel.shape[-2:]
    if inputs.shape.rank == 5:
        shape = sizes_of(inputs)
        rows = tf.reshape(inputs, (shape[0], -1, *shape[3:]))
        outputs = _pointwise(rows, kernel[0], bias)
        return tf.reshape(outputs, (*shape[:-1], filters))
    if channels * filters == 1:
        # oneDNN sometimes aborts when it reorders a single weight and a bias is
        # added. A product with one weight is a plain multiplication.
        outputs = inputs * kernel
    elif None in inputs.shape[1:].as_list():
        # With an empty image, TensorFlow's convolution would return the number
        # of channels of the input.
        outputs = _multiply(inputs, kernel[0, 0])
    elif inputs.shape.is_fully_defined() and not tf.executing_eagerly():
        product = differentiable(_conv, _pull_image, _pull_kernel)
        outputs = product(inputs, kernel)
    else:
        # A custom gradient has two disadvantages. Converters cannot fuse the
        # operations before and after it; the graphs that they convert mostly
        # have an unknown batch size, so they come here. And in eager mode it
        # takes longer than it saves.
        outputs = _conv(inputs, kernel)
    return outputs if bias is None else _add_bias(outputs, bias)


def _conv(inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves with TensorFlow's operation for dense convolutions.

    TensorFlow fuses a bias and an activation only into this operation.
    """
    # In eager mode, `tf.nn.conv2d` itself takes as long as the convolution.
    return tf.raw_ops.Conv2D(
        input=inputs, filter=kernel, strides=(1, 1, 1, 1), padding="VALID"
    )


def _pull_image(cotangent: Tensor, kernel: Tensor) -> Tensor:
    return _multiply(cotangent, tf.transpose(kernel[0, 0]))


def _pull_kernel(inputs: Tensor, cotangent: Tensor) -> Tensor:
    """Multiplies matrices: a fifth faster than the convolution's gradient."""
    rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
    columns = tf.reshape(cotangent, (-1, cotangent.shape[-1]))
    return tf.matmul(rows, columns, transpose_a=True)[None, None]


def _multiply(inputs: Tensor, matrix: Tensor) -> Tensor:
    rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
    shape = with_channels(inputs, matrix.shape[-1])
    return tf.reshape(tf.matmul(rows, matrix), shape)


def _add_bias(outputs: Tensor, bias: Tensor) -> Tensor:
    """Adds the bias; half precision is added in float32.

    In eager mode TensorFlow sums the gradient of the bias in the dtype of the
    bias. In half precision most of the sum is lost on a large image.
    """
    if not is_half(outputs):
        return tf.nn.bias_add(outputs, bias)
    wide, bias = tf.cast(outputs, tf.float32), tf.cast(bias, tf.float32)
    return tf.cast(tf.nn.bias_add(wide, bias), outputs.dtype)
