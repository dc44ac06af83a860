"""The R-style helpers."""

from keras_sepconv.functional.convolution import layer_separable_conv_2d

__all__ = ["layer_separable_conv_2d"]
