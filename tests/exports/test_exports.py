"""Runs each exported file in the runtime of its format."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from backends import BACKEND
from cells import CELLS, CELLS_OF_OURS, Cell, run
from formats import FORMATS
from pages import DOCS, blocks
from subjects import OPERATIONS, Subject

import keras_sepconv

# The warnings of exporters do not matter here.
pytestmark = pytest.mark.filterwarnings("ignore")

# Known errors of Keras or of its converters, which happen with any layer or
# with an example that is too small: patterns of cells and of the messages.
CANNOT = {
    ("jax", "tf_saved_model"): {r"unknown_.*stride": "tracing gradients"},
    ("jax", "onnx"): {
        r"unknown_.*_same_stride": "InconclusiveDimensionOperation",
        r".*_3d.*": "Unsupported conv layouts",
    },
    ("jax", "openvino"): {".*": "OpConversionFailure"},
    ("torch", "onnx"): {r"unknown_.*2d_stride": "as large as the kernel"},
    ("torch", "openvino"): {r"unknown_.*2d_stride": "as large as the kernel"},
    ("torch", "torch"): {
        # How much of the message is Keras's depends on the processor.
        r"unknown_.*2d_stride": "Failed to export|padded input size",
        r"unknown_.*_same_stride": "Guard failed",
    },
}


# TensorFlow has the formats 0 to 3, JAX 4 to 7, torch 8 to 11; torch's fifth
# format begins again with the layers of 0.
FIRST = 4 * ("tensorflow", "jax", "torch", "openvino").index(BACKEND)


def cannot(form, name):
    """Returns the known error of a cell, or None."""
    for pattern, message in CANNOT.get((BACKEND, form), {}).items():
        if re.fullmatch(pattern, name):
            return message
    return None


def pytest_generate_tests(metafunc):
    """Runs each layer in one format of one of three backends.

    With `--every-cell`, all run under each backend in each format.
    """
    if "name" in metafunc.fixturenames:
        every = metafunc.config.getoption("every_cell")
        metafunc.parametrize(
            ("form", "name"),
            [
                (form, name)
                for turn, form in enumerate(FORMATS)
                for number, name in enumerate([*CELLS, *CELLS_OF_OURS])
                if every or number % 12 == (FIRST + turn) % 12
            ],
        )


@pytest.mark.slow("it compiles a layer, in some formats in C++")
def test_an_exported_layer(form, name, tmp_path):
    cell = {**CELLS, **CELLS_OF_OURS}[name]
    problem, _ = run(cell, "keras_sepconv", form, tmp_path)
    known = cannot(form, name)
    if known is None:
        assert problem is None
    else:
        assert problem is not None, "it works now: take it off the list"
        assert re.search(known, problem)


def test_a_wrong_file_is_found(tmp_path, monkeypatch):
    def twice(model, folder):
        layer = model.layers[-1]
        layer.set_weights([2 * w for w in layer.get_weights()])
        return FORMATS[form](model, folder)

    form = next(iter(FORMATS))
    monkeypatch.setitem(FORMATS, "twice", twice)
    problem, _ = run(CELLS["depthwise_2d"], "keras.layers", "twice", tmp_path)
    assert problem.startswith("wrong numbers on 2x12x10x3")


if BACKEND == "jax":

    @pytest.mark.parametrize("layer", ["SeparableConv2D", "DepthwiseConv2D"])
    def test_t5_jax2onnx_with_a_known_batch(layer):
        """If the batch is known, the primitives of the kernel are exported."""
        import jax
        import jax2onnx
        import onnxruntime

        cell = Cell(layer, {"padding": "same", "strides": 2})
        inputs = cell.inputs()[0]
        model = cell.model(keras_sepconv)
        given = jax.ShapeDtypeStruct(inputs.shape, inputs.dtype)
        written = jax2onnx.to_onnx(lambda x: model(x), inputs=[given])
        assert "Conv" in {node.op_type for node in written.graph.node}
        session = onnxruntime.InferenceSession(written.SerializeToString())
        (name,) = (one.name for one in session.get_inputs())
        (found,) = session.run(None, {name: inputs})
        np.testing.assert_allclose(found, model(inputs), atol=1e-5)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_jax2tf_has_the_gradients_of_stock(operation):
        import jax
        import tensorflow as tf
        from jax.experimental import jax2tf

        subject = Subject(operation, "strided")
        tensors = subject.tensors()
        converted = jax2tf.convert(subject.ours, with_gradient=True)
        variables = [tf.Variable(np.asarray(t)) for t in tensors]
        with tf.GradientTape() as tape:
            outputs = tf.function(converted, autograph=False)(*variables)
        found = tape.gradient(outputs, variables, outputs)
        expected, pull = jax.vjp(subject.stock, *tensors)
        pairs = zip([outputs, *found], [expected, *pull(expected)], strict=True)
        for one, other in pairs:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

    @pytest.mark.slow("it starts a process")
    def test_the_mode_in_which_layers_are_flax_modules():
        """Keras reads this setting only when it starts."""
        code = """if True:
            import keras, numpy as np
            from flax import nnx
            import keras_sepconv
            assert keras.config.is_nnx_enabled()
            images = np.ones((2, 8, 8, 3), "float32")
            layers = [
                home.SeparableConv2D(4, 3, depth_multiplier=2)
                for home in (keras.layers, keras_sepconv)
            ]
            stock, ours = layers
            stock.build(images.shape), ours.build(images.shape)
            ours.set_weights(stock.get_weights())
            found = [nnx.jit(lambda m, x: m(x))(m, images) for m in layers]
            np.testing.assert_allclose(*found, rtol=1e-5)
            model = keras.Sequential([ours, keras.layers.Flatten()])
            model.compile("sgd", "mse")
            model.fit(images, np.zeros((2, 144)), verbose=0)
            assert not np.array_equal(*(m.get_weights()[0] for m in layers))
        """
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "KERAS_NNX_ENABLED": "true"},
            check=True,
        )


if BACKEND != "openvino":
    # These take half a minute for a network.
    SLOW = {("jax", "tf_saved_model"), ("torch", "torch.compile")}

    @pytest.mark.slow("it compiles a network")
    @pytest.mark.parametrize(
        "form",
        [
            pytest.param(
                form, marks=[pytest.mark.long] * ((BACKEND, form) in SLOW)
            )
            for form in FORMATS
        ],
    )
    def test_an_exported_network(form, tmp_path):
        if (BACKEND, form) == ("jax", "openvino"):
            return  # Nothing can be written.
        stock = keras.applications.MobileNet(
            (32, 32, 3), alpha=0.25, weights=None, classes=10
        )
        inputs = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
        expected = stock.predict(inputs, verbose=0)
        model = keras_sepconv.convert_model(stock, inference=True)
        model(inputs)
        found = FORMATS[form](model, tmp_path).run(inputs)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)

    def test_the_page_runs_whole_here():
        page = (DOCS / "export.md").read_text()
        needed = {block.package for block in blocks(page)} - {None}
        assert {"ai_edge_litert", "onnxruntime", "openvino"} <= needed
        for block in blocks(page):
            assert block.runs_here() == (BACKEND in block.backends)
