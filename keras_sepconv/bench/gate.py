"""Checks whether two layers compute the same, up to rounding."""

import numpy as np

# The unit roundoff of float32.
_EPSILON = 2.0**-24

# The allowed error of a sum, in roundoffs times the sum of absolute values. The
# safe bound is one roundoff for each term. For the gradient of a kernel on a
# large image, this is more than the gradient itself, so any number would pass.
# But here the terms have random signs. Then the partial sums stay small, the
# error does not grow with the number of terms, and about one roundoff is usual
# (Higham and Mary, "Sharper probabilistic backward error analysis for basic
# linear algebra kernels with random data", SIAM J. Sci. Comput. 42, 2020).
_ROUNDOFFS = 8

# The allowed difference of two sums, relative to the sum of absolute values.
# Each of the two has its own errors.
BOUND = 2 * _ROUNDOFFS * _EPSILON

# The results in the order in which a training step returns them.
NAMES = (
    "value",
    "gradient of inputs",
    "gradient of depthwise_kernel",
    "gradient of pointwise_kernel",
    "gradient of bias",
)


def disagreements(
    found: list[np.ndarray],
    expected: list[np.ndarray],
    magnitudes: list[np.ndarray],
) -> list[str]:
    """Returns the errors, in words.

    Args:
        found: The value, or the value and the gradients of inputs and weights.
        expected: The same from stock Keras.
        magnitudes: The same from stock Keras for the absolute values of all
            inputs, weights and cotangents. They are sums of absolute values.
    """
    wrong = []
    for name, a, b, magnitude in zip(
        NAMES, found, expected, magnitudes, strict=False
    ):
        if a.shape != b.shape:
            wrong.append(f"{name} has the shape {a.shape}, not {b.shape}")
            continue
        bound = BOUND * magnitude
        within = np.abs(a - b) <= bound  # False for a NaN.
        if not within.all():
            at = np.unravel_index(np.argmin(within), a.shape)
            where = tuple(map(int, at))
            wrong.append(
                f"{name} is {a[at]:.8g} at {where}, stock {b[at]:.8g}, which "
                f"rounding explains up to {bound[at]:.2g}"
            )
    return wrong
