"""The types of the helpers' arguments, for type checkers."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

# Numbers from R are doubles. The number must be whole, which a type cannot say.
Whole: TypeAlias = int | float | np.integer[Any] | np.floating[Any]
# One number for all axes, or one for each axis.
Wholes: TypeAlias = Whole | Sequence[Whole] | np.ndarray[Any, Any]
# The same, or a pair for each axis: before and after.
Pairs: TypeAlias = Wholes | Sequence[Wholes]
# One number is a shape of rank 1, because R has no scalars.
ShapeLike: TypeAlias = Whole | Iterable[Whole | None]
# Arrays of any kind that NumPy understands.
Weights: TypeAlias = Sequence[Any] | None

# The default of an argument that must be passed. It needs a default because it
# follows `object`, which has one. `None` is not a value of its type.
REQUIRED: Any = None
