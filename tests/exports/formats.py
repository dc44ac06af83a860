"""The formats under each backend: how a model is written, and then run.

The function of a format writes a model into an empty folder, opens the file in
the runtime of the format, and returns a function that runs it there.
"""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from backends import BACKEND, EPSILON

Run = Callable[[np.ndarray], np.ndarray]


class Exported(NamedTuple):
    """A file in its runtime.

    It has a function that runs the file, the number of operations, and the
    precision of the runtime. The OpenVINO backend computes in bfloat16 if the
    processor supports it.
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
    # Of volumes from TensorFlow, docs/export.md says what else is an output.
    assert len(compiled.outputs) == 1 or len(model.input_shape) == 5
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
    """Opens a file of Keras in torch; unknown sizes are 2 in the example."""
    path = folder / "model.pt2"
    unknown = (_unknown(model),)
    model.export(path, format="torch", verbose=False, dynamic_shapes=unknown)
    return _program(path)


def torch_export(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens a file of `torch.export`; the example has the cell's sizes."""
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
    """Returns the axes of unknown size in the form of `torch.export`."""
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
    """Compiles it without graph breaks; torch decides which sizes vary."""
    import torch

    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True)

    def run(inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return compiled(torch.from_numpy(inputs)).numpy()

    return Exported(run, 0)


def jax_export(model: keras.Model, folder: pathlib.Path) -> Exported:
    """Opens a file of `jax.export`; unknown sizes are symbols."""
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
    """Returns constraints: the images are at least as large as these."""
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
