"""What is exported, to which formats, and how each is run where it is at home.

    KERAS_BACKEND=torch python tests/export/cells.py

prints for each format how many of the cells give the right numbers there, with
stock Keras's layers and with ours, how many nodes the graphs have, and what
went wrong.
"""

import collections
import os
import pathlib
import sys
import tempfile
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_sepconv
from keras_sepconv import convert_model
from keras_sepconv import layers as own

BACKEND = keras.backend.backend()
L = keras.layers
FORMATS = {
    "tensorflow": ("tf_saved_model", "onnx", "openvino", "litert"),
    "jax": ("tf_saved_model", "onnx", "openvino", "jax.export"),
    "torch": ("onnx", "openvino", "torch"),
}[BACKEND]


def one(name, shape, *arguments, **options):
    """Returns what makes a model of one layer, stock or ours."""

    def make(home):
        layer = getattr(home, name)(*arguments, **options)
        return keras.Sequential([keras.Input(shape), layer])

    return make


def block(shape, **options):
    """Returns what makes an inverted residual block, stock or converted."""

    def make(home):
        inputs = keras.Input(shape)
        x = L.Conv2D(12, 1, use_bias=False)(inputs)
        x = L.BatchNormalization()(x)
        x = L.ReLU(6.0)(x)
        x = L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = L.BatchNormalization()(x)
        x = L.ReLU(6.0)(x)
        x = L.Conv2D(4, 1)(x)
        model = keras.Model(inputs, L.Add()([inputs, x]))
        if home is L:
            return model
        return convert_model(model, verify=False, **options)

    return make


IMAGE, OPEN = (12, 10, 4), (None, None, 4)
SAME = {"padding": "same"}
CELLS = {
    "same": one("SeparableConv2D", IMAGE, 6, 3, **SAME),
    "valid": one("SeparableConv2D", IMAGE, 6, 3, activation="relu"),
    "strided": one("SeparableConv2D", IMAGE, 6, 3, 2, **SAME),
    "dilated": one("SeparableConv2D", IMAGE, 6, 3, dilation_rate=2, **SAME),
    "multiplier": one("SeparableConv2D", IMAGE, 6, 3, depth_multiplier=2),
    "large": one("SeparableConv2D", IMAGE, 6, 7, **SAME),
    "depthwise": one("DepthwiseConv2D", IMAGE, 3, **SAME),
    "depthwise_strided": one("DepthwiseConv2D", IMAGE, 3, 2),
    "steps": one("SeparableConv1D", (16, 4), 6, 3, **SAME),
    "steps_strided": one("DepthwiseConv1D", (16, 4), 3, 2, **SAME),
    "open_same": one("SeparableConv2D", OPEN, 6, 3, **SAME),
    "open_valid": one("SeparableConv2D", OPEN, 6, 3),
    "open_strided": one("SeparableConv2D", OPEN, 6, 3, 2, **SAME),
    "open_dilated": one("SeparableConv2D", OPEN, 6, 3, dilation_rate=2, **SAME),
    "open_depthwise_strided": one("DepthwiseConv2D", OPEN, 3, 2, **SAME),
    "block": block(IMAGE),
    "open_block": block(OPEN),
    "block_folded": block(IMAGE, inference=True),
}
# What stock Keras has no layer for.
OURS = {
    "causal": one("SeparableConv1D", (16, 4), 6, 3, padding="causal"),
    "zeros": one("SeparableConv2D", IMAGE, 6, 3, padding=[[2, 0], [1, 1]]),
    "unequal_strides": one("SeparableConv2D", IMAGE, 6, 3, (1, 2)),
    "open_zeros": one("DepthwiseConv2D", OPEN, 3, 2, padding=1),
    "volume": one("SeparableConv3D", (6, 7, 8, 4), 6, 3, **SAME),
    "depthwise_volume": one("DepthwiseConv3D", (6, 7, 8, 4), 3),
}


def images(model):
    """Returns batches to run a model with: of other sizes if it takes them."""
    rng = np.random.default_rng(0)
    shape = model.input_shape[1:]
    sizes = [shape] if None not in shape else [(12, 10, 4), (9, 13, 4)]
    return [
        rng.standard_normal((batch, *size), dtype="float32")
        for batch, size in zip((2, 3), sizes, strict=False)
    ]


