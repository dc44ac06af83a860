"""What runs a convolution on the active backend, and why."""

import dataclasses
from typing import Any

import keras

from keras_sepconv import kernels, layers
from keras_sepconv._spec import ConvSpec, Shape
from keras_sepconv.tools import _swap
from keras_sepconv.tools.counts import CONVOLUTIONS


@dataclasses.dataclass(frozen=True)
class Choice:
    """What runs a convolution.

    Attributes:
        runs: An implementation's name, `"stock"` for the code of Keras, `None`
            if nothing can, or if that is not known.
        why: Why that one, in words.
        converted: For a layer of Keras that `convert_model` replaces, what
            will run then.
        refused: Why other implementations cannot, by name.
    """

    runs: str | None
    why: str
    converted: str | None = None
    refused: dict[str, str] = dataclasses.field(default_factory=dict)


def choice(layer: Any, shape: Shape | None) -> Choice | None:
    """Returns what runs a layer, `None` if it is no convolution.

    Args:
        layer: A layer of Keras or of this package.
        shape: The shape of its input, `None` if unknown.
    """
    if not isinstance(layer, CONVOLUTIONS):
        return None
    if _swap.is_ours(layer):
        return _own(layer, shape)
    node = keras.saving.serialize_keras_object(layer)
    found = _swap.to_ours(None)(node)
    if isinstance(found, dict):
        kind = getattr(layers, found["class_name"])
        own = _own(kind.from_config(found["config"]), shape)
        return dataclasses.replace(
            own,
            runs="stock",
            why="convert_model replaces it",
            converted=own.runs,
        )
    reason = found or _swap.candidate(layer)
    if reason is None:
        return Choice("stock", "it is neither depthwise nor pointwise")
    return Choice("stock", f"convert_model leaves it: {reason}")


def _own(layer: Any, shape: Shape | None) -> Choice:
    spec = ConvSpec.normalise(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.data_format,
        layer.dilation_rate,
    )
    if shape is None or shape[spec.channel_axis] is None:
        return Choice(None, "the shape of its input is not known")
    # As a call does it where sizes are unknown; they will be known one day.
    parts = _parts(layer, spec, tuple(size or 1 for size in shape))
    if not parts:
        return Choice("stock", "it is neither depthwise nor pointwise")
    refused = {
        name: reason
        for part in parts
        for name, reason in kernels.reasons(part).items()
        if reason is not None
    }
    asked = layer.implementation
    try:
        names = [kernels.choose(part, asked).name for part in parts]
    except ValueError as error:
        return Choice(None, str(error), refused=refused)
    why = "the layer asks for it" if asked else "the first that can"
    return Choice(" and ".join(dict.fromkeys(names)), why, refused=refused)


def _parts(
    layer: Any, spec: ConvSpec, shape: tuple[int, ...]
) -> list[kernels.Call]:
    """Returns the operations that a layer of ours calls."""
    channels, dtype = shape[spec.channel_axis], layer.compute_dtype
    groups = getattr(layer, "groups", None)
    if groups is not None:  # A plain convolution.
        if groups == 1 and max(layer.kernel_size) == 1:
            return [_pointwise(spec, shape, layer.filters, dtype)]
        if groups == channels > 1:
            multiplier = layer.filters // groups
            return [kernels.Call(spec, shape, multiplier, None, dtype)]
        return []
    multiplier, filters = (
        layer.depth_multiplier,
        getattr(layer, "filters", None),
    )
    if filters is not None and (
        layer.depthwise_use_bias or layer.depthwise_activation is not None
    ):
        between = kernels.Call(spec, shape, multiplier, None, dtype)
        sizes = tuple(max(size or 1, 1) for size in between.output_shape)
        return [between, _pointwise(spec, sizes, filters, dtype)]
    return [kernels.Call(spec, shape, multiplier, filters, dtype)]


def _pointwise(
    spec: ConvSpec, shape: Shape, filters: int, dtype: str
) -> kernels.Call:
    ones = (1,) * spec.rank
    point = ConvSpec.normalise(ones, 1, "same", spec.data_format, 1)
    return kernels.Call(point, shape, 1, filters, dtype)
