"""A real R session drives the helpers through reticulate."""

import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
from pages import DOCS, blocks

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


def test_the_page_runs_in_r(tmp_path):
    """Runs all R code of docs/r.md in one session."""
    code = "".join(
        block.text
        for block in blocks((DOCS / "r.md").read_text())
        if block.language == "r"
    )
    assert "layer_separable_conv_2d" in code
    # The page has to name the backend itself.
    without_backend = {**os.environ}
    without_backend.pop("KERAS_BACKEND", None)
    script = tmp_path / "page.R"
    script.write_text(code.replace("path/to/python", sys.executable))
    run = subprocess.run(
        ["Rscript", str(script)],
        env={**without_backend, "RETICULATE_PYTHON": sys.executable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.output_shape == (None, 1, 1, 10)
