"""Whether two layers agree as far as rounding lets them."""

import math

import numpy as np

from keras_sepconv.bench.cases import Case

# The unit roundoff of float32.
EPSILON = 2.0**-24

# A sum of n rounded products is off by no more than this times sqrt(n)
# roundoffs of the sum of their absolute values, but for a chance of about
# 2 n exp(-32): Higham and Mary, "A new approach to probabilistic rounding error
# analysis", SIAM J. Sci. Comput. 41 (2019). The certain bound, n in place of
# 8 sqrt(n), is larger than a kernel's gradient itself on a large image, and
# would pass anything.
CONFIDENCE = 8

# The results in the order in which a training step returns them.
NAMES = (
    "value",
    "gradient of inputs",
    "gradient of depthwise_kernel",
    "gradient of pointwise_kernel",
    "gradient of bias",
)


def factors(case: Case, pixels: int) -> list[float]:
    """Returns each result's bound, as a multiple of its magnitude.

    Args:
        case: The case.
        pixels: The number of output positions, over all images.
    """
    taps = math.prod(case.kernel_size)
    terms = (
        taps + case.channels * case.multiplier + 1,
        taps * case.multiplier + case.filters,
        pixels + case.filters,
        pixels + taps,
        pixels,
    )
    # Two results are compared, each with errors of its own.
    return [
        2 * min(n + 2, CONFIDENCE * math.sqrt(n + 2)) * EPSILON for n in terms
    ]


def disagreements(
    case: Case,
    found: list[np.ndarray],
    expected: list[np.ndarray],
    magnitudes: list[np.ndarray],
) -> list[str]:
    """Returns what is wrong, in words; nothing if nothing is.

    Args:
        case: The case.
        found: The value, or that and the gradients of inputs and weights.
        expected: The same of stock Keras.
        magnitudes: The same of stock Keras for the absolute values of all
            inputs, weights and cotangents: the sums of absolute values.
    """
    pixels = expected[0].size // case.filters
    wrong = []
    for name, a, b, magnitude, factor in zip(
        NAMES, found, expected, magnitudes, factors(case, pixels), strict=False
    ):
        if a.shape != b.shape:
            wrong.append(f"{name} has the shape {a.shape}, not {b.shape}")
            continue
        bound = factor * magnitude
        within = np.abs(a - b) <= bound  # False for a NaN.
        if not within.all():
            at = np.unravel_index(np.argmin(within), a.shape)
            where = tuple(map(int, at))
            wrong.append(
                f"{name} is {a[at]:.8g} at {where}, stock {b[at]:.8g}, which "
                f"rounding explains up to {bound[at]:.2g}"
            )
    return wrong
