"""`ConvSpec`, which describes a convolution; and casts of tensors.

`ConvSpec` is frozen and hashable. It carries the static facts of a convolution
from the public functions to the kernels.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import keras

from keras_sepconv import _checks
from keras_sepconv._checks import DATA_FORMATS, LARGEST, Padding, integers
from keras_sepconv._remembered import remembered

# Each backend has its own class of tensors. A type that names one of them would
# be wrong for the other backends.
Tensor: TypeAlias = Any

Shape: TypeAlias = tuple[int | None, ...]

# The zeros before and after each spatial axis.
Zeros: TypeAlias = tuple[tuple[int, int], ...]

_AXES = {1: ("steps",), 2: ("rows", "cols"), 3: ("depth", "rows", "cols")}


def _zeros(
    padding: Padding, spans: tuple[int, ...], strides: tuple[int, ...]
) -> str | Zeros:
    """Returns `"valid"`, `"same"`, or the zeros around each axis.

    Numbers that mean `"valid"` or `"same"` become these words. So kernels can
    support the two common cases by name.
    """
    if padding in ("valid", "same"):
        return str(padding)
    if padding == "causal":
        pairs = [(span - 1, 0) for span in spans]
    else:
        each: Any = padding
        if isinstance(padding, int):
            each = (padding,) * len(spans)
        pairs = [
            (zeros, zeros) if isinstance(zeros, int) else zeros
            for zeros in each
        ]
    if not any(map(any, pairs)):
        return "valid"
    if max(strides) == 1 and pairs == [((n - 1) // 2, n // 2) for n in spans]:
        return "same"
    return tuple(pairs)


dtype_name = remembered(keras.backend.standardize_dtype)


def cast(tensor: Tensor, dtype: str) -> Tensor:
    """Casts `tensor` to `dtype`; returns it unchanged if it has this dtype.

    `keras.ops.cast` takes long even if there is nothing to do. Eager layers on
    small images spend most of their time in such calls.
    """
    # A custom gradient does not accept variables. That of Keras may hold one of
    # TensorFlow. Keras 3.6 has variables that are no `keras.Variable`.
    if hasattr(tensor, "assign"):
        if not hasattr(tensor, "read_value"):
            tensor = tensor.value
        if hasattr(tensor, "read_value"):
            tensor = tensor.value()
    if dtype_name(tensor.dtype) == dtype:
        return tensor
    return keras.ops.cast(tensor, dtype)


@dataclasses.dataclass(frozen=True)
class ConvSpec:
    """The static facts of a depthwise step, and what follows from them.

    Attributes:
        kernel_size: One size for each spatial axis.
        strides: One stride for each spatial axis.
        padding: `"valid"`, `"same"`, or the zeros before and after each spatial
            axis if neither word means the same.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: One rate for each spatial axis.
    """

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str | Zeros
    data_format: str
    dilation_rate: tuple[int, ...]

    @classmethod
    def normalise(
        cls,
        kernel_size: tuple[int, ...],
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
    ) -> "ConvSpec":
        """Builds the spec from the arguments of a user, or raises an error."""
        rank = len(kernel_size)
        if (
            isinstance(padding, str)
            and padding in ("valid", "same")
            and isinstance(data_format, str)
            and data_format in DATA_FORMATS
            and _are_normal(strides, rank)
            and _are_normal(dilation_rate, rank)
        ):
            # Layers pass normalised values. Eager layers come here at each
            # call, so the check must be short.
            return cls(
                kernel_size, strides, padding, data_format, dilation_rate
            )
        strides = integers("strides", strides, rank)
        given = _checks.padding(padding, rank)
        data_format = _checks.data_format(data_format)
        rates = integers("dilation_rate", dilation_rate, rank)
        spec = cls(kernel_size, strides, "valid", data_format, rates)
        zeros = _zeros(given, spec.spans, strides)
        return dataclasses.replace(spec, padding=zeros)

    def refuse_strides_with_dilation(self) -> None:
        """Raises a `ValueError` if there are both strides and dilation."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "`strides` other than 1 cannot be combined with a "
                "`dilation_rate` other than 1, on whichever axes. Received: "
                f"strides={self.strides}, dilation_rate={self.dilation_rate}"
            )

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel_size)

    @property
    def channel_axis(self) -> int:
        """The position of the channels in the input's shape."""
        return 1 if self.data_format == "channels_first" else self.rank + 1

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The positions of the spatial sizes in the input's shape."""
        first = 2 if self.data_format == "channels_first" else 1
        return tuple(range(first, first + self.rank))

    @property
    def spans(self) -> tuple[int, ...]:
        """The number of input positions that the dilated kernel covers."""
        return tuple(
            (size - 1) * rate + 1
            for size, rate in zip(
                self.kernel_size, self.dilation_rate, strict=True
            )
        )

    @property
    def input_layout(self) -> str:
        """The axes of the input in words, for messages."""
        names = ["batch", *_AXES[self.rank]]
        names.insert(self.channel_axis, "channels")
        return f"({', '.join(names)})"

    def output_size(self, axis: int, size: Any) -> Any:
        """Returns the size of the output along a spatial axis.

        Args:
            axis: The number of the spatial axis, from 0.
            size: The size of the input: an `int`, or a scalar integer tensor.
        """
        stride = self.strides[axis]
        return (size - self.lost(axis) + stride - 1) // stride

    def lost(self, axis: int) -> int:
        """Returns how many positions the output has less, at stride 1."""
        if self.padding == "same":
            return 0
        zeros = 0 if isinstance(self.padding, str) else sum(self.padding[axis])
        return self.spans[axis] - 1 - zeros

    def pads(
        self,
        axis: int,
        size: Any,
        maximum: Callable[[Any, int], Any] = keras.ops.maximum,
    ) -> tuple[Any, Any]:
        """Returns the numbers of zeros before and after spatial `axis`.

        With `"same"` both sides get the same number; an odd zero goes to the
        end, as in TensorFlow and Keras.

        Args:
            axis: The number of the spatial axis, from 0.
            size: The size of the input: an `int`, or what `maximum` takes.
            maximum: Returns the larger of a size that is no `int` and an `int`.
        """
        if not isinstance(self.padding, str):
            return self.padding[axis]
        if self.padding == "valid":
            return 0, 0
        stride, span = self.strides[axis], self.spans[axis]
        # At stride 1 it does not depend on the size, which may be unknown.
        total: Any = span - 1
        if stride > 1:
            total = (self.output_size(axis, size) - 1) * stride + span - size
            known = isinstance(total, int)
            total = max(total, 0) if known else maximum(total, 0)
        return total // 2, total - total // 2

    def output_shape(self, shape: Shape, channels: int) -> Shape:
        """Returns the shape of the output for an input of `shape`.

        Args:
            shape: The shape of the input, already checked. Unknown sizes are
                `None`.
            channels: The number of channels of the output.
        """
        sizes = list(shape)
        sizes[self.channel_axis] = channels
        for axis, position in enumerate(self.spatial_axes):
            size = shape[position]
            if size is not None:
                sizes[position] = self.output_size(axis, size)
        return tuple(sizes)

    def check_input(
        self, who: str, shape: Shape | None, channels: int | None = None
    ) -> Shape:
        """Raises an error if the convolution is not defined for an input.

        Args:
            who: The function or layer that checks, for the message.
            shape: The shape of the input. Unknown sizes are `None`.
            channels: The number of channels that the weights are made for, or
                `None` if any number is allowed.

        Returns:
            The shape with a known number of channels.

        Raises:
            ValueError: The rank is wrong; the number of channels is unknown or
                differs from that of the weights; or the kernel is larger than
                the input.
        """
        ending = f"Received: inputs.shape={shape}"
        if shape is None or len(shape) != self.rank + 2:
            raise ValueError(
                f"{who}: `inputs` must have rank {self.rank + 2}, "
                f"{self.input_layout}. {ending}"
            )
        found = shape[self.channel_axis]
        if found is None:
            found = channels
        if found is None or found < 1:
            raise ValueError(
                f"{who}: the channel dimension of `inputs` must be known and "
                f"positive (axis {self.channel_axis} for "
                f'data_format="{self.data_format}"). {ending}'
            )
        if channels is not None and found != channels:
            raise ValueError(
                f"{who}: the number of channels of `inputs` must be "
                f"{channels}, as in the weights (axis {self.channel_axis} for "
                f'data_format="{self.data_format}"), not {found}. {ending}'
            )
        for axis, position in enumerate(self.spatial_axes):
            size = shape[position]
            if self.padding != "same" and size is not None:
                self._check_fit(who, axis, size, ending)
        axis = self.channel_axis
        return (*shape[:axis], found, *shape[axis + 1 :])

    def _check_fit(self, who: str, axis: int, size: int, ending: str) -> None:
        zeros = sum(self.pads(axis, size))
        # An empty input with `span - 1` zeros has an empty output, as "same".
        if size + zeros >= (self.spans[axis] if size else self.spans[axis] - 1):
            return
        given = 'padding="valid"' if not zeros else "its padding"
        padded = f" with zeros around it ({zeros} in all)" if zeros else ""
        raise ValueError(
            f"{who}: `inputs` must be as large as the kernel for "
            f"{given}, but along {_AXES[self.rank][axis]} the kernel "
            f"spans {self.spans[axis]} (kernel_size={self.kernel_size}, "
            f"dilation_rate={self.dilation_rate}) and the input {size}"
            f'{padded}. Use padding="same" or a larger input. {ending}'
        )


def _are_normal(values: Any, rank: int) -> bool:
    """Tells whether `integers` would return `values` unchanged."""
    return (
        type(values) is tuple
        and len(values) == rank
        and all(type(n) is int and 0 < n <= LARGEST for n in values)
    )
