"""What the separable and depthwise layers of every rank share."""

import threading
from typing import Any, ClassVar

import keras

from keras_sepconv import kernels
from keras_sepconv._spec import (
    ConvSpec,
    Shape,
    Tensor,
    boolean,
    check_weights_dtype,
    integer,
    integers,
    padding,
    shown,
    static_shape,
)
from keras_sepconv.layers import _around, _call, _initializers
from keras_sepconv.layers._first_input import FirstInput

# If several threads make a layer's first call at once, Keras lets each of them
# build it. The lock is one for all layers, because a layer with a lock of its
# own could not be copied or pickled.
_BUILDING = threading.RLock()

# What Keras does around a layer's `call`.
_AROUND = keras.layers.Layer.__call__

# tf.keras up to 2.15 saved these keys for layers that inherited them from the
# dense convolution but did not use them.
_UNUSED = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")


class BaseConv(FirstInput, keras.layers.Layer):  # type: ignore[misc]
    """A layer whose first step is a depthwise convolution.

    Args:
        rank: The number of spatial axes.
        options: The arguments of the constructor, by name.
        **kwargs: The arguments of every `keras.layers.Layer`.
    """

    # The attribute of each weight, by the prefix of its options.
    _attributes: ClassVar[dict[str, str]]
    # The attributes of all weights.
    _weight_names: ClassVar[tuple[str, ...]]

    def __init__(
        self, rank: int, options: dict[str, Any], **kwargs: Any
    ) -> None:
        # The input shape that the helpers give to an empty Sequential.
        self.batch_input_shape: Shape | None = None
        # Not `super()`: it may be the Keras layer of the same name. Ours is
        # derived from it, but runs none of its code.
        keras.layers.Layer.__init__(
            self,
            activity_regularizer=keras.regularizers.get(
                options["activity_regularizer"]
            ),
            **kwargs,
        )
        check_weights_dtype(kwargs.get("dtype"), self.variable_dtype)
        self.rank = rank
        spec = ConvSpec.normalise(
            integers("kernel_size", options["kernel_size"], rank),
            options["strides"],
            options["padding"],
            options["data_format"],
            options["dilation_rate"],
        )
        spec.refuse_strides_with_dilation()
        self.kernel_size = spec.kernel_size
        self.strides = spec.strides
        self.padding = padding(options["padding"], rank)
        self.data_format = spec.data_format
        self.dilation_rate = spec.dilation_rate
        self.depth_multiplier = integer(
            "depth_multiplier", options["depth_multiplier"]
        )
        self.activation = keras.activations.get(options["activation"])
        self.use_bias = boolean("use_bias", options["use_bias"])
        for part, attribute in self._attributes.items():
            initializer = (
                _initializers if part == "depthwise" else keras.initializers
            )
            for kind, get in (
                ("initializer", initializer.get),
                ("regularizer", keras.regularizers.get),
                ("constraint", keras.constraints.get),
            ):
                setattr(self, f"{part}_{kind}", get(options[f"{part}_{kind}"]))
            setattr(self, attribute, None)
        self.implementation = kernels.check_name(options["implementation"])

    def _weight_shapes(self, channels: int) -> dict[str, Shape]:
        """Returns the shape of each weight, for a number of input channels."""
        return {
            "depthwise": (*self.kernel_size, channels, self.depth_multiplier),
            "bias": (self._output_channels(channels),),
        }

    def _output_channels(self, channels: int) -> int:
        """Returns the output channels, for a number of input channels."""
        raise NotImplementedError

    @property
    def _spec(self) -> ConvSpec:
        return ConvSpec.normalise(
            self.kernel_size,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )

    def _check_input(self, shape: Shape | None) -> Shape:
        channels = None
        kernel = getattr(self, self._attributes["depthwise"])
        if kernel is not None:
            channels = int(kernel.shape[-2])
        who = f"Layer '{self.name}'"
        return self._spec.check_input(who, shape, channels)

    def build(self, input_shape: Shape | None) -> None:
        """Creates the weights. A second call only checks the shape.

        Args:
            input_shape: The shape of the input. The first call needs the number
                of channels.

        Raises:
            ValueError: The layer does not support the shape.
        """
        given = None if input_shape is None else tuple(input_shape)
        with _BUILDING:
            shape = self._check_input(given)
            if getattr(self, self._attributes["depthwise"]) is not None:
                return
            try:
                self._add_weights(shape)
            except BaseException:
                for attribute in self._weight_names:
                    if getattr(self, attribute) is not None:
                        delattr(self, attribute)
                        setattr(self, attribute, None)
                raise

    def _add_weights(self, shape: Shape) -> None:
        channels = shape[self._spec.channel_axis]
        assert channels, "the spec refuses unknown channels"
        shapes = self._weight_shapes(channels)
        for part, attribute in self._attributes.items():
            if part == "bias" and not self.use_bias:
                continue
            default = "zeros" if part == "bias" else "glorot_uniform"
            weight = self.add_weight(
                name=attribute,
                shape=shapes[part],
                initializer=getattr(self, f"{part}_initializer") or default,
                regularizer=getattr(self, f"{part}_regularizer"),
                constraint=getattr(self, f"{part}_constraint"),
            )
            setattr(self, attribute, weight)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Checks the input before building anything, eager or symbolic."""
        if len(args) == 1 and not kwargs and self._is_bare(args[0]):
            try:
                return super(keras.layers.Layer, self).__call__(*args)
            except Exception:
                self._check_input(static_shape(args[0]))
                raise
        if args or "inputs" in kwargs:
            inputs = args[0] if args else kwargs["inputs"]
            if not hasattr(inputs, "shape"):
                raise TypeError(
                    f"Layer '{self.name}': `inputs` must be one tensor. "
                    f"Received: inputs={shown(inputs)}"
                )
            self._check_input(static_shape(inputs))
        if self.built:
            return super().__call__(*args, **kwargs)
        with _BUILDING:
            return super().__call__(*args, **kwargs)

    def _is_bare(self, inputs: Tensor) -> bool:
        kernel = getattr(self, self._attributes["depthwise"])
        is_plain = (
            type(self).call is BaseConv.call
            and super().__call__.__func__ is _AROUND
        )
        return is_plain and _around.is_bare(self, kernel, inputs)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns `activation(convolution(inputs) + bias)`."""
        return _call.call(self, inputs, self.implementation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the output's shape; raises the errors that a call raises."""
        shape = self._check_input(tuple(input_shape))
        channels = shape[self._spec.channel_axis]
        assert channels, "the spec refuses unknown channels"
        return self._spec.output_shape(shape, self._output_channels(channels))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, under stock Keras's keys.

        Arguments that stock Keras lacks are left out at their defaults.
        """
        config = {
            **keras.layers.Layer.get_config(self),
            "depth_multiplier": self.depth_multiplier,
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
            for part in self._attributes:
                key = f"{part}_{kind}"
                config[key] = serialize(getattr(self, key))
        config["activity_regularizer"] = keras.regularizers.serialize(
            self.activity_regularizer
        )
        if self.implementation is not None:
            config["implementation"] = self.implementation
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "BaseConv":
        """Returns the layer that a config describes.

        Args:
            config: From `get_config` of this layer or of the Keras layer of the
                same name, including tf.keras up to 2.15.

        Raises:
            TypeError: The constructor refuses an argument.
            ValueError: The config has `groups`, or a wrong value.
        """
        config = dict(config)
        groups = config.pop("groups", 1)
        if groups != 1:
            raise ValueError(
                f"`groups` must be 1 or absent, because {cls.__name__} has no "
                f"groups. Received: groups={shown(groups)}"
            )
        for key in _UNUSED:
            config.pop(key, None)
        batch_shape = config.pop("batch_input_shape", None)
        dtype = config.get("dtype")
        if isinstance(dtype, dict) and dtype.get("class_name") == "Policy":
            config["dtype"] = dtype["config"]["name"]
        layer: BaseConv = super().from_config(config)
        if batch_shape is not None:
            layer.batch_input_shape = tuple(batch_shape)
        return layer
