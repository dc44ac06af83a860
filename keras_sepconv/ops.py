"""Separable and depthwise convolutions as functions.

Each function checks its arguments. Then it runs the fastest kernel that
supports the call, or, given symbolic tensors, adds a node to their graph.
"""

import dataclasses
from typing import Any

import keras

from keras_sepconv import kernels
from keras_sepconv._checks import Padding, known, wrong
from keras_sepconv._facts import Options, Signature, Tensors, facts_of
from keras_sepconv._spec import Tensor, cast

__all__ = [
    "depthwise_conv",
    "implementations",
    "pointwise_conv",
    "separable_conv",
]


def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: Any = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    implementation: str | None = None,
    *,
    bias: Tensor | None = None,
) -> Tensor:
    """Separable convolution: a depthwise convolution, then a pointwise one.

    This code defines the result, for every implementation:

    ```python
    outputs = keras.ops.depthwise_conv(
        inputs, depthwise_kernel, strides, padding, data_format, dilation_rate
    )  # for padding other than "valid" and "same", the inputs are padded first
    outputs = keras.ops.conv(outputs, pointwise_kernel, data_format=data_format)
    outputs = outputs + bias  # one number for each filter
    ```

    Tensors of different dtypes are promoted by the rules of Keras, and integers
    become floats. Strides and dilation can be combined.

    Args:
        inputs: Tensor with 1 to 3 spatial axes.
        depthwise_kernel: Tensor, `depth_multiplier` filters of `kernel_size`
            for each input channel.
        pointwise_kernel: Tensor, the matrix from the depthwise outputs to the
            filters.
        strides: A positive whole number, or one for each spatial axis.
        padding: `"valid"` (no zeros), `"same"` (as many zeros as keep the size
            at stride 1, the same number on both sides; an odd one goes to the
            end) or, with one spatial axis, `"causal"` (all zeros before, so
            that no output depends on a later step). Or the number of zeros: one
            number for all sides, a number for each axis, or a pair
            `(before, after)` for each axis.
        data_format: `"channels_last"`, `"channels_first"`, or `None` for
            `keras.config.image_data_format()`.
        dilation_rate: A positive whole number, or one for each spatial axis.
        implementation: `None` to choose the fastest one that supports the call.
            Or a name from `implementations()`: that one runs, or the call
            raises an error with the reason.
        bias: Tensor to add to the output, one number for each filter.

    Input shape:
        - inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)`
          if `data_format="channels_first"`. Any size may be unknown.
        - depthwise_kernel: `(*kernel_size, channels, depth_multiplier)`.
        - pointwise_kernel: `(1, ..., channels * depth_multiplier, filters)`.
        - bias: `(filters,)`.

    Output shape:
        `(batch, *new_sizes, filters)`, or `(batch, filters, *new_sizes)`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value, shapes do not fit each
            other, or the named implementation does not support the call.

    Example:

    >>> import numpy as np
    >>> from keras_sepconv import ops
    >>> y = ops.separable_conv(
    ...     np.ones((1, 8, 8, 3), "float32"),
    ...     np.ones((3, 3, 3, 1), "float32"),
    ...     np.ones((1, 1, 3, 16), "float32"),
    ...     padding="same",
    ... )
    >>> tuple(y.shape)
    (1, 8, 8, 16)
    """
    return _convolve(
        SeparableConv,
        (inputs, depthwise_kernel, pointwise_kernel, bias),
        (strides, padding, data_format, dilation_rate),
        implementation,
    )


def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Any = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    implementation: str | None = None,
    *,
    bias: Tensor | None = None,
) -> Tensor:
    """Depthwise convolution: filters each channel by itself.

    This code defines the result, for every implementation:

    ```python
    outputs = keras.ops.depthwise_conv(
        inputs, kernel, strides, padding, data_format, dilation_rate
    )
    outputs = outputs + bias  # one number for each output channel
    ```

    Args:
        inputs: Tensor with 1 to 3 spatial axes.
        kernel: Tensor, `depth_multiplier` filters of `kernel_size` for each
            input channel.
        strides: As in `separable_conv`.
        padding: As in `separable_conv`.
        data_format: As in `separable_conv`.
        dilation_rate: As in `separable_conv`.
        implementation: As in `separable_conv`.
        bias: Tensor to add, one number for each output channel.

    Input shape:
        - inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)`
          if `data_format="channels_first"`.
        - kernel: `(*kernel_size, channels, depth_multiplier)`.
        - bias: `(channels * depth_multiplier,)`.

    Output shape:
        `(batch, *new_sizes, channels * depth_multiplier)`, or
        `(batch, channels * depth_multiplier, *new_sizes)`. Output channel
        `c * depth_multiplier + m` is filter `m` of input channel `c`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value, shapes do not fit each
            other, or the named implementation does not support the call.

    Example:

    >>> import numpy as np
    >>> from keras_sepconv import ops
    >>> y = ops.depthwise_conv(
    ...     np.ones((1, 8, 8, 3), "float32"), np.ones((3, 3, 3, 2), "float32")
    ... )
    >>> tuple(y.shape)
    (1, 6, 6, 6)
    """
    return _convolve(
        DepthwiseConv,
        (inputs, kernel, None, bias),
        (strides, padding, data_format, dilation_rate),
        implementation,
    )


def pointwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    data_format: str | None = None,
    implementation: str | None = None,
    *,
    bias: Tensor | None = None,
) -> Tensor:
    """Pointwise convolution: the same matrix product at every position.

    It is the second step of `separable_conv`. This code defines the result, for
    every implementation:

    ```python
    outputs = keras.ops.conv(inputs, kernel, data_format=data_format)
    outputs = outputs + bias  # one number for each filter
    ```

    Args:
        inputs: Tensor with 1 to 3 spatial axes.
        kernel: Tensor, the matrix from the channels to the filters.
        data_format: As in `separable_conv`.
        implementation: As in `separable_conv`.
        bias: Tensor to add, one number for each filter.

    Input shape:
        - inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)`
          if `data_format="channels_first"`.
        - kernel: `(1, ..., channels, filters)`.
        - bias: `(filters,)`.

    Output shape:
        `(batch, *sizes, filters)`, or `(batch, filters, *sizes)`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value, shapes do not fit each
            other, or the named implementation does not support the call.

    Example:

    >>> import numpy as np
    >>> from keras_sepconv import ops
    >>> y = ops.pointwise_conv(
    ...     np.ones((1, 8, 8, 3), "float32"), np.ones((1, 1, 3, 16), "float32")
    ... )
    >>> tuple(y.shape)
    (1, 8, 8, 16)
    """
    return _convolve(
        PointwiseConv,
        (inputs, None, kernel, bias),
        (1, "same", data_format, 1),
        implementation,
    )


