"""The kernels of the TensorFlow backend.

`native` uses TensorFlow's own operations, in graph and eager mode. Some of them
give wrong results in some cases; this module works around each such case and
says why. `taps` is for functions that XLA compiles on a CPU. It must be chosen
by name, because a layer cannot find out whether XLA compiles it.
"""

import dataclasses
import functools
import math
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels import _tensorflow_taps as taps
from keras_sepconv.kernels._kernel import (
    Call,
    Kernel,
    channels_last,
    padded_first,
)
from keras_sepconv.kernels._tensorflow_bilinear import differentiable, own
from keras_sepconv.kernels._tensorflow_frames import Stack, merged, plane_of
from keras_sepconv.kernels._tensorflow_shapes import (
    output_sizes,
    sizes_of,
    with_channels,
)

# TensorFlow's gradient of a large kernel is slow: for 31x31 it takes 50 times
# as long as the convolution itself. A kernel is large if it has at least this
# many taps; the second number is for kernels with one row.
_MANY_TAPS = 25
_MANY_IN_A_ROW = 9

# The gradient of a large kernel is computed image by image, for up to this many
# images. Each image adds an operation to the graph.
_MOST_IN_TURN = 32


@channels_last
@padded_first
def _run(
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
        outputs = _run(flat, inputs, depthwise_kernel, pointwise_kernel, bias)
        return tf.squeeze(outputs, 1)
    outputs = inputs
    if depthwise_kernel is not None:
        convolve = _volume if spec.rank == 3 else _depthwise
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
    if not _is_half(outputs):
        return tf.nn.bias_add(outputs, bias)
    wide, bias = tf.cast(outputs, tf.float32), tf.cast(bias, tf.float32)
    return tf.cast(tf.nn.bias_add(wide, bias), outputs.dtype)


def _is_half(tensor: Tensor) -> bool:
    return tensor.dtype in (tf.float16, tf.bfloat16)


def _depthwise(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
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
    if _is_half(inputs):
        wide = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
        return tf.cast(_depthwise(spec, *wide), inputs.dtype)
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
            found = output_sizes(spec, sizes[1:-1])
            filled = tf.reduce_all(tf.concat([sizes[:1], found], 0) > 0)
            return tf.where(filled, gradient, tf.zeros_like(gradient))

        return tf.identity(kernel), pull

    return same(kernel)


def _is_plain(spec: ConvSpec) -> bool:
    """Tells whether a single operation of TensorFlow computes it.

    Then each gradient is a single operation too.
    """
    return len(set(spec.strides)) == 1 and max(spec.dilation_rate) == 1


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
    if max(spec.strides) > 1 and not _is_plain(spec):
        return _strided_by_slicing(spec, inputs, kernel)
    # For an empty batch, oneDNN returns gradients with wrong sizes.
    is_sure = spec.padding == "same" or None not in inputs.shape[1:].as_list()
    if is_sure and _has_large_kernel(spec, kernel):
        return _large(spec, inputs, kernel)
    strides, padding = (1, *spec.strides, 1), str(spec.padding).upper()
    if max(spec.dilation_rate) > 1:
        return tf.nn.depthwise_conv2d(
            inputs, kernel, strides, padding, dilations=spec.dilation_rate
        )
    # In eager mode, `tf.nn.depthwise_conv2d` takes twice as long as this.
    return tf.raw_ops.DepthwiseConv2dNative(
        input=inputs, filter=kernel, strides=strides, padding=padding
    )


def _volume(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves over three axes, one plane of the kernel at a time.

    TensorFlow computes the gradient of a sum over slices by a slow chain of
    zeros and additions. If strides and sizes allow it, custom gradients replace
    this chain by a sum over planes.
    """
    if _is_half(inputs):
        wide = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
        return tf.cast(_volume(spec, *wide), inputs.dtype)
    stack, plane = Stack.of(spec, inputs), plane_of(spec)
    sides = inputs.shape[1:]

    def convolve(images: Tensor, kernel: Tensor) -> Tensor:
        in_plane = functools.partial(_depthwise, plane)
        return stack.convolve(images, kernel, in_plane)

    strides, padding = (1, *plane.strides, 1), str(plane.padding).upper()

    def image_gradient(cotangent: Tensor, kernel: Tensor) -> Tensor:
        def in_plane(frames: Tensor, kernel: Tensor) -> Tensor:
            shape = (sizes_of(frames)[0], *sides[1:])
            return tf.nn.depthwise_conv2d_backprop_input(
                shape, kernel, frames, strides, padding
            )

        turned = stack.turned(sides[0])
        return turned.convolve(cotangent, tf.reverse(kernel, (0,)), in_plane)

    def kernel_gradient(images: Tensor, cotangent: Tensor) -> Tensor:
        gradients = merged(cotangent)
        sums = tf.stack(
            [
                tf.nn.depthwise_conv2d_backprop_filter(
                    frames, kernel.shape[1:], gradients, strides, padding
                )
                for frames in stack.met(images)
            ]
        )
        return tf.where(sizes_of(images)[0] > 0, sums, tf.zeros_like(sums))

    if (
        spec.strides[0] > 1
        or not _is_plain(plane)
        or _has_large_kernel(plane, kernel)
        or None in sides.as_list()
    ):
        return convolve(inputs, kernel)
    return differentiable(convolve, image_gradient, kernel_gradient)(
        inputs, kernel
    )


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
        first = dense.pad_before(axis, size) - spec.pad_before(axis, size)
        taken.append(slice(first, None, spec.strides[axis]))
    return outputs[tuple(taken)]


def _has_large_kernel(spec: ConvSpec, kernel: Tensor) -> bool:
    many = _MANY_IN_A_ROW if spec.kernel_size[0] == 1 else _MANY_TAPS
    return (
        math.prod(spec.kernel_size) >= many
        and max(spec.strides + spec.dilation_rate) == 1
        and (spec.padding == "valid" or all(n % 2 for n in spec.kernel_size))
        and kernel.shape[-1] == 1
    )


def _large(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves with a large kernel; its gradients are convolutions too.

    The kernel has odd sizes, or the padding is `"valid"`.
    """
    is_same = spec.padding == "same"
    rows, cols = (size - 1 for size in spec.kernel_size)
    before = (rows // 2, cols // 2) if is_same else (0, 0)

    def convolve(image: Tensor, kernel: Tensor) -> Tensor:
        padding = "SAME" if is_same else "VALID"
        return tf.nn.depthwise_conv2d(image, kernel, (1, 1, 1, 1), padding)

    def image_gradient(cotangent: Tensor, kernel: Tensor) -> Tensor:
        kernel = tf.reverse(kernel, (0, 1))
        if is_same:
            return convolve(cotangent, kernel)
        margins = ((0, 0), (rows, rows), (cols, cols), (0, 0))
        image = convolve(tf.pad(cotangent, margins), kernel)
        # For an empty batch, oneDNN returns the sizes of its input.
        return image[:, : inputs.shape[1], : inputs.shape[2]]

    def kernel_gradient(image: Tensor, cotangent: Tensor) -> Tensor:
        batch = image.shape[0]
        if batch is None or not 0 < batch <= _MOST_IN_TURN:
            return of_all_images(image, cotangent)
        # Image by image: all at once takes up to an eighth longer.
        images, cotangents = (
            tf.split(tensor, batch) for tensor in (image, cotangent)
        )
        pairs = zip(images, cotangents, strict=True)
        return tf.add_n([of_all_images(*pair) for pair in pairs])

    def of_all_images(image: Tensor, cotangent: Tensor) -> Tensor:
        """Convolves all images at once, as the channels of one image."""
        sides = sizes_of(cotangent)[:3]
        # TensorFlow raises an error for an empty filter.
        more = [tf.maximum(1 - size, 0) for size in sides]
        filled = ((0, zeros) for zeros in more)
        window = _side_by_side(tf.pad(cotangent, (*filled, (0, 0))))
        margins = (
            (0, more[0]),
            (before[0], before[0] + more[1]),
            (before[1], before[1] + more[2]),
            (0, 0),
        )
        padded = _side_by_side(tf.pad(image, margins))
        sums = tf.nn.depthwise_conv2d(
            padded[None], window[..., None], (1, 1, 1, 1), "VALID"
        )
        sums = tf.reshape(sums, (*kernel.shape[:2], -1, kernel.shape[2]))
        return tf.reduce_sum(sums, 2)[..., None]

    return differentiable(convolve, image_gradient, kernel_gradient)(
        inputs, kernel
    )


def _side_by_side(images: Tensor) -> Tensor:
    """Puts the images of a batch side by side, as channels of one image.

    The result has no batch axis.
    """
    count, rows, cols, channels = sizes_of(images)
    images = tf.transpose(images, (1, 2, 0, 3))
    return tf.reshape(images, (rows, cols, count * channels))


def _why_not(call: Call) -> str | None:
    return None


KERNELS = (
    Kernel("native", _why_not, _run),
    Kernel("taps", _why_not, taps.run),
    # Keras's operations are wrong in many cases on TensorFlow. The name is kept
    # so that models that were saved with it load.
    Kernel("portable", _why_not, _run),
)
