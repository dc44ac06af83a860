"""Replaces a depth multiplier by copies of the input.

A depthwise convolution with multiplier m is computed by one with multiplier 1
on m copies of the input. Its output channels are in another order, so the
kernel of the next layer that mixes the channels is put in that order too.
Many runtimes have fast loops only for multiplier 1.
"""

import functools
import math
from typing import Any

import keras
import numpy as np

from keras_sepconv.layers._call import kind
from keras_sepconv.tools.conversion.carry import Give, rebuild
from keras_sepconv.tools.conversion.channels import (
    ELEMENTWISE,
    Place,
    places,
    reader,
)
from keras_sepconv.tools.conversion.objects import own_objects
from keras_sepconv.tools.inspection.convolutions import is_known
from keras_sepconv.tools.inspection.report import Row
from keras_sepconv.tools.inspection.tree import Node, Path, replaced

# By default, copies are made only where they were measured to help;
# docs/converting.md has the numbers.
_BACKENDS = ("tensorflow", "numpy")
_MOST_COPIES = 4
_FEWEST_CHANNELS = 16
_LARGEST_SHRINKAGE = 4


def with_copies(
    model: Any, node: Node, wanted: bool | None
) -> tuple[Any, list[Row], set[str]]:
    """Returns a model whose depthwise convolutions have multiplier 1.

    Args:
        model: The model.
        node: The config of the model.
        wanted: `True` to replace every layer that can be replaced, `False` for
            none, `None` for those where it was measured to help.

    Returns:
        The model; a row for each layer with a multiplier; and the names of the
        layers whose output channels are in another order.
    """
    nodes: dict[Path, Node] = {}
    give: dict[Path, Give] = {}
    rows: list[Row] = []
    changed: set[str] = set()
    if wanted is False:
        return model, rows, changed
    found = {place.path: place for place in places(model, node)}
    for place in found.values():
        if _multiplier(place.layer) == 1:
            continue
        row = functools.partial(
            Row, "/".join(place.path), place.node["class_name"]
        )
        why_not = _why_not(place, wanted)
        if why_not is None and kind(place.layer) == "depthwise":
            target = reader(place, scales=False)
            if isinstance(target, str):
                why_not = target
            elif not found[target[0]].is_alone:
                why_not = f"{target[1].name} after it is used elsewhere too"
            else:
                give[target[0]] = functools.partial(
                    _give_rows, order=_order(place.layer)
                )
                between = [path for path, _ in place.after]
                changed.update(
                    path[0]
                    for path in (place.path, *between)[
                        : between.index(target[0]) + 1
                    ]
                )
        if why_not is not None:
            rows.append(row(None, why_not))
            continue
        rows.append(row(f"{_multiplier(place.layer)} copies of its input"))
        with keras.saving.custom_object_scope(own_objects(model, node)):
            nodes[place.path] = _node(place)
        give[place.path] = _give_layer
    if not nodes:
        return model, rows, changed

    def change(path: Path, inner: Node) -> Node | None:
        return nodes.get(path)

    node = {**node, "config": replaced(node["config"], change)}
    return rebuild(model, node, give), rows, changed


def _multiplier(layer: Any) -> int:
    """Returns the depth multiplier of a layer, 1 for other layers."""
    if not is_known(layer) or kind(layer) not in ("depthwise", "separable"):
        return 1
    return int(
        getattr(layer, "depth_multiplier", None)
        or layer.filters // layer.groups
    )


def _why_not(place: Place, wanted: bool | None) -> str | None:
    """Returns why a layer stays, if the layer itself is the reason."""
    shape = place.node.get("build_config", {}).get("input_shape")
    if not shape:
        return "its input's shape is not known yet"
    if not place.is_alone:
        return "it is used elsewhere too"
    between = getattr(place.layer, "depthwise_activation", None)
    if between is not None and between not in ELEMENTWISE:
        return "its `depthwise_activation` may mix channels"
    if wanted:
        return None
    backend = keras.backend.backend()
    first = place.layer.data_format == "channels_first"
    channels = shape[1 if first else -1]
    after = place.layer.compute_output_shape(shape)
    inner = slice(2, None) if first else slice(1, -1)
    if backend not in _BACKENDS:
        return f"with {backend} it is as fast as it is"
    if _multiplier(place.layer) > _MOST_COPIES:
        return f"more than {_MOST_COPIES} copies do not help"
    if channels < _FEWEST_CHANNELS:
        return f"copies of fewer than {_FEWEST_CHANNELS} channels do not help"
    if _area(shape[inner]) > _LARGEST_SHRINKAGE * _area(after[inner]):
        return "its output is so small that the copies would take longer"
    return None


def _area(sizes: Any) -> int:
    return math.prod(size or 1 for size in sizes)


def _node(place: Place) -> Node:
    """Returns the config of the model that replaces a layer."""
    layer, config = place.layer, dict(place.node["config"])
    shape = place.node["build_config"]["input_shape"]
    axis = 1 if layer.data_format == "channels_first" else -1
    copies = _multiplier(layer)
    if "depth_multiplier" in config:
        config["depth_multiplier"] = 1
    else:
        config["groups"] = shape[axis] * copies
    given = keras.Input(
        shape[1:], dtype=layer.compute_dtype, name=f"{layer.name}_input"
    )
    join = keras.layers.Concatenate(
        axis, name=f"{layer.name}_copies", dtype=layer.dtype_policy
    )
    made = type(layer).from_config(config)(join([given] * copies))
    twin = keras.Model(given, made, name=layer.name)
    return {**place.node, **keras.saving.serialize_keras_object(twin)}


def _order(layer: Any) -> np.ndarray:
    """Returns the old channels in their new order, copy by copy."""
    copies = _multiplier(layer)
    kernel = getattr(layer, "depthwise_kernel", None)
    kernel = layer.kernel if kernel is None else kernel
    made = math.prod(kernel.shape[-2:])
    return np.arange(made).reshape(-1, copies).T.ravel()


def _give_layer(old: Any, new: Any) -> None:
    """Gives a model with copies the weights of the layer that it replaces."""
    order, twin = _order(old), new.layers[-1]
    is_alone = kind(old) == "depthwise"
    for weight, value in zip(twin.weights, _arrays(old), strict=True):
        if weight.name == "pointwise_kernel":
            value = value[..., order, :]
        elif weight.name != "bias" or is_alone:
            value = value.reshape(*value.shape[:-2], -1)[..., order]
        weight.assign(value.reshape(weight.shape))


def _give_rows(old: Any, new: Any, order: np.ndarray) -> None:
    """Gives a convolution its weights for input channels in another order."""
    kernel, *bias = _arrays(old)
    values = (kernel[..., order, :], *bias)
    for weight, value in zip(new.weights, values, strict=True):
        weight.assign(value)


def _arrays(layer: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
