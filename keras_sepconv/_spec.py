"""The checks of arguments, and `ConvSpec`, which describes a convolution.

`ConvSpec` is frozen and hashable. It carries the static facts of a convolution
from the public functions to the kernels. All arguments of users pass through
the functions of this module, so each rule and its message are in one place.
"""

import dataclasses
import difflib
import math
import numbers
import reprlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_sepconv._remembered import remembered

# Each backend has its own class of tensors. A type that names one of them would
# be wrong for the other backends.
Tensor: TypeAlias = Any

Shape: TypeAlias = tuple[int | None, ...]

# The padding that a user passes; see `padding`.
Padding: TypeAlias = str | int | Sequence[int | Sequence[int]]
# The zeros before and after each spatial axis.
Zeros: TypeAlias = tuple[tuple[int, int], ...]

_OF_EVERY_LAYER = {"name", "dtype", "trainable", "autocast", "input_shape"}

# Larger sizes overflow inside every backend, because they have 32 bits.
_LARGEST = 2**31 - 1
_NA_INTEGER = -(2**31)

_DATA_FORMATS = ("channels_last", "channels_first")

_AXES = {1: ("steps",), 2: ("rows", "cols"), 3: ("depth", "rows", "cols")}


def wrong(
    name: str, rule: str, value: Any, error: type[Exception] = ValueError
) -> Exception:
    """Returns the error for an argument that breaks its rule."""
    hint = ""
    for item in value if _is_list(value) else (value,):
        if is_na(item):
            hint = f" R's NA arrives as {item}."
    return error(
        f"`{name}` must be {rule}.{hint} Received: {name}={shown(value)}"
    )


def is_na(value: Any) -> bool:
    """Tells whether `value` may be R's NA, as reticulate converts it.

    A logical NA becomes True, an integer NA the smallest integer of 32 bits,
    and a double NA becomes NaN. None of these is a valid size.
    """
    return isinstance(value, numbers.Real) and (
        value is True or value == _NA_INTEGER or value != value
    )


def shown(value: Any) -> str:
    """Returns a short text of a value for a message; it never raises.

    The `repr` of a value may be very long, or it may raise an error: Python
    does not write an integer with more than 4300 digits.
    """
    try:
        return _SHORT.repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


class _Short(reprlib.Repr):
    def repr_instance(self, x: Any, level: int) -> str:
        """Returns an array's shape, because its numbers say little."""
        shape = static_shape(x) if hasattr(x, "shape") else None
        if not shape or math.prod(size or 1 for size in shape) <= self.maxlist:
            return super().repr_instance(x, level)
        return f"<{type(x).__name__} of shape {shape}>"


_SHORT = _Short()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 8
_SHORT.maxstring = _SHORT.maxother = 300


def check_keywords(
    who: str, given: Mapping[str, Any], known: Iterable[str]
) -> None:
    """Raises a `ValueError` for a keyword that is a misspelt argument.

    Args:
        who: What takes the arguments.
        given: Its keywords; those of every layer are not looked at.
        known: The names of its own arguments.
    """
    names = sorted(set(known) - set(given))
    for name in given.keys() - _OF_EVERY_LAYER - set(known):
        near = difflib.get_close_matches(name, names, 1)
        if near:
            raise ValueError(
                f"{who} has no argument `{name}`; the nearest name is "
                f"`{near[0]}`. Received: {name}={shown(given[name])}"
            )


def integer(
    name: str,
    value: Any,
    rule: str = "a positive whole number",
    least: int = 1,
) -> int:
    """Returns `value` as an `int`, a positive one by default.

    Floats that are whole numbers and NumPy scalars count as integers, because
    numbers from R are doubles. A fraction is never rounded.

    Args:
        name: The name of the argument, for the message.
        value: The value that the user passed.
        rule: What the argument must be, for the message.
        least: The smallest allowed number.

    Raises:
        TypeError: `value` is not a number, or it is a bool.
        ValueError: `value` is a fraction, too small, or above 2**31 - 1.
    """
    number: Any = value.item() if _is_scalar_array(value) else value
    is_number = isinstance(number, numbers.Real)
    if isinstance(number, bool) or not is_number:
        raise wrong(name, rule, value, TypeError)
    if not least <= number <= _LARGEST or number != int(number):
        raise wrong(name, rule, value)
    return int(number)


