"""Derivatives of any order for a convolution with custom gradients.

A depthwise convolution is linear in the image and in the kernel. There are
three functions: the convolution, its gradient for the image and its gradient
for the kernel. The derivatives of each are the two others, so these three are
enough for every order.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import Tensor

Product = Callable[[Tensor, Tensor], Tensor]


def differentiable(
    convolve: Product, image_gradient: Product, kernel_gradient: Product
) -> Product:
    """Returns `convolve` with custom gradients of any order.

    Args:
        convolve: Computes the outputs from the image and the kernel.
        image_gradient: Computes the gradient of the image from the cotangent of
            the outputs and the kernel.
        kernel_gradient: Computes the gradient of the kernel from the image and
            the cotangent of the outputs.
    """

    @custom_gradient
    def outputs(image: Tensor, kernel: Tensor) -> Any:
        return convolve(image, kernel), lambda cotangent: (
            images(cotangent, kernel),
            kernels(image, cotangent),
        )

    @custom_gradient
    def images(cotangent: Tensor, kernel: Tensor) -> Any:
        return image_gradient(cotangent, kernel), lambda image: (
            outputs(image, kernel),
            kernels(image, cotangent),
        )

    @custom_gradient
    def kernels(image: Tensor, cotangent: Tensor) -> Any:
        return kernel_gradient(image, cotangent), lambda kernel: (
            images(cotangent, kernel),
            outputs(image, kernel),
        )

    return outputs


def custom_gradient(function: Callable[..., Any]) -> Product:
    """Makes a `tf.custom_gradient` that also works inside a conditional."""
    differentiable = tf.custom_gradient(function)
    return lambda *tensors: differentiable(*map(own, tensors))


def own(tensor: Tensor) -> Tensor:
    """Returns the tensor of the current graph that stands for `tensor`.

    In a branch of a conditional, `tensor` may belong to the graph outside. If a
    gradient uses both, TensorFlow feeds a value to only one of them.

    A tensor of the current graph is returned unchanged: OpenVINO makes an
    output of each operation that nothing reads.
    """
    graph = tf.compat.v1.get_default_graph()
    if tf.executing_eagerly() or getattr(tensor, "graph", None) is graph:
        return tensor
    return tf.identity(tensor).op.inputs[0]
