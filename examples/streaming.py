"""Trains a network on sounds, and runs it step by step in other runtimes.

The sounds are words of two syllables, each with a rising or a falling tone, in
noise. A causal network hears which of the four words was said. It is trained on
whole recordings under TensorFlow. Then `streaming_model` makes it run on one
step at a time, and 1,000 steps are fed to LiteRT, in float and in int8, and to
onnxruntime. At the end there are a table and a picture:

    python examples/streaming.py
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.utils import qsv_utils
from matplotlib.figure import Figure

import keras_sepconv

RATE, HOP, SIZE = 4000, 64, 128  # A step is 16 ms.
BANDS, SYLLABLE, PAUSE = 16, 14, 8  # The last two in steps.
WORDS = ["", "up up", "up down", "down up", "down down"]
ANSWER = 16  # So many steps after a word, the network is to name it.
STEPS, WARM_UP, FED = 256, 200, 1000
MIN_ACCURACY = 0.9
COLORS = ["#084594", "#e6811c", "#4a9c5d", "#8c3f97"]

Arrays = dict[str, np.ndarray]


def syllable(rises: bool, rng: np.random.Generator) -> np.ndarray:
    """Returns a tone that rises or falls by a fifth."""
    count = SYLLABLE * HOP
    low = rng.uniform(500, 900)
    tone = np.geomspace(low, 1.5 * low, count)
    phase = np.cumsum(2 * np.pi * (tone if rises else tone[::-1]) / RATE)
    return np.sin(phase) * np.hanning(count)


def recording(
    steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the spectrum at each step, and the word that has just ended."""
    sound = rng.normal(0, 0.2, steps * HOP + SIZE)
    labels = np.zeros(steps, int)
    start = int(rng.integers(5, 30))
    while (end := start + 2 * SYLLABLE + PAUSE) + ANSWER < steps:
        word = int(rng.integers(1, 5))
        for place, rises in ((start, word < 3), (end - SYLLABLE, word % 2)):
            part = slice(place * HOP, (place + SYLLABLE) * HOP)
            sound[part] += syllable(bool(rises), rng)
        labels[end : end + ANSWER] = word
        start = end + ANSWER + int(rng.integers(5, 40))
    pieces = np.lib.stride_tricks.sliding_window_view(sound, SIZE)[::HOP]
    power = np.abs(np.fft.rfft(pieces[:steps] * np.hanning(SIZE))) ** 2
    return np.log(power[:, 12 : 12 + 2 * BANDS : 2] + 1.0), labels


