"""The table of cases that the benchmark times and the tests check."""

import dataclasses
from typing import Any

import numpy as np

from keras_sepconv._checks import Padding


@dataclasses.dataclass(frozen=True)
class Case:
    """One separable convolution.

    Attributes:
        name: The name in reports, and for `--case`.
        sizes: The spatial sizes of the input.
        channels: The number of channels of the input.
        multiplier: The depth multiplier.
        filters: The number of outputs of the pointwise step.
        kernel_size: One size for each spatial axis.
        strides: One stride for each spatial axis.
        dilation_rate: One rate for each spatial axis.
        batch: The number of images.
        padding: As for `ops.separable_conv`.
        data_format: `"channels_last"` or `"channels_first"`.
        suite: The suite of the benchmark; `""` for a case that only tests use.
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

    def __str__(self) -> str:
        return self.name

    @property
    def description(self) -> str:
        """The full description of the case, for reports."""
        sizes = "x".join(map(str, self.sizes))
        kernel = "x".join(map(str, self.kernel_size))
        text = f"{self.batch}x{sizes}x{self.channels}->{self.filters} k{kernel}"
        if self.multiplier > 1:
            text += f" m{self.multiplier}"
        if max(self.strides) > 1:
            text += f" s{max(self.strides)}"
        if max(self.dilation_rate) > 1:
            text += f" d{max(self.dilation_rate)}"
        if self.padding != "same":
            text += f" {self.padding}"
        return text + (" first" if self.data_format == "channels_first" else "")

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of a layer other than the `options`."""
        return {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "depth_multiplier": self.multiplier,
        }

    def input_shape(self, data_format: str | None = None) -> tuple[int, ...]:
        """Returns the shape of the input; `None` for the case's own format."""
        if (data_format or self.data_format) == "channels_first":
            return (self.batch, self.channels, *self.sizes)
        return (self.batch, *self.sizes, self.channels)

    @property
    def depthwise_shape(self) -> tuple[int, ...]:
        """The shape of the depthwise kernel."""
        return (*self.kernel_size, self.channels, self.multiplier)

    @property
    def pointwise_shape(self) -> tuple[int, ...]:
        """The shape of the pointwise kernel."""
        ones = (1,) * len(self.kernel_size)
        return (*ones, self.channels * self.multiplier, self.filters)

    def arrays(
        self, rng: np.random.Generator, data_format: str | None = None
    ) -> list[np.ndarray]:
        """Returns random inputs, depthwise and pointwise kernel, and bias."""
        return [
            rng.standard_normal(shape, dtype="float32")
            for shape in (
                self.input_shape(data_format),
                self.depthwise_shape,
                self.pointwise_shape,
                (self.filters,),
            )
        ]

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

    def shrunk(self) -> "Case":
        """Returns a smaller case of this kind, for slow references."""
        return dataclasses.replace(
            self,
            sizes=tuple(min(size, 8 + size % 2) for size in self.sizes),
            channels=min(self.channels, 6),
            filters=min(self.filters, 7),
            batch=min(self.batch, 2),
        )


def _case(
    name: str,
    batch: int,
    sizes: int | tuple[int, ...],
    channels: int,
    filters: int,
    kernel: int = 3,
    multiplier: int = 1,
    strides: int | tuple[int, ...] = 1,
    dilation_rate: int = 1,
    **options: Any,
) -> Case:
    if isinstance(sizes, int):
        sizes = (sizes, sizes)
    rank = len(sizes)
    if isinstance(strides, int):
        strides = (strides,) * rank
    images = "separable" if multiplier == 1 else "multiplier"
    return Case(
        name,
        sizes,
        channels,
        multiplier,
        filters,
        (kernel,) * rank,
        strides,
        (dilation_rate,) * rank,
        batch,
        suite={1: "sequence", 2: images, 3: "volume"}[rank],
        **options,
    )


