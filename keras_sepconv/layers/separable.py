"""Separable convolution layers: one base for every rank, and thin ranks."""

import sys
import threading
from typing import Any

import keras

from keras_sepconv import kernels, ops
from keras_sepconv._spec import (
    ConvSpec,
    Shape,
    Tensor,
    boolean,
    integer,
    integers,
    static_shape,
)
from keras_sepconv.layers import _initializers

# Keras lets every thread that makes a layer's first call build it.
_BUILDING = threading.RLock()

# tf.keras up to 2.15 saved these for a separable layer, which inherited them
# from the dense convolution and used none.
_UNUSED = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")


class BaseSeparableConv(keras.layers.Layer):  # type: ignore[misc]
    """Separable convolution of any rank.

    A depthwise convolution filters each channel by itself; a pointwise one, a
    matrix product, mixes the channels; then come the bias and the activation.
    What it computes is `keras_sepconv.ops.separable_conv`.

    It takes the place of the Keras layer of the same name: the constructor, the
    weights, the weights files and the config are the same. Two differences are
    deliberate:

    - A fan-based initializer given *by name* for the depthwise kernel uses the
      fans that this kernel has (see `keras_sepconv.layers.DepthwiseFans`). An
      initializer object is taken as it is, so
      `depthwise_initializer=keras.initializers.GlorotUniform()` is what stock
      Keras does, and so is a config that stock Keras saved.
    - Strides together with dilation are refused at construction, as the
      documentation of the Keras layer says. The operations accept both.

    Args:
        rank: The number of spatial axes.
        depth_multiplier: The number of depthwise filters for each input
            channel.
        filters: The number of output channels.
        kernel_size: The size of the depthwise window: a whole number, or one
            for each spatial axis.
        strides: The stride of the depthwise convolution, likewise.
        padding: `"valid"` (none) or `"same"` (zeros, split evenly, so that
            stride 1 keeps the size), in upper or lower case.
        data_format: `"channels_last"`, `"channels_first"`, or `None` for
            `keras.config.image_data_format()`. Both work on every backend, on
            a CPU too.
        dilation_rate: The dilation of the depthwise window, as `kernel_size`.
        activation: A name or a function to apply last. `None`: none.
        use_bias: Whether to add a bias before the activation.
        depthwise_initializer: A name or an object. `None`:
            `"glorot_uniform"`.
        pointwise_initializer: A name or an object. `None`:
            `"glorot_uniform"`.
        bias_initializer: A name or an object. `None`: `"zeros"`.
        depthwise_regularizer: A penalty on the depthwise kernel.
        pointwise_regularizer: A penalty on the pointwise kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        depthwise_constraint: A projection of the depthwise kernel after each
            update.
        pointwise_constraint: A projection of the pointwise kernel.
        bias_constraint: A projection of the bias.
        implementation: `None` for the fastest that can, or a name from
            `keras_sepconv.ops.implementations()`: exactly that one runs, or
            the call raises and says why not. A name is part of the saved
            config, and the backend that loads it must have one of that name.
        **kwargs: What every `keras.layers.Layer` takes: `name`, `dtype`,
            `trainable`.

    Input shape:
        `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` if
        `data_format="channels_first"`. Batch and sizes may be unknown.
        Integers are cast to the layer's compute dtype.

    Output shape:
        `(batch, *new_sizes, filters)`, or `(batch, filters, *new_sizes)`. A
        size `n` becomes `ceil(n / stride)` with padding `"same"`, and
        `floor((n - span) / stride) + 1` with `"valid"`, where
        `span = (kernel_size - 1) * dilation_rate + 1`.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: An argument with the wrong value, or an input of the wrong
            shape; in a call, before anything is built.
    """

    def __init__(
        self,
        rank: int,
        depth_multiplier: Any,
        filters: Any,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        # The shape that the helpers want an empty Sequential to start with.
        self.batch_input_shape: Shape | None = None
        super().__init__(
            activity_regularizer=keras.regularizers.get(activity_regularizer),
            **kwargs,
        )
        self.rank = rank
        self.depth_multiplier = integer("depth_multiplier", depth_multiplier)
        self.filters = integer("filters", filters)
        spec = ConvSpec.normalise(
            integers("kernel_size", kernel_size, rank),
            strides,
            padding,
            data_format,
            dilation_rate,
        )
        spec.refuse_strides_with_dilation()
        self.kernel_size = spec.kernel_size
        self.strides = spec.strides
        self.padding = spec.padding
        self.data_format = spec.data_format
        self.dilation_rate = spec.dilation_rate
        self.activation = keras.activations.get(activation)
        self.use_bias = boolean("use_bias", use_bias)
        self.depthwise_initializer = _initializers.get(depthwise_initializer)
        self.pointwise_initializer = keras.initializers.get(
            pointwise_initializer
        )
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.depthwise_regularizer = keras.regularizers.get(
            depthwise_regularizer
        )
        self.pointwise_regularizer = keras.regularizers.get(
            pointwise_regularizer
        )
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.depthwise_constraint = keras.constraints.get(depthwise_constraint)
        self.pointwise_constraint = keras.constraints.get(pointwise_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.implementation = kernels.check_name(implementation)
        self.depthwise_kernel: Tensor | None = None
        self.pointwise_kernel: Tensor | None = None
        self.bias: Tensor | None = None

    @property
    def _spec(self) -> ConvSpec:
        return ConvSpec(
            self.kernel_size,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )

    def _check_input(self, shape: Shape | None) -> None:
        channels = None
        if self.depthwise_kernel is not None:
            channels = int(self.depthwise_kernel.shape[-2])
        self._spec.check_input(f"Layer '{self.name}'", shape, channels)

    def build(self, input_shape: Shape | None) -> None:
        """Creates the weights; a second time, only checks the shape.

        Args:
            input_shape: The input's shape, with the channels known.

        Raises:
            ValueError: A shape that the layer cannot take.
        """
        shape = None if input_shape is None else tuple(input_shape)
        with _BUILDING:
            self._check_input(shape)
            if self.depthwise_kernel is not None:
                return
            try:
                self._add_weights(shape)
            except BaseException:
                for name in ("depthwise_kernel", "pointwise_kernel", "bias"):
                    if getattr(self, name) is not None:
                        delattr(self, name)
                        setattr(self, name, None)
                raise

    def _add_weights(self, shape: Shape | None) -> None:
        channels = shape and shape[self._spec.channel_axis]
        assert channels, "the spec refuses unknown channels"
        outputs = channels * self.depth_multiplier
        self.depthwise_kernel = self.add_weight(
            name="depthwise_kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel",
            shape=(1,) * self.rank + (outputs, self.filters),
            initializer=self.pointwise_initializer or "glorot_uniform",
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer or "zeros",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Checks the input, eager or symbolic, before anything is built."""
        if args or "inputs" in kwargs:
            inputs = args[0] if args else kwargs["inputs"]
            if not hasattr(inputs, "shape"):
                raise TypeError(
                    f"Layer '{self.name}': `inputs` must be one tensor. "
                    f"Received: inputs={inputs!r}"
                )
            self._check_input(static_shape(inputs))
        if self.built:
            return super().__call__(*args, **kwargs)
        with _BUILDING:
            return super().__call__(*args, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns `activation(separable_conv(inputs) + bias)`."""
        # Keras leaves integer inputs uncast, and weights too: those of
        # `stateless_call` under mixed precision, float64 ones under numpy.
        depthwise, pointwise, bias = (
            None
            if weight is None
            else keras.ops.cast(
                keras.ops.convert_to_tensor(weight), self.compute_dtype
            )
            for weight in (
                self.depthwise_kernel,
                self.pointwise_kernel,
                self.bias,
            )
        )
        outputs = ops.separable_conv(
            keras.ops.cast(inputs, self.compute_dtype),
            depthwise,
            pointwise,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
            implementation=self.implementation,
            bias=bias,
        )
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the output's shape; raises as a call would."""
        shape = tuple(input_shape)
        self._check_input(shape)
        return self._spec.output_shape(shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, under stock Keras's keys.

        Those that stock Keras lacks are there only where they are not default.
        """
        config = {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        for kind, serialize in (
            ("initializer", _initializers.serialize),
            ("regularizer", keras.regularizers.serialize),
            ("constraint", keras.constraints.serialize),
        ):
            for part in ("depthwise", "pointwise", "bias"):
                key = f"{part}_{kind}"
                config[key] = serialize(getattr(self, key))
        config["activity_regularizer"] = keras.regularizers.serialize(
            self.activity_regularizer
        )
        if self.implementation is not None:
            config["implementation"] = self.implementation
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "BaseSeparableConv":
        """Returns the layer of a config, of tf.keras up to 2.15 too.

        Args:
            config: From `get_config` of this layer or of the Keras one.

        Raises:
            TypeError: A config that the constructor refuses.
            ValueError: A config that asks for grouped convolution.
        """
        config = dict(config)
        groups = config.pop("groups", 1)
        if groups != 1:
            raise ValueError(
                "`groups` must be 1 or absent, because a separable convolution "
                f"has no groups. Received: groups={groups!r}"
            )
        for key in _UNUSED:
            config.pop(key, None)
        batch_shape = config.pop("batch_input_shape", None)
        dtype = config.get("dtype")
        if isinstance(dtype, dict) and dtype.get("class_name") == "Policy":
            config["dtype"] = dtype["config"]["name"]
        layer: BaseSeparableConv = super().from_config(config)
        if batch_shape is not None:
            layer.batch_input_shape = tuple(batch_shape)
        return layer

    @property
    def _input_shape_arg(self) -> None:
        """Gives an empty `keras.Sequential` its input.

        `Sequential.add` reads this attribute of its first layer and makes of it
        an input of unknown batch size and default dtype; it has no other hook
        (Keras 3.6 to 3.15). So the model that is asking, found one frame up,
        gets the full input here, and the answer is that nothing is left to do.
        """
        model = sys._getframe(1).f_locals.get("self")
        if self.batch_input_shape is not None and isinstance(
            model, keras.Sequential
        ):
            model.add(
                keras.layers.InputLayer(
                    batch_shape=self.batch_input_shape, dtype=self.compute_dtype
                )
            )

    @_input_shape_arg.setter
    def _input_shape_arg(self, shape: Any) -> None:
        # `input_shape=` in a Keras layer's constructor ends here.
        self.batch_input_shape = (None, *shape)


@keras.saving.register_keras_serializable(package="keras_sepconv")
class SeparableConv2D(BaseSeparableConv):
    """Separable convolution of images; see `BaseSeparableConv` for the rules.

    Args:
        filters: The number of output channels.
        kernel_size: A whole number, or `(height, width)`.
        strides: A whole number, or one for rows and one for columns.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"`, `"channels_first"` or `None`.
        dilation_rate: A whole number, or one for rows and one for columns.
        depth_multiplier: Depthwise filters for each input channel.
        activation: A name or a function.
        use_bias: Whether to add a bias.
        depthwise_initializer: A name (with the true fans) or an object.
        pointwise_initializer: A name or an object.
        bias_initializer: A name or an object.
        depthwise_regularizer: A name, an object or a function.
        pointwise_regularizer: A name, an object or a function.
        bias_regularizer: A name, an object or a function.
        activity_regularizer: A name, an object or a function.
        depthwise_constraint: A name, an object or a function.
        pointwise_constraint: A name, an object or a function.
        bias_constraint: A name, an object or a function.
        implementation: `None`, or a name from
            `keras_sepconv.ops.implementations()`.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, rows, cols, channels)`, or `(batch, channels, rows, cols)` if
        `data_format="channels_first"`.

    Output shape:
        `(batch, new_rows, new_cols, filters)`, or
        `(batch, filters, new_rows, new_cols)`.

    Raises:
        TypeError: An argument of the wrong type.
        ValueError: An argument with the wrong value, or an input of the wrong
            shape.

    Example:

    >>> import numpy as np
    >>> import keras_sepconv
    >>> layer = keras_sepconv.SeparableConv2D(16, 3, activation="relu")
    >>> tuple(layer(np.ones((4, 28, 28, 1), "float32")).shape)
    (4, 26, 26, 16)
    >>> [tuple(weight.shape) for weight in layer.weights]
    [(3, 3, 1, 1), (1, 1, 1, 16), (16,)]
    """

    def __init__(
        self,
        filters: Any,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        depth_multiplier: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=2,
            depth_multiplier=depth_multiplier,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
            implementation=implementation,
            **kwargs,
        )
