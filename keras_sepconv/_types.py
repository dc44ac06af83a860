"""The types of the arguments of layers and helpers, for editors and checkers.

Words may also be in upper case, which a type cannot say.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

# Numbers from R are doubles. The number must be whole, which a type cannot say.
Whole: TypeAlias = int | float | np.integer[Any] | np.floating[Any]
# One number for all axes, or one for each axis.
Wholes: TypeAlias = Whole | Sequence[Whole] | np.ndarray[Any, Any]
# The same, or a pair for each axis: before and after.
Pairs: TypeAlias = Wholes | Sequence[Wholes]

PaddingWord: TypeAlias = Literal["valid", "same"]
PaddingWord1D: TypeAlias = Literal["valid", "same", "causal"]
# A word, or zeros in numbers.
Padding: TypeAlias = PaddingWord | Pairs
Padding1D: TypeAlias = PaddingWord1D | Pairs
# In a class for every rank: one of the two.
PaddingOfRank = TypeVar("PaddingOfRank", Padding, Padding1D)
DataFormat: TypeAlias = Literal["channels_last", "channels_first"]
Interpolation: TypeAlias = Literal[
    "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"
]

# A name, an object or a function, or the config of one.
_Named: TypeAlias = str | Callable[..., Any] | Mapping[str, Any]
Activation: TypeAlias = _Named | None
Initializer: TypeAlias = _Named | np.ndarray[Any, Any] | None
Regularizer: TypeAlias = _Named | None
Constraint: TypeAlias = _Named | None

# One number is a shape of rank 1, because R has no scalars.
ShapeLike: TypeAlias = Whole | Iterable[Whole | None]
# Arrays of any kind that NumPy understands.
Weights: TypeAlias = Sequence[Any] | None


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


# The default of an argument that must be passed. It needs a default because it
# follows `object`, which has one. Signatures show it.
REQUIRED: Any = _Required()
