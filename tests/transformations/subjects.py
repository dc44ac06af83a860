"""The functions that are transformed: one convolution, stock and ours."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from backends import BACKEND, tensor
from cases import Case

from keras_sepconv import ops

# A function of tensors (the inputs, then the weights) that returns a tensor.
Function = Callable[..., Any]

# A mode runs a function on its tensors under one transformation of the
# framework. It returns the value and the gradient of every tensor, or the
# results that the transformation gives instead.
Mode = Callable[[Function, list[Any]], list[Any]]

OPERATIONS = ("separable", "depthwise", "pointwise")
SPECS = {
    "3x3": Case("3x3", (6, 5), 4, 1, 3, (3, 3)),
    "5x5": Case("5x5", (7, 6), 4, 1, 3, (5, 5)),
    "strided": Case("strided", (7, 6), 4, 1, 3, (3, 3), (2, 2)),
    "dilated": Case("dilated", (7, 6), 4, 1, 3, (3, 3), (1, 1), (2, 2)),
    "multiplier": Case("multiplier", (6, 5), 3, 2, 4, (3, 3)),
    "causal": Case("causal", (9,), 4, 1, 3, (3,), (1,), (1,), padding="causal"),
    "volume": Case("volume", (4, 5, 4), 3, 1, 4, (3, 3, 3), (1,) * 3, (1,) * 3),
    "half": Case("half", (6, 5), 4, 1, 3, (3, 3)),
}


@dataclasses.dataclass(frozen=True)
class Subject:
    """One operation of one spec.

    Attributes:
        operation: One of `OPERATIONS`.
        spec: A key of `SPECS`.
        batch: The number of examples.
        sizes: The spatial sizes; `None` for the spec's own.
    """

    operation: str
    spec: str
    batch: int = 4
    sizes: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return f"{self.operation}-{self.spec}"

    @property
    def case(self) -> Case:
        """The spec with this subject's batch and sizes."""
        case = dataclasses.replace(SPECS[self.spec], batch=self.batch)
        if self.sizes is not None:
            case = dataclasses.replace(case, sizes=self.sizes)
        return case

    @property
    def dtype(self) -> str:
        """The dtype of every tensor."""
        return "bfloat16" if self.spec == "half" else "float32"

    def arrays(self) -> list[np.ndarray]:
        """Returns inputs, kernels and bias, all float32."""
        rng = np.random.default_rng(0)
        inputs, depthwise, pointwise, bias = self.case.arrays(rng)
        if self.operation == "separable":
            return [inputs, depthwise, pointwise, bias]
        if self.operation == "depthwise":
            planes = self.case.channels * self.case.multiplier
            return [inputs, depthwise, rng.standard_normal(planes, "float32")]
        pointwise = pointwise[..., : self.case.channels, :]
        return [inputs, pointwise, bias]

    def tensors(self) -> list[Any]:
        """Returns the arrays as tensors of the backend."""
        return [tensor(array, self.dtype) for array in self.arrays()]

    @property
    def ours(self) -> Function:
        """Our operation, as a function of the tensors from `tensors`."""
        options = self.case.options()
        if self.operation == "separable":
            return lambda x, d, p, b: ops.separable_conv(
                x, d, p, bias=b, **options
            )
        if self.operation == "depthwise":
            return lambda x, d, b: ops.depthwise_conv(x, d, bias=b, **options)
        return lambda x, p, b: ops.pointwise_conv(x, p, bias=b)

    @property
    def stock(self) -> Function:
        """The same, computed by Keras's own operations."""
        if self.operation == "separable":
            return lambda x, d, p, b: _add_bias(
                keras.ops.conv(_stock_depthwise(self.case, x, d), p), b
            )
        if self.operation == "depthwise":
            return lambda x, d, b: _add_bias(
                _stock_depthwise(self.case, x, d), b
            )
        return lambda x, p, b: _add_bias(keras.ops.conv(x, p), b)


def _add_bias(outputs: Any, bias: Any) -> Any:
    return outputs + bias[(None,) * (len(outputs.shape) - 1)]


def _stock_depthwise(case: Case, inputs: Any, kernel: Any) -> Any:
    padding = case.padding
    if padding == "causal":
        before = (case.kernel_size[0] - 1) * case.dilation_rate[0]
        inputs = keras.ops.pad(inputs, ((0, 0), (before, 0), (0, 0)))
        padding = "valid"
    options = {"strides": case.strides, "padding": padding}
    options["dilation_rate"] = case.dilation_rate
    if len(case.sizes) == 3 and BACKEND == "tensorflow":
        # TensorFlow has no depthwise operation of three axes.
        shape = (*case.kernel_size, 1, case.channels * case.multiplier)
        kernel = keras.ops.reshape(kernel, shape)
        return keras.ops.conv(inputs, kernel, **options)
    return keras.ops.depthwise_conv(inputs, kernel, **options)
