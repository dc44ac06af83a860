"""Saves under one backend and loads in a new process under another."""

import concurrent.futures
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

BACKENDS = ("jax", "tensorflow", "torch")
LOADERS = (*BACKENDS, "numpy")
NAMES = ("sequential", "functional", "mixed")

SAVE = """
import numpy as np, keras
from keras_sepconv import layer_separable_conv_2d
keras.utils.set_random_seed(0)
images = np.load("images.npy")

def functional(dtype):
    x = inputs = keras.Input((None, None, 3), name="images")
    x = layer_separable_conv_2d(x, 8, (3, 5), bias_initializer="random_normal")
    x = keras.ops.transpose(x, (0, 3, 1, 2))
    x = layer_separable_conv_2d(
        x, 6, 3, data_format="channels_first", padding="same", dtype=dtype,
        bias_initializer="random_normal",
    )
    return keras.Model(inputs, x)

sequential = layer_separable_conv_2d(
    keras.Sequential(), 6, 3, padding="same", activation="relu",
    depth_multiplier=2, strides=2, input_shape=(None, None, 3),
)
for name, model in {
    "sequential": sequential,
    "functional": functional("float32"),
    "mixed": functional("mixed_float16"),
}.items():
    model.compile("adam", "mse")
    name = f"{keras.backend.backend()}_{name}"
    model.save(f"{name}.keras")
    np.save(f"{name}.npy", model.predict(images, verbose=0))
"""

LOAD = """
import glob, json, numpy as np, keras, keras_sepconv
images = np.load("images.npy")
differences = {}
for path in sorted(glob.glob("*.keras")):
    name = path.removesuffix(".keras")
    model = keras.models.load_model(path, safe_mode=True)
    found = model.predict(images, verbose=0)
    expected = np.load(f"{name}.npy")
    assert found.dtype == expected.dtype
    difference = found.astype("float32") - expected.astype("float32")
    differences[name] = float(abs(difference).max())
print(json.dumps(differences))
"""

# The error in a process that has not imported keras_sepconv.
LOAD_WITHOUT = """
import json, sys, numpy as np, keras
try:
    keras.models.load_model("jax_sequential.keras")
except TypeError as error:
    assert "keras_sepconv>SeparableConv2D" in str(error), error
    assert "keras_sepconv" not in sys.modules
else:
    assert "keras_sepconv" in sys.modules, "older Keras imports the module"
model = keras.models.load_model("jax_sequential.keras", custom_objects={
    "keras_sepconv>SeparableConv2D": keras.layers.SeparableConv2D,
})
found = model.predict(np.load("images.npy"), verbose=0)
difference = float(abs(found - np.load("jax_sequential.npy")).max())
print(json.dumps([type(model.layers[0]).__module__, difference]))
"""


def run(code, backend, folder):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def in_parallel(code, backends, folder):
    """Returns what the code prints under each backend; two run at a time."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        printed = pool.map(lambda backend: run(code, backend, folder), backends)
        return dict(zip(backends, printed, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with models that each backend saved, and their predictions."""
    folder = tmp_path_factory.mktemp("saved")
    images = np.random.default_rng(0).standard_normal((4, 13, 12, 3))
    np.save(folder / "images.npy", images.astype("float32"))
    in_parallel(SAVE, BACKENDS, folder)
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    """What each backend finds, without this package at first, then with it."""
    printed = in_parallel(LOAD_WITHOUT + LOAD, LOADERS, folder)
    return {
        backend: [json.loads(line) for line in lines.splitlines()]
        for backend, lines in printed.items()
    }


@pytest.mark.parametrize("backend", LOADERS)
def test_predictions_agree(loaded, backend):
    differences = loaded[backend][1]
    assert set(differences) == {
        f"{saver}_{name}" for saver in BACKENDS for name in NAMES
    }
    for name, difference in differences.items():
        # Half precision has three digits.
        assert difference < (0.01 if "mixed" in name else 1e-5), name


@pytest.mark.parametrize("backend", LOADERS)
def test_without_importing_keras_sepconv(loaded, backend):
    module, difference = loaded[backend][0]
    assert module.startswith("keras.")
    assert difference < 1e-5


def test_a_saved_file_names_this_package(folder):
    with zipfile.ZipFile(folder / "jax_sequential.keras") as archive:
        config = json.loads(archive.read("config.json"))
    layer = config["config"]["layers"][-1]
    assert layer["registered_name"] == "keras_sepconv>SeparableConv2D"
    assert layer["module"].startswith("keras_sepconv")
