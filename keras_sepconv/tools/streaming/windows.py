"""How layers that read several steps at a time run step by step."""

import math
from typing import Any

from keras_sepconv._checks import wrong
from keras_sepconv._spec import ConvSpec
from keras_sepconv.tools.streaming.stream import (
    Plan,
    RefusedError,
    Sizes,
    Stream,
)


def _more(stream: Stream, steps: int) -> int | None:
    """Returns the field of a window of several steps."""
    assert stream.stride is not None, "`plan` sorts out those without steps"
    if stream.field is None:
        return None
    return stream.field + math.floor((steps - 1) * stream.stride)


def windows(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    """A convolution or a pooling: its state is what it reads again later."""
    size = getattr(layer, "kernel_size", None) or layer.pool_size
    size = (size,) if isinstance(size, int) else tuple(size)
    rate = getattr(layer, "dilation_rate", 1)
    spec = ConvSpec.normalise(
        size, layer.strides, layer.padding, "channels_last", rate
    )
    span, stride = spec.spans[0], spec.strides[0]
    # The whole sequence has as many steps as a multiple of the stride.
    total = max(span - stride, 0) if spec.padding == "same" else 0
    before, after = total // 2, total - total // 2
    changes: dict[str, Any] = {}
    if not isinstance(spec.padding, str):
        (before, after), *others = spec.padding
        changes["padding"] = ((0, 0), *others) if others else "valid"
    elif layer.padding == "causal":
        changes["padding"] = "valid"
    before += stream.zeros
    missing = span - 1 - before
    if after or not 0 <= missing < stride:
        raise _misfit(spec, layer.padding, before, after)
    assert stream.stride is not None, "`plan` sorts out those without steps"
    field = _more(stream, span)
    return Plan(stream.stride * stride, field, 0, changes, before)


def _misfit(
    spec: ConvSpec, padding: Any, before: int, after: int
) -> RefusedError:
    """Returns why the windows of a layer do not end at the present step."""
    zeros, rank = spec.spans[0] - 1, spec.rank
    way = f"ZeroPadding{rank}D with {zeros} zeros before the first step may "
    way += 'stand before padding="valid"'
    if rank == 1:
        way = f'Use padding="causal" in a convolution; or {way}'
    else:
        way = (
            "Pad only before: a convolution of keras_sepconv takes "
            f"padding=(({zeros}, 0), ...); or {way}"
        )
    if after:
        steps = "step" if after == 1 else "steps"
        return RefusedError(f"looks {after} {steps} ahead ({padding=})", way)
    if before > zeros:
        return RefusedError(
            f"begins with {before} zeros, more than the {zeros} that its "
            "kernel reads before the present step",
            way,
        )
    return RefusedError(
        f"has fewer outputs than inputs, because it begins with {before} "
        f"zeros, not {zeros} ({padding=})",
        way,
    )


def global_pooling(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    """A mean or a maximum of the last steps."""
    if sizes.window is None:
        raise RefusedError(
            "is a global pooling, and the number of steps is not known",
            "Pass `window`, the number of steps of the input that it reads",
        )
    if sizes.window % sizes.chunk:
        rule = f"a multiple of `chunk`, {sizes.chunk}"
        raise wrong("window", rule, sizes.window)
    assert stream.stride is not None, "`plan` sorts out those without steps"
    keep = math.floor((sizes.window - sizes.chunk) / stream.stride)
    steps = math.floor(sizes.window / stream.stride)
    return Plan(None, _more(stream, steps), keep=keep)
