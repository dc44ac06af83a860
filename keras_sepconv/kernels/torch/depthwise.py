"""Depthwise convolution with one filter a channel, and fast gradients."""

from typing import Any

import torch
from torch.autograd import forward_ad
from torch.nn import functional

from keras_sepconv._checks import known
from keras_sepconv._spec import Tensor
from keras_sepconv.kernels.torch import gradients
from keras_sepconv.kernels.torch.window import Window

CONV = {2: functional.conv2d, 3: functional.conv3d}


def convolve(
    window: Window,
    inputs: Tensor,
    kernel: Tensor,
    groups: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Returns torch's convolution."""
    inputs, padding = window.pad(inputs)
    outputs: Tensor = CONV[inputs.ndim - 2](
        inputs,
        kernel,
        bias,
        window.strides,
        padding,
        window.dilation_rate,
        groups,
    )
    return outputs


def fixed(size: Any) -> int:
    """Returns a size that no input changes, a number even while tracing."""
    number = known(size)
    assert number is not None, "the spec refuses unknown channels"
    return number


def depthwise_conv(
    window: Window, inputs: Tensor, kernel: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Returns the float32 convolution of images with one filter a channel.

    Args:
        window: How the kernel moves.
        inputs: `(batch, channels, *sizes)`, of two or three axes.
        kernel: `(channels, 1, *kernel_size)`.
        bias: `(channels,)`, or `None`.
    """
    channels = fixed(kernel.shape[0])
    if window.is_simple:
        return convolve(window, inputs, kernel, channels, bias)
    # Nothing that writes a graph down can have a derivative of one's own in it.
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return convolve(window, inputs, kernel, channels, bias)
    if window.is_dilated and (window.is_strided or not window.is_even):
        return convolve(window, inputs, kernel, channels, bias)
    if not torch.is_grad_enabled() or _is_transformed(inputs, kernel):
        return gradients.convolution(
            window, inputs, gradients.widen(window, kernel), bias
        )
    outputs: Tensor = _Depthwise.apply(inputs, kernel, window)
    return outputs if bias is None else outputs + as_channels(bias, outputs)


def _is_transformed(*tensors: Tensor) -> bool:
    """Says whether `torch.func` is at work, or derivatives go forwards.

    Each has a rule for each of torch's operations, and none for ours.
    """
    return torch._C._are_functorch_transforms_active() or any(
        forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors
    )


def as_channels(bias: Tensor, outputs: Tensor) -> Tensor:
    """Returns `bias` in a shape that adds it along the second axis."""
    return bias.reshape(-1, *(1,) * (outputs.ndim - 2))


class _Depthwise(torch.autograd.Function):  # type: ignore[misc]
    """A depthwise convolution without dilation, or without strides.

    Its tensors are float32. Autocast may be on when the gradients are found, so
    nothing here may be among the functions that autocast knows.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, kernel: Tensor, window: Window
    ) -> Tensor:
        ctx.save_for_backward(inputs, kernel)
        ctx.window = window
        return gradients.convolution(
            window, inputs, gradients.widen(window, kernel)
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, kernel = ctx.saved_tensors
        for_inputs = for_kernel = None
        if ctx.needs_input_grad[0]:
            for_inputs = gradients.of_inputs(
                ctx.window, inputs, kernel, gradient
            )
        if ctx.needs_input_grad[1]:
            for_kernel = gradients.of_kernel(
                ctx.window, inputs, kernel, gradient
            )
        return for_inputs, for_kernel, None