def recordings(
    count: int, steps: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns several recordings and their labels."""
    rng = np.random.default_rng(seed)
    parts = [recording(steps, rng) for _ in range(count)]
    spectra, labels = zip(*parts, strict=True)
    return np.stack(spectra).astype("float32"), np.stack(labels)


def network() -> keras.Model:
    """Returns a causal network of seven separable convolutions."""
    x = inputs = keras.Input((None, BANDS), name="sound")
    x = keras.layers.Dense(32)(x)
    for rate in (1, 1, 2, 4, 8, 16, 32):
        y = keras_sepconv.SeparableConv1D(
            32, 3, padding="causal", dilation_rate=rate
        )(x)
        y = keras.layers.BatchNormalization(momentum=0.9)(y)
        x = keras.layers.Add()([x, keras.layers.ReLU()(y)])
    outputs = keras.layers.Dense(len(WORDS), activation="softmax")(x)
    return keras.Model(inputs, outputs, name="words")


def trained(epochs: int) -> keras.Model:
    """Returns a trained network that only predicts."""
    keras.utils.set_random_seed(0)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.optimizer.learning_rate = 5e-3
    spectra, labels = recordings(400, STEPS, 0)
    model.fit(spectra, labels, batch_size=16, epochs=epochs, verbose=2)
    return keras_sepconv.convert_model(model, inference=True)


def litert(path: str) -> tuple[Callable[[Arrays], Arrays], Callable[[], None]]:
    """Opens a file; returns a function of arrays in float, and the bare call.

    An int8 file has a scale and a zero point for each input and output.
    """
    runner = Interpreter(path, num_threads=1).get_signature_runner()
    taken, given = runner.get_input_details(), runner.get_output_details()

    def run(feed: Arrays) -> Arrays:
        whole = {}
        for name, array in feed.items():
            scale, zero = taken[name]["quantization"]
            if scale:
                array = np.clip(np.round(array / scale + zero), -128, 127)
            whole[name] = array.astype(taken[name]["dtype"])
        found = {}
        for name, array in runner(**whole).items():
            scale, zero = given[name]["quantization"]
            values = array.astype("float32")
            found[name] = (values - zero) * scale if scale else values
        return found

    bare = Interpreter(path, num_threads=1)
    bare.allocate_tensors()
    return run, bare.invoke


def int8(path: str, to: str, spectra: np.ndarray, states: Arrays) -> None:
    """Quantizes a step model; it is calibrated by running it."""
    run, _ = litert(path)
    maker = quantizer.Quantizer(path, recipe.static_wi8_ai8())
    ((signature, _),) = Interpreter(path).get_signature_list().items()
    feeds = []
    for step in spectra:
        feeds.append({"inputs": step[None, None], **states})
        found = run(feeds[-1])
        states = {name: found[name] for name in states}
    ranges: dict = {}
    for feed in feeds:  # One by one, for the true minimum and maximum.
        for tensor, values in maker.calibrate({signature: [feed]}).items():
            if tensor in ranges:
                values = qsv_utils.min_max_update(ranges[tensor], values)
            ranges[tensor] = values
    maker.quantize(ranges, serialize_to_path=to)


def onnx(
    step_model: keras.Model, path: str, feed: Arrays
) -> Callable[[Arrays], Arrays]:
    """Exports to ONNX, where an output needs another name than an input."""
    names = [
        f"next_{name}" if name in step_model.input else name
        for name in step_model.output
    ]
    outputs = dict(zip(names, step_model.output.values(), strict=True))
    other = keras.Model(step_model.input, outputs)
    other(feed)  # Keras exports only what was called.
    other.export(path, format="onnx", verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)

    def run(feed: Arrays) -> Arrays:
        found = session.run(sorted(names), feed)
        plain = [name.removeprefix("next_") for name in sorted(names)]
        return dict(zip(plain, found, strict=True))

    return run


def fed(
    run: Callable[[Arrays], Arrays], spectra: np.ndarray, states: Arrays
) -> np.ndarray:
    """Returns what a runtime answers at each step; it passes the states on."""
    answers = []
    for step in spectra:
        found = run({"inputs": step[None, None], **states})
        answers.append(found["outputs"][0, 0])
        states = {name: found[name] for name in states}
    return np.stack(answers)


def microseconds(call: Callable[[], object]) -> float:
    """Returns the median time of a call."""
    times = []
    for _ in range(300):
        start = time.perf_counter()
        for _ in range(10):
            call()
        times.append((time.perf_counter() - start) / 10)
    return 1e6 * float(np.median(times))


def draw(whole: np.ndarray, found: np.ndarray, path: Path) -> None:
    """Draws the answers to the whole recording, and those in int8 over them."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots()
    seconds = np.arange(len(whole)) * HOP / RATE
    for index, color in enumerate(COLORS, 1):
        axes.plot(
            *(seconds, whole[:, index]), color=color, alpha=0.35, linewidth=5
        )
        label = WORDS[index]
        axes.plot(seconds, found[:, index], color, linewidth=1, label=label)
    axes.set(xlabel="seconds", ylabel="probability of a word", ylim=(0, 1.2))
    axes.set_title("Wide: whole sequence in Keras. Thin: step by step in int8.")
    axes.legend(loc="upper right", ncols=4)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Trains, exports, feeds, prints, draws and judges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("streaming-out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = trained(options.epochs)
    step_model = keras_sepconv.streaming_model(model)
    report = step_model.streaming_report
    print(report)
    states = keras_sepconv.initial_states(step_model)

    names = ("step.tflite", "step_int8.tflite", "window.tflite", "step.onnx")
    small, tiny, large, onnx_file = (str(options.out / name) for name in names)
    step_model.export(small, format="litert", verbose=False)
    calibration, _ = recordings(1, WARM_UP, 1)
    int8(small, tiny, calibration[0], states)
    whole = keras.Input((report.window, BANDS), batch_size=1)
    window = keras.Model(whole, model(whole))
    window.export(large, format="litert", verbose=False)

    (spectra,), (labels,) = recordings(1, FED, 2)
    expected = model.predict(spectra[None], verbose=0)[0]
    in_float, call_float = litert(small)
    in_int8, call_int8 = litert(tiny)
    _, call_window = litert(large)
    feed = {"inputs": spectra[None, :1], **states}
    in_onnx = onnx(step_model, onnx_file, feed)
    runtimes = {
        "LiteRT": (in_float, call_float),
        "LiteRT int8": (in_int8, call_int8),
        "onnxruntime": (in_onnx, lambda: in_onnx(feed)),
    }
    answers = {n: fed(r, spectra, states) for n, (r, _) in runtimes.items()}
    slow = microseconds(call_window)
    print(f"\nLiteRT, the whole window again: {slow:.1f} microseconds a step")
    words = labels > 0
    right = {n: (a.argmax(-1) == labels)[words] for n, a in answers.items()}
    for name, (_, call) in runtimes.items():
        error = np.abs(answers[name] - expected).max(-1)
        print(
            f"{name}: {microseconds(call):.1f} microseconds a step; "
            f"{right[name].mean():.1%} right; off by {error[:100].max():.2g} "
            f"in the first 100 steps, {error[-100:].max():.2g} in the last"
        )
    same = (expected.argmax(-1) == labels)[words].mean()
    print(f"Keras, the whole sequence: {same:.1%} right")
    draw(expected, answers["LiteRT int8"], options.out / "streaming.png")
    print(f"The picture: {options.out / 'streaming.png'}")
    for name in ("LiteRT", "onnxruntime"):
        if not np.abs(answers[name] - expected).max() < 1e-4:
            sys.exit(f"{name} answers something else than the whole sequence.")
    if not min(part.mean() for part in right.values()) > MIN_ACCURACY:
        sys.exit(f"Expected at least {MIN_ACCURACY:.0%} right at the words.")


if __name__ == "__main__":
    main()
