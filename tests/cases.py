"""The cases that the tests run with every kernel."""

import dataclasses

from keras_sepconv.bench.cases import CASES as BENCH
from keras_sepconv.bench.cases import Case

CASES = (
    Case("plain", (8, 8), 4, 1, 5, (3, 3)),
    Case("primes", (13, 11), 7, 1, 5, (3, 3)),
    Case("one_pixel", (1, 1), 3, 1, 2, (1, 1)),
    Case("kernel_is_input", (5, 7), 3, 2, 4, (5, 7)),
    Case("one_number", (7, 8), 1, 1, 2, (1, 1), (2, 3)),
    Case("one_column", (9, 1), 4, 1, 3, (3, 1)),
    Case("one_row", (1, 9), 4, 1, 3, (1, 3)),
    Case("one_channel", (7, 7), 1, 1, 1, (3, 3)),
    Case("one_channel_many_filters", (6, 5), 1, 3, 8, (2, 2)),
    Case("multiplier_2", (7, 6), 3, 2, 5, (3, 3)),
    Case("multiplier_3_fewer_filters", (6, 6), 4, 3, 2, (3, 3)),
    Case("even_kernel", (8, 9), 3, 1, 4, (4, 2)),
    Case("unequal_kernel", (9, 10), 3, 1, 4, (1, 5)),
    Case("stride_2", (9, 8), 4, 1, 5, (3, 3), (2, 2)),
    Case("stride_3_multiplier_2", (11, 10), 2, 2, 3, (2, 3), (3, 3)),
    Case("unequal_strides", (11, 9), 4, 1, 5, (3, 3), (1, 2)),
    Case("unequal_strides_rows", (12, 9), 3, 2, 4, (3, 2), (3, 2)),
    Case("dilation_2", (9, 9), 4, 1, 5, (3, 3), (1, 1), (2, 2)),
    Case("unequal_dilation", (10, 11), 3, 2, 4, (3, 2), (1, 1), (1, 3)),
    Case("stride_with_dilation", (13, 12), 3, 1, 4, (3, 3), (2, 2), (2, 2)),
    Case("stride_beyond_kernel", (9, 9), 3, 1, 4, (2, 2), (3, 3)),
    Case("width_is_filters", (6, 5), 3, 1, 5, (3, 3)),
    Case("batch_of_one", (8, 7), 5, 1, 6, (3, 3), batch=1),
    Case("steps", (11,), 4, 1, 5, (3,), (1,), (1,)),
    Case("steps_strided", (12,), 3, 2, 4, (4,), (2,), (1,)),
    Case("steps_dilated", (13,), 9, 1, 5, (3,), (1,), (3,)),
    Case("volume", (5, 4, 6), 4, 1, 5, (3, 3, 3), (1,) * 3, (1,) * 3),
    Case("volume_uneven", (4, 5, 6), 9, 2, 5, (2, 3, 4), (1,) * 3, (1,) * 3),
    Case("volume_strided", (6, 5, 5), 3, 1, 4, (3, 3, 2), (3, 1, 2), (1,) * 3),
    Case("volume_strides", (4, 7, 5), 9, 1, 4, (3, 3, 3), (1, 2, 2), (1,) * 3),
    Case("volume_dilated", (6, 5, 7), 3, 2, 4, (3, 2, 3), (1,) * 3, (1, 2, 3)),
)

# These run with their own padding; those above with "valid" or "same".
PADDED = (
    Case("causal", (11,), 4, 1, 5, (3,), (1,), (1,), padding="causal"),
    Case("causal_strided", (12,), 3, 2, 4, (4,), (2,), (1,), padding="causal"),
    Case("causal_dilated", (9,), 9, 1, 5, (3,), (1,), (4,), padding="causal"),
    Case(
        "one_column_left",
        (7, 4),
        1,
        1,
        2,
        (2, 2),
        (1, 3),
        padding="valid",
        batch=3,
    ),
    Case(
        "one_column_of_a_volume",
        (6, 7, 4),
        1,
        1,
        2,
        (3, 3, 2),
        (1, 1, 3),
        (1,) * 3,
        padding="valid",
    ),
    Case("zeros", (6, 7), 9, 1, 5, (3, 3), (2, 2), padding=1),
    Case("zeros_beyond", (3, 5), 3, 1, 4, (4, 5), padding=4),
    Case("zeros_uneven", (5, 6), 9, 2, 4, (3, 4), padding=((2, 0), (0, 1))),
    Case(
        "volume_zeros",
        (4, 3, 5),
        3,
        1,
        4,
        (3, 3, 3),
        (1, 2, 1),
        (1,) * 3,
        padding=((2, 0), (1, 1), (0, 3)),
    ),
)


def shrunk(case):
    """Returns a smaller case of the same kind, for slow references."""
    return dataclasses.replace(
        case,
        sizes=tuple(min(size, 8 + size % 2) for size in case.sizes),
        channels=min(case.channels, 6),
        filters=min(case.filters, 7),
        batch=min(case.batch, 2),
        description="",
    )


# The cases of the benchmark with smaller sizes, for the slow reference. Cases
# that are then equal appear once.
SHRUNK = tuple(
    {
        dataclasses.replace(shrunk(case), name=""): shrunk(case)
        for case in reversed(BENCH)
    }.values()
)
