"""Derivatives of any order for a convolution computed in some other way.

A depthwise convolution is linear in the image and in the kernel. So it, its
gradient for the image and its gradient for the kernel are each other's
derivatives, and three functions are enough for every order.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import Tensor

Product = Callable[[Tensor, Tensor], Tensor]


def differentiable(
    convolve: Product, image_gradient: Product, kernel_gradient: Product
) -> Product:
    """Returns `convolve` with the other two as its gradients, and so on.

    Args:
        convolve: From image and kernel to outputs.
        image_gradient: From the outputs' cotangent and the kernel to the
            image's.
        kernel_gradient: From the image and the outputs' cotangent to the
            kernel's.
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
    """Makes a `tf.custom_gradient` that has a gradient in a conditional too."""
    differentiable = tf.custom_gradient(function)
    return lambda *tensors: differentiable(*map(own, tensors))


def own(tensor: Tensor) -> Tensor:
    """Returns a tensor as the current graph's own, for a gradient to use.

    In the branch of a conditional, a tensor from outside is not yet. If its
    gradient asks for both, TensorFlow feeds one of them alone.

    One that is the graph's own stays as it is: OpenVINO makes an output of
    whatever nothing reads.
    """
    graph = tf.compat.v1.get_default_graph()
    if tf.executing_eagerly() or getattr(tensor, "graph", None) is graph:
        return tensor
    return tf.identity(tensor).op.inputs[0]


def untaped(product: Product) -> Product:
    """Keeps a product off the tape, which would differentiate its loops.

    In a graph `tf.custom_gradient` leaves them on it, and XLA cannot compile
    what the tape then adds to a loop.
    """
    return lambda left, right: product(
        tf.stop_gradient(left), tf.stop_gradient(right)
    )
