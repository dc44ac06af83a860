"""Separable convolutions for Keras 3, the same on every backend."""

from keras_sepconv import ops
from keras_sepconv.functional import layer_separable_conv_2d
from keras_sepconv.layers import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)

__all__ = [
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "layer_separable_conv_2d",
    "ops",
]
