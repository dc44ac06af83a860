"""What is known of a tensor and of a call that run step by step."""

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias

from keras_sepconv._spec import Shape


class RefusedError(Exception):
    """A layer cannot run step by step: the reason, and the way out."""


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """A tensor of the whole model, and how it arrives step by step.

    Attributes:
        shape: Its shape in the whole model.
        dtype: Its dtype.
        stride: How many steps of the model's input make one of its steps;
            `None` if it has no steps, because it sums up those before.
        field: How many steps of the model's input one of its values depends on;
            `None` if on all before.
        zeros: How many zeros a padding layer puts before the first step. They
            are not in the stream: the next layer begins with a state of zeros.
    """

    shape: Shape
    dtype: str
    stride: Fraction | None = Fraction(1)
    field: int | None = 1
    zeros: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one call of a layer runs step by step.

    Attributes:
        stride: Of its results; see `Stream`.
        field: Of its results.
        zeros: Of its results.
        changes: What differs in the config of the layer.
        keep: How many of the last inputs are the state.
        is_recurrent: Whether the layer has states of its own.
        is_left_out: Whether the layer has nothing to do.
    """

    stride: Fraction | None
    field: int | None
    zeros: int = 0
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    keep: int = 0
    is_recurrent: bool = False
    is_left_out: bool = False


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many steps come at a time, and how many a global pooling reads."""

    chunk: int
    window: int | None


Rule: TypeAlias = Callable[[Any, Stream, Sizes], Plan]
