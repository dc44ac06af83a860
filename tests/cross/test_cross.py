"""Save under one backend, load in a fresh process under another."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

BACKENDS = ("jax", "tensorflow", "torch")

SAVE = """
import numpy as np, keras
from keras_sepconv import layer_separable_conv_2d
keras.utils.set_random_seed(0)
images = np.load("images.npy")
model = keras.Sequential()
layer_separable_conv_2d(
    model, 6, 3, padding="same", activation="relu", depth_multiplier=2,
    strides=2, input_shape=(None, None, 3),
)
x = inputs = keras.Input((None, None, 3), name="images")
x = layer_separable_conv_2d(x, 8, (3, 5), bias_initializer="random_normal")
x = keras.ops.transpose(x, (0, 3, 1, 2))
x = layer_separable_conv_2d(
    x, 6, 3, data_format="channels_first", bias_initializer="random_normal",
    padding="same", dtype="DTYPE",
)
functional = keras.Model(inputs, x)
for name, model in {"sequential": model, "functional": functional}.items():
    model.compile("adam", "mse")
    model.save(f"{name}.keras")
    np.save(f"{name}.npy", model.predict(images, verbose=0))
"""

LOAD = """
import sys, numpy as np, keras, keras_sepconv
images = np.load("images.npy")
for name in ("sequential", "functional"):
    model = keras.models.load_model(f"{name}.keras", safe_mode=True)
    found = model.predict(images, verbose=0)
    expected = np.load(f"{name}.npy")
    assert found.dtype == expected.dtype
    print(float(np.abs(found.astype("float32") - expected).max()))
"""

# What a process gets that has not imported keras_sepconv.
LOAD_WITHOUT = """
import sys, numpy as np, keras
try:
    keras.models.load_model("sequential.keras")
except TypeError as error:
    assert "keras_sepconv" in str(error), error
else:
    assert "keras_sepconv" in sys.modules, "older Keras imports the module"
model = keras.models.load_model("sequential.keras", custom_objects={
    "keras_sepconv>SeparableConv2D": keras.layers.SeparableConv2D,
})
assert type(model.layers[0]) is keras.layers.SeparableConv2D
found = model.predict(np.load("images.npy"), verbose=0)
assert np.abs(found - np.load("sequential.npy")).max() < 1e-5
"""


def run(code, backend, folder):
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [float(line) for line in done.stdout.split()]


@pytest.fixture(scope="module", params=BACKENDS)
def saved(request, tmp_path_factory):
    """A folder with models that one backend saved and predicted with."""
    folder = tmp_path_factory.mktemp(request.param)
    images = np.random.default_rng(0).standard_normal((4, 13, 12, 3))
    np.save(folder / "images.npy", images.astype("float32"))
    run(SAVE.replace("DTYPE", "float32"), request.param, folder)
    return folder


@pytest.mark.parametrize("backend", (*BACKENDS, "numpy"))
def test_predictions_agree(saved, backend):
    for difference in run(LOAD, backend, saved):
        assert difference < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_importing_keras_sepconv(saved, backend):
    run(LOAD_WITHOUT, backend, saved)


def test_a_mixed_precision_model_agrees(tmp_path):
    images = np.random.default_rng(0).standard_normal((4, 13, 12, 3))
    np.save(tmp_path / "images.npy", images.astype("float32"))
    run(SAVE.replace("DTYPE", "mixed_float16"), "jax", tmp_path)
    for backend in BACKENDS:
        for difference in run(LOAD, backend, tmp_path):
            assert difference < 0.01


def test_a_saved_file_names_this_package(saved):
    import zipfile

    with zipfile.ZipFile(saved / "sequential.keras") as archive:
        config = json.loads(archive.read("config.json"))
    layer = config["config"]["layers"][-1]
    assert layer["registered_name"] == "keras_sepconv>SeparableConv2D"
    assert layer["module"].startswith("keras_sepconv")
