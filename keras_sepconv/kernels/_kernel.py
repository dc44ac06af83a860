"""What a kernel is, and the static facts it is chosen by."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from keras_sepconv._spec import ConvSpec, Shape, Tensor


@dataclasses.dataclass(frozen=True)
class Call:
    """The static facts of one call; never a value.

    Attributes:
        spec: The convolution.
        input_shape: The input's shape, `None` where unknown.
        depth_multiplier: Depthwise outputs for each input channel.
        filters: The pointwise step's outputs, `None` where there is none.
        dtype: The dtype of all tensors and of the result.
        output_shape: The result's shape, `None` where unknown.
        is_empty: Whether the inputs or the result are known to have no
            elements.
    """

    spec: ConvSpec
    input_shape: Shape
    depth_multiplier: int
    filters: int | None
    dtype: str

    output_shape: Shape = dataclasses.field(init=False)
    is_empty: bool = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        channels = self.filters
        if channels is None:
            inputs = self.input_shape[self.spec.channel_axis]
            assert inputs is not None, "the spec refuses unknown channels"
            channels = inputs * self.depth_multiplier
        shape = self.spec.output_shape(self.input_shape, channels)
        is_empty = 0 in self.input_shape + shape
        # That is how a frozen class sets its fields.
        object.__setattr__(self, "output_shape", shape)
        object.__setattr__(self, "is_empty", is_empty)


Run = Callable[..., Tensor]


def everywhere() -> bool:
    """Returns `True`, for kernels that are as fast in every program."""
    return True


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One way to compute the operations.

    Attributes:
        name: What `implementation=` calls it.
        why_not: Returns `None` if it can run a `Call`, else the reason.
        run: Takes the spec, the inputs, the depthwise kernel, the pointwise
            kernel and the bias, of which `None` leaves its step out.
            It trusts them: checked, of one dtype, tensors of the active
            backend, and with something to compute wherever that is known.
        is_fast_here: Tells whether it is fast at the place of the call, for
            example in a program that XLA compiles. Elsewhere it runs only by
            its name.
    """

    name: str
    why_not: Callable[[Call], str | None]
    run: Run
    is_fast_here: Callable[[], bool] = everywhere


def padded_first(run: Run) -> Run:
    """Lets a kernel for `"valid"` and `"same"` run with zeros in numbers.

    A kernel that puts the zeros itself asks `ConvSpec.pads` for them, and needs
    no decorator.
    """

    @functools.wraps(run)
    def with_any_padding(
        spec: ConvSpec, inputs: Tensor, *weights: Tensor | None
    ) -> Tensor:
        if not isinstance(spec.padding, str):
            pads = [(0, 0)] * (spec.rank + 2)
            for axis, zeros in zip(
                spec.spatial_axes, spec.padding, strict=True
            ):
                pads[axis] = zeros
            inputs = keras.ops.pad(inputs, pads)
            spec = dataclasses.replace(spec, padding="valid")
        return run(spec, inputs, *weights)

    return with_any_padding


def channels_last(run: Run) -> Run:
    """Lets a kernel for channels_last run in both data formats."""

    @functools.wraps(run)
    def in_both(
        spec: ConvSpec, inputs: Tensor, *weights: Tensor | None
    ) -> Tensor:
        if spec.data_format == "channels_last":
            return run(spec, inputs, *weights)
        spec = dataclasses.replace(spec, data_format="channels_last")
        outputs = run(spec, keras.ops.moveaxis(inputs, 1, -1), *weights)
        return keras.ops.moveaxis(outputs, -1, 1)

    return in_both
