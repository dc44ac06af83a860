"""Runs layers on torch in eager calls; `forward` records no gradients."""

import numpy as np
import torch

from keras_sepconv._spec import Tensor
from keras_sepconv.bench._subject import Layer, Subject
from keras_sepconv.bench.cases import Case

PEERS = ("torch",)


def device() -> str:
    """Returns the name of the default device."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return "cpu"


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def of_layer(layer: Layer, jit_compile: bool) -> Subject:
    """Returns a Keras layer as users run it on this backend."""
    return _subject(layer, [weight.value for weight in layer.weights])


def _subject(module: Layer, weights: list[Tensor]) -> Subject:
    def forward(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            outputs = module(inputs)
        _wait()
        return outputs

    def training(inputs: Tensor, cotangent: Tensor) -> list[Tensor]:
        inputs = inputs.detach().requires_grad_(True)
        outputs = module(inputs)
        sources = [inputs, *weights]
        gradients = torch.autograd.grad(outputs, sources, cotangent)
        _wait()
        return [outputs.detach(), *gradients]

    return Subject(forward, training)


def floor(matrix: Tensor, jit_compile: bool) -> Subject:
    """Returns the matrix products of a pointwise step alone."""

    def forward(inputs: Tensor) -> Tensor:
        outputs = inputs @ matrix
        _wait()
        return outputs

    def training(inputs: Tensor, cotangent: Tensor) -> list[Tensor]:
        results = [inputs @ matrix, cotangent @ matrix.T, inputs.T @ cotangent]
        _wait()
        return results

    return Subject(forward, training)


def peers(case: Case, arrays: list[np.ndarray]) -> dict[str, Subject]:
    """Returns the layers of torch on channels_last views.

    They add the same number of zeros on both sides. With a stride, `"same"`
    does not. Then they do the same amount of work, but the numbers differ.
    """
    _, depthwise, pointwise, bias = arrays
    rank = len(case.sizes)
    convolution = getattr(torch.nn, f"Conv{rank}d")
    wide = case.channels * case.multiplier
    reach = zip(case.kernel_size, case.dilation_rate, strict=True)
    modules = torch.nn.Sequential(
        convolution(
            case.channels,
            wide,
            case.kernel_size,
            case.strides,
            padding=tuple((size - 1) * rate // 2 for size, rate in reach),
            dilation=case.dilation_rate,
            groups=case.channels,
            bias=False,
        ),
        convolution(wide, case.filters, 1),
    )
    if rank > 1:
        last = (torch.channels_last, torch.channels_last_3d)[rank - 2]
        modules = modules.to(memory_format=last)
    first, second = modules
    with torch.no_grad():
        kernel = depthwise.reshape(*case.kernel_size, wide, 1)
        for layer, weight in (
            (first, kernel),
            (second, pointwise.swapaxes(-2, -1)),
        ):
            layer.weight.copy_(
                torch.from_numpy(weight).movedim((-2, -1), (0, 1))
            )
        second.bias.copy_(torch.from_numpy(bias))
    if torch.cuda.is_available():
        modules = modules.cuda()

    def module(inputs: Tensor) -> Tensor:
        return modules(inputs.movedim(-1, 1)).movedim(1, -1)

    return {"torch": _subject(module, list(modules.parameters()))}


def release() -> None:
    """Frees the cached memory of a GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
