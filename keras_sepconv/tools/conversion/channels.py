"""Finds the layers that read the output channels of a convolution."""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from keras_sepconv.tools.conversion.edges import edges
from keras_sepconv.tools.inspection.convolutions import is_known
from keras_sepconv.tools.inspection.tree import (
    Node,
    Path,
    holders,
    is_graph,
    name_of,
)

_L = keras.layers

# Layers that treat each channel the same way. If a channel is doubled, its
# output doubles.
_LINEAR = (
    *(
        getattr(_L, f"{way}Pooling{n}D")
        for way in ("Average", "Max")
        for n in (1, 2, 3)
    ),
    *(
        getattr(_L, f"{what}{n}D")
        for what in ("ZeroPadding", "Cropping", "UpSampling")
        for n in (1, 2, 3)
    ),
    _L.Dropout,
)
SCALING = tuple(
    getattr(keras.activations, name)
    for name in ("linear", "relu", "leaky_relu")
)
ELEMENTWISE = (
    *SCALING,
    *(
        getattr(keras.activations, name)
        for name in ("elu", "gelu", "relu6", "selu", "sigmoid", "silu", "tanh")
    ),
)


@dataclasses.dataclass(frozen=True)
class Place:
    """A layer and its place in a model.

    Attributes:
        path: Its path.
        node: Its config.
        layer: The layer.
        is_alone: Whether the layer is in no other place.
        after: The chain of layers that follow, with their paths. Each one is
            the only reader of the output of the one before.
    """

    path: Path
    node: Node
    layer: Any
    is_alone: bool
    after: tuple[tuple[Path, Any], ...] = ()


def places(model: Any, node: Node) -> Iterator[Place]:
    """Yields each layer of a model and of the models inside.

    Args:
        model: The model.
        node: The config of the model.
    """
    return _places(model, node, (), holders(model))


def _places(
    layer: Any, node: Node, path: Path, held: collections.Counter[int]
) -> Iterator[Place]:
    config = node["config"]
    if type(layer) is _L.TimeDistributed:
        inner, below = layer.layer, config["layer"]
        within = (*path, inner.name)
        yield Place(within, below, inner, held[id(inner)] == 1)
        yield from _places(inner, below, within, held)
    if not is_graph(layer):
        return
    chain = edges(config["layers"], config)
    inside = {inner.name: inner for inner in layer.layers}
    # A graph has operations besides layers.
    readers = {one.name: one for one in getattr(layer, "operations", ())}
    readers |= inside
    for item in config["layers"]:
        name = name_of(item)
        if name not in inside:
            continue
        after: list[tuple[Path, Any]] = []
        following = chain.after(name)
        while following is not None:
            reader = name_of(following)
            after.append(((*path, reader), readers[reader]))
            following = chain.after(reader)
        inner = inside[name]
        within, is_alone = (*path, name), held[id(inner)] == 1
        yield Place(within, item, inner, is_alone, tuple(after))
        yield from _places(inner, item, within, held)


def reader(place: Place, scales: bool) -> tuple[Path, Any] | str:
    """Returns the only convolution that reads the output of another.

    Args:
        place: The place of the other.
        scales: Whether the layers between must double a channel if their input
            is doubled. Otherwise they only need to treat all channels the same
            way.

    Returns:
        Its path and the layer, or the reason why there is none.
    """
    allowed = SCALING if scales else ELEMENTWISE
    if place.layer.activation not in allowed:
        return "its activation is in the way"
    for path, layer in place.after:
        if is_dense_convolution(layer):
            if layer.data_format != place.layer.data_format:
                break
            return path, layer
        if not _passes(layer, allowed, place.layer.data_format):
            return f"{layer.name} after it is {type(layer).__name__}"
    return "no convolution reads it alone"


def is_dense_convolution(layer: Any) -> bool:
    """Tells whether each output of a layer depends on all channels."""
    is_plain = isinstance(layer, (_L.Conv1D, _L.Conv2D, _L.Conv3D))
    return bool(is_plain and is_known(layer) and layer.groups == 1)


def _passes(layer: Any, allowed: Any, data_format: str) -> bool:
    if type(layer) in _LINEAR:
        return bool(getattr(layer, "data_format", data_format) == data_format)
    if type(layer) is _L.ReLU:
        plain = layer.max_value is None and not layer.threshold
        return plain or allowed is ELEMENTWISE
    if type(layer) is _L.ELU:
        return allowed is ELEMENTWISE
    if type(layer) is _L.Activation:
        return layer.activation in allowed
    return type(layer) is _L.LeakyReLU
