"""How much memory a prediction takes, with and without copies.

    python tests/long/copies.py

This prints, for each backend, how many MiB more memory a process uses at its
peak while a network predicts one batch: with a depth multiplier, and with
copies of the input instead. Each number comes from a new process.
"""

import os
import pathlib
import subprocess
import sys
from typing import Any

BACKENDS = ("tensorflow", "torch", "jax", "numpy")
NETWORKS = ("2", "4", "8", "EEGNet")


def network(name: str) -> tuple[Any, tuple[int, ...]]:
    """Returns a network, and the shape of a batch."""
    import keras

    layers = keras.layers
    if name == "EEGNet":
        # 64 electrodes and 128 samples. In EEGNet itself a separable layer
        # reads the depthwise one, and so copies are not possible.
        return keras.Sequential(
            [
                keras.Input((64, 128, 1)),
                layers.Conv2D(8, (1, 64), padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.DepthwiseConv2D(
                    (64, 1), depth_multiplier=2, use_bias=False
                ),
                layers.BatchNormalization(),
                layers.Activation("elu"),
                layers.AveragePooling2D((1, 4)),
                layers.Conv2D(16, (1, 16), padding="same"),
            ]
        ), (128, 64, 128, 1)
    model = keras.Sequential([keras.Input((128, 128, 16))])
    for _ in range(2):
        model.add(
            layers.SeparableConv2D(
                32, 3, padding="same", depth_multiplier=int(name)
            )
        )
    return model, (8, 128, 128, 16)


def peak(name: str, copies: bool) -> float:
    """Returns the peak of this process's memory in a prediction, in MiB."""
    import numpy as np

    import keras_sepconv

    model, shape = network(name)
    model = keras_sepconv.convert_model(
        model, inference=True, copies=copies, verify=False
    )
    batch = np.zeros(shape, "float32")
    status = pathlib.Path("/proc/self/status")

    def mebibytes(key: str) -> float:
        (line,) = (
            line
            for line in status.read_text().split("\n")
            if line.startswith(key)
        )
        return int(line.split()[1]) / 1024

    before = mebibytes("VmRSS")
    # This resets the peak.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    for _ in range(2):
        model.predict_on_batch(batch)
    return mebibytes("VmHWM") - before


def main() -> None:
    """Prints the table."""
    print("| network |", " | ".join(BACKENDS), "|")
    for name in NETWORKS:
        cells = []
        for backend in BACKENDS:
            found = []
            for copies in ("", "copies"):
                run = subprocess.run(
                    [sys.executable, __file__, name, copies],
                    env={**os.environ, "KERAS_BACKEND": backend},
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                found.append(round(float(run.stdout.split()[-1])))
            cells.append(f"{found[0]}, copies {found[1]}")
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(peak(sys.argv[1], bool(sys.argv[2])))
    else:
        main()
