"""The layers, and an initializer that is scaled for their kernels."""

from keras_sepconv.layers._initializers import DepthwiseFans
from keras_sepconv.layers.convolution import Conv1D, Conv2D, Conv3D
from keras_sepconv.layers.depthwise import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    DepthwiseConv3D,
)
from keras_sepconv.layers.separable import (
    SeparableConv1D,
    SeparableConv2D,
    SeparableConv3D,
)

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "DepthwiseFans",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
]
