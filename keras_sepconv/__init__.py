"""Separable convolutions for Keras 3, the same on every backend."""

from keras_sepconv import _arguments
from keras_sepconv._version import __version__ as __version__

# Python imports a package before it runs the command of the package. The
# imports below import Keras, which takes seconds. So the arguments of the
# command are read here, before them: `--help` and a bad argument end the
# process at once. In all other processes this does nothing.
_arguments.answer_first()

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
from keras_sepconv.tools import (
    accelerate,
    convert_model,
    decelerate,
    initial_states,
    load_model,
    restore_model,
    streaming_model,
)

__all__ = [
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
    "accelerate",
    "convert_model",
    "decelerate",
    "initial_states",
    "load_model",
    "ops",
    "restore_model",
    "streaming_model",
]
__all__ += functional.__all__
