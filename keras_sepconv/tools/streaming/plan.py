"""Plans how one call runs step by step: what holds for layers of all kinds."""

import dataclasses
from typing import Any

import keras

from keras_sepconv.tools.inspection.convolutions import is_known, is_ours
from keras_sepconv.tools.inspection.tree import is_stock
from keras_sepconv.tools.streaming.rules import (
    ELEMENTWISE,
    MERGES,
    REFUSED,
    RULES,
    alone,
)
from keras_sepconv.tools.streaming.stream import (
    Plan,
    RefusedError,
    Rule,
    Sizes,
    Stream,
)
from keras_sepconv.tools.streaming.windows import windows

_ALONE = "If it does, say so by `keras.layers.TimeDistributed`"


def plan(
    layer: Any, streams: list[Stream], constants: list[Any], sizes: Sizes
) -> Plan:
    """Returns how one call of a layer runs step by step.

    Args:
        layer: The layer, or another operation of Keras.
        streams: Its inputs.
        constants: The other arguments of the call.
        sizes: What the user asks for.

    Raises:
        RefusedError: It cannot run step by step.
    """
    strides = {stream.stride for stream in streams}
    if strides == {None}:
        # Without steps, each layer is right.
        return Plan(None, _field(streams))
    rule = _rule(layer)
    if None in strides:
        raise RefusedError(
            "joins steps with a summary of steps",
            "Sum up the steps only at the end",
        )
    if len(strides) > 1:
        rates = " and ".join(str(n) for n in sorted(strides, key=str))
        raise RefusedError(
            "joins branches of different rates: one has a step for every "
            f"{rates} steps of the input",
            "Give the branches equal strides along time",
        )
    stream = streams[0]
    if rule is not windows and any(one.zeros for one in streams):
        raise RefusedError(
            "gets zeros from a padding layer, and only a convolution or a "
            "pooling may come directly after one that pads time",
            'Pad in the convolution, for example by padding="causal"',
        )
    if getattr(layer, "data_format", None) == "channels_first":
        raise RefusedError(
            "has its channels on axis 1, where the time must be",
            'Use data_format="channels_last"',
        )
    if not _merges(layer):
        if len(streams) > 1 or any(map(_has_axes, constants)):
            raise RefusedError(
                "gets more than one tensor",
                "Only layers that merge step by step may",
            )
        return rule(layer, stream, sizes)
    for one in (*streams, *filter(_has_axes, constants)):
        if not _fits(one, stream):
            raise RefusedError(
                f"joins tensors of the shapes {stream.shape} and "
                f"{tuple(one.shape)}, which differ in their axes or steps",
                "Give them the same steps and the same number of axes",
            )
    found = rule(layer, stream, sizes)
    return dataclasses.replace(found, field=_field(streams))


def _merges(layer: Any) -> bool:
    is_layer = isinstance(layer, keras.layers.Layer)
    return not is_layer or type(layer).__name__ in MERGES


def _has_axes(value: Any) -> bool:
    return bool(getattr(value, "shape", ()))


def _fits(one: Any, stream: Stream) -> bool:
    """Tells whether a tensor has the same steps, or is the same at each."""
    if not isinstance(one, Stream):
        return len(one.shape) < len(stream.shape) - 1
    known = {one.shape[1], stream.shape[1]} - {None}
    return len(one.shape) == len(stream.shape) and len(known) < 2


def _field(streams: list[Stream]) -> int | None:
    fields = [stream.field for stream in streams]
    known = [field for field in fields if field is not None]
    return max(known) if len(known) == len(fields) else None


def _rule(layer: Any) -> Rule:
    """Returns the rule for a layer or an operation."""
    kind = type(layer)
    name = kind.__name__
    if not isinstance(layer, keras.layers.Layer):
        if kind.__module__.startswith("keras.") and name in ELEMENTWISE:
            return alone
        raise RefusedError(
            "is an operation that is not known to act on each step alone",
            "Replace it by a layer of Keras",
        )
    if is_stock(layer) and name in REFUSED:
        raise RefusedError(*REFUSED[name])
    if not (is_stock(layer) or is_ours(layer)) or name not in RULES:
        raise RefusedError(
            "is of a kind that is not known to act on each step alone", _ALONE
        )
    if not is_known(layer):
        raise RefusedError(
            "is quantized or has LoRA", "Quantize the result instead"
        )
    return RULES[name]
