"""Trains on two devices with TensorFlow's `MirroredStrategy`.

A network of separable convolutions takes the same steps on one device and on
two. The weights must be the same at the end. One processor is split into two
devices; on a machine with several GPUs leave out
`set_logical_device_configuration` and the list of devices.

    python examples/mirrored_tensorflow.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_sepconv
from keras_sepconv import kernels

STEPS, BATCH = 5, 16
# float32 has seven digits; a few steps of a small network lose some of them.
TOLERANCE = 1e-5

ran: set[str] = set()
choose = kernels.choose


def spy(call, implementation=None):
    kernel = choose(call, implementation)
    ran.add(kernel.name)
    return kernel


kernels.choose = spy


def train(strategy) -> list[np.ndarray]:
    """Returns the weights after some steps."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.Input((16, 16, 4)),
                keras_sepconv.SeparableConv2D(
                    16, 3, padding="same", activation="relu"
                ),
                keras_sepconv.SeparableConv2D(
                    32, 3, strides=2, activation="relu"
                ),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(8),
            ]
        )
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((STEPS * BATCH, 16, 16, 4), dtype="float32")
    y = rng.standard_normal((STEPS * BATCH, 8), dtype="float32")
    # The size of the whole batch; each device gets a part.
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    model.fit(data, shuffle=False, verbose=0)
    return model.get_weights()


def main() -> int:
    """Prints the difference of the weights from those of one device."""
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    alone = train(tf.distribute.OneDeviceStrategy("CPU:0"))
    mirrored = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    far = max(
        float(np.abs(a - b).max() / np.abs(b).max())
        for a, b in zip(mirrored, alone, strict=True)
    )
    print(f"kernels of keras_sepconv that ran: {', '.join(sorted(ran))}")
    print(f"MirroredStrategy, 2: weights off by {far:.1e}")
    return 0 if far <= TOLERANCE and ran == {"native"} else 1


if __name__ == "__main__":
    sys.exit(main())
