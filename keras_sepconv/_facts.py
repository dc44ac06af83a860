"""The static facts of an operation's call, from the tensors that it is given.

They follow from shapes, dtypes and arguments. So they are found and checked
once for each of these, and looked up afterwards: in eager mode, finding them
takes longer than the convolution of a small image.
"""

import typing
from typing import Any, NamedTuple

import keras

from keras_sepconv._checks import static_shape
from keras_sepconv._remembered import remembered
from keras_sepconv._spec import ConvSpec, Shape, Tensor, dtype_name
from keras_sepconv.kernels import Call


class Signature(NamedTuple):
    """The name of an operation, and of its tensors, for messages.

    A tensor that the operation does not have is `None`.
    """

    function: str
    inputs: str
    depthwise: str | None
    pointwise: str | None
    bias: str


# Inputs, depthwise kernel, pointwise kernel and bias; `None` where an operation
# has none.
Tensors = tuple[Tensor | None, ...]
# Strides, padding, data format, dilation rate.
Options = tuple[Any, Any, Any, Any]


def facts_of(signature: Signature, tensors: Tensors, options: Options) -> Call:
    """Returns the facts of a call, checked against each other.

    Raises:
        TypeError: An option has the wrong type.
        ValueError: An option has the wrong value, or shapes do not fit.
    """
    strides, padding, data_format, dilation_rate = options
    if data_format is None:
        data_format = keras.config.image_data_format()
    arguments = (
        signature,
        tuple([None if t is None else static_shape(t) for t in tensors]),
        tuple([None if t is None else t.dtype for t in tensors]),
        (strides, padding, data_format, dilation_rate),
        keras.config.floatx(),
    )
    # Of other types, values may be equal that mean different things: 1, True.
    if _is_plain(arguments[3]):
        return _remembered(*arguments)
    return _find(*arguments)


def _is_plain(value: Any) -> bool:
    """Tells whether `value` is made of strings, integers and tuples."""
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) is int or type(value) is str


def _find(
    signature: Signature,
    shapes: tuple[Shape | None, ...],
    dtypes: tuple[Any, ...],
    options: Options,
    floatx: str,
) -> Call:
    """Returns the facts; `dtypes` has `None` for an absent tensor."""
    who = signature.function
    inputs, depthwise, pointwise, bias = shapes
    if dtypes[1] is None:
        shape = _kernel_shape(who, signature.pointwise, pointwise, "filters")
        channels, multiplier, because = shape[-2], 1, ""
    else:
        shape = _kernel_shape(
            who, signature.depthwise, depthwise, "depth_multiplier"
        )
        channels, multiplier = shape[-2:]
        because = (
            f", because there are {channels} channels with {multiplier} "
            "filters each"
        )
    spec = ConvSpec.normalise(shape[:-2], *options)
    input_shape = spec.check_input(who, inputs, channels)
    outputs, filters = channels * multiplier, None
    if dtypes[2] is not None:
        rule = (1,) * spec.rank + (outputs, "filters")
        if (
            pointwise is None
            or pointwise[:-1] != rule[:-1]
            or not pointwise[-1]
        ):
            raise ValueError(
                f"{who}: `{signature.pointwise}` must have the shape "
                f"({', '.join(map(str, rule))}){because}. "
                f"Received: {signature.pointwise}.shape={pointwise}"
            )
        outputs = filters = pointwise[-1]
    if dtypes[3] is not None and bias != (outputs,):
        raise ValueError(
            f"{who}: `bias` must have the shape ({outputs},), one number for "
            f"each output channel. Received: bias.shape={bias}"
        )
    dtype = _dtype([dtype for dtype in dtypes if dtype is not None], floatx)
    return Call(spec, input_shape, multiplier, filters, dtype)


_remembered = remembered(_find)


def _kernel_shape(
    who: str, name: str | None, shape: Shape | None, last: str
) -> tuple[int, ...]:
    if shape is None or not 3 <= len(shape) <= 5 or not all(shape):
        raise ValueError(
            f"{who}: `{name}` must have the shape (*kernel_size, channels, "
            f"{last}), with 1 to 3 spatial axes and every size known and "
            f"positive. Received: {name}.shape={shape}"
        )
    return typing.cast(tuple[int, ...], shape)


def _dtype(dtypes: list[Any], floatx: str) -> str:
    """Returns the dtype that Keras promotes `dtypes` to, a float always."""
    names = {dtype_name(dtype) for dtype in dtypes}
    # Outside TensorFlow, Keras promotes even equal float64s to float32.
    dtype: str = (
        names.pop() if len(names) == 1 else keras.backend.result_type(*names)
    )
    if not keras.backend.is_float_dtype(dtype):
        dtype = keras.backend.result_type(dtype, floatx)
    return dtype
