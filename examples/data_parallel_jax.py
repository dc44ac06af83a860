"""Trains on eight devices with JAX: splits the batch, then also the model.

A network of separable convolutions takes the same steps on one device, under
`keras.distribution.DataParallel` and under `ModelParallel`. The weights must be
the same at the end. The network with stock Keras's layers is compared too. JAX
splits one processor into eight devices; for real ones leave `XLA_FLAGS` out.

    python examples/data_parallel_jax.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import keras
import numpy as np

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


def train(make, distribution=None) -> list[np.ndarray]:
    """Returns the weights after some steps."""
    keras.utils.clear_session()
    keras.distribution.set_distribution(distribution)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 4)),
            make(16, 3, padding="same", activation="relu", name="first"),
            make(32, 3, strides=2, activation="relu", name="second"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(8, name="classes"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((STEPS * BATCH, 16, 16, 4), dtype="float32")
    y = rng.standard_normal((STEPS * BATCH, 8), dtype="float32")
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    weights = model.get_weights()
    keras.distribution.set_distribution(None)
    return weights


def distributions():
    """Yields a name and a distribution over all devices."""
    devices = keras.distribution.list_devices()
    yield (
        f"DataParallel, {len(devices)}",
        keras.distribution.DataParallel(devices=devices),
    )
    mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"), devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*depthwise_kernel"] = (None, None, "model", None)
    layout[".*pointwise_kernel"] = (None, None, None, "model")
    layout["classes/kernel"] = (None, "model")
    yield (
        "ModelParallel, 4 x 2",
        keras.distribution.ModelParallel(
            layout_map=layout, batch_dim_name="batch"
        ),
    )


def distance(found, expected) -> float:
    """Returns the largest difference, relative to the size of each weight."""
    return max(
        float(np.abs(a - b).max() / np.abs(b).max())
        for a, b in zip(found, expected, strict=True)
    )


def main() -> int:
    """Prints the difference of the weights from those of one device."""
    # Initializers are objects, so that both networks start with equal weights.
    fans = keras.initializers.GlorotUniform(seed=1)
    makers = {
        "keras_sepconv": keras_sepconv.SeparableConv2D,
        "stock Keras": keras.layers.SeparableConv2D,
    }
    rows = {}
    for who, layer in makers.items():

        def make(*args, layer=layer, **kwargs):
            return layer(*args, depthwise_initializer=fans, **kwargs)

        alone = train(make)
        for name, distribution in distributions():
            rows[name, who] = distance(train(make, distribution), alone)
    print(f"kernels of keras_sepconv that ran: {', '.join(sorted(ran))}")
    print(f"{'weights, off by':24}{'keras_sepconv':>16}{'stock Keras':>16}")
    for name in dict.fromkeys(name for name, _ in rows):
        print(f"{name:24}", *(f"{rows[name, who]:15.1e}" for who in makers))
    ours = [rows[key] for key in rows if key[1] == "keras_sepconv"]
    return 0 if max(ours) <= TOLERANCE and ran == {"taps"} else 1


if __name__ == "__main__":
    sys.exit(main())
