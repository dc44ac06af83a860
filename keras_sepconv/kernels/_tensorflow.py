"""TensorFlow's kernels."""

from keras_sepconv.kernels import _tensorflow_taps as taps
from keras_sepconv.kernels._kernel import Kernel

KERNELS = (Kernel("taps", taps.why_not, taps.run),)
