"""int8 in three runtimes: what equalization keeps, and what copies cost.

    KERAS_BACKEND=tensorflow python tests/long/int8.py

This trains a network on scikit-learn's handwritten digits. Then it makes the
ranges of the channels differ by powers of ten, without changing what the
network computes. It prints the accuracy in float, and in int8 with and without
equalization. Then it prints the time of one image, with a depth multiplier and
with copies.
"""

import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import nncf
import numpy as np
import onnxruntime
import openvino
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.utils import qsv_utils
from onnxruntime import quantization
from sklearn.datasets import load_digits

import keras_sepconv

L = keras.layers
EPOCHS, CALIBRATION, SECONDS = 30, 200, 3.0


class Quantized(NamedTuple):
    """A model in int8: scores of one image, and the same call again."""

    scores: Callable[[np.ndarray], np.ndarray]
    again: Callable[[], object]


def litert(model: keras.Model, images: np.ndarray, path: str) -> Quantized:
    """Quantizes by ai-edge-quantizer, with the true minimum and maximum."""
    model.export(f"{path}.tflite", format="litert", verbose=False)
    signatures = Interpreter(f"{path}.tflite").get_signature_list()
    ((signature, ends),) = signatures.items()
    (name,) = ends["inputs"]
    maker = quantizer.Quantizer(f"{path}.tflite", recipe.static_wi8_ai8())
    ranges: dict = {}
    for image in images:
        found = maker.calibrate({signature: [{name: image[None]}]})
        for tensor, values in found.items():
            if tensor in ranges:
                values = qsv_utils.min_max_update(ranges[tensor], values)
            ranges[tensor] = values
    maker.quantize(ranges, serialize_to_path=f"{path}_int8.tflite")
    interpreter = Interpreter(f"{path}_int8.tflite", num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    (made,) = interpreter.get_output_details()
    scale, zero = given["quantization"]

    def scores(image: np.ndarray) -> np.ndarray:
        whole = np.clip(np.round(image / scale + zero), -128, 127)
        interpreter.set_tensor(given["index"], whole.astype("int8"))
        interpreter.invoke()
        return interpreter.get_tensor(made["index"])

    return Quantized(scores, interpreter.invoke)


def onnx(model: keras.Model, images: np.ndarray, path: str) -> Quantized:
    """Quantizes by onnxruntime, in the QDQ format."""
    model.export(f"{path}.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(f"{path}.onnx")
    (name,) = (given.name for given in session.get_inputs())

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict | None:
            image = next(self.images, None)
            return None if image is None else {name: image[None]}

    quantization.quantize_static(
        f"{path}.onnx",
        f"{path}_int8.onnx",
        Images(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(f"{path}_int8.onnx", options)
    feed = {name: images[:1]}
    return Quantized(
        lambda image: session.run(None, {name: image})[0],
        lambda: session.run(None, feed),
    )


def openvino_nncf(
    model: keras.Model, images: np.ndarray, path: str
) -> Quantized:
    """Quantizes by NNCF, for a batch of one."""
    model.export(f"{path}.xml", format="openvino", verbose=False)
    written = openvino.Core().read_model(f"{path}.xml")
    written.reshape([1, *images.shape[1:]])
    dataset = nncf.Dataset([image[None] for image in images])
    compiled = openvino.compile_model(
        nncf.quantize(written, dataset, subset_size=len(images)),
        "CPU",
        {"INFERENCE_NUM_THREADS": 1},
    )
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(images[:1].copy()))
    return Quantized(lambda image: compiled([image])[0], request.infer)


RUNTIMES = {"LiteRT": litert, "onnxruntime": onnx, "OpenVINO": openvino_nncf}


def quantized(
    runtime: str, model: keras.Model, images: np.ndarray
) -> Quantized:
    """Returns a model in int8, from files in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "model")
        return RUNTIMES[runtime](model, images, path)


def trained() -> tuple[keras.Model, np.ndarray, np.ndarray, np.ndarray]:
    """Returns a network, images to calibrate with, and a test set."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype("float32")
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], digits.target[order]
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(16, 3, padding="same", activation="relu"),
            L.DepthwiseConv2D(3, padding="same", use_bias=False),
            L.BatchNormalization(momentum=0.9),
            L.ReLU(),
            L.Conv2D(32, 1),
            L.BatchNormalization(momentum=0.9),
            L.ReLU(),
            L.SeparableConv2D(64, 3, padding="same", activation="relu"),
            L.Flatten(),
            L.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(images[:1200], labels[:1200], 32, EPOCHS, verbose=0)
    return model, images[:CALIBRATION], images[1200:], labels[1200:]


def spread(model: keras.Model) -> None:
    """Makes channels differ in range by powers of ten, and the next undo it.

    So do the channels after the depthwise layer, and those between the two
    steps of the separable layer.
    """
    rng = np.random.default_rng(1)
    norm, pointwise, separable = (model.layers[i] for i in (2, 4, 7))
    factors = 10.0 ** rng.integers(-2, 3, norm.gamma.shape[0])
    norm.gamma.assign(norm.gamma.numpy() * factors)
    norm.beta.assign(norm.beta.numpy() * factors)
    pointwise.kernel.assign(pointwise.kernel.numpy() / factors[:, None])
    kernel, rows = separable.depthwise_kernel, separable.pointwise_kernel
    factors = 10.0 ** rng.integers(-2, 3, kernel.shape[2])
    kernel.assign(kernel.numpy() * factors[:, None])
    rows.assign(rows.numpy() / factors[:, None])


def print_accuracy() -> None:
    """Prints how many digits each runtime reads."""
    model, some, images, labels = trained()

    def percent(scores: Callable[[np.ndarray], np.ndarray]) -> str:
        found = [scores(image[None]).argmax() for image in images]
        return f"{100 * np.mean(found == labels):.1f} %"

    for name in ("as trained", "spread"):
        if name == "spread":
            spread(model)
        print(f"{name}, float: {percent(model.predict_on_batch)}")
        for equalize in (False, True):
            small = keras_sepconv.convert_model(
                model, inference=True, equalize=equalize
            )
            for runtime in RUNTIMES:
                found = percent(quantized(runtime, small, some).scores)
                print(f"{name}, {runtime}, {equalize=}: {found}", flush=True)


def print_times() -> None:
    """Prints the best time of one image of 32x32, in microseconds."""
    images = np.random.default_rng(0).random((20, 32, 32, 16), "float32")
    model = keras.Sequential([keras.Input(images.shape[1:])])
    for _ in range(2):
        model.add(L.SeparableConv2D(32, 3, padding="same", depth_multiplier=2))
    for runtime in RUNTIMES:
        for copies in (False, True):
            small = keras_sepconv.convert_model(
                model, inference=True, copies=copies
            )
            run = quantized(runtime, small, images).again
            end, best = time.perf_counter() + SECONDS, float("inf")
            while (start := time.perf_counter()) < end:
                run()
                best = min(best, time.perf_counter() - start)
            print(f"{runtime}, {copies=}: {1e6 * best:.0f} us", flush=True)


if __name__ == "__main__":
    print_accuracy()
    print_times()
