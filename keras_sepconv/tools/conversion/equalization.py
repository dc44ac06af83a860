"""Gives the channels between two convolutions similar ranges, for int8.

A quantizer gives all channels of a tensor one scale. A channel that is much
smaller than another then keeps few of its bits, or none.

So the first convolution is changed to make a channel smaller by a factor `s`,
and the second one to multiply this channel by `s`. The result stays the same if
there is nothing between the two, or a ReLU, since `relu(s * x)` is
`s * relu(x)` for positive `s`. The method is from Nagel et al. (2019),
https://arxiv.org/abs/1906.04721.

Every `s` is a power of two. So the products are rounded as before, and the
results are the same to the last bit.
"""

import functools
from typing import Any

import keras
import numpy as np

from keras_sepconv.layers._call import kind
from keras_sepconv.tools.conversion.channels import (
    SCALING,
    Place,
    is_dense_convolution,
    places,
    reader,
)
from keras_sepconv.tools.inspection.convolutions import is_known
from keras_sepconv.tools.inspection.report import Row
from keras_sepconv.tools.inspection.tree import Node


def equalize(model: Any, node: Node) -> tuple[list[Row], set[str]]:
    """Equalizes a model in place.

    Args:
        model: The model.
        node: The config of the model.

    Returns:
        A row for each convolution with the convolution that reads it, or with
        the reason why it stays; and the names of the layers whose results are
        scaled.
    """
    rows: list[Row] = []
    changed: set[str] = set()
    found = {place.path: place for place in places(model, node)}
    for place in found.values():
        made = kind(place.layer) if is_known(place.layer) else None
        if not made and not is_dense_convolution(place.layer):
            continue
        row = functools.partial(
            Row, "/".join(place.path), place.node["class_name"]
        )
        inside = made == "separable" and _equalize_inside(place)
        if inside:
            rows.append(row("/".join(place.path)))
        target = _target(place, found)
        if not isinstance(target, str):
            _balance(_makers(place.layer), target[1].kernel)
            rows.append(row("/".join(target[0])))
            paths = [place.path, *(path for path, _ in place.after)]
            changed.update(path[0] for path in paths[: paths.index(target[0])])
        elif made in ("depthwise", "separable") and not inside:
            rows.append(row(None, target))
    return rows, changed


def _target(place: Place, found: Any) -> Any:
    """Returns the path and the layer that reads a convolution, or a reason."""
    if not place.layer.built:
        return "it has no weights yet"
    target = reader(place, scales=True)
    if isinstance(target, str):
        return target
    if not (place.is_alone and found[target[0]].is_alone):
        return "it or its reader is used elsewhere too"
    return target


def _equalize_inside(place: Place) -> bool:
    """Equalizes the two kernels of a separable convolution, if possible."""
    layer = place.layer
    between = getattr(layer, "depthwise_activation", None)
    if not layer.built or not (between is None or between in SCALING):
        return False
    bias = getattr(layer, "depthwise_bias", None)
    _balance((layer.depthwise_kernel, bias), layer.pointwise_kernel)
    return True


def _makers(layer: Any) -> tuple[Any, Any]:
    """Returns the kernel and the bias that compute the outputs of a layer."""
    pointwise = getattr(layer, "pointwise_kernel", None)
    return layer.kernel if pointwise is None else pointwise, layer.bias


def _balance(makers: tuple[Any, Any], rows: Any) -> None:
    """Equalizes channels, in the kernels before and after them.

    Args:
        makers: The kernel and the bias (or `None`) that compute the channels.
        rows: The kernel that reads the channels, along its last axis but one.
    """
    taken = _array(rows)
    channels = taken.shape[-2]
    made = [_array(weight) for weight in makers if weight is not None]
    flat = [np.abs(array).reshape(-1, channels) for array in made]
    # The largest value of each channel for inputs of size 1.
    reach = sum(array.sum(axis=0, dtype="float64") for array in flat)
    wanted = np.abs(taken).max(
        axis=tuple(axis for axis in range(taken.ndim) if axis != taken.ndim - 2)
    )
    both = (reach > 0) & (wanted > 0)
    ratio = np.divide(reach, wanted, out=np.ones_like(reach), where=both)
    scale = np.exp2(np.round(np.log2(ratio) / 2))
    for weight, array in zip(makers, made, strict=False):
        scaled = array.reshape(-1, channels) / scale
        weight.assign(scaled.reshape(array.shape).astype(array.dtype))
    rows.assign((taken * scale[:, None]).astype(taken.dtype))


def _array(weight: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(weight))
