"""The form in which every backend provides what is timed."""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras_sepconv._spec import Tensor
from keras_sepconv.bench.results import Costs


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something to time: a layer, a peer or the floor.

    Both functions wait until the result is computed.

    Attributes:
        forward: Computes the value from the inputs.
        training: Computes the value, and the gradients of the inputs and of all
            weights, from the inputs and a cotangent.
        costs: Compiles both before their first call and returns the costs;
            `None` if the framework does not report them.
    """

    forward: Callable[[Tensor], Tensor]
    training: Callable[[Tensor, Tensor], list[Tensor]]
    costs: Callable[[Tensor, Tensor], Costs] | None = None


# A layer: called with a tensor, and with Keras variables for `weights`.
Layer = Any
