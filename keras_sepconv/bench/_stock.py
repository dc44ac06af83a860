"""The layers of stock Keras for each case."""

from typing import Any

import keras

from keras_sepconv._spec import Shape, Tensor
from keras_sepconv.bench.cases import Case


def layer(case: Case) -> Any:
    """Returns the layer of Keras, or what users run if there is none."""
    options = {**case.arguments(), **case.options()}
    if len(case.sizes) == 3:
        return GroupedSeparableConv3D(case)
    if case.padding == "causal":
        return CausalSeparableConv1D(**options | {"padding": "valid"})
    return getattr(keras.layers, f"SeparableConv{len(case.sizes)}D")(**options)


class CausalSeparableConv1D(keras.layers.SeparableConv1D):  # type: ignore[misc]
    """Pads the input itself: in Keras 3 this layer has no causal padding."""

    def call(self, inputs: Tensor) -> Tensor:
        zeros = (self.kernel_size[0] - 1) * self.dilation_rate[0]
        return super().call(keras.ops.pad(inputs, ((0, 0), (zeros, 0), (0, 0))))


class GroupedSeparableConv3D(keras.layers.Layer):  # type: ignore[misc]
    """`Conv3D(groups=channels)`, then a 1x1x1 `Conv3D`.

    It has the weights of a separable layer, so that both train the same.
    """

    def __init__(self, case: Case) -> None:
        super().__init__()
        self._case = case

    def build(self, input_shape: Shape) -> None:
        """Makes the weights."""
        for name, shape in (
            ("depthwise_kernel", self._case.depthwise_shape),
            ("pointwise_kernel", self._case.pointwise_shape),
            ("bias", (self._case.filters,)),
        ):
            setattr(self, name, self.add_weight(name=name, shape=shape))

    def call(self, inputs: Tensor) -> Tensor:
        kernel = keras.ops.reshape(
            self.depthwise_kernel, (*self._case.kernel_size, 1, -1)
        )
        options = self._case.options()
        between = keras.ops.conv(inputs, kernel, **options)
        outputs = keras.ops.conv(
            between, self.pointwise_kernel, data_format=options["data_format"]
        )
        return keras.ops.add(outputs, self.bias)
