"""Depthwise convolutions of volumes, one plane of the kernel at a time."""

import functools

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels.tensorflow.depthwise import depthwise, is_plain
from keras_sepconv.kernels.tensorflow.derivatives import differentiable
from keras_sepconv.kernels.tensorflow.frames import Stack, merged, plane_of
from keras_sepconv.kernels.tensorflow.large import has_large_kernel
from keras_sepconv.kernels.tensorflow.sizes import is_half, sizes_of


def volume(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves over three axes, one plane of the kernel at a time.

    TensorFlow computes the gradient of a sum over slices by a slow chain of
    zeros and additions. If strides and sizes allow it, custom gradients replace
    this chain by a sum over planes.
    """
    if is_half(inputs):
        wide = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
        return tf.cast(volume(spec, *wide), inputs.dtype)
    stack, plane = Stack.of(spec, inputs), plane_of(spec)
    sides = inputs.shape[1:]

    def convolve(images: Tensor, kernel: Tensor) -> Tensor:
        in_plane = functools.partial(depthwise, plane)
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
        or not is_plain(plane)
        or has_large_kernel(plane, kernel)
        or None in sides.as_list()
    ):
        return convolve(inputs, kernel)
    return differentiable(convolve, image_gradient, kernel_gradient)(
        inputs, kernel
    )