def _causal(name: str, rate: int) -> Case:
    """Returns a block of a temporal convolutional network."""
    return _case(name, 4, (4000,), 64, 64, dilation_rate=rate, padding="causal")


# A name has the network in which the case occurs, the side of the image and the
# channels. Then comes what differs from 3x3, stride 1, multiplier 1, batch 8.
# DeepLab, RepLKNet and some cases with a multiplier have fewer images, because
# stock Keras would need minutes.
CASES = (
    _case("mobilenet_112_32", 8, 112, 32, 64),
    _case("mobilenet_112_64_s2", 8, 112, 64, 128, strides=2),
    _case("mobilenet_56_128", 8, 56, 128, 128),
    _case("mobilenet_56_128_s2", 8, 56, 128, 256, strides=2),
    _case("mobilenet_28_256", 8, 28, 256, 256),
    _case("mobilenet_14_512", 8, 14, 512, 512),
    _case("mobilenet_14_512_b1", 1, 14, 512, 512),
    _case("mobilenet_14_512_b32", 32, 14, 512, 512),
    _case("mobilenet_7_1024", 8, 7, 1024, 1024),
    _case("xception_74_128", 8, 74, 128, 128),
    _case("xception_19_728", 8, 19, 728, 728),
    _case("efficientnet_56_64_k5", 8, 56, 64, 64, 5),
    _case("efficientnet_14_480_k5", 8, 14, 480, 112, 5),
    _case("convnext_28_192_k7", 8, 28, 192, 192, 7),
    _case("replknet_28_128_k31", 2, 28, 128, 128, 31),
    _case("deeplab_33_256_d2", 4, 33, 256, 256, dilation_rate=2),
    _case("deeplab_33_256_d4", 4, 33, 256, 256, dilation_rate=4),
    _case("first_56_128", 8, 56, 128, 128, data_format="channels_first"),
    _case("first_14_512", 8, 14, 512, 512, data_format="channels_first"),
    _case("small_28_64_b1", 1, 28, 64, 64),
    _case("rgb_64_m2", 8, 64, 3, 32, multiplier=2),
    _case("rgb_64_m4", 8, 64, 3, 32, multiplier=4),
    _case("rgb_64_m8", 8, 64, 3, 32, multiplier=8),
    _case("rgb_112_m4", 8, 112, 3, 32, multiplier=4),
    _case("wide_28_64_m2", 4, 28, 64, 64, multiplier=2),
    _case("wide_14_128_m4", 4, 14, 128, 128, multiplier=4),
    # Sequences: raw audio, temporal convolutional networks, QuartzNet, DNA.
    _case("audio_16000_64_k9", 4, (16000,), 64, 64, 9),
    _case("audio_16000_32_k9_s4", 4, (16000,), 32, 64, 9, strides=4),
    _case("audio_4000_16_k9_m4", 4, (4000,), 16, 64, 9, multiplier=4),
    _causal("tcn_4000_64_d1", 1),
    _causal("tcn_4000_64_d8", 8),
    _causal("tcn_4000_64_d64", 64),
    _case("quartznet_500_256_k33", 8, (500,), 256, 256, 33),
    _case("genomics_1024_128_k15", 8, (1024,), 128, 128, 15),
    # Volumes: video and medical images.
    _case("video_16_112_32", 1, (16, 112, 112), 32, 32),
    _case("video_16_56_64_s2", 2, (16, 56, 56), 64, 128, strides=(1, 2, 2)),
    _case("video_8_28_128", 2, (8, 28, 28), 128, 128),
    _case("medical_64_16", 1, (64, 64, 64), 16, 16),
    _case("medical_32_64_d2", 1, (32, 32, 32), 64, 64, dilation_rate=2),
)

# One of each kind, for a look in under a minute.
QUICK = (
    "mobilenet_56_128",
    "mobilenet_14_512_b1",
    "efficientnet_14_480_k5",
    "rgb_64_m2",
    "tcn_4000_64_d8",
)
