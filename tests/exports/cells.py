"""The layers that are exported, and the comparison of the results.

A cell is a model with one layer. `run` exports it, opens the file in the
runtime of the format, and compares the result with loops in float64.
"""

import importlib
import pathlib
import re
import sys
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from formats import FORMATS
from reference import Convolution

BATCH, CHANNELS, FILTERS = 2, 3, 8
# The sizes of the inputs: those that the model was built with, or several sizes
# if they are unknown.
SIZES = {1: [(12,)], 2: [(12, 10)], 3: [(6, 8, 7)]}
MORE_SIZES = {
    1: [(12,), (9,), (16,)],
    2: [(12, 10), (9, 13), (8, 8)],
    3: [(6, 8, 7), (5, 9, 6)],
}


class Cell(NamedTuple):
    """A layer: its class, its options, and whether its sizes are unknown."""

    layer: str
    options: Mapping[str, Any] = types.MappingProxyType({})
    unknown: bool = False

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return int(self.layer[-2])

    def model(self, home) -> keras.Model:
        """Returns a model with the layer of a module and random weights."""
        options = dict(self.options)
        if self.layer.startswith("Separable"):
            options["filters"] = FILTERS
        layer = getattr(home, self.layer)(kernel_size=3, **options)
        sizes = (None,) * self.rank if self.unknown else SIZES[self.rank][0]
        model = keras.Sequential([keras.Input(self._shape(sizes)), layer])
        rng = np.random.default_rng(0)
        layer.set_weights([rng.standard_normal(w.shape) for w in layer.weights])
        # Keras cannot export a model to ONNX that was never called.
        model(self.inputs()[0])
        return model

    def inputs(self) -> list[np.ndarray]:
        """Returns batches for the model."""
        rng = np.random.default_rng(1)
        every = MORE_SIZES if self.unknown else SIZES
        return [
            rng.standard_normal((BATCH, *self._shape(sizes))).astype("float32")
            for sizes in every[self.rank]
        ]

    def reference(self, inputs: np.ndarray, weights: list) -> Convolution:
        """Returns the same layer, computed by loops in float64."""
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
# Layers that stock Keras has too.
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
# Layers that stock Keras does not have.
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


def run(
    cell: Cell, home: str, form: str, folder: pathlib.Path
) -> tuple[str | None, int]:
    """Exports a cell and runs it in the runtime of the format.

    Args:
        cell: The layer.
        home: The module of the layer.
        form: The name of the format.
        folder: An empty folder to write to.

    Returns:
        The error in one line, or None; and the number of operations.
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
    """Returns an error in one line."""
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
    text = text.split("Exception encountered when calling ")[-1]
    return f"{type(error).__name__}: {text[:110]}"
