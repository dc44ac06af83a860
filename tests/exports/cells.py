"""What is exported, in which formats, and how each is run.

A cell is one layer as a model. `run` exports it, opens the file in the runtime
that the format is for, and compares with float64 loops.
"""

import importlib
import pathlib
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from backends import BACKEND, EPSILON
from reference import Convolution

BATCH, CHANNELS, FILTERS = 2, 3, 8
# What a model is asked for: the sizes it was built with, or where those are
# unknown, several.
SIZES = {1: [(12,)], 2: [(12, 10)], 3: [(6, 8, 7)]}
MORE_SIZES = {
    1: [(12,), (9,), (16,)],
    2: [(12, 10), (9, 13), (8, 8)],
    3: [(6, 8, 7), (5, 9, 6)],
}


class Cell(NamedTuple):
    """A layer by its class, its options, and whether its sizes are unknown."""

    layer: str
    options: Mapping[str, Any] = types.MappingProxyType({})
    unknown: bool = False

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return int(self.layer[-2])

    def model(self, home) -> keras.Model:
        """Returns the layer of a module as a model with drawn weights."""
        options = dict(self.options)
        if self.layer.startswith("Separable"):
            options["filters"] = FILTERS
        layer = getattr(home, self.layer)(kernel_size=3, **options)
        sizes = (None,) * self.rank if self.unknown else SIZES[self.rank][0]
        model = keras.Sequential([keras.Input(self._shape(sizes)), layer])
        rng = np.random.default_rng(0)
        layer.set_weights([rng.standard_normal(w.shape) for w in layer.weights])
        # Keras writes no model as ONNX that was never called.
        model(self.inputs()[0])
        return model

    def inputs(self) -> list[np.ndarray]:
        """Returns batches to ask a model for."""
        rng = np.random.default_rng(1)
        every = MORE_SIZES if self.unknown else SIZES
        return [
            rng.standard_normal((BATCH, *self._shape(sizes))).astype("float32")
            for sizes in every[self.rank]
        ]

    def reference(self, inputs: np.ndarray, weights: list) -> Convolution:
        """Returns the layer in float64 loops."""
        *kernels, bias = weights
        if len(kernels) == 1:
            kernels.append(None)
        options = dict(self.options)
        options.pop("depth_multiplier", None)
        for name in ("strides", "dilation_rate"):
            if isinstance(options.get(name), int):
                options[name] = (options[name],) * self.rank
        return Convolution(inputs, *kernels, bias, **options)

    def _shape(self, sizes: tuple) -> tuple:
        if self.options.get("data_format") == "channels_first":
            return (CHANNELS, *sizes)
        return (*sizes, CHANNELS)


SAME = {"padding": "same"}
HALVING = {"padding": "same", "strides": 2}
# What stock Keras has, too.
CELLS = {
    "separable_2d": Cell("SeparableConv2D"),
    "separable_2d_same": Cell("SeparableConv2D", SAME),
    "separable_2d_stride": Cell("SeparableConv2D", {"strides": 2}),
    "separable_2d_same_stride": Cell("SeparableConv2D", HALVING),
    "separable_2d_dilation": Cell(
        "SeparableConv2D", {**SAME, "dilation_rate": 2}
    ),
    "separable_2d_multiplier": Cell(
        "SeparableConv2D", {**SAME, "depth_multiplier": 2}
    ),
    "separable_2d_channels_first": Cell(
        "SeparableConv2D", {**SAME, "data_format": "channels_first"}
    ),
    "separable_1d": Cell("SeparableConv1D", SAME),
    "separable_1d_same_stride": Cell("SeparableConv1D", HALVING),
    "separable_1d_dilation": Cell(
        "SeparableConv1D", {**SAME, "dilation_rate": 2}
    ),
    "depthwise_2d": Cell("DepthwiseConv2D"),
    "depthwise_2d_same_stride": Cell("DepthwiseConv2D", HALVING),
    "depthwise_2d_multiplier": Cell(
        "DepthwiseConv2D", {**SAME, "depth_multiplier": 2}
    ),
    "depthwise_1d_same_stride": Cell("DepthwiseConv1D", HALVING),
    "unknown_separable_2d_same": Cell("SeparableConv2D", SAME, True),
    "unknown_separable_2d_stride": Cell(
        "SeparableConv2D", {"strides": 2}, True
    ),
    "unknown_separable_2d_same_stride": Cell("SeparableConv2D", HALVING, True),
    "unknown_separable_2d_dilation": Cell(
        "SeparableConv2D", {**SAME, "dilation_rate": 2}, True
    ),
    "unknown_separable_1d_same_stride": Cell("SeparableConv1D", HALVING, True),
    "unknown_depthwise_2d_same_stride": Cell("DepthwiseConv2D", HALVING, True),
}
# What it has not.
CELLS_OF_OURS = {
    "unequal_strides": Cell("SeparableConv2D", {**SAME, "strides": (2, 1)}),
    "explicit_padding": Cell("SeparableConv2D", {"padding": ((1, 0), (2, 1))}),
    "causal": Cell("SeparableConv1D", {"padding": "causal"}),
    "separable_3d": Cell("SeparableConv3D", SAME),
    "depthwise_3d_same_stride": Cell("DepthwiseConv3D", HALVING),
    "unknown_explicit_padding": Cell("DepthwiseConv2D", {"padding": 1}, True),
    "unknown_causal": Cell("SeparableConv1D", {"padding": "causal"}, True),
    "unknown_separable_3d_same": Cell("SeparableConv3D", SAME, True),
}

