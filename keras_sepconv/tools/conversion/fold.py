"""Folds layers into the convolutions beside them, for inference.

In inference, batch normalisation is `scale * (x - mean) + beta` for each
channel, with `scale = gamma / sqrt(variance + epsilon)` (Ioffe and Szegedy,
2015). A normalisation after a linear layer can be removed: the kernel of the
layer is multiplied by `scale`, and its bias becomes
`(bias - mean) * scale + beta`.

Padding with zeros before a convolution can be removed if padding `"same"` of
the convolution adds the same zeros. This depends on the size of the image.
"""

import collections
import dataclasses
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import ConvSpec
from keras_sepconv.tools.conversion.edges import edges
from keras_sepconv.tools.inspection.tree import (
    Node,
    Path,
    holders,
    is_node,
    name_of,
)

# The weight that computes the output channels, by class.
_KERNELS = {
    "Dense": "kernel",
    **{
        name.format(rank): kernel
        for rank in (1, 2, 3)
        for name, kernel in (
            ("Conv{}D", "kernel"),
            ("Conv{}DTranspose", "kernel"),
            ("DepthwiseConv{}D", "kernel"),
            ("SeparableConv{}D", "pointwise_kernel"),
        )
    },
}
_PADDING = ("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
_HOMES = ("keras.layers", "keras_sepconv.layers")


@dataclasses.dataclass
class Folds:
    """What was folded, and what was not.

    Attributes:
        into: The normalisations that are folded into a layer, by the path of
            that layer.
        away: The path of the layer that each removed layer was folded into, by
            path and class of the removed layer.
        left: The reason why a normalisation stays, by path and class. A model
            is listed instead if all its normalisations stay.
    """

    into: dict[Path, list[Any]] = dataclasses.field(default_factory=dict)
    away: dict[tuple[Path, str], Path] = dataclasses.field(default_factory=dict)
    left: dict[tuple[Path, str], str] = dataclasses.field(default_factory=dict)


def fold(model: Any, node: Node) -> tuple[Node, Folds]:
    """Returns the config of a model without the layers that can be folded.

    Args:
        model: The model.
        node: The config of the model.
    """
    folds = Folds()
    return _folded(model, node, (), folds, holders(model)), folds


def _folded(
    layer: Any,
    node: Node,
    path: Path,
    folds: Folds,
    held: collections.Counter[int],
) -> Node:
    """Returns `node` with the layers inside folded."""
    config = node["config"]
    if isinstance(layer, keras.layers.TimeDistributed) and is_node(
        config.get("layer")
    ):
        inner = layer.layer
        path = (*path, inner.name)
        below = _folded(inner, config["layer"], path, folds, held)
        return {**node, "config": {**config, "layer": below}}
    if not isinstance(layer, keras.Model) or "layers" not in config:
        return node
    if _trains(node):
        folds.left[path, node["class_name"]] = _TRAINS
        return node
    nodes = [
        item
        if name_of(item) not in _names(layer)
        else _folded(
            layer.get_layer(name_of(item)),
            item,
            (*path, name_of(item)),
            folds,
            held,
        )
        for item in config["layers"]
    ]
    chain = edges(nodes, config)
    held_once = {inner.name for inner in layer.layers if held[id(inner)] == 1}
    for item in nodes:
        kind, name = item["class_name"], name_of(item)
        if kind in _PADDING and item["module"] == "keras.layers":
            after = chain.after(name)
            if (
                after is not None
                and _is_same(item, after)
                and name_of(after) in held_once
            ):
                into = (*path, name_of(after))
                folds.away[(*path, name), kind] = into
                after["config"] = {**after["config"], "padding": "same"}
                chain.remove(name)
        if kind != "BatchNormalization" or item["module"] != "keras.layers":
            continue
        before = chain.before(name)
        why_not: str | None
        if before is None:
            why_not = "nothing but one layer may come before it"
        else:
            name_before = name_of(before)
            is_alone = chain.uses(name_before) == 1 and name_before in held_once
            why_not = _why_not(before, item, is_alone)
        if why_not is not None:
            folds.left[(*path, name), kind] = why_not
            continue
        assert before is not None, "there is a layer to fold into"
        into = (*path, name_of(before))
        folds.into.setdefault(into, []).append(layer.get_layer(name))
        folds.away[(*path, name), kind] = into
        before["config"] = {**before["config"], "use_bias": True}
        chain.remove(name)
    return {**node, "config": {**config, **chain.config()}}


def _names(model: Any) -> set[str]:
    return {layer.name for layer in model.layers}


_TRAINS = "it is called with training=True"


def _trains(node: Node) -> bool:
    """Tells whether a call normalises with the statistics of its input."""
    calls = node.get("inbound_nodes", ())
    return any(call["kwargs"].get("training") for call in calls)


def _why_not(before: Node, norm: Node, is_alone: bool) -> str | None:
    """Returns why a normalisation cannot be folded into the layer before it.

    Args:
        before: The layer before.
        norm: The normalisation.
        is_alone: Whether nothing else uses the layer before or its output.
    """
    if _trains(norm):
        return _TRAINS
    kind, name = before["class_name"], name_of(before)
    config = before["config"]
    home = str(before.get("module")).startswith(_HOMES)
    if kind not in _KERNELS or not home:
        return f"{name} before it is {kind}"
    if not is_alone:
        return f"{name} before it is used elsewhere too"
    if config["activation"] not in (None, "linear"):
        return f"{name} before it has an activation"
    if config["dtype"] != norm["config"]["dtype"]:
        return f"{name} before it has another dtype"
    if config.get("lora_rank") or "Quantized" in str(config["dtype"]):
        return f"{name} before it has more than its kernel"
    if "build_config" not in norm:
        return "its input's shape is not known yet"
    rank = len(norm["build_config"]["input_shape"])
    first = config.get("data_format") == "channels_first"
    axis: Any = norm["config"]["axis"]
    if axis not in (1 if first else rank - 1, (1 - rank) if first else -1):
        return "it does not normalise the channels"
    return None


def _is_same(zeros: Node, after: Node) -> bool:
    """Tells whether `after` would add the same zeros with `"same"`."""
    name, config = after["class_name"], after["config"]
    home = str(after.get("module")).startswith(_HOMES)
    shape = zeros.get("build_config", {}).get("input_shape")
    if (
        name not in _KERNELS
        or name == "Dense"
        or name.endswith("Transpose")
        or not home
        or not shape
        or config["padding"] != "valid"
        or zeros["config"].get("data_format", "channels_last")
        != config["data_format"]
    ):
        return False
    spec = ConvSpec.normalise(
        tuple(config["kernel_size"]),
        config["strides"],
        "same",
        config["data_format"],
        config["dilation_rate"],
    )
    sizes = [shape[position] for position in spec.spatial_axes]
    if None in sizes:
        return False
    pads: Any = zeros["config"]["padding"]
    if spec.rank == 1:
        pads = (pads,)
    return all(
        tuple(pads[axis]) == spec.pads(axis, size)
        for axis, size in enumerate(sizes)
    )


def apply(before: Any, after: Any, norms: list[Any]) -> None:
    """Gives `after` the weights of `before`, with `norms` folded in."""
    name = _KERNELS[type(after).__name__]
    wide = {
        weight.name: np.asarray(
            keras.ops.convert_to_numpy(weight), dtype="float64"
        )
        for weight in before.weights
    }
    kernel_name = getattr(before, name).name
    channels = int(norms[0].moving_mean.shape[0])
    wide.setdefault("bias", np.zeros(channels))
    for norm in norms:
        mean, variance, gamma, beta = (
            np.asarray(keras.ops.convert_to_numpy(value), dtype="float64")
            if value is not None
            else default
            for value, default in (
                (norm.moving_mean, None),
                (norm.moving_variance, None),
                (norm.gamma if norm.scale else None, 1.0),
                (norm.beta if norm.center else None, 0.0),
            )
        )
        scale = gamma / np.sqrt(variance + norm.epsilon)
        wide["bias"] = (wide["bias"] - mean) * scale + beta
        kernel = wide[kernel_name]
        if "Depthwise" in type(after).__name__:
            wide[kernel_name] = kernel * scale.reshape(kernel.shape[-2:])
        elif "Transpose" in type(after).__name__:
            wide[kernel_name] = kernel * scale[:, None]
        else:
            wide[kernel_name] = kernel * scale
    for weight in after.weights:
        double = weight.dtype == "float64"
        weight.assign(
            wide[weight.name].astype("float64" if double else "float32")
        )
