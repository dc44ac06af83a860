"""Calls torch's own convolutions in the form in which they are fast.

On a CPU, torch hands float32 convolutions to oneDNN. Its depthwise code needs
three things: the channels last in memory, one filter a channel, and the same
number of zeros on both sides of an axis. A Keras tensor in channels_last has
the first; its permuted view keeps the memory, and so does the result. This
module brings each call into the other two forms.
"""

import math

import torch
from torch.nn import functional

from keras_sepconv._checks import known
from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._kernel import padded_first
from keras_sepconv.kernels.torch.depthwise import (
    CONV,
    as_channels,
    convolve,
    depthwise_conv,
    fixed,
)
from keras_sepconv.kernels.torch.window import Window

# Which numbers these are is a matter of speed alone.
# `tests/long/thresholds_torch.py` measures them.

# Pixels from which oneDNN's 1x1 convolution is faster than MKL's product; for
# fewer, bringing the weights into its order costs too much.
_FEWEST_PIXELS = 4000

# Terms of a dense convolution's sums, channels times taps, up to which it is
# cheaper than the two steps that it replaces, if those have several filters a
# channel. Its gradient for the inputs costs more, unless there are many.
_MOST_TERMS = 36
_FEWEST_FILTERS = 4

# Of more terms, it is cheaper if it multiplies less. To make and read one of
# the numbers between the two steps costs as much as so many multiplications,
# and as so many more for each tap. Its kernel may have so many numbers for each
# pixel; to put together a larger one costs too much.
_COST_BETWEEN = 40
_COST_OF_A_TAP = 4
_MOST_FOR_A_PIXEL = 1024

# Channels from which one convolution for each of `depth_multiplier` filters is
# cheaper than one for all.
_FEWEST_CHANNELS = 8

_TENSORS = (torch.Tensor, torch.nn.Parameter)

# The places of the axes, by their number: with the channels moved from last to
# second, from second to last, and of a kernel of Keras as torch wants it.
_SECOND = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
_KERNEL = {3: (1, 2, 0), 4: (2, 3, 0, 1), 5: (3, 4, 0, 1, 2)}