def integers(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """Returns `value` as one positive `int` for each of `rank` axes.

    Args:
        name: The name of the argument, for the message.
        value: One whole number for all axes, or a list, tuple or array with
            one for each axis.
        rank: The number of spatial axes.

    Raises:
        TypeError: `value`, or an element of it, is not a number.
        ValueError: The wrong length, or an element that `integer` refuses.
    """
    each = "a positive whole number"
    rule = f"{each}, or {rank} of them" if rank > 1 else each
    is_vector = isinstance(value, np.ndarray) and value.ndim == 1
    items = value.tolist() if is_vector else value
    if _is_list(items):
        if len(items) != rank:
            raise wrong(name, rule, value)
        try:
            return tuple(integer(name, item, rule) for item in items)
        except (TypeError, ValueError) as error:
            raise wrong(name, rule, value, type(error)) from None
    return (integer(name, value, rule),) * rank


def boolean(name: str, value: Any) -> bool:
    """Returns `value` as a `bool`, or raises a `TypeError`."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong(name, "True or False", value, TypeError)
    return bool(value)


def option(name: str, value: Any, options: Sequence[str]) -> str:
    """Returns `value` in lower case if it is one of `options`.

    Raises:
        TypeError: `value` is not a string.
        ValueError: `value` is not one of `options`.
    """
    rule = " or ".join(f'"{option}"' for option in options)
    if not isinstance(value, str):
        raise wrong(name, rule, value, TypeError)
    if value.lower() not in options:
        raise wrong(name, rule, value)
    return value.lower()


def check_weights_dtype(given: Any, dtype: str) -> None:
    """Raises a `ValueError` if weights of `dtype` cannot be trained.

    Args:
        given: The value that the user passed, for the message.
        dtype: The dtype of the weights that follows from it.
    """
    if not keras.backend.is_float_dtype(dtype):
        rule = "a float dtype or a policy, because the weights are of it"
        raise wrong("dtype", rule, given)


def padding(value: Any, rank: int) -> Padding:
    """Returns `value` in the plain types that a config contains.

    Args:
        value: `"valid"`, `"same"` or, with one spatial axis, `"causal"`, in
            upper or lower case. Or the number of zeros: one number for all
            sides, a number for each axis, or a pair `(before, after)` for each
            axis.
        rank: The number of spatial axes.

    Raises:
        TypeError: `value`, or an element of it, is not a word or a number.
        ValueError: Another word, a negative number, or the wrong length.
    """
    words = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
    rule = ", ".join(f'"{word}"' for word in words)
    rule += ", a whole number of zeros, or a list with " + (
        "one number or (before, after) pair"
        if rank == 1
        else f"{rank} numbers or (before, after) pairs, one for each axis"
    )

    def numbers_in(item: Any, depth: int) -> Any:
        items = item.tolist() if isinstance(item, np.ndarray) else item
        if not _is_list(items):
            return integer("padding", items, rule, 0)
        if depth == 0 or len(items) != (rank if depth == 2 else 2):
            raise wrong("padding", rule, value)
        return tuple(numbers_in(one, depth - 1) for one in items)

    if isinstance(value, str):
        if value.lower() not in words:
            raise wrong("padding", rule, value)
        return value.lower()
    try:
        found: Padding = numbers_in(value, 2)
    except (TypeError, ValueError) as error:
        raise wrong("padding", rule, value, type(error)) from None
    return found


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


def data_format(value: Any) -> str:
    """Returns the data format; `None` follows the Keras configuration."""
    if value is None:
        value = keras.config.image_data_format()
    return option("data_format", value, _DATA_FORMATS)


def static_shape(tensor: Tensor) -> Shape | None:
    """Returns the sizes that are known before run time, `None` for the others.

    Symbolic sizes (`torch.SymInt`, dimension expressions of JAX) count as
    unknown. If even the rank is unknown, the result is `None`.
    """
    try:
        sizes = tuple(tensor.shape)
    except ValueError:  # tf.TensorShape(None) cannot be iterated.
        return None
    for size in sizes:
        if type(size) is not int:
            return tuple([known(size) for size in sizes])
    return sizes


def known(size: Any) -> int | None:
    """Returns a size if it is known before run time, otherwise `None`.

    In `torch.jit.trace` sizes are tensors; the sizes of the example count as
    known.
    """
    if isinstance(size, int):
        return size
    if not hasattr(size, "ndim"):
        return None
    with warnings.catch_warnings():
        # torch warns that the trace uses the size of the example. That is
        # wanted here.
        warnings.simplefilter("ignore")
        return int(size)


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
        padding_: Any,
        data_format_: Any,
        dilation_rate: Any,
    ) -> "ConvSpec":
        """Builds the spec from the arguments of a user, or raises an error."""
        rank = len(kernel_size)
        if data_format_ is None:
            data_format_ = keras.config.image_data_format()
        if (
            isinstance(padding_, str)
            and padding_ in ("valid", "same")
            and isinstance(data_format_, str)
            and data_format_ in _DATA_FORMATS
            and _are_normal(strides, rank)
            and _are_normal(dilation_rate, rank)
        ):
            # Layers pass normalised values. Eager layers come here at each
            # call, so the check must be short.
            return cls(
                kernel_size, strides, padding_, data_format_, dilation_rate
            )
        strides = integers("strides", strides, rank)
        given = padding(padding_, rank)
        found = data_format(data_format_)
        rates = integers("dilation_rate", dilation_rate, rank)
        spec = cls(kernel_size, strides, "valid", found, rates)
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
        if self.padding == "same":
            return (size + stride - 1) // stride
        total = self.pad_total(axis, size)
        return (size + total - self.spans[axis] + stride) // stride

    def pad_before(self, axis: int, size: Any) -> Any:
        """Returns the number of zeros that padding puts before spatial `axis`.

        With `"same"` both sides get the same number; an odd zero goes to the
        end, as in TensorFlow and Keras.
        """
        if not isinstance(self.padding, str):
            return self.padding[axis][0]
        return self.pad_total(axis, size) // 2

    def pads(
        self,
        axis: int,
        size: Any,
        maximum: Callable[[Any, int], Any] = keras.ops.maximum,
    ) -> tuple[Any, Any]:
        """Returns the numbers of zeros before and after spatial `axis`."""
        if not isinstance(self.padding, str):
            return self.padding[axis]
        total = self.pad_total(axis, size, maximum)
        return total // 2, total - total // 2

    def pad_total(
        self,
        axis: int,
        size: Any,
        maximum: Callable[[Any, int], Any] = keras.ops.maximum,
    ) -> Any:
        """Returns the number of zeros on both sides of spatial `axis`.

        Args:
            axis: The number of the spatial axis, from 0.
            size: The size of the input: an `int`, or what `maximum` takes.
            maximum: Returns the larger of a size that is no `int` and an `int`.
        """
        if self.padding == "valid":
            return 0
        if not isinstance(self.padding, str):
            return sum(self.padding[axis])
        if self.strides[axis] == 1:
            # The same number for a size that is only known at run time.
            return self.spans[axis] - 1
        reach = (self.output_size(axis, size) - 1) * self.strides[axis]
        total = reach + self.spans[axis] - size
        return max(total, 0) if isinstance(total, int) else maximum(total, 0)

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
        if not found or found < 0:
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
        zeros = self.pad_total(axis, size)
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
        and all(type(n) is int and 0 < n <= _LARGEST for n in values)
    )


def _is_list(value: Any) -> bool:
    no_list = (str, bytes, bytearray)
    return isinstance(value, Sequence) and not isinstance(value, no_list)


def _is_scalar_array(value: Any) -> bool:
    return isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and value.ndim == 0
    )
