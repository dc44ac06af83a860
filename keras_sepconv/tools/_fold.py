"""Folds what stands around convolutions into them, for inference.

In inference, batch normalisation is `scale * (x - mean) + beta` for each
channel, with `scale = gamma / sqrt(variance + epsilon)` (Ioffe and Szegedy,
2015). After a linear layer, that is the layer with its kernel times `scale`
and the bias `(bias - mean) * scale + beta`. And zeros around an image of known
size are the convolution's own padding, where they are those of `"same"`.
"""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import ConvSpec
from keras_sepconv.tools._tree import Node, Path, is_node, layers, name_of

# The weight that makes the output, and what its axes are from its last ones on.
_KERNELS = {
    "Dense": "kernel",
    **{f"Conv{rank}D": "kernel" for rank in (1, 2, 3)},
    **{f"Conv{rank}DTranspose": "kernel" for rank in (1, 2, 3)},
    **{f"DepthwiseConv{rank}D": "kernel" for rank in (1, 2, 3)},
    **{f"SeparableConv{rank}D": "pointwise_kernel" for rank in (1, 2, 3)},
}
_PADDING = ("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
_HOMES = ("keras.layers", "keras_sepconv.layers")


@dataclasses.dataclass
class Folds:
    """What was folded, and what was not.

    Attributes:
        into: The normalisations that each layer takes in, by its path.
        away: The path and class of each layer folded away, with the path of
            the one it went into.
        left: The reason for each normalisation that stays, and for each model
            that stays with all of its own, by path and class.
    """

    into: dict[Path, list[Any]] = dataclasses.field(default_factory=dict)
    away: dict[tuple[Path, str], Path] = dataclasses.field(default_factory=dict)
    left: dict[tuple[Path, str], str] = dataclasses.field(default_factory=dict)


def fold(model: Any, node: Node) -> tuple[Node, Folds]:
    """Returns a model's node without the layers that can be folded.

    Args:
        model: The model.
        node: What Keras serialised of it.
    """
    folds, holders = Folds(), collections.Counter[int]()
    _count(model, holders)
    return _folded(model, node, (), folds, holders), folds


def _count(layer: Any, holders: collections.Counter[int]) -> None:
    """Counts, by identity, in how many models or other layers each layer is."""
    if not isinstance(layer, keras.Model):
        holders.update(id(inner) for _, inner in layers(layer))
        return
    for inner in layer.layers:
        holders[id(inner)] += 1
        if holders[id(inner)] == 1:
            _count(inner, holders)


def _folded(
    layer: Any,
    node: Node,
    path: Path,
    folds: Folds,
    holders: collections.Counter[int],
) -> Node:
    """Returns `node`, folded inside."""
    config = node["config"]
    if isinstance(layer, keras.layers.TimeDistributed) and is_node(
        config.get("layer")
    ):
        inner = layer.layer
        path = (*path, inner.name)
        below = _folded(inner, config["layer"], path, folds, holders)
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
            holders,
        )
        for item in config["layers"]
    ]
    edges: _Chain | _Graph = (
        _Graph(nodes, config["output_layers"])
        if "output_layers" in config
        else _Chain(nodes)
    )
    held_once = {
        inner.name for inner in layer.layers if holders[id(inner)] == 1
    }
    for item in nodes:
        kind, name = item["class_name"], name_of(item)
        if kind in _PADDING and item["module"] == "keras.layers":
            after = edges.after(name)
            if (
                after is not None
                and _is_same(item, after)
                and name_of(after) in held_once
            ):
                into = (*path, name_of(after))
                folds.away[(*path, name), kind] = into
                after["config"] = {**after["config"], "padding": "same"}
                edges.remove(name)
        if kind != "BatchNormalization" or item["module"] != "keras.layers":
            continue
        before = edges.before(name)
        why_not: str | None
        if before is None:
            why_not = "nothing but one layer may come before it"
        else:
            name_before = name_of(before)
            is_alone = edges.uses(name_before) == 1 and name_before in held_once
            why_not = _why_not(before, item, is_alone)
        if why_not is not None:
            folds.left[(*path, name), kind] = why_not
            continue
        assert before is not None, "there is a layer to fold into"
        into = (*path, name_of(before))
        folds.into.setdefault(into, []).append(layer.get_layer(name))
        folds.away[(*path, name), kind] = into
        before["config"] = {**before["config"], "use_bias": True}
        edges.remove(name)
    return {**node, "config": {**config, **edges.config()}}


def _names(model: Any) -> set[str]:
    return {layer.name for layer in model.layers}


_TRAINS = "it is called with training=True"