def run(
    spec: ConvSpec,
    inputs: Tensor,
    depthwise_kernel: Tensor | None,
    pointwise_kernel: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Convolves with the channels second in the shape and last in memory."""
    mode = _mode(inputs)
    if bias is not None and mode == "autocast":
        # Autocast rounds the bias that a convolution adds. Stock Keras adds
        # it to the rounded result, which keeps the dtype of the bias.
        outputs = run(spec, inputs, depthwise_kernel, pointwise_kernel, None)
        last = outputs.movedim(spec.channel_axis, -1) + bias
        return last.movedim(-1, spec.channel_axis)
    if not Window.takes(spec):
        return _with_zeros(
            spec, inputs, depthwise_kernel, pointwise_kernel, bias
        )
    is_last = spec.data_format == "channels_last"
    if not is_last:
        # `contiguous(memory_format=...)` does not work under `vmap`.
        inputs = _channels_last(inputs).contiguous()
    images = _channels_second(inputs)
    shape = images.shape
    if known(shape[1]) == 1:
        # torch misreads some strides that a single channel may have, and
        # returns memory it never wrote: give it the usual ones.
        images = images.squeeze(1).unsqueeze(1)
    kernel, matrix = depthwise_kernel, pointwise_kernel
    if kernel is not None:
        kernel = kernel.permute(_KERNEL[kernel.ndim])
    if matrix is not None:
        matrix = matrix.reshape(matrix.shape[-2:])
    is_row = len(shape) == 3
    if is_row:
        images = images.unsqueeze(2)
        kernel = None if kernel is None else kernel.unsqueeze(2)
    if kernel is None:
        outputs = _pointwise(mode, images, matrix, bias)
    elif matrix is None:
        window = Window.of(spec, shape)
        outputs = _depthwise(mode, window, images, kernel, bias)
        outputs = _channels_last(outputs)
    else:
        window = Window.of(spec, shape)
        outputs = _separable(mode, window, images, kernel, matrix, bias)
    if is_row:
        outputs = outputs.squeeze(1)
    return outputs if is_last else _channels_second(outputs)


_with_zeros = padded_first(run)


def _mode(inputs: Tensor) -> str:
    """Returns how torch will convolve `inputs`.

    - `"autocast"`: in a dtype of its choice.
    - `"tuned"`: so that the tricks apply that were measured.
    - `"plain"`: in any other way.
    """
    # To ask for the type of the device takes long.
    device = "cpu" if inputs.is_cpu else inputs.device.type
    # The meta device has no autocast, and raises when asked.
    if device != "meta" and torch.is_autocast_enabled(device):
        return "autocast"
    is_tuned = (
        device == "cpu"
        and inputs.dtype == torch.float32
        # Others may be spread over processes, or be no numbers at all.
        and type(inputs) in _TENSORS
    )
    return "tuned" if is_tuned else "plain"


def _separable(
    mode: str,
    window: Window,
    inputs: Tensor,
    kernel: Tensor,
    matrix: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """Returns the two steps, or the one dense convolution they amount to.

    The result has the channels last.

    Args:
        mode: From `_mode`.
        window: How the kernel moves.
        inputs: `(batch, channels, *sizes)`.
        kernel: `(channels, depth_multiplier, *kernel_size)`.
        matrix: `(channels * depth_multiplier, filters)`.
        bias: `(filters,)`, or `None`.
    """
    if fixed(kernel.shape[1]) > 1 and mode != "autocast":
        filters = fixed(matrix.shape[-1])
        matrix = matrix.reshape(*map(fixed, kernel.shape[:2]), filters)
        if _is_dense_cheaper(mode, inputs, kernel, filters):
            dense = torch.einsum("cm...,cmf->fc...", kernel, matrix)
            return _channels_last(convolve(window, inputs, dense, 1, bias))
        if _by_filter(mode, kernel):
            parts = _parts(window, inputs, kernel)
            matrix = matrix.transpose(0, 1).flatten(0, 1)
            return _pointwise(mode, torch.cat(parts, 1), matrix, bias)
        matrix = matrix.flatten(0, 1)
    outputs = _depthwise(mode, window, inputs, kernel)
    return _pointwise(mode, outputs, matrix, bias)


def _is_dense_cheaper(
    mode: str, inputs: Tensor, kernel: Tensor, filters: int
) -> bool:
    """Says whether one dense convolution is cheaper than the two steps."""
    channels, multiplier, *sizes = map(fixed, kernel.shape)
    taps = math.prod(sizes)
    if channels * taps <= _MOST_TERMS:
        return multiplier >= _FEWEST_FILTERS or not inputs.requires_grad
    between = _COST_BETWEEN + _COST_OF_A_TAP * taps
    numbers = channels * taps * filters
    return (
        _by_filter(mode, kernel)
        and kernel.ndim == 4
        and taps * filters <= multiplier * (filters + between)
        and _has_pixels(inputs, numbers // _MOST_FOR_A_PIXEL)
    )


def _pointwise(
    mode: str, inputs: Tensor, matrix: Tensor, bias: Tensor | None
) -> Tensor:
    """Returns the product at each pixel, with the channels last."""
    # Autocast has rules for a convolution, and others for another product.
    if mode == "autocast" or (
        mode == "tuned" and _has_pixels(inputs, _FEWEST_PIXELS)
    ):
        kernel = matrix.t()[(..., *(None,) * (inputs.ndim - 2))]
        return _channels_last(CONV[inputs.ndim - 2](inputs, kernel, bias))
    outputs: Tensor = functional.linear(
        _channels_last(inputs), matrix.t(), bias
    )
    return outputs


def _has_pixels(inputs: Tensor, least: int) -> bool:
    pixels = inputs.numel() // inputs.shape[1]
    # An unknown size must not be compared; that would make it known.
    return isinstance(pixels, int) and pixels >= least


def _depthwise(
    mode: str,
    window: Window,
    inputs: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    if mode == "tuned" and fixed(kernel.shape[1]) == 1:
        return depthwise_conv(window, inputs, kernel, bias)
    if _by_filter(mode, kernel):
        parts = _parts(window, inputs, kernel)
        last = torch.stack([_channels_last(part) for part in parts], -1)
        outputs = _channels_second(last.flatten(-2))
    else:
        groups = fixed(kernel.shape[0])
        kernel = kernel.flatten(0, 1).unsqueeze(1)
        outputs = convolve(window, inputs, kernel, groups)
    return outputs if bias is None else outputs + as_channels(bias, outputs)


def _by_filter(mode: str, kernel: Tensor) -> bool:
    return mode == "tuned" and fixed(kernel.shape[0]) >= _FEWEST_CHANNELS


def _parts(window: Window, inputs: Tensor, kernel: Tensor) -> list[Tensor]:
    """Returns the depthwise convolutions with each filter of the channels."""
    return [
        depthwise_conv(window, inputs, part) for part in kernel.split(1, dim=1)
    ]


def _channels_second(images: Tensor) -> Tensor:
    """Returns a view; torch's exporter to ONNX gets `movedim` wrong."""
    return images.permute(_SECOND[images.ndim])


def _channels_last(images: Tensor) -> Tensor:
    """Returns a view with the channels last in the shape."""
    return images.permute(_LAST[images.ndim])
