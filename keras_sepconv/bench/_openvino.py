"""OpenVINO with the same network, in float32."""

import pathlib
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def predictor(model: Any, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Returns what predicts `inputs` as OpenVINO compiles a model.

    Args:
        model: A model with one input and one output.
        inputs: A batch.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "model.xml"))
        with warnings.catch_warnings():
            # Keras exports from torch by what torch calls deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            model.export(path, format="openvino", verbose=False)
        network = openvino.Core().read_model(path)
        network.reshape(inputs.shape)
        compiled = openvino.compile_model(
            network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
    return lambda: np.array(compiled(inputs)[0])
