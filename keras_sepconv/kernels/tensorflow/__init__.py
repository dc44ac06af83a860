"""The kernels of the TensorFlow backend.

`native` uses TensorFlow's own operations. `taps` is for functions that XLA
compiles on a CPU. Read the modules in this order:

- `native`: its steps, and its pointwise step.
- `depthwise`, `large`, `volumes`: its depthwise step, for images, for large
  kernels, for volumes.
- `taps`, `geometry`, `sums`: the other kernel.
- `frames`, `derivatives`, `sizes`: what both use.
"""

import tensorflow as tf

from keras_sepconv.kernels._kernel import Call, Kernel
from keras_sepconv.kernels.tensorflow import native, taps


def _why_not(call: Call) -> str | None:
    return None


def _is_compiled_for_a_cpu() -> bool:
    """Tells whether this code is read for a program of XLA, on a CPU."""
    # TensorFlow exports this function, but does not promise to keep it. Without
    # it `native` runs: right, but slow.
    context = getattr(tf.__internal__, "get_enclosing_xla_context", None)
    if context is None or context() is None:
        return False
    # As Keras does when it chooses `jit_compile`.
    devices = tf.config.get_visible_devices()
    return all(device.device_type == "CPU" for device in devices)


def _is_native_best() -> bool:
    return not _is_compiled_for_a_cpu()


# In a `tf.function`, AutoGraph would rewrite every function of the kernels.
# They do not need that, and it takes half the time of a first trace.
_native, _taps = map(
    tf.autograph.experimental.do_not_convert, (native.run, taps.run)
)

KERNELS = (
    Kernel("native", _why_not, _native, _is_native_best),
    Kernel("taps", _why_not, _taps, _is_compiled_for_a_cpu),
    # Keras's operations are wrong in many cases on TensorFlow. The name is kept
    # so that models that were saved with it load.
    Kernel("portable", _why_not, _native, _is_native_best),
)
