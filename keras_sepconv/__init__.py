"""Separable convolutions for Keras 3, the same on every backend."""

from keras_sepconv import functional, ops
from keras_sepconv.functional import *  # noqa: F403
from keras_sepconv.layers import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    DepthwiseConv3D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConv3D,
)

__all__ = [
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
    "ops",
]
__all__ += functional.__all__
