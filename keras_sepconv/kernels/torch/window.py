"""How a kernel moves over an image: what torch's convolutions want to know."""

import dataclasses
from typing import Any

import torch
from torch.nn import functional

from keras_sepconv._remembered import remembered
from keras_sepconv._spec import ConvSpec, Tensor


@dataclasses.dataclass(frozen=True)
class Window:
    """How a kernel moves over the image, in numbers for each spatial axis.

    Attributes:
        strides: Positions from one output to the next.
        dilation_rate: Positions from one tap to the next.
        before: Zeros before the image.
        after: Zeros after it.
        is_narrow: Whether the kernel is of an image, with at most 3 columns.
        surplus: The zeros after the image beyond those before it.
        is_even: Whether there are as many zeros after the image as before it,
            known before run time.
        is_dilated: Whether a tap is more than one position from the next.
        is_strided: Whether an output is more than one position from the next.
        is_simple: Whether torch's own gradients are fast.
    """

    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    before: tuple[Any, ...]
    after: tuple[Any, ...]
    is_narrow: bool = False

    surplus: tuple[Any, ...] = dataclasses.field(init=False, compare=False)
    is_even: bool = dataclasses.field(init=False, compare=False)
    is_dilated: bool = dataclasses.field(init=False, compare=False)
    is_strided: bool = dataclasses.field(init=False, compare=False)
    is_simple: bool = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Found once and not at each call: an eager call asks many times.
        # torch.compile cannot read a `functools.cached_property`.
        pairs = zip(self.before, self.after, strict=True)
        surplus = tuple([after - before for before, after in pairs])
        is_known = all(isinstance(n, int) for n in self.before)
        is_even = is_known and not any(surplus)
        is_dilated = max(self.dilation_rate) > 1
        found = {
            "surplus": surplus,
            "is_even": is_even,
            "is_dilated": is_dilated,
            "is_strided": max(self.strides) > 1,
            "is_simple": self.is_narrow and is_even and not is_dilated,
        }
        for name, value in found.items():
            # That is how a frozen class sets its fields.
            object.__setattr__(self, name, value)

    @staticmethod
    def of(spec: ConvSpec, shape: tuple[Any, ...]) -> "Window":
        """Returns the window of `spec` for images with the channels second.

        The sizes are `int`s, `torch.SymInt`s under `torch.export`, and tensors
        under `torch.jit.trace`, which Keras uses to export to OpenVINO.
        """
        for size in shape:
            if type(size) is not int:
                return _window(spec, shape)
        return _remembered_window(spec, shape)

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

    def pad(self, inputs: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Returns the inputs, and the zeros that torch must add to each side.

        If both sides of each axis need the same number, torch adds them all.
        Otherwise they are added here, and torch adds none.
        """
        if self.is_even:
            return inputs, self.before
        zeros: list[Any] = []
        for pair in zip(self.before, self.after, strict=True):
            zeros = [*pair, *zeros]
        return functional.pad(inputs, zeros), (0,) * len(self.before)


def _window(spec: ConvSpec, shape: tuple[Any, ...]) -> Window:
    sizes = enumerate(shape[2:])
    pairs = [spec.pads(axis, size, _larger) for axis, size in sizes]
    before, after = zip(*pairs, strict=True)
    strides, rates = spec.strides, spec.dilation_rate
    if spec.rank == 1:
        # Of one row, because oneDNN computes several columns at once.
        strides, rates = (1, *strides), (1, *rates)
        before, after = (0, *before), (0, *after)
    is_narrow = spec.rank < 3 and spec.kernel_size[-1] <= 3
    return Window(strides, rates, before, after, is_narrow)


_remembered_window = remembered(_window)


def _larger(size: Any, least: int) -> Any:
    """Returns the larger of two, of which the first is perhaps no `int`."""
    if isinstance(size, torch.Tensor):
        return size.clamp(min=least)
    return torch.sym_max(size, least)
