"""Measures the growth of memory in training and predictions.

    KERAS_BACKEND=torch python tests/long/memory.py

This trains for 2000 steps, with predictions of several sizes. It prints how
much the resident memory grows from the 200th to the 2000th step, in MiB, with
our layers and with those of stock Keras, each in a new process. The exit code
is 1 if ours grows by 16 MiB more than stock Keras.
"""

import gc
import os
import subprocess
import sys

STEPS, FROM, ALLOWED = 2000, 200, 16


def resident() -> float:
    """Returns the resident memory of this process in MiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth(who: str) -> float:
    """Returns how much this process grows."""
    import keras
    import numpy as np

    import keras_sepconv

    home = keras_sepconv if who == "ours" else keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, None, 8)),
            home.SeparableConv2D(32, 3, padding="same", activation="relu"),
            home.DepthwiseConv2D(3, strides=2),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(8),
        ]
    )
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    y = rng.random((4, 8), dtype="float32")
    # Only a few sizes: JAX compiles each one and keeps the result.
    images = [
        rng.random((4, side, side + 3, 8), dtype="float32")
        for side in (24, 29, 33)
    ]
    start = 0.0
    for step in range(STEPS):
        image = images[step % len(images)]
        model.train_on_batch(image, y)
        if step % 4 == 0:
            model.predict_on_batch(image)
        if step == FROM:
            start = resident()
    return resident() - start


def main() -> int:
    """Prints both; each runs in a new process."""
    grown = {}
    for who in ("stock", "ours"):
        run = subprocess.run(
            [sys.executable, __file__, who],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        grown[who] = float(run.stdout.split()[-1])
        print(f"{who}: {grown[who]:+.1f} MiB from step {FROM} to {STEPS}")
    return 0 if grown["ours"] <= max(grown["stock"], 0) + ALLOWED else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(growth(sys.argv[1]))
    else:
        sys.exit(main())
