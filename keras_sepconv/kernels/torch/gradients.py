"""The gradients of a depthwise convolution, where torch's own are slow.

oneDNN's depthwise code for the gradients is narrower than that for the value:
none with a dilation, and for the kernel's gradient at most three columns. What
is beyond falls to code for groups of sixteen channels, up to 40 times slower.
So those gradients are put as depthwise convolutions forwards, which they are.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import functional

from keras_sepconv._spec import Tensor
from keras_sepconv.kernels.torch.window import Window

# Numbers in an image from which the kernel's gradient is found image by image;
# for fewer, the calls cost more than they save. This is a matter of speed;
# `tests/long/thresholds_torch.py` measures it.
_LEAST_IMAGE = 2**15

# Numbers in the images that are padded at a time, where padding copies them.
_MOST_COPIED = 2**20

_ONLY_INPUTS = (True, False, False)
_ONLY_KERNEL = (False, True, False)


def convolution(
    window: Window, inputs: Tensor, kernel: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Returns a depthwise convolution with `after` zeros on either side."""
    outputs: Tensor = torch.convolution(
        inputs,
        kernel,
        bias,
        window.strides,
        window.after,
        window.dilation_rate,
        False,
        [0] * len(window.after),
        inputs.shape[1],
    )
    return outputs


def widen(window: Window, kernel: Tensor) -> Tensor:
    """Returns the kernel with zeros in front where the padding is uneven.

    Then it needs as many zeros before the image as after it, which spares the
    image from being copied.
    """
    if window.is_even:
        return kernel
    zeros: list[Any] = []
    for surplus in window.surplus:
        zeros = [surplus, 0, *zeros]
    return functional.pad(kernel, zeros)


def of_inputs(
    window: Window, inputs: Tensor, kernel: Tensor, gradient: Tensor
) -> Tensor:
    """Returns the convolution of the gradient with the turned kernel."""
    kernel = widen(window, kernel)
    if window.is_strided:
        return _backward(
            window, inputs, kernel, gradient, window.after, _ONLY_INPUTS
        )
    zeros = tuple(
        (size - 1) * rate - before
        for size, rate, before in zip(
            kernel.shape[2:], window.dilation_rate, window.after, strict=True
        )
    )
    turned = dataclasses.replace(window, after=zeros)
    axes = tuple(range(2, kernel.ndim))
    return convolution(turned, gradient, kernel.flip(axes))


def of_kernel(
    window: Window, inputs: Tensor, kernel: Tensor, gradient: Tensor
) -> Tensor:
    """Returns what torch itself has if that is fast, else a convolution."""
    if kernel.ndim == 5:
        return _of_kernel_by_frames(window, inputs, kernel, gradient)
    image = math.prod(gradient.shape[1:])
    is_narrow = kernel.shape[-1] <= 3 and not window.is_dilated
    if not is_narrow and image >= _LEAST_IMAGE:
        return _convolve_with_gradient(window, inputs, kernel, gradient)
    # Padding copies; of few images at a time, that takes little memory.
    images = max(_MOST_COPIED // math.prod(inputs.shape[1:]), 1)
    pairs = zip(inputs.split(images), gradient.split(images), strict=True)
    parts = []
    for some, some_gradient in pairs:
        padded, padding = window.pad(some)
        parts.append(
            _backward(
                window, padded, kernel, some_gradient, padding, _ONLY_KERNEL
            )
        )
    return _sum(parts)


def _of_kernel_by_frames(
    window: Window, inputs: Tensor, kernel: Tensor, gradient: Tensor
) -> Tensor:
    """Returns the gradients of the kernel's planes, each over all frames.

    Ten times as fast as torch's own for volumes.
    """
    stride, rate = window.strides[0], window.dilation_rate[0]
    depth, outputs = inputs.shape[2], gradient.shape[2]
    planes = []
    for tap in range(kernel.shape[2]):
        # The output at `i` meets the frame at `i * stride + offset`.
        offset = tap * rate - window.before[0]
        first = max(-(offset // stride), 0)
        last = min((depth - 1 - offset) // stride, outputs - 1)
        plane = kernel.select(2, tap)
        total = torch.zeros_like(plane)
        if first <= last:
            start, count = first * stride + offset, last - first + 1
            end = start + (count - 1) * stride + 1
            # Indexing has no rule for batches of gradients; this has.
            met = torch.ops.aten.slice.Tensor(inputs, 2, start, end, stride)
            meeting = gradient.narrow(2, first, count)
            for frames, weights in zip(
                met.split(1), meeting.split(1), strict=True
            ):
                total = total + of_kernel(
                    window.of_plane,
                    frames.squeeze(0).transpose(0, 1),
                    plane,
                    weights.squeeze(0).transpose(0, 1),
                )
        planes.append(total)
    return torch.stack(planes, 2)


def _convolve_with_gradient(
    window: Window, inputs: Tensor, kernel: Tensor, gradient: Tensor
) -> Tensor:
    """Returns each image convolved with its gradient as the kernel, in all.

    There strides and dilation change places.
    """
    swapped = Window(
        window.dilation_rate, window.strides, window.after, window.after
    )
    total = _sum(
        convolution(swapped, image, weights.unsqueeze(1))
        for image, weights in zip(inputs.split(1), gradient, strict=True)
    ).transpose(0, 1)
    (rows, cols), (row, col) = kernel.shape[2:], window.surplus
    return total.narrow(2, row, rows).narrow(3, col, cols)


def _backward(
    window: Window,
    inputs: Tensor,
    kernel: Tensor,
    gradient: Tensor,
    padding: tuple[int, ...],
    mask: tuple[bool, bool, bool],
) -> Tensor:
    """Returns torch's own gradient for the one tensor that `mask` names."""
    gradients = torch.ops.aten.convolution_backward(
        gradient,
        inputs,
        kernel,
        None,
        window.strides,
        padding,
        window.dilation_rate,
        False,
        [0] * len(padding),
        inputs.shape[1],
        mask,
    )
    return gradients[mask.index(True)]


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)
