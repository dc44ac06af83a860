"""Whether two layers agree as far as rounding lets them."""

import numpy as np

# The unit roundoff of float32.
_EPSILON = 2.0**-24

# How many roundoffs, of the sum of its terms' absolute values, a sum may be
# off. The certain bound is as many as there are terms; on a large image it
# exceeds a kernel's gradient itself, and would pass anything. Of terms with
# random signs, as here, the partial sums stay so small that the error does not
# grow with the number of terms at all, and one such roundoff is usual (Higham
# and Mary, "Sharper probabilistic backward error analysis for basic linear
# algebra kernels with random data", SIAM J. Sci. Comput. 42, 2020).
_ROUNDOFFS = 8

# How far two sums may be apart, each with errors of its own, as a multiple of
# the sum of absolute values.
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
    """Returns what is wrong, in words; nothing if nothing is.

    Args:
        found: The value, or that and the gradients of inputs and weights.
        expected: The same of stock Keras.
        magnitudes: The same of stock Keras for the absolute values of all
            inputs, weights and cotangents: the sums of absolute values.
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
