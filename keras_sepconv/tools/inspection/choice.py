"""Which implementation runs a convolution on the active backend, and why."""

import dataclasses
from typing import Any

from keras_sepconv import kernels
from keras_sepconv._spec import Shape
from keras_sepconv.layers._call import is_accelerated, operations
from keras_sepconv.tools.inspection.convolutions import (
    CONVOLUTIONS,
    is_ours,
    obstacle,
)


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which implementation runs a convolution.

    Attributes:
        runs: The name of the implementation; `"stock"` for the code of Keras;
            `None` if none supports the call or if it is not known.
        why: The reason, in words.
        accelerated: For a layer of Keras, the implementation that runs after
            `accelerate`.
        refused: The reasons why other implementations do not support the call,
            by name.
    """

    runs: str | None
    why: str
    accelerated: str | None = None
    refused: dict[str, str] = dataclasses.field(default_factory=dict)


def choice(layer: Any, shape: Shape | None) -> Choice | None:
    """Returns what runs a layer, or `None` if it is not a convolution.

    Args:
        layer: A layer of Keras or of this package.
        shape: The shape of its input, or `None` if unknown.
    """
    if not isinstance(layer, CONVOLUTIONS):
        return None
    if is_ours(layer):
        return _own(layer, shape, layer.implementation)
    reason = obstacle(layer)
    if reason is not None:
        return Choice("stock", f"accelerate leaves it: {reason}")
    if is_accelerated(layer):
        return _own(layer, shape, vars(layer)["call"].implementation)
    found = _own(layer, shape, None)
    return dataclasses.replace(
        found,
        runs="stock",
        why="accelerate makes it faster",
        accelerated=found.runs,
    )


def _own(layer: Any, shape: Shape | None, asked: str | None) -> Choice:
    first = layer.data_format == "channels_first"
    if shape is None or shape[1 if first else -1] is None:
        return Choice(None, "the shape of its input is not known")
    # Unknown sizes become 1, because they are known when the layer runs.
    calls = operations(layer, tuple(size or 1 for size in shape))
    if not calls:
        return Choice("stock", "it is dense")
    refused = {
        name: reason
        for call in calls
        for name, reason in kernels.reasons(call).items()
        if reason is not None
    }
    try:
        names = [kernels.choose(call, asked).name for call in calls]
    except ValueError as error:
        return Choice(None, str(error), refused=refused)
    why = "chosen by name" if asked else "the first that supports the call"
    return Choice(" and ".join(dict.fromkeys(names)), why, refused=refused)
