"""Whether rounding explains the difference between two results."""

from typing import Any

import keras
import numpy as np

from keras_sepconv.tools.inspection.tree import layers

# The unit roundoffs that count. Even if all layers are wider, float32 counts.
_EPSILON = {
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}

# The allowed number of roundoffs: of the difference between the examples, which
# allows for a deep model, and of the output itself.
_DEPTH = 2**14

_ROUNDOFFS = 64


def arrays(tensors: list[Any]) -> list[np.ndarray]:
    """Returns tensors as arrays, in float32 or wider."""
    found = [keras.ops.convert_to_numpy(tensor) for tensor in tensors]
    return [
        array if array.dtype == "float64" else array.astype("float32")
        for array in found
    ]


def disagreement(
    expected: list[np.ndarray],
    found: list[np.ndarray],
    epsilon: float = _EPSILON["float32"],
    moved: list[np.ndarray] | None = None,
) -> str | None:
    """Returns how the outputs differ by more than rounding, or `None`.

    Args:
        expected: The outputs of one model.
        found: The outputs of the other.
        epsilon: The unit roundoff.
        moved: The outputs of the first model for inputs that were changed by
            one rounding; `None` if they are not known.
    """
    for one, other, near in zip(
        expected, found, moved or expected, strict=True
    ):
        if one.shape != other.shape:
            return f"its output has the shape {other.shape}, not {one.shape}"
        if not one.size:
            continue
        spread = np.ptp(one, axis=0) if len(one) > 1 else np.ptp(one)
        bound = min(0.25, _DEPTH * epsilon) * np.max(spread)
        bound += _ROUNDOFFS * epsilon * np.max(np.abs(one))
        bound += _ROUNDOFFS * np.max(np.abs(one - near))
        far = float(np.max(np.abs(one - other)))
        # A NaN is above any bound, unless both outputs have it.
        if not far <= bound and not np.array_equal(one, other, equal_nan=True):
            return (
                f"its output is off by {far:.2g}, and rounding explains "
                f"{bound:.2g}"
            )
    return None


def epsilon(model: Any) -> float:
    """Returns the unit roundoff of a model's least precise layer."""
    dtypes = {layer.compute_dtype for _, layer in layers(model)}
    return max(_EPSILON.get(dtype, 0.0) for dtype in (*dtypes, "float32"))
