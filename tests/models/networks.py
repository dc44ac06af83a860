"""Times the networks of `keras.applications` as the benchmark times a model.

    KERAS_BACKEND=torch python tests/models/networks.py --seconds 3 --json FILE

The options are --seconds, --json, --case, --plot, --jit-compile and
--implementation of `python -m keras_sepconv bench`. The networks have random
weights, and run with 8 images and with 1. If OpenVINO is installed, it runs the
stock network in float32; Keras exports to it from TensorFlow and torch.
"""

import argparse
import datetime
import fnmatch
import functools
import importlib.util
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from rich.console import Console
from weights import give_signal

from keras_sepconv import _arguments
from keras_sepconv.bench import networks, report, results
from keras_sepconv.bench.measure import Contest, Task, machine, measure

SUITE = "applications"
# The networks by the sides of their images.
SIDES = {
    "MobileNet": 224,
    "MobileNetV2": 224,
    "MobileNetV3Small": 224,
    "EfficientNetB0": 224,
    "EfficientNetV2B0": 224,
    "Xception": 299,
    "NASNetMobile": 224,
    "ConvNeXtTiny": 224,
}


def tasks() -> list[Task]:
    """Returns all networks that the active backend can build."""
    found = []
    for network, side in SIDES.items():
        if network == "NASNetMobile" and keras.backend.backend() == "torch":
            continue  # Keras cannot build it there.
        for batch in (8, 1):
            name = f"{network.lower()}_b{batch}"
            prepare = functools.partial(contest, name, network, batch)
            text = f"{network} {batch}x{side}x{side}x3"
            found.append(Task(name, text, SUITE, prepare))
    return found


def contest(
    name: str, network: str, batch: int, options: argparse.Namespace
) -> Contest:
    """Prepares a network; with OpenVINO, if it is installed."""
    shape = (SIDES[network], SIDES[network], 3)

    def load() -> Any:
        make = getattr(keras.applications, network)
        model = make(weights=None, input_shape=shape)
        give_signal(model)
        model.compile(
            keras.optimizers.SGD(0.01),
            "categorical_crossentropy",
            jit_compile=options.jit_compile or "auto",
        )
        return model

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((batch, *shape), dtype="float32")
    made = networks.prepare(name, load, inputs, options)
    exports = keras.backend.backend() in ("tensorflow", "torch")
    if exports and importlib.util.find_spec("openvino"):
        made.runs["forward"]["openvino"] = predictor(load(), inputs)
    return made


def predictor(model: Any, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Returns a function that predicts `inputs` with OpenVINO.

    Raises:
        ValueError: OpenVINO predicts something else.
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
        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.compile_model(network, "CPU", hint)
    expected = np.asarray(model.predict_on_batch(inputs))
    if not np.allclose(compiled(inputs)[0], expected, 1e-2, 1e-4):
        raise ValueError("OpenVINO predicts something else")
    return lambda: np.array(compiled(inputs)[0])


def main(words: list[str]) -> int:
    """Measures, prints and writes; returns the exit code."""
    options = _arguments.parse(["bench", *words])
    options.seconds = options.seconds or 2.0
    patterns = options.case or ["*"]
    chosen = [
        task
        for task in tasks()
        if any(fnmatch.fnmatchcase(task.name, one) for one in patterns)
    ]
    now = datetime.datetime.now(datetime.UTC)
    result = results.rounded(
        {
            "date": now.strftime("%Y-%m-%d %H:%M UTC"),
            "machine": machine(),
            "backends": [measure(chosen, options)],
        }
    )
    if options.json is not None:
        results.save(result, options.json)
    report.report(Console(), result)
    if options.plot is not None:
        report.plot(result, options.plot)
    (backend,) = result["backends"]
    return int(any(case["wrong"] for case in backend["cases"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