def implementations(
    inputs: Tensor | None = None,
    depthwise_kernel: Tensor | None = None,
    pointwise_kernel: Tensor | None = None,
    strides: Any = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> dict[str, str | None]:
    """Returns the active backend's implementations, the preferred one first.

    Args:
        inputs: The input of the call that you ask about. `None` lists all
            implementations. Nothing is computed, so symbolic tensors
            (`keras.KerasTensor`) are enough here and below.
        depthwise_kernel: As in `separable_conv`.
        pointwise_kernel: As in `separable_conv`. `None` asks about
            `depthwise_conv`.
        strides: As in `separable_conv`.
        padding: As in `separable_conv`.
        data_format: As in `separable_conv`.
        dilation_rate: As in `separable_conv`.

    Returns:
        A dictionary. The keys are the names of the implementations. A value is
        `None` if the implementation supports the call, otherwise the reason why
        it does not.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: No implementation supports the call.

    Example:

    >>> from keras_sepconv import ops
    >>> "portable" in ops.implementations()
    True
    """
    if inputs is None:
        return kernels.reasons()
    pointwise = None if pointwise_kernel is None else "pointwise_kernel"
    signature = Signature(
        "implementations", "inputs", "depthwise_kernel", pointwise, "bias"
    )
    given = (inputs, depthwise_kernel, pointwise_kernel, None)
    tensors = tuple(map(_tensor, signature[1:], given))
    options = (strides, padding, data_format, dilation_rate)
    return kernels.reasons(facts_of(signature, tensors, options))


class _Convolution(keras.Operation):  # type: ignore[misc]  # Keras is untyped.
    """The node that a symbolic call leaves in a functional model."""

    signature: Signature

    def __init__(
        self,
        strides: Any,
        padding: Padding,
        data_format: str | None,
        dilation_rate: Any,
        implementation: str | None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.strides = strides
        self.padding = padding
        self.data_format = data_format
        self.dilation_rate = dilation_rate
        self.implementation = implementation

    @property
    def _options(self) -> Options:
        return self.strides, self.padding, self.data_format, self.dilation_rate

    def call(self, *tensors: Tensor) -> Tensor:
        """Runs the operation on tensors."""
        return _convolve(
            type(self), tensors, self._options, self.implementation
        )

    def compute_output_spec(self, *tensors: Tensor) -> keras.KerasTensor:
        """Returns the symbolic result."""
        tensors = tuple(map(_tensor, self.signature[1:], tensors))
        call = facts_of(self.signature, tensors, self._options)
        return keras.KerasTensor(call.output_shape, dtype=call.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "implementation": self.implementation,
        }


@keras.saving.register_keras_serializable(package="keras_sepconv")
class SeparableConv(_Convolution):
    """`separable_conv` in a functional model."""

    signature = Signature(
        "separable_conv",
        "inputs",
        "depthwise_kernel",
        "pointwise_kernel",
        "bias",
    )


@keras.saving.register_keras_serializable(package="keras_sepconv")
class DepthwiseConv(_Convolution):
    """`depthwise_conv` in a functional model."""

    signature = Signature("depthwise_conv", "inputs", "kernel", None, "bias")


@keras.saving.register_keras_serializable(package="keras_sepconv")
class PointwiseConv(_Convolution):
    """`pointwise_conv` in a functional model."""

    signature = Signature("pointwise_conv", "inputs", None, "kernel", "bias")


def _convolve(
    operation: type[_Convolution],
    tensors: Tensors,
    options: Options,
    implementation: str | None,
) -> Tensor:
    signature = operation.signature
    tensors = tuple(map(_tensor, signature[1:], tensors))
    call = facts_of(signature, tensors, options)
    if any(isinstance(tensor, keras.KerasTensor) for tensor in tensors):
        # Most sizes that are unknown now are known when the graph runs.
        sizes = tuple(1 if n is None else n for n in call.input_shape)
        kernels.choose(
            dataclasses.replace(call, input_shape=sizes), implementation
        )
        # Keras adds text of its own to the errors of an Operation. So eager
        # calls do not go through one, and this symbolic call is checked above.
        spec = call.spec
        node = operation(
            spec.strides,
            spec.padding,
            spec.data_format,
            spec.dilation_rate,
            implementation,
        )
        return node(*tensors)
    kernel = kernels.choose(call, implementation)
    inputs, depthwise, pointwise, bias = [
        None if tensor is None else cast(tensor, call.dtype)
        for tensor in tensors
    ]
    inputs = _of_known_channels(call, inputs)
    if call.is_empty:
        return _empty(call, (inputs, depthwise, pointwise, bias))
    return kernel.run(call.spec, inputs, depthwise, pointwise, bias)


def _of_known_channels(call: kernels.Call, inputs: Tensor) -> Tensor:
    """Returns the inputs with a static number of channels, that of the weights.

    The reshape fails for a tensor that has another number of channels.
    """
    axis = call.spec.channel_axis
    if known(inputs.shape[axis]) is not None:
        return inputs
    sizes = list(keras.ops.shape(inputs))
    sizes[axis] = call.input_shape[axis]
    return keras.ops.reshape(inputs, sizes)


def _tensor(name: str | None, value: Any) -> Tensor | None:
    if value is None and name in (None, "bias"):
        return None
    if keras.ops.is_tensor(value) and not isinstance(value, keras.Variable):
        return value
    if isinstance(value, keras.KerasTensor):
        return value
    try:
        tensor = keras.ops.convert_to_tensor(value)
        if keras.backend.standardize_dtype(tensor.dtype) == "string":
            raise TypeError("Only TensorFlow has tensors of strings.")
    except Exception as error:  # Each backend has its own.
        raise wrong(str(name), "a tensor", value, TypeError) from error
    return tensor


def _empty(call: kernels.Call, tensors: Tensors) -> Tensor:
    """Returns the result of an empty convolution.

    That is an empty array, or the bias where only padding is left. Backends
    disagree about this case, so none of them is called.
    """
    spec, sizes = call.spec, keras.ops.shape(tensors[0])
    shape = [sizes[0], *call.output_shape[1:]]
    for axis, position in enumerate(spec.spatial_axes):
        if shape[position] is None:
            size = spec.output_size(axis, sizes[position])
            shape[position] = keras.ops.maximum(size, 0)
    outputs = keras.ops.zeros(shape, call.dtype)
    # Each tensor has a gradient: zeros.
    for tensor in tensors:
        if tensor is not None:
            outputs = outputs + keras.ops.sum(keras.ops.ravel(tensor)[:0])
    bias = tensors[3]
    if bias is not None:
        sides = [1] * len(shape)
        sides[spec.channel_axis] = -1
        outputs = outputs + keras.ops.reshape(bias, sides)
    return outputs
