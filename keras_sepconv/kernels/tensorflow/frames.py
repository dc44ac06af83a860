"""Convolutions with three spatial axes, made of convolutions with two.

TensorFlow has a depthwise operation for two spatial axes only. So the kernel is
a stack of planes. Each plane is convolved with the frames that it covers, as
one batch with the frames of all images. Then the results are added.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels.tensorflow.derivatives import Product
from keras_sepconv.kernels.tensorflow.sizes import size_of, sizes_of


class Stack(NamedTuple):
    """Which frames each plane of a kernel covers.

    Attributes:
        planes: The number of planes.
        zeros: The number of frames of zeros before and after the others.
        stride: The number of frames from one output to the next.
        rate: The number of frames from one plane to the next.
        outputs: The number of frames of the output.
    """

    planes: int
    zeros: tuple[Any, Any]
    stride: int
    rate: int
    outputs: Any

    @classmethod
    def of(cls, spec: ConvSpec, inputs: Tensor) -> "Stack":
        """Returns the stack for inputs `(batch, depth, ...)`."""
        depth = size_of(inputs, 1)
        outputs = spec.output_size(0, depth)
        if not isinstance(depth, int):
            outputs = tf.maximum(outputs, 0)
        return cls(
            spec.kernel_size[0],
            spec.pads(0, depth),
            spec.strides[0],
            spec.dilation_rate[0],
            outputs,
        )

    def turned(self, depth: int) -> "Stack":
        """Returns the stack for the gradient of `depth` frames, at stride 1."""
        reach = (self.planes - 1) * self.rate
        before, after = (reach - zeros for zeros in self.zeros)
        return Stack(self.planes, (before, after), 1, self.rate, depth)

    def met(self, inputs: Tensor) -> Iterator[Tensor]:
        """Yields for each plane the frames that it covers, as one batch."""
        rest = ((0, 0),) * (inputs.shape.rank - 2)
        padded = tf.pad(inputs, ((0, 0), self.zeros, *rest))
        for plane in range(self.planes):
            first = plane * self.rate
            yield merged(padded[:, first :: self.stride][:, : self.outputs])

    def convolve(
        self, inputs: Tensor, kernel: Tensor, in_plane: Product
    ) -> Tensor:
        """Returns the sum, over planes, of `in_plane(frames, plane)`."""
        total = tf.add_n(
            [
                in_plane(frames, kernel[plane])
                for plane, frames in enumerate(self.met(inputs))
            ]
        )
        shape = (size_of(inputs, 0), self.outputs, *sizes_of(total, 1))
        return tf.reshape(total, shape)


def plane_of(spec: ConvSpec) -> ConvSpec:
    """Returns the convolution of one frame with one plane."""
    return dataclasses.replace(
        spec,
        kernel_size=spec.kernel_size[1:],
        strides=spec.strides[1:],
        dilation_rate=spec.dilation_rate[1:],
    )


def merged(frames: Tensor) -> Tensor:
    """Merges the batch and the depth into one batch of frames."""
    counts = frames.shape[:2].as_list()
    count = -1 if None in counts else counts[0] * counts[1]
    return tf.reshape(frames, (count, *sizes_of(frames, 2)))
