"""The R-style helpers."""

from keras_sepconv.functional.convolution import (
    layer_conv_1d,
    layer_conv_2d,
    layer_conv_3d,
    layer_conv_lstm_2d,
)
from keras_sepconv.functional.cropping import (
    layer_cropping_1d,
    layer_cropping_2d,
    layer_cropping_3d,
)
from keras_sepconv.functional.depthwise import (
    layer_depthwise_conv_1d,
    layer_depthwise_conv_2d,
    layer_depthwise_conv_3d,
)
from keras_sepconv.functional.model import (
    keras_model_sequential,
    layer_input,
)
from keras_sepconv.functional.separable import (
    layer_separable_conv_1d,
    layer_separable_conv_2d,
    layer_separable_conv_3d,
)
from keras_sepconv.functional.transposed import (
    layer_conv_1d_transpose,
    layer_conv_2d_transpose,
    layer_conv_3d_transpose,
)
from keras_sepconv.functional.upsampling import (
    layer_upsampling_1d,
    layer_upsampling_2d,
    layer_upsampling_3d,
)
from keras_sepconv.functional.zero_padding import (
    layer_zero_padding_1d,
    layer_zero_padding_2d,
    layer_zero_padding_3d,
)

__all__ = [
    "keras_model_sequential",
    "layer_conv_1d",
    "layer_conv_1d_transpose",
    "layer_conv_2d",
    "layer_conv_2d_transpose",
    "layer_conv_3d",
    "layer_conv_3d_transpose",
    "layer_conv_lstm_2d",
    "layer_cropping_1d",
    "layer_cropping_2d",
    "layer_cropping_3d",
    "layer_depthwise_conv_1d",
    "layer_depthwise_conv_2d",
    "layer_depthwise_conv_3d",
    "layer_input",
    "layer_separable_conv_1d",
    "layer_separable_conv_2d",
    "layer_separable_conv_3d",
    "layer_upsampling_1d",
    "layer_upsampling_2d",
    "layer_upsampling_3d",
    "layer_zero_padding_1d",
    "layer_zero_padding_2d",
    "layer_zero_padding_3d",
]
