"""TensorFlow's kernels.

`native` is made of TensorFlow's own operations, for graph and eager mode. What
they get wrong is put right here, each time with its cause. `taps` is for
functions that XLA compiles on a CPU; nothing tells a layer that it is in one.
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

# From this many taps on, and in a row from fewer, TensorFlow's gradient for the
# kernel is slow: 31x31 takes it 50 times as long as the convolution itself.
_MANY_TAPS = 25
_MANY_IN_A_ROW = 9

# Images up to which such a gradient is found one by one, if their number is
# known: each is an operation in the graph.
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
    """Convolves in channels_last, which TensorFlow's CPU kernels want.

    The bias is added there too: `keras.ops.add` takes any vector of the
    width's length for a bias along the width.
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
        # With a bias added, oneDNN now and then aborts while it reorders the
        # one weight. Multiplying is what is left of the matrix product.
        outputs = inputs * kernel
    elif None in inputs.shape[1:].as_list():
        # An image that turns out to be empty would keep its channels.
        outputs = _multiply(inputs, kernel[0, 0])
    elif inputs.shape.is_fully_defined() and not tf.executing_eagerly():
        product = differentiable(_conv, _pull_image, _pull_kernel)
        outputs = product(inputs, kernel)
    else:
        # Converters cannot join what a gradient of one's own stands between,
        # and what they are given seldom knows its batch. In eager mode such a
        # gradient takes longer than it saves.
        outputs = _conv(inputs, kernel)
    return outputs if bias is None else _add_bias(outputs, bias)


def _conv(inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves: TensorFlow fuses a bias and an activation into this alone."""
    return tf.nn.conv2d(inputs, kernel, 1, "VALID")


def _pull_image(cotangent: Tensor, kernel: Tensor) -> Tensor:
    return _multiply(cotangent, tf.transpose(kernel[0, 0]))


def _pull_kernel(inputs: Tensor, cotangent: Tensor) -> Tensor:
    """Multiplies, which is a fifth faster than the convolution's gradient."""
    rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
    columns = tf.reshape(cotangent, (-1, cotangent.shape[-1]))
    return tf.matmul(rows, columns, transpose_a=True)[None, None]


def _multiply(inputs: Tensor, matrix: Tensor) -> Tensor:
    rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
    shape = with_channels(inputs, matrix.shape[-1])
    return tf.reshape(tf.matmul(rows, matrix), shape)


def _add_bias(outputs: Tensor, bias: Tensor) -> Tensor:
    """Adds the bias, half precision in float32.

    In eager mode TensorFlow sums the bias gradient in the bias's dtype, which
    loses most of it on a large image.
    """
    if not _is_half(outputs):
        return tf.nn.bias_add(outputs, bias)
    wide, bias = tf.cast(outputs, tf.float32), tf.cast(bias, tf.float32)
    return tf.cast(tf.nn.bias_add(wide, bias), outputs.dtype)


def _is_half(tensor: Tensor) -> bool:
    return tensor.dtype in (tf.float16, tf.bfloat16)


def _depthwise(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Survives sizes known only at run time.

    On nothing to compute, TensorFlow's operation returns uninitialised memory
    or the input's shape, and gradients of garbage: so only an empty batch ever
    reaches it, its result gets the right shape, and the kernel's gradient is
    replaced by zeros. Sizes known beforehand are checked beforehand and cost
    nothing here.

    Where the batch alone is unknown, an empty one keeps the shape that oneDNN
    gives it, or its error: TensorFlow's optimiser takes any reshape out that
    changes nothing but the batch, and whatever it leaves in costs each user of
    such a model a pass over the image.

    The operation accumulates the kernel's gradient of a half-precision
    convolution in half precision, in bfloat16 with `TF_ENABLE_ONEDNN_OPTS=0`
    only.
    """
    if _is_half(inputs):
        wide = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
        return tf.cast(_depthwise(spec, *wide), inputs.dtype)
    if math.prod(kernel.shape) == 1:
        # As the pointwise step, with or without a bias.
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
    """Returns `kernel`, whose gradient is zero where there is no output.

    The inputs are no argument of the custom gradient: it would stay in what is
    exported.
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
    """Says whether one operation does it, and its gradient another."""
    return len(set(spec.strides)) == 1 and max(spec.dilation_rate) == 1


def _convolve(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves with what TensorFlow's depthwise operation can do.

    It has neither unequal strides (without oneDNN in no dtype) nor strides with
    dilation.
    """
    if kernel.shape.rank == 3:
        # A sequence's. Not before: of a weight that went through an operation,
        # what a custom gradient leaves behind is an output in OpenVINO.
        kernel = tf.expand_dims(kernel, 0)
    strides, padding = (1, *spec.strides, 1), str(spec.padding).upper()

    if max(spec.strides) > 1 and not _is_plain(spec):
        return _strided_by_slicing(spec, inputs, kernel)
    # oneDNN gets the sizes of an empty batch's gradients wrong.
    is_sure = spec.padding == "same" or None not in inputs.shape[1:].as_list()
    if is_sure and _has_large_kernel(spec, kernel):
        return _large(spec, inputs, kernel)
    return tf.nn.depthwise_conv2d(
        inputs, kernel, strides, padding, dilations=spec.dilation_rate
    )


def _volume(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves over three axes, plane by plane of the kernel.

    TensorFlow's gradients of a sum over slices are a slow chain of zeros and
    additions; where strides and sizes allow, the same sum the other way round
    takes their place.
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
    """Takes every stride-th output of the same convolution at stride 1.

    A stride lets `"same"` put fewer zeros before the image, so that the first
    output to take lies a few positions in.
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
    """Convolves with a large kernel, whose gradients are convolutions.

    One of odd sizes, or without padding.
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
        # Of an empty batch, oneDNN returns the sizes that it was given.
        return image[:, : inputs.shape[1], : inputs.shape[2]]

    def kernel_gradient(image: Tensor, cotangent: Tensor) -> Tensor:
        batch = image.shape[0]
        if batch is None or not 0 < batch <= _MOST_IN_TURN:
            return of_all_images(image, cotangent)
        # One by one: side by side takes up to an eighth longer.
        images, cotangents = (
            tf.split(tensor, batch) for tensor in (image, cotangent)
        )
        pairs = zip(images, cotangents, strict=True)
        return tf.add_n([of_all_images(*pair) for pair in pairs])

    def of_all_images(image: Tensor, cotangent: Tensor) -> Tensor:
        """Convolves all images, side by side in the channels, at once."""
        sides = sizes_of(cotangent)[:3]
        # TensorFlow refuses a filter of no numbers.
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
    """Returns a batch as the channels of one image, without the first axis."""
    count, rows, cols, channels = sizes_of(images)
    images = tf.transpose(images, (1, 2, 0, 3))
    return tf.reshape(images, (rows, cols, count * channels))


def _why_not(call: Call) -> str | None:
    return None


KERNELS = (
    Kernel("native", _why_not, _run),
    Kernel("taps", _why_not, taps.run),
    # Keras's operations are wrong here in too many places; their name still
    # works, so that what was saved with it loads.
    Kernel("portable", _why_not, _run),
)
