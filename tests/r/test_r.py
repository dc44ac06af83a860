"""A real R session drives the helpers through reticulate."""

import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np

from keras_sepconv import SeparableConv2D


def test_a_model_from_r(tmp_path):
    assert shutil.which("Rscript"), (
        "This test needs R and its package reticulate (on Debian: apt install "
        "r-base-core r-cran-reticulate)."
    )
    path = tmp_path / "model.keras"
    script = pathlib.Path(__file__).with_name("model.R")
    run = subprocess.run(
        ["Rscript", str(script), str(path)],
        env={**os.environ, "RETICULATE_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("saved"), run.stdout
    model = keras.saving.load_model(path)
    assert type(model.layers[0]) is SeparableConv2D
    assert model.input_shape == (None, 28, 28, 1)
    outputs = model.predict(np.zeros((2, 28, 28, 1), "float32"), verbose=0)
    assert outputs.shape == (2, 1, 1, 2)
