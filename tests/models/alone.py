"""Loads a saved model without `keras_sepconv` and predicts.

    python tests/models/alone.py NAME FILE.keras ARRAYS.npz

The batch is in a file beside the model, FILE.npy.
"""

import pathlib
import sys

import keras
import numpy as np
import subjects


def main() -> None:
    """Predicts the batch beside a model's file."""
    name, file, arrays = sys.argv[1:]
    if "keras_sepconv" in sys.modules:
        raise ImportError("`keras_sepconv` was imported before")
    sys.modules["keras_sepconv"] = None  # type: ignore[assignment]
    model = keras.models.load_model(
        file, custom_objects=subjects.own_classes(name), compile=False
    )
    inputs = np.load(pathlib.Path(file).with_suffix(".npy"))
    np.savez(arrays, *keras.tree.flatten(model.predict_on_batch(inputs)))


if __name__ == "__main__":
    main()