Run = Callable[[np.ndarray], np.ndarray]


class Exported(NamedTuple):
    """A file in its runtime: how to run it, of how many operations it is made.

    And how exact the runtime is; the OpenVINO backend computes in bfloat16
    where the processor has it.
    """

    run: Run
    nodes: int
    epsilon: float = EPSILON["float32"]


def saved_model(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens it in TensorFlow."""
    import tensorflow as tf

    model.export(folder / "model", format="tf_saved_model", verbose=False)
    served = tf.saved_model.load(folder / "model")
    graph = served.signatures["serving_default"].graph.as_graph_def()
    functions = {f.signature.name: f.node_def for f in graph.library.function}
    skipped = ("Const", "NoOp", "Placeholder", "ReadVariableOp")

    def count(nodes: Any) -> int:
        called = [n.attr["f"].func.name for n in nodes if "f" in n.attr]
        own = [
            n.op
            for n in nodes
            if "f" not in n.attr
            and n.op not in skipped
            and not n.op.startswith("Identity")
        ]
        return len(own) + sum(count(functions[name]) for name in called)

    return Exported(lambda x: served.serve(x).numpy(), count(graph.node))


def onnx(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens it in onnxruntime."""
    import onnx
    import onnxruntime

    path = str(folder / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (name,) = (given.name for given in session.get_inputs())
    nodes = onnx.load(path).graph.node
    return Exported(
        lambda x: session.run(None, {name: x})[0],
        sum(node.op_type not in ("Constant", "Identity") for node in nodes),
    )


def openvino(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens it in OpenVINO."""
    import openvino

    path = str(folder / "model.xml")
    model.export(path, format="openvino", verbose=False)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", options)
    kinds = [
        node.get_rt_info()["layerType"].astype(str)
        for node in compiled.get_runtime_model().get_ops()
    ]
    skipped = ("Const", "Input", "Output", "Result")
    nodes = [kind for kind in kinds if kind not in skipped]
    return Exported(lambda x: compiled([x])[0], len(nodes))


def litert(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens it in LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    path = str(folder / "model.tflite")
    model.export(path, format="litert", verbose=False)
    interpreter = Interpreter(path)
    (given,) = interpreter.get_input_details()
    (found,) = interpreter.get_output_details()

    def run(inputs: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given["index"], inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], inputs)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    interpreter.allocate_tensors()
    return Exported(run, len(interpreter._get_ops_details()))


def torch_keras(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens in torch what Keras wrote, from an image of 2x2 where unknown."""
    path = folder / "model.pt2"
    unknown = (_unknown(model),)
    model.export(path, format="torch", verbose=False, dynamic_shapes=unknown)
    return _program(path)


def torch_export(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens in torch what `torch.export` wrote, from an image of the cell's."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.model(inputs)

    sizes = [12 if size is None else size for size in model.input_shape]
    program = torch.export.export(
        Module(), (torch.zeros(sizes),), dynamic_shapes=(_unknown(model),)
    )
    torch.export.save(program, folder / "model.pt2")
    return _program(folder / "model.pt2")


def _unknown(model: keras.Model) -> dict[int, Any]:
    """Returns the axes of unknown size as `torch.export` wants them."""
    import torch

    axes = [i for i, size in enumerate(model.input_shape) if size is None]
    return dict.fromkeys(axes, torch.export.Dim.DYNAMIC)


def _program(path: pathlib.Path) -> Exported:
    import torch

    program = torch.export.load(path)
    module = program.module()
    nodes = [
        node
        for node in program.graph.nodes
        if node.op == "call_function" and "_assert" not in str(node.target)
    ]
    return Exported(
        lambda x: module(torch.from_numpy(x)).detach().numpy(), len(nodes)
    )


def torch_compile(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Compiles it, with sizes as torch finds them, in one piece."""
    import torch

    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True)

    def run(inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return compiled(torch.from_numpy(inputs)).numpy()

    return Exported(run, 0)


def jax_export(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens in JAX what `jax.export` wrote, unknown sizes as symbols."""
    import jax
    from jax import export

    sizes = ", ".join(
        f"size_{axis}" if size is None else str(size)
        for axis, size in enumerate(model.input_shape)
    )
    shape = export.symbolic_shape(sizes, constraints=_large(sizes))
    weights = [
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    ]

    def call(inputs: jax.Array) -> jax.Array:
        return model.stateless_call(*weights, inputs)[0]

    written = export.export(jax.jit(call))(
        jax.ShapeDtypeStruct(shape, "float32")
    )
    path = folder / "model.jax"
    path.write_bytes(written.serialize())
    read = export.deserialize(bytearray(path.read_bytes()))
    lines = str(read.mlir_module()).splitlines()
    return Exported(
        lambda x: np.asarray(read.call(x)),
        sum(
            " = stablehlo." in line and "constant" not in line for line in lines
        ),
    )


def _large(sizes: str) -> list[str]:
    """Says of the unknown sizes that the images are no smaller than these."""
    names = [name for name in sizes.split(", ") if name.startswith("size_")]
    return [f"{name} >= 5" for name in names if name != "size_0"]


def predict(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Saves it, loads it under this backend, and predicts."""
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    return Exported(
        lambda x: loaded.predict(x, verbose=0), 0, EPSILON["bfloat16"]
    )


FORMATS: dict[str, dict[str, Callable[..., Exported]]] = {
    "tensorflow": {
        "tf_saved_model": saved_model,
        "onnx": onnx,
        "openvino": openvino,
        "litert": litert,
    },
    "jax": {
        "tf_saved_model": saved_model,
        "onnx": onnx,
        "openvino": openvino,
        "jax.export": jax_export,
    },
    "torch": {
        "onnx": onnx,
        "openvino": openvino,
        "torch": torch_keras,
        "torch.export": torch_export,
        "torch.compile": torch_compile,
    },
    "openvino": {"predict": predict},
}[BACKEND]


def run(
    cell: Cell, home: str, form: str, folder: pathlib.Path
) -> tuple[str | None, int]:
    """Exports a cell and runs it where the format is for.

    Args:
        cell: The layer.
        home: The module that it comes from.
        form: The name of the format.
        folder: An empty one to write to.

    Returns:
        What went wrong, in a line, or None; and the number of operations.
    """
    model = cell.model(importlib.import_module(home))
    weights = model.layers[-1].get_weights()
    try:
        exported = FORMATS[form](model, folder)
    except Exception as error:
        return f"export: {line(error)}", 0
    for inputs in cell.inputs():
        truth = cell.reference(inputs, weights)
        expected = truth.value()
        bound = truth.tolerances(np.ones_like(expected), exported.epsilon)
        sizes = "x".join(map(str, inputs.shape))
        try:
            found = exported.run(inputs)
        except Exception as error:
            return f"run on {sizes}: {line(error)}", exported.nodes
        if found.shape != expected.shape:
            return f"wrong shape on {sizes}: {found.shape}", exported.nodes
        if np.any(np.abs(found - expected) > bound["value"]):
            return f"wrong numbers on {sizes}", exported.nodes
    return None, exported.nodes


def line(error: Exception) -> str:
    """Returns an error in a line."""
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
    text = text.split("Exception encountered when calling ")[-1]
    return f"{type(error).__name__}: {text[:110]}"
