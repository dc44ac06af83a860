"""The torch kernel: torch's own convolutions, in the layout they like.

On a CPU, torch hands float32 convolutions to oneDNN. Its depthwise code wants
the channels last in memory, one filter a channel, and as many zeros after an
axis as before it. The permuted view of a channels_last Keras tensor has that
memory, and so has the result; the rest is the way to put a call so.
"""

import math

import torch
from torch.nn import functional

from keras_sepconv._checks import known
from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import Call, Kernel, padded_first
from keras_sepconv.kernels._torch_depthwise import (
    CONV,
    Window,
    as_channels,
    convolve,
    depthwise_conv,
    fixed,
)

# Pixels from which oneDNN's 1x1 convolution is faster than MKL's product; for
# fewer, bringing the weights into its order costs too much.
_FEWEST_PIXELS = 1500

# Terms of a dense convolution's sums, channels times taps, up to which it is
# cheaper than the two steps that it replaces, if those have several filters a
# channel. Its gradient for the inputs costs more, unless there are many.
_MOST_TERMS = 36
_FEWEST_FILTERS = 4

# Channels from which one convolution for each of `depth_multiplier` filters is
# cheaper than one for all.
_FEWEST_CHANNELS = 8


def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Convolves with the channels second in the shape and last in memory."""
    if bias is not None and _is_autocast(inputs):
        # Autocast rounds the bias that a convolution adds. Stock Keras adds
        # it to the rounded result, which keeps the dtype of the bias.
        outputs = run(spec, inputs, depthwise_kernel, pointwise_kernel, None)
        last = outputs.movedim(spec.channel_axis, -1) + bias
        return last.movedim(-1, spec.channel_axis)
    if not Window.takes(spec):
        return _with_zeros(
            spec, inputs, depthwise_kernel, pointwise_kernel, bias
        )
    if spec.data_format == "channels_first":
        # `contiguous(memory_format=...)` does not work under `vmap`.
        inputs = _channels_last(inputs).contiguous()
    inputs = _channels_second(inputs)
    if known(inputs.shape[1]) == 1:
        # torch misreads some strides that a single channel may have, and
        # returns memory it never wrote: give it the usual ones.
        inputs = inputs.squeeze(1).unsqueeze(1)
    sizes = inputs.shape[2:]
    kernel, matrix = depthwise_kernel, pointwise_kernel
    if kernel is not None:
        kernel = kernel.permute(spec.rank, spec.rank + 1, *range(spec.rank))
    if matrix is not None:
        matrix = matrix.reshape(matrix.shape[-2:])
    if spec.rank == 1:
        inputs = inputs.unsqueeze(2)
        kernel = None if kernel is None else kernel.unsqueeze(2)
    if kernel is None:
        outputs = _pointwise(inputs, matrix, bias)
    elif matrix is None:
        outputs = _depthwise(Window.of(spec, sizes), inputs, kernel, bias)
    else:
        window = Window.of(spec, sizes)
        outputs = _separable(window, inputs, kernel, matrix, bias)
    if spec.rank == 1:
        outputs = outputs.squeeze(2)
    if spec.data_format == "channels_last":
        outputs = _channels_last(outputs)
    return outputs


_with_zeros = padded_first(run)


def _separable(
    window: Window,
    inputs: Tensor,
    kernel: Tensor,
    matrix: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """Returns the two steps, or the one dense convolution they amount to.

    Args:
        window: How the kernel moves.
        inputs: `(batch, channels, *sizes)`.
        kernel: `(channels, depth_multiplier, *kernel_size)`.
        matrix: `(channels * depth_multiplier, filters)`.
        bias: `(filters,)`, or `None`.
    """
    channels, multiplier, *taps = map(fixed, kernel.shape)
    if multiplier > 1 and not _is_autocast(inputs):
        matrix = matrix.reshape(channels, multiplier, -1)
        terms = channels * math.prod(taps)
        is_cheap = multiplier >= _FEWEST_FILTERS or not inputs.requires_grad
        if terms <= _MOST_TERMS and is_cheap:
            dense = torch.einsum("cm...,cmf->fc...", kernel, matrix)
            return convolve(window, inputs, dense, bias)
        if _by_filter(inputs, kernel):
            parts = _parts(window, inputs, kernel)
            matrix = matrix.transpose(0, 1).flatten(0, 1)
            return _pointwise(torch.cat(parts, 1), matrix, bias)
        matrix = matrix.flatten(0, 1)
    return _pointwise(_depthwise(window, inputs, kernel), matrix, bias)


def _pointwise(inputs: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    pixels = inputs.numel() // inputs.shape[1]
    # An unknown size must not be compared; that would make it known.
    is_large = isinstance(pixels, int) and pixels >= _FEWEST_PIXELS
    # Autocast has rules for a convolution, and others for another product.
    if (is_large and _is_tuned(inputs)) or _is_autocast(inputs):
        kernel = matrix.t()[(..., *(None,) * (inputs.ndim - 2))]
        return CONV[inputs.ndim - 2](inputs, kernel, bias)
    outputs = functional.linear(_channels_last(inputs), matrix.t(), bias)
    return _channels_second(outputs)


def _depthwise(
    window: Window, inputs: Tensor, kernel: Tensor, bias: Tensor | None = None
) -> Tensor:
    if _is_tuned(inputs) and fixed(kernel.shape[1]) == 1:
        return depthwise_conv(window, inputs, kernel, bias)
    if _by_filter(inputs, kernel):
        parts = _parts(window, inputs, kernel)
        last = torch.stack([_channels_last(part) for part in parts], -1)
        outputs = _channels_second(last.flatten(-2))
    else:
        outputs = convolve(window, inputs, kernel.flatten(0, 1).unsqueeze(1))
    return outputs if bias is None else outputs + as_channels(bias, outputs)


def _by_filter(inputs: Tensor, kernel: Tensor) -> bool:
    return _is_tuned(inputs) and fixed(kernel.shape[0]) >= _FEWEST_CHANNELS


def _parts(window: Window, inputs: Tensor, kernel: Tensor) -> list[Tensor]:
    """Returns the depthwise convolutions with each filter of the channels."""
    return [
        depthwise_conv(window, inputs, part) for part in kernel.split(1, dim=1)
    ]


def _channels_second(images: Tensor) -> Tensor:
    """Returns a view; torch's exporter to ONNX gets `movedim` wrong."""
    return images.permute(0, images.ndim - 1, *range(1, images.ndim - 1))


def _channels_last(images: Tensor) -> Tensor:
    return images.permute(0, *range(2, images.ndim), 1)


def _is_tuned(inputs: Tensor) -> bool:
    """Says whether the tricks that were measured apply to `inputs`."""
    return (
        inputs.device.type == "cpu"
        and inputs.dtype == torch.float32
        # Others may be spread over processes, or be no numbers at all.
        and type(inputs) in (torch.Tensor, torch.nn.Parameter)
        and not _is_autocast(inputs)
    )


def _is_autocast(inputs: Tensor) -> bool:
    """Says whether torch will convolve `inputs` in a dtype of its choice."""
    device = inputs.device.type
    # That device has no autocast, and raises when asked.
    is_real: bool = device != "meta"
    return is_real and torch.is_autocast_enabled(device)


def _why_not(call: Call) -> str | None:
    return None


KERNELS = (Kernel("native", _why_not, run),)
