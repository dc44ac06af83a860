"""An independent reference: loops in float64, without a framework.

It shares no line and no slicing with the code that it checks. Every input
position of every output follows from the definition
`position = output * stride + tap * dilation - zeros before`.
"""

import itertools
import math

import numpy as np


def _window(size, kernel, stride, padding, dilation):
    """Returns the size of the output and the zeros before the input."""
    span = (kernel - 1) * dilation + 1
    if padding == "valid":
        padding = 0
    if padding == "causal":
        padding = (span - 1, 0)
    if isinstance(padding, int):
        padding = (padding, padding)
    if padding != "same":
        before, after = padding
        starts = range(-before, size + after - span + 1, stride)
        return len(starts), before
    outputs = math.ceil(size / stride)
    return outputs, max((outputs - 1) * stride + span - size, 0) // 2


def _terms(sizes, kernel_size, strides, padding, dilation):
    """Yields (output position, tap, input position), without padding."""
    axes = [
        _window(*axis)
        for axis in zip(
            sizes, kernel_size, strides, padding, dilation, strict=True
        )
    ]
    for output in itertools.product(*(range(n) for n, _ in axes)):
        for tap in itertools.product(*map(range, kernel_size)):
            position = tuple(
                o * s + t * d - before
                for o, s, t, d, (_, before) in zip(
                    output, strides, tap, dilation, axes, strict=True
                )
            )
            if all(0 <= p < n for p, n in zip(position, sizes, strict=True)):
                yield output, tap, position


class Convolution:
    """One convolution: its value, its gradients, and their tolerances.

    Args:
        inputs: Array with the channels where `data_format` says.
        depthwise: Array `(*kernel_size, channels, multiplier)`.
        pointwise: Array `(1, ..., channels * multiplier, filters)` or None.
        bias: Array or None.
        padding: A word or a number for all axes, or a number or pair for each.
    """

    def __init__(
        self,
        inputs,
        depthwise,
        pointwise=None,
        bias=None,
        strides=None,
        padding="valid",
        data_format="channels_last",
        dilation_rate=None,
    ):
        self.first = data_format == "channels_first"
        self.inputs = self._last(np.asarray(inputs, "float64"))
        self.depthwise = np.asarray(depthwise, "float64")
        self.pointwise = (
            None if pointwise is None else np.asarray(pointwise, "float64")
        )
        self.bias = None if bias is None else np.asarray(bias, "float64")
        *kernel_size, self.channels, self.multiplier = self.depthwise.shape
        ones = (1,) * len(kernel_size)
        sizes = self.inputs.shape[1:-1]
        strides, dilation = strides or ones, dilation_rate or ones
        if isinstance(padding, (str, int)):
            padding = (padding,) * len(kernel_size)
        self.sizes = tuple(
            _window(*axis)[0]
            for axis in zip(
                sizes, kernel_size, strides, padding, dilation, strict=True
            )
        )
        self.terms = list(
            _terms(sizes, kernel_size, strides, padding, dilation)
        )

    def _last(self, array):
        return np.moveaxis(array, 1, -1) if self.first else array

    def _original(self, array):
        return np.moveaxis(array, -1, 1) if self.first else array

    def _depthwise_value(self, inputs, depthwise):
        batch = inputs.shape[0]
        outputs = np.zeros((batch, *self.sizes, self.channels, self.multiplier))
        for output, tap, position in self.terms:
            outputs[(slice(None), *output)] += (
                inputs[(slice(None), *position)][..., None] * depthwise[tap]
            )
        return outputs.reshape(batch, *self.sizes, -1)

    def _value(self, inputs, depthwise, pointwise, bias):
        outputs = self._depthwise_value(inputs, depthwise)
        if pointwise is not None:
            outputs = outputs @ pointwise.reshape(pointwise.shape[-2:])
        return outputs if bias is None else outputs + bias

    def value(self):
        """Returns the output."""
        arrays = (self.inputs, self.depthwise, self.pointwise, self.bias)
        return self._original(self._value(*arrays))

    def _gradients(self, inputs, depthwise, pointwise, cotangent):
        middle = self._depthwise_value(inputs, depthwise)
        flat = cotangent.reshape(-1, cotangent.shape[-1])
        gradients = {"bias": flat.sum(0)}
        if pointwise is not None:
            matrix = pointwise.reshape(pointwise.shape[-2:])
            gradients["pointwise"] = (
                middle.reshape(-1, middle.shape[-1]).T @ flat
            ).reshape(pointwise.shape)
            cotangent = cotangent @ matrix.T
        cotangent = cotangent.reshape(
            *cotangent.shape[:-1], self.channels, self.multiplier
        )
        gradients["inputs"] = np.zeros_like(inputs)
        gradients["depthwise"] = np.zeros_like(depthwise)
        for output, tap, position in self.terms:
            g = cotangent[(slice(None), *output)]
            gradients["inputs"][(slice(None), *position)] += (
                g * depthwise[tap]
            ).sum(-1)
            gradients["depthwise"][tap] += (
                inputs[(slice(None), *position)][..., None] * g
            ).sum(0)
        return gradients

    def gradients(self, cotangent):
        """Returns the gradient of `sum(value * cotangent)` for each tensor."""
        cotangent = self._last(np.asarray(cotangent, "float64"))
        gradients = self._gradients(
            self.inputs, self.depthwise, self.pointwise, cotangent
        )
        gradients["inputs"] = self._original(gradients["inputs"])
        return gradients

    def tolerances(self, cotangent, epsilon):
        """Returns the error that rounding may cause, for each element.

        Take a sum of `n` products, computed in any order with the unit roundoff
        `epsilon`. Its error is at most about `n * epsilon` times the sum of the
        absolute values (Higham, Accuracy and Stability of Numerical Algorithms,
        2002, section 3.1). The errors of the two steps add up.
        """
        absolute = [
            None if array is None else np.abs(array)
            for array in (
                self.inputs,
                self.depthwise,
                self.pointwise,
                self.bias,
            )
        ]
        cotangent = np.abs(self._last(np.asarray(cotangent, "float64")))
        taps = math.prod(self.depthwise.shape[:-2])
        wide = self.channels * self.multiplier
        pixels = math.prod(cotangent.shape[:-1])
        filters = cotangent.shape[-1]
        counts = {
            "value": taps + wide + 1,
            "inputs": taps * self.multiplier + filters,
            "depthwise": pixels + filters,
            "pointwise": pixels + taps,
            "bias": pixels,
        }
        magnitudes = self._gradients(*absolute[:3], cotangent)
        magnitudes["value"] = self._value(*absolute)
        # Two more roundings: of the inputs and of the result.
        bounds = {
            name: (counts[name] + 2) * epsilon * magnitude
            for name, magnitude in magnitudes.items()
        }
        for name in ("value", "inputs"):
            bounds[name] = self._original(bounds[name])
        return bounds
