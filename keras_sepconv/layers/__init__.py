"""The layers, and the initializer that fits them."""

from keras_sepconv.layers._initializers import DepthwiseFans
from keras_sepconv.layers.separable import SeparableConv2D

__all__ = ["DepthwiseFans", "SeparableConv2D"]
