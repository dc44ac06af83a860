"""What the helpers' arguments may be, for those who check types."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

# Numbers from R are doubles. The number must be whole; no type says that.
Whole: TypeAlias = int | float | np.integer[Any] | np.floating[Any]
# One for all axes, or one for each.
Wholes: TypeAlias = Whole | Sequence[Whole] | np.ndarray[Any, Any]
# The same, or a pair for each axis: before and after.
Pairs: TypeAlias = Wholes | Sequence[Wholes]
# One number is a shape of rank 1, because R has no scalars.
ShapeLike: TypeAlias = Whole | Iterable[Whole | None]
# Arrays of whatever kind NumPy understands.
Weights: TypeAlias = Sequence[Any] | None

# The default of an argument that follows `object`, which has a default, but is
# needed all the same. `None` is no value of such an argument's type.
REQUIRED: Any = None
