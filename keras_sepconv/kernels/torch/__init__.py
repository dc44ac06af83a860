"""The kernel of the torch backend: torch's own convolutions.

Read in this order: `convolution`, `window`, `depthwise`, `gradients`.
"""

from keras_sepconv.kernels._kernel import Call, Kernel
from keras_sepconv.kernels.torch.convolution import run


def _why_not(call: Call) -> str | None:
    return None


KERNELS = (Kernel("native", _why_not, run),)
