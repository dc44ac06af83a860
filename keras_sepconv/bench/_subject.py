"""What is timed, on whichever backend."""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras_sepconv._spec import Tensor
from keras_sepconv.bench.results import Costs


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something to time: a layer, a peer or the floor.

    Both functions return when the result is there.

    Attributes:
        forward: From the inputs to the value.
        training: From the inputs and a cotangent to the value, then the
            gradients of the inputs and of all weights.
        costs: Compiles both, before their first call, and returns what that
            took; where the framework tells.
    """

    forward: Callable[[Tensor], Tensor]
    training: Callable[[Tensor, Tensor], list[Tensor]]
    costs: Callable[[Tensor, Tensor], Costs] | None = None


# A layer: called with a tensor, and with Keras variables for `weights`.
Layer = Any
