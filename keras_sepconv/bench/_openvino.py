"""Runs a network with OpenVINO in float32."""

import pathlib
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def predictor(model: Any, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Returns a function that predicts `inputs` with OpenVINO.

    Args:
        model: A model with one input and one output.
        inputs: A batch.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "model.xml"))
        with warnings.catch_warnings():
            # From torch, Keras exports with a deprecated function.
            warnings.simplefilter("ignore", DeprecationWarning)
            model.export(path, format="openvino", verbose=False)
        network = openvino.Core().read_model(path)
        network.reshape(inputs.shape)
        compiled = openvino.compile_model(
            network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
    return lambda: np.array(compiled(inputs)[0])
