"""The arithmetic of shapes, compared with counting."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keras_sepconv._checks import (
    data_format,
    integer,
    integers,
    padding,
    short_text,
)
from keras_sepconv._spec import ConvSpec

small = st.integers(1, 7)


def spec(kernel, stride, padding, rate):
    return ConvSpec((kernel,), (stride,), padding, "channels_last", (rate,))


@given(st.integers(1, 40), small, small, small)
def test_valid_counts_the_windows_that_fit(size, kernel, stride, rate):
    one = spec(kernel, stride, "valid", rate)
    windows = [
        start
        for start in range(0, size, stride)
        if start + (kernel - 1) * rate < size
    ]
    shape = (None, size, 3)
    if not windows:
        with pytest.raises(ValueError, match="must be as large as the kernel"):
            one.check_input("test", shape)
        return
    one.check_input("test", shape)
    assert one.output_shape(shape, 5) == (None, len(windows), 5)
    assert one.pads(0, size) == (0, 0)


def test_the_message_about_an_input_that_is_too_small():
    words = {
        "valid": 'padding="valid", but along rows the kernel spans 5 '
        "(kernel_size=(3, 2), dilation_rate=(2, 1)) and the input 2. Use",
        ((1, 1), (0, 0)): "its padding, but along rows the kernel spans 5 "
        "(kernel_size=(3, 2), dilation_rate=(2, 1)) and the input 2 with "
        "zeros around it (2 in all). Use",
    }
    for zeros, middle in words.items():
        one = ConvSpec((3, 2), (1, 1), zeros, "channels_last", (2, 1))
        with pytest.raises(ValueError, match="test") as caught:
            one.check_input("test", (None, 2, 9, 3))
        assert str(caught.value) == (
            f"test: `inputs` must be as large as the kernel for {middle} "
            'padding="same" or a larger input. '
            "Received: inputs.shape=(None, 2, 9, 3)"
        )


@given(st.integers(0, 40), small, small, small)
def test_same_covers_every_stride(size, kernel, stride, rate):
    one = spec(kernel, stride, "same", rate)
    outputs = len(range(0, size, stride))
    shape = (None, size, 3)
    one.check_input("test", shape)
    assert one.output_shape(shape, 5) == (None, outputs, 5)
    before, after = one.pads(0, size)
    total = before + after
    assert 0 <= after - before <= 1
    assert type(total) is int
    if outputs:
        reach = (outputs - 1) * stride + (kernel - 1) * rate + 1
        assert total == max(reach - size, 0)


@given(st.integers(0, 40), small, small, small, small, small)
@example(0, 3, 2, 2, 3, 1)
@example(0, 3, 2, 2, 2, 1)
def test_zeros_in_numbers_count_the_windows(
    size, kernel, stride, rate, before, after
):
    padding = [[before, float(after)]]
    one = ConvSpec.normalise((kernel,), stride, padding, None, rate)
    starts = range(-before, size + after - (kernel - 1) * rate, stride)
    shape = (None, size, 3)
    # Without a size, as many zeros as "same" has are enough.
    if not starts and (size or before + after < (kernel - 1) * rate):
        total = f"zeros around it .{before + after} in all"
        with pytest.raises(ValueError, match=total):
            one.check_input("test", shape)
        return
    one.check_input("test", shape)
    assert one.output_shape(shape, 5) == (None, len(starts), 5)
    assert one.pads(0, size) == (before, after)


@given(small, small)
def test_causal_keeps_every_step(kernel, rate):
    one = ConvSpec.normalise((kernel,), 1, "Causal", None, rate)
    assert one.output_shape((None, 20, 3), 5) == (None, 20, 5)
    assert one.pads(0, 20) == ((kernel - 1) * rate, 0)


def test_one_meaning_has_one_form():
    def normalised(padding, strides=1):
        return ConvSpec.normalise((3, 4), strides, padding, None, 1).padding

    assert normalised(0) == normalised([0, (0, 0)]) == "valid"
    assert normalised("SAME") == normalised([1, (1, 2)]) == "same"
    for strides in (2, (1, 2)):
        assert normalised([1, [1, 2]], strides) == ((1, 1), (1, 2))


def test_unknown_sizes_and_both_formats():
    options = ((3, 3), (2, 1), "valid")
    for sizes in itertools.product((None, 7), repeat=2):
        expected = tuple(n and m for n, m in zip(sizes, (3, 5), strict=True))
        last = ConvSpec(*options, "channels_last", (1, 1))
        first = ConvSpec(*options, "channels_first", (1, 1))
        assert last.output_shape((None, *sizes, 3), 5) == (None, *expected, 5)
        assert first.output_shape((2, 3, *sizes), 5) == (2, 5, *expected)


def test_the_layout_in_words():
    def layout(rank, data_format):
        ones = (1,) * rank
        return ConvSpec(ones, ones, "valid", data_format, ones).input_layout

    assert [layout(rank, "channels_last") for rank in (1, 2, 3)] == [
        "(batch, steps, channels)",
        "(batch, rows, cols, channels)",
        "(batch, depth, rows, cols, channels)",
    ]
    first = "(batch, channels, depth, rows, cols)"
    assert layout(3, "channels_first") == first


@pytest.mark.parametrize(
    ("strides", "received"),
    [
        ((0,), "Received: strides=(0,)"),
        ((True,), "R's NA arrives as True. Received: strides=(True,)"),
        (1.5, "Received: strides=1.5"),
    ],
)
def test_a_rule_for_one_axis(strides, received):
    """The fast path for normalised values must raise the same errors."""
    with pytest.raises((TypeError, ValueError)) as caught:
        ConvSpec.normalise((3,), strides, "valid", "channels_last", (1,))
    assert str(caught.value) == (
        f"`strides` must be a positive whole number. {received}"
    )


@pytest.mark.parametrize(
    "value", [(1, "two"), (1, 1.5), ((1, None), (0, 1)), np.ones((2, 3))]
)
def test_an_error_of_one_number_shows_the_whole_argument(value):
    for name, rule in (
        ("strides", lambda: integers("strides", value, 2)),
        ("padding", lambda: padding(value, 2)),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            rule()
        assert str(caught.value).endswith(
            f"Received: {name}={short_text(value)}"
        )


WHOLE = "a positive whole number"
ZEROS = "a whole number of zeros, or a list with"
RULES = {
    "strides": lambda rank: integers("strides", "x", rank),
    "padding": lambda rank: padding("x", rank),
}


@pytest.mark.parametrize(
    ("name", "rank", "rule"),
    [
        ("strides", 1, WHOLE),
        ("strides", 2, f"{WHOLE}, or 2 of them"),
        ("strides", 3, f"{WHOLE}, or 3 of them"),
        (
            "padding",
            1,
            f'"valid", "same", "causal", {ZEROS} one number or (before, '
            "after) pair",
        ),
        (
            "padding",
            2,
            f'"valid", "same", {ZEROS} 2 numbers or (before, after) pairs, '
            "one for each axis",
        ),
    ],
)
def test_the_rule_of_a_message_depends_on_the_rank(name, rank, rule):
    with pytest.raises((TypeError, ValueError)) as caught:
        RULES[name](rank)
    assert str(caught.value) == f"`{name}` must be {rule}. Received: {name}='x'"


def test_pairs_of_zeros_have_two_numbers_on_any_rank():
    for rank in (1, 3):
        pairs = [[1, 2]] * rank
        assert padding(pairs, rank) == ((1, 2),) * rank
        for wrong in ([[1]] * rank, [[1, 2, 3]] * rank, [1] * (rank + 1)):
            with pytest.raises(ValueError, match="`padding` must be"):
                padding(wrong, rank)


SHORT = {
    "[1, 1, 1, 1, 1, 1, 1, 1]": [1] * 8,
    "[1, 1, 1, 1, 1, 1, 1, 1, ...]": [1] * 9,
    "(1, 1, 1, 1, 1, 1, 1, 1, ...)": (1,) * 9,
    repr(np.ones(8)): np.ones(8),
    "<ndarray of shape (9,)>": np.ones(9),
    "<ndarray of shape (0, 9)>": np.ones((0, 9)),
    "<KerasTensor of shape (None, 9)>": keras.KerasTensor((None, 9)),
    repr("x" * 298): "x" * 298,
    f"'{'x' * 147}...{'x' * 148}'": "x" * 299,
}


@pytest.mark.parametrize(("text", "value"), SHORT.items(), ids=range(9))
def test_how_a_message_shows_a_value(text, value):
    assert short_text(value) == text


def test_a_message_about_an_object_that_answers_oddly():
    class Odd:
        shape = 3

    assert short_text(Odd()) == "<Odd>"


def test_a_number_of_numpy_is_read_as_pythons():
    for value in (np.float16(3), np.int8(3), np.array(3.0), 3.0):
        number = integer("size", value)
        assert (number, type(number)) == (3, int)


def test_a_matrix_is_no_list_of_numbers():
    with pytest.raises(TypeError, match="`strides` must be a positive whole"):
        integers("strides", np.ones((1, 2)), 2)


def test_the_largest_number():
    assert integer("size", 2**31 - 1) == 2**31 - 1
    with pytest.raises(ValueError, match="`size` must be a positive whole"):
        integer("size", 2**31)


def test_the_order_of_the_data_formats():
    with pytest.raises(ValueError, match='"channels_last" or "channels_first"'):
        data_format("NHWC")


def test_a_spec_is_hashable():
    assert len({spec(3, 1, "same", 1), spec(3, 1, "same", 1)}) == 1
    lists = ConvSpec.normalise((3,), [2], "same", "channels_last", [1])
    assert hash(lists) == hash(spec(3, 2, "same", 1))