def exported(model, format_, folder):
    """Returns what runs an exported model in its own runtime, and its nodes."""
    if format_ == "jax.export":
        return _jax_export(model)
    path = pathlib.Path(
        folder,
        {
            "tf_saved_model": "model",
            "onnx": "model.onnx",
            "openvino": "model.xml",
            "litert": "model.tflite",
            "torch": "model.pt2",
        }[format_],
    )
    model.export(str(path), format=format_, verbose=False)
    return {
        "tf_saved_model": _saved_model,
        "onnx": _onnx,
        "openvino": _openvino,
        "litert": _litert,
        "torch": _torch,
    }[format_](path)


def _saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    nodes = len(function.graph.as_graph_def().node)
    for inner in function.graph.as_graph_def().library.function:
        nodes += len(inner.node_def)
    return (lambda x: np.array(loaded.serve(x))), nodes


def _onnx(path):
    import onnx
    import onnxruntime

    nodes = len(onnx.load(str(path)).graph.node)
    session = onnxruntime.InferenceSession(str(path))
    name = session.get_inputs()[0].name
    return (lambda x: session.run(None, {name: x})[0]), nodes


def _openvino(path):
    import openvino

    network = openvino.Core().read_model(str(path))
    compiled = openvino.compile_model(
        network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    nodes = [n for n in network.get_ops() if n.get_type_name() != "Constant"]
    return (lambda x: np.array(compiled(x)[0])), len(nodes)


def _litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    given = interpreter.get_input_details()[0]["index"]

    def run(x):
        interpreter.resize_tensor_input(given, x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given, x)
        interpreter.invoke()
        found = interpreter.get_output_details()[0]["index"]
        return interpreter.get_tensor(found)

    return run, len(interpreter._get_ops_details())


def _torch(path):
    import torch

    program = torch.export.load(str(path))
    module = program.module()
    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    return (lambda x: module(torch.from_numpy(x)).detach().numpy()), len(calls)


def _jax_export(model):
    import jax

    weights = [v.value for v in model.variables]

    def run(weights, x):
        pairs = zip(model.variables, weights, strict=True)
        with keras.StatelessScope(state_mapping=list(pairs)):
            return model(x, training=False)

    names = iter(("r", "c", "d"))
    sizes = ["b", *(next(names) if n is None else n for n in model.input_shape)]
    del sizes[1]
    shape = jax.export.symbolic_shape(",".join(map(str, sizes)))
    inputs = jax.ShapeDtypeStruct(shape, "float32")
    program = jax.export.export(jax.jit(run), platforms=("cpu", "cuda"))(
        weights, inputs
    )
    program = jax.export.deserialize(program.serialize())
    nodes = program.mlir_module().count(" = ")
    return (lambda x: np.array(program.call(weights, x))), nodes


def fault(make, home, format_):
    """Returns what is wrong with one cell, `None` if nothing, and its nodes."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = make(home)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1.0, weight.shape))
    batches = images(model)
    expected = [model.predict(x, verbose=0) for x in batches]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run, nodes = exported(model, format_, folder)
        except Exception as error:
            return f"no export: {_line(error)}", None
        for x, right in zip(batches, expected, strict=True):
            try:
                found = run(x)
            except Exception as error:
                return f"no run with {x.shape}: {_line(error)}", nodes
            if found.shape != right.shape:
                return f"{found.shape} for {right.shape}", nodes
            # All terms are positive: this is rounding.
            off = np.abs(found - right).max() / np.abs(right).max()
            if not off < 1e-5:
                return f"off by {off:.1g} with {x.shape}", nodes
    return None, nodes


def _line(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:110]


def main():
    """Prints the table for the active backend."""
    versions = f"Keras {keras.__version__}, keras_sepconv on {BACKEND}"
    print(versions, len(CELLS), "cells, and", len(OURS), "of ours alone")
    for format_ in FORMATS:
        right, faults, sums = collections.Counter(), [], collections.Counter()
        for name, make in {**CELLS, **OURS}.items():
            nodes = {}
            homes = {"ours": own} if name in OURS else {"stock": L, "ours": own}
            for who, home in homes.items():
                wrong, nodes[who] = fault(make, home, format_)
                right[who, name in OURS] += wrong is None
                if wrong:
                    faults.append(f"    {who} {name}: {wrong}")
            if len(nodes) == 2 and None not in nodes.values():
                sums.update(nodes)
        print(
            f"{format_}: stock {right['stock', False]}, "
            f"ours {right['ours', False]} of {len(CELLS)}; "
            f"{right['ours', True]} of {len(OURS)}; nodes in all "
            f"{sums['stock']}, {sums['ours']}"
        )
        print(*faults, sep="\n", flush=True)


if __name__ == "__main__":
    assert keras_sepconv
    sys.exit(main())
