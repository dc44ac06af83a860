"""The table of cases that the benchmark times and the tests check."""

import dataclasses
from typing import Any

import numpy as np

from keras_sepconv._checks import Padding

# A name has the network in which the case occurs, the side of the image and the
# channels. Then come: images x sizes x channels -> filters, k the kernel, m the
# multiplier, s the strides, d the dilation rate, the padding if it is not
# "same", and `first` for channels_first. DeepLab, RepLKNet and some cases with
# a multiplier have fewer images, because stock Keras would need minutes.
_TABLE = """
mobilenet_112_32 8x112x112x32->64 k3x3
mobilenet_112_64_s2 8x112x112x64->128 k3x3 s2
mobilenet_56_128 8x56x56x128->128 k3x3
mobilenet_56_128_s2 8x56x56x128->256 k3x3 s2
mobilenet_28_256 8x28x28x256->256 k3x3
mobilenet_14_512 8x14x14x512->512 k3x3
mobilenet_14_512_b1 1x14x14x512->512 k3x3
mobilenet_14_512_b32 32x14x14x512->512 k3x3
mobilenet_7_1024 8x7x7x1024->1024 k3x3
xception_74_128 8x74x74x128->128 k3x3
xception_19_728 8x19x19x728->728 k3x3
efficientnet_56_64_k5 8x56x56x64->64 k5x5
efficientnet_14_480_k5 8x14x14x480->112 k5x5
convnext_28_192_k7 8x28x28x192->192 k7x7
replknet_28_128_k31 2x28x28x128->128 k31x31
deeplab_33_256_d2 4x33x33x256->256 k3x3 d2
deeplab_33_256_d4 4x33x33x256->256 k3x3 d4
first_56_128 8x56x56x128->128 k3x3 first
first_14_512 8x14x14x512->512 k3x3 first
small_28_64_b1 1x28x28x64->64 k3x3
rgb_64_m2 8x64x64x3->32 k3x3 m2
rgb_64_m4 8x64x64x3->32 k3x3 m4
rgb_64_m8 8x64x64x3->32 k3x3 m8
rgb_112_m4 8x112x112x3->32 k3x3 m4
wide_28_64_m2 4x28x28x64->64 k3x3 m2
wide_14_128_m4 4x14x14x128->128 k3x3 m4
audio_16000_64_k9 4x16000x64->64 k9
audio_16000_32_k9_s4 4x16000x32->64 k9 s4
audio_4000_16_k9_m4 4x4000x16->64 k9 m4
tcn_4000_64_d1 4x4000x64->64 k3 causal
tcn_4000_64_d8 4x4000x64->64 k3 d8 causal
tcn_4000_64_d64 4x4000x64->64 k3 d64 causal
quartznet_500_256_k33 8x500x256->256 k33
genomics_1024_128_k15 8x1024x128->128 k15
video_16_112_32 1x16x112x112x32->32 k3x3x3
video_16_56_64_s2 2x16x56x56x64->128 k3x3x3 s1x2x2
video_8_28_128 2x8x28x28x128->128 k3x3x3
medical_64_16 1x64x64x64x16->16 k3x3x3
medical_32_64_d2 1x32x32x32x64->64 k3x3x3 d2
"""

# One of each kind, for a look in under a minute.
QUICK = (
    "mobilenet_56_128",
    "mobilenet_14_512_b1",
    "efficientnet_14_480_k5",
    "rgb_64_m2",
    "tcn_4000_64_d8",
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One separable convolution: its arguments and the sizes of its input.

    Cases without a suite are those of tests.
    """

    name: str
    sizes: tuple[int, ...]
    channels: int
    multiplier: int
    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...] = (1, 1)
    dilation_rate: tuple[int, ...] = (1, 1)
    batch: int = 2
    padding: Padding = "same"
    data_format: str = "channels_last"
    suite: str = ""
    description: str = ""

    def __str__(self) -> str:
        return self.name

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of a layer."""
        sizes = {"filters": self.filters, "kernel_size": self.kernel_size}
        return {**sizes, "depth_multiplier": self.multiplier, **self.options()}

    def input_shape(self, data_format: str | None = None) -> tuple[int, ...]:
        """Returns the shape of the input; `None` for the case's own format."""
        if (data_format or self.data_format) == "channels_first":
            return (self.batch, self.channels, *self.sizes)
        return (self.batch, *self.sizes, self.channels)

    def arrays(
        self, rng: np.random.Generator, data_format: str | None = None
    ) -> list[np.ndarray]:
        """Returns random inputs, depthwise and pointwise kernel, and bias."""
        ones = (1,) * len(self.kernel_size)
        shapes = (
            self.input_shape(data_format),
            (*self.kernel_size, self.channels, self.multiplier),
            (*ones, self.channels * self.multiplier, self.filters),
            (self.filters,),
        )
        return [rng.standard_normal(shape, "float32") for shape in shapes]

    def options(
        self, padding: Padding | None = None, data_format: str | None = None
    ) -> dict[str, Any]:
        """Returns keyword arguments of `ops.separable_conv` and the layers."""
        return {
            "strides": self.strides,
            "padding": self.padding if padding is None else padding,
            "data_format": data_format or self.data_format,
            "dilation_rate": self.dilation_rate,
        }


def _case(row: str) -> Case:
    name, description = row.split(" ", 1)
    shapes, *words = description.split()
    shape, filters = shapes.split("->")
    batch, *sizes, channels = map(int, shape.split("x"))
    rank = len(sizes)
    given = {word[0]: word[1:] for word in words if word[1:2].isdigit()}

    def numbers(letter: str) -> tuple[int, ...]:
        found = tuple(map(int, given.get(letter, "1").split("x")))
        return found if len(found) == rank else found * rank

    multiplier = numbers("m")[0]
    images = "separable" if multiplier == 1 else "multiplier"
    return Case(
        *(name, tuple(sizes), channels, multiplier, int(filters)),
        *(numbers("k"), numbers("s"), numbers("d"), batch),
        padding="causal" if "causal" in words else "same",
        data_format="channels_" + ("first" if "first" in words else "last"),
        suite={1: "sequence", 2: images, 3: "volume"}[rank],
        description=description,
    )


CASES = tuple(map(_case, _TABLE.strip().splitlines()))
