"""Three spatial axes out of two, for which TensorFlow has an operation.

A kernel is a stack of planes. Each is convolved with the frames that it meets,
those of all images as one batch, and the results are added up.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels._tensorflow_bilinear import Product
from keras_sepconv.kernels._tensorflow_shapes import size_of, sizes_of


@dataclasses.dataclass(frozen=True)
class Stack:
    """How a kernel's planes meet the frames.

    Attributes:
        planes: How many there are.
        zeros: The frames of zeros before and after the others.
        stride: Frames from one output to the next.
        rate: Frames from one plane to the next.
        outputs: The output's frames.
    """

    planes: int
    zeros: tuple[Any, Any]
    stride: int
    rate: int
    outputs: Any

    @classmethod
    def of(cls, spec: ConvSpec, inputs: Tensor) -> "Stack":
        """Returns that of `(batch, depth, ...)` inputs."""
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
        """Returns that of the gradient for `depth` frames; of stride 1."""
        reach = (self.planes - 1) * self.rate
        before, after = (reach - zeros for zeros in self.zeros)
        return Stack(self.planes, (before, after), 1, self.rate, depth)

    def met(self, inputs: Tensor) -> Iterator[Tensor]:
        """Yields, as one batch, what each plane meets, one for each output."""
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
    """Returns `(batch, depth, ...)` as one batch of frames."""
    counts = frames.shape[:2].as_list()
    count = -1 if None in counts else counts[0] * counts[1]
    return tf.reshape(frames, (count, *sizes_of(frames, 2)))
