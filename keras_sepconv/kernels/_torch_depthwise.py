"""Depthwise convolution on torch, with gradients that are as fast.

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
from torch.autograd import forward_ad
from torch.nn import functional

from keras_sepconv._checks import known
from keras_sepconv._remembered import remembered
from keras_sepconv._spec import ConvSpec, Tensor

CONV = {2: functional.conv2d, 3: functional.conv3d}

# Numbers in an image from which the kernel's gradient is found image by image;
# for fewer, the calls cost more than they save.
_LEAST_IMAGE = 2**15

# Numbers in the images that are padded at a time, where padding copies them.
_MOST_COPIED = 2**20

_ONLY_INPUTS = (True, False, False)
_ONLY_KERNEL = (False, True, False)


@dataclasses.dataclass(frozen=True)
class Window:
    """How a kernel moves over the image, in numbers for each spatial axis.

    Attributes:
        strides: Positions from one output to the next.
        dilation_rate: Positions from one tap to the next.
        before: Zeros before the image.
        after: Zeros after it.
    """

    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    before: tuple[Any, ...]
    after: tuple[Any, ...]

    @staticmethod
    def of(spec: ConvSpec, sizes: tuple[Any, ...]) -> "Window":
        """Returns the window of `spec` for the sizes of the image.

        The sizes are `int`s, `torch.SymInt`s under `torch.export`, and tensors
        under `torch.jit.trace`, which Keras uses to export to OpenVINO.
        """
        if all(type(size) is int for size in sizes):
            return _remembered_window(spec, sizes)
        return _window(spec, sizes)

    @staticmethod
    def takes(spec: ConvSpec) -> bool:
        """Says whether the zeros of `spec` need not be put there before."""
        return isinstance(spec.padding, str) or all(
            before == after < span
            for (before, after), span in zip(
                spec.padding, spec.spans, strict=True
            )
        )

    @property
    def of_plane(self) -> "Window":
        """The window without the first axis."""
        return Window(
            self.strides[1:],
            self.dilation_rate[1:],
            self.before[1:],
            self.after[1:],
        )

    @property
    def is_static(self) -> bool:
        """Whether all of it is known before run time."""
        return all(isinstance(n, int) for n in self.before)

    @property
    def surplus(self) -> tuple[Any, ...]:
        """The zeros after the image beyond those before it."""
        pairs = zip(self.before, self.after, strict=True)
        return tuple(after - before for before, after in pairs)

    @property
    def is_even(self) -> bool:
        """Whether there are as many zeros after the image as before it."""
        return self.is_static and not any(self.surplus)

    @property
    def is_dilated(self) -> bool:
        """Whether a tap is more than one position from the next."""
        return max(self.dilation_rate) > 1

    @property
    def is_strided(self) -> bool:
        """Whether an output is more than one position from the next."""
        return max(self.strides) > 1

    def pad(self, inputs: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Returns `inputs` and the zeros still due on both sides of each axis.

        Those are all, if as many are due on either side, or none.
        """
        if self.is_even:
            return inputs, self.before
        zeros: list[Any] = []
        for pair in zip(self.before, self.after, strict=True):
            zeros = [*pair, *zeros]
        return functional.pad(inputs, zeros), (0,) * len(self.before)


def _window(spec: ConvSpec, sizes: tuple[Any, ...]) -> Window:
    pairs = spec.padding
    if isinstance(pairs, str):
        totals = [_zeros_in_all(spec, *size) for size in enumerate(sizes)]
        pairs = tuple((zeros // 2, zeros - zeros // 2) for zeros in totals)
    before, after = zip(*pairs, strict=True)
    strides, rates = spec.strides, spec.dilation_rate
    if spec.rank == 1:
        # Of one row, because oneDNN computes several columns at once.
        strides, rates = (1, *strides), (1, *rates)
        before, after = (0, *before), (0, *after)
    return Window(strides, rates, before, after)


_remembered_window = remembered(_window)


def _zeros_in_all(spec: ConvSpec, axis: int, size: Any) -> Any:
    """Returns `spec.pad_total` for a `size` that is perhaps no `int`."""
    if spec.padding == "valid":
        return 0
    if spec.strides[axis] == 1:
        return spec.spans[axis] - 1
    reach = (spec.output_size(axis, size) - 1) * spec.strides[axis]
    total = reach + spec.spans[axis] - size
    if isinstance(total, torch.Tensor):
        return total.clamp(min=0)
    return torch.sym_max(total, 0)


def convolve(
    window: Window, inputs: Tensor, kernel: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Returns torch's convolution, in as many groups as `kernel` implies."""
    inputs, padding = window.pad(inputs)
    outputs: Tensor = CONV[inputs.ndim - 2](
        inputs,
        kernel,
        bias,
        window.strides,
        padding,
        window.dilation_rate,
        fixed(inputs.shape[1]) // fixed(kernel.shape[1]),
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
    # Nothing that writes a graph down can have a derivative of one's own in it.
    is_written = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if is_written or not window.is_static:
        return convolve(window, inputs, kernel, bias)
    is_narrow = kernel.shape[-1] <= 3 and kernel.ndim == 4
    if is_narrow and window.is_even and not window.is_dilated:
        return convolve(window, inputs, kernel, bias)
    if window.is_dilated and (window.is_strided or not window.is_even):
        return convolve(window, inputs, kernel, bias)
    if not torch.is_grad_enabled() or _is_transformed(inputs, kernel):
        return _convolution(window, inputs, _widen(window, kernel), bias)
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
        return _convolution(window, inputs, _widen(window, kernel))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, kernel = ctx.saved_tensors
        for_inputs = for_kernel = None
        if ctx.needs_input_grad[0]:
            for_inputs = _input_gradient(ctx.window, inputs, kernel, gradient)
        if ctx.needs_input_grad[1]:
            for_kernel = _kernel_gradient(ctx.window, inputs, kernel, gradient)
        return for_inputs, for_kernel, None


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)


def _convolution(
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


def _widen(window: Window, kernel: Tensor) -> Tensor:
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


def _input_gradient(
    window: Window, inputs: Tensor, kernel: Tensor, gradient: Tensor
) -> Tensor:
    """Returns the convolution of the gradient with the turned kernel."""
    kernel = _widen(window, kernel)
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
    return _convolution(turned, gradient, kernel.flip(axes))


def _kernel_gradient(
    window: Window, inputs: Tensor, kernel: Tensor, gradient: Tensor
) -> Tensor:
    """Returns what torch itself has if that is fast, else a convolution."""
    if kernel.ndim == 5:
        return _kernel_gradient_by_frames(window, inputs, kernel, gradient)
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


def _kernel_gradient_by_frames(
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
                total = total + _kernel_gradient(
                    window.of_plane,
                    frames.squeeze(0).movedim(1, 0),
                    plane,
                    weights.squeeze(0).movedim(1, 0),
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
        _convolution(swapped, image, weights.unsqueeze(1))
        for image, weights in zip(inputs.split(1), gradient, strict=True)
    ).movedim(0, 1)
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