def _trains(node: Node) -> bool:
    """Tells whether a call of a layer normalises by what it takes."""
    calls = node.get("inbound_nodes", ())
    return any(call["kwargs"].get("training") for call in calls)


def _why_not(before: Node, norm: Node, is_alone: bool) -> str | None:
    """Returns why a normalisation cannot go into the layer before it.

    Args:
        before: That layer.
        norm: The normalisation.
        is_alone: Whether nothing else uses what that layer makes, or the layer.
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
    """Tells whether zeros are what `after` would pad with for `"same"`."""
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


class _Chain:
    """The layers of a Sequential."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = list(nodes)

    def before(self, name: str) -> Node | None:
        at = [name_of(node) for node in self._nodes].index(name)
        return self._nodes[at - 1] if at > 0 else None

    def after(self, name: str) -> Node | None:
        at = [name_of(node) for node in self._nodes].index(name) + 1
        return self._nodes[at] if at < len(self._nodes) else None

    def uses(self, name: str) -> int:
        return 1

    def remove(self, name: str) -> None:
        self._nodes = [node for node in self._nodes if name_of(node) != name]

    def config(self) -> dict[str, Any]:
        return {"layers": self._nodes}


class _Graph:
    """The layers of a functional model.

    A tensor is the name of the layer that made it, in which call, and which of
    its outputs it is.
    """

    def __init__(self, nodes: list[Node], outputs: Any) -> None:
        self._nodes = {node["name"]: node for node in nodes}
        self._outputs = outputs
        self._instead: dict[str, list[Any]] = {}

    def before(self, name: str) -> Node | None:
        calls = self._nodes[name]["inbound_nodes"]
        tensors = list(_histories(calls))
        if len(calls) != 1 or len(tensors) != 1:
            return None
        return self._nodes[self._now(tensors[0])[0]]

    def after(self, name: str) -> Node | None:
        """Returns the one layer that reads what a layer makes, once."""
        readers = [
            node
            for node in self._nodes.values()
            for history in _histories(node["inbound_nodes"])
            if self._now(history)[0] == name
        ]
        alone = len(readers) == self.uses(name) == 1
        if not alone or len(readers[0]["inbound_nodes"]) != 1:
            return None
        return readers[0]

    def _now(self, history: Any) -> list[Any]:
        """Returns where a tensor comes from, without what was removed."""
        while history[0] in self._instead:
            history = self._instead[history[0]]
        return list(history)

    def uses(self, name: str) -> int:
        """Returns how many read what a layer makes, in all of its calls."""
        found = collections.Counter(
            self._now(history)[0]
            for node in self._nodes.values()
            for history in _histories(node["inbound_nodes"])
        )
        ends = sum(self._now(end)[0] == name for end in _ends(self._outputs))
        calls: list[Any] = self._nodes[name]["inbound_nodes"]
        return int(max(found[name] + ends, len(calls)))

    def remove(self, name: str) -> None:
        (history,) = _histories(self._nodes[name]["inbound_nodes"])
        self._instead[name] = history
        del self._nodes[name]

    def config(self) -> dict[str, Any]:
        return {
            "layers": [
                {**node, "inbound_nodes": self._rewired(node["inbound_nodes"])}
                for node in self._nodes.values()
            ],
            "output_layers": self._moved(self._outputs),
        }

    def _rewired(self, value: Any) -> Any:
        if _is_tensor(value):
            history = self._now(value["config"]["keras_history"])
            config = {**value["config"], "keras_history": history}
            return {**value, "config": config}
        if isinstance(value, dict):
            return {k: self._rewired(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._rewired(item) for item in value)
        return value

    def _moved(self, ends: Any) -> Any:
        if _is_end(ends):
            return self._now(ends)
        if isinstance(ends, dict):
            return {key: self._moved(end) for key, end in ends.items()}
        return [self._moved(end) for end in ends]


def _is_tensor(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("class_name") == "__keras_tensor__"
    )


def _histories(value: Any) -> Iterator[list[Any]]:
    """Yields where each tensor of a call's arguments comes from."""
    if _is_tensor(value):
        yield value["config"]["keras_history"]
    elif isinstance(value, dict):
        for item in value.values():
            yield from _histories(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _histories(item)


def _is_end(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(item, int) for item in value[1:])
    )


def _ends(value: Any) -> Iterator[Any]:
    """Yields the tensors that a model returns."""
    if _is_end(value):
        yield value
    else:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _ends(item)


def apply(before: Any, norms: list[Any], after: Any) -> None:
    """Gives `after` the weights of `before` with `norms` behind it."""
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
