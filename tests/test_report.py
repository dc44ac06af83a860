"""What the reports say, to the letter; other files test that it is true."""

import dataclasses
import io

import pytest
from rich.console import Console

from keras_sepconv.tools.commands import shared
from keras_sepconv.tools.inspection import words
from keras_sepconv.tools.inspection.report import (
    AccelerationReport,
    ConversionReport,
    RestorationReport,
    Row,
    StreamingReport,
)

CONVERTED = ConversionReport(
    "net",
    (
        Row("a", "SeparableConv2D", "SeparableConv2D"),
        Row("inner/b", "Conv2D", "Conv2D"),
        Row("c", "Conv2D", "Conv2D"),
    ),
    (Row("own", "Padded", None, "it is a class of its own"),),
    (
        Row("bn", "BatchNormalization", "a"),
        Row("zeros", "ZeroPadding2D", "inner/b"),
    ),
    (Row("bn_1", "BatchNormalization", None, "it is called twice"),),
    (300, 1200),
    ("A note.", "Another."),
    (
        Row("a", "SeparableConv2D", "2 copies of its input"),
        Row("d", "DepthwiseConv2D", None, "it is used elsewhere too"),
    ),
    (
        Row("inner/b", "Conv2D", "c"),
        Row("e", "DepthwiseConv2D", None, "nothing reads it alone"),
    ),
)
ACCELERATED = AccelerationReport(
    "net",
    (
        Row("z" * 28, "SeparableConv2D", "separable"),
        Row("b", "Conv2D", "pointwise"),
    ),
    (Row("c", "Conv2D", None, "q" * 36),),
    (1, 3),
    ("A note.", "Another."),
)
STREAMED = StreamingReport(
    "net", 4, 1300, 3, 2048, 16, (1500, 6000), ("A note.", "Another.")
)


def drawn(report, width):
    """Returns the lines of a report's table, without empty ones."""
    console = Console(file=io.StringIO(), width=width)
    console.print(report.table())
    lines = console.file.getvalue().split("\n")
    return [line.rstrip() for line in lines if line.strip()]


def test_what_a_conversion_did():
    assert str(CONVERTED).split("\n") == [
        "net: 3 of 4 convolutions converted, 25.0 % of the multiply-adds.",
        "  1 SeparableConv2D",
        "  2 Conv2D",
        "  1 BatchNormalization folded",
        "  1 ZeroPadding2D folded",
        "  1 SeparableConv2D written with copies",
        "  1 Conv2D equalized",
        "  1 Padded left, it is a class of its own: own",
        "  1 BatchNormalization left, it is called twice: bn_1",
        "A note.",
        "Another.",
    ]
    assert drawn(CONVERTED, 70) == [
        "  layer     was                  is now",
        " " + 68 * "─",
        "  a         SeparableConv2D      keras_sepconv SeparableConv2D",
        "  inner/b   Conv2D               keras_sepconv Conv2D",
        "  c         Conv2D               keras_sepconv Conv2D",
        "  bn        BatchNormalization   folded into a",
        "  zeros     ZeroPadding2D        folded into inner/b",
        "  a         SeparableConv2D      2 copies of its input",
        "  d         DepthwiseConv2D      no copies: it is used elsewhere too",
        "  inner/b   Conv2D               equalized with c",
        "  e         DepthwiseConv2D      not equalized: nothing reads it",
        " " * 33 + "alone",
        "  own       Padded               unchanged: it is a class of its own",
        "  bn_1      BatchNormalization   unchanged: it is called twice",
    ]


def test_what_is_restored_is_keras_s():
    restored = RestorationReport(*(vars(CONVERTED).values()))
    assert drawn(restored, 70)[2].split() == [
        *("a", "SeparableConv2D", "keras", "SeparableConv2D")
    ]
    assert str(restored) == str(CONVERTED)


def test_what_acceleration_did():
    assert str(ACCELERATED).split("\n") == [
        "net: 2 of 3 convolutions run fast, 33.3 % of the multiply-adds.",
        "  1 separable SeparableConv2D",
        "  1 pointwise Conv2D",
        f"  1 Conv2D left, {'q' * 36}: c",
        "A note.",
        "Another.",
    ]
    # Long words are whole, in more than one line.
    lines = drawn(ACCELERATED, 40)
    assert max(map(len, lines)) <= 40
    text = "".join(lines)
    assert "…" not in text
    assert (text.count("z"), text.count("q")) == (28, 36)
    assert "  b            Conv2D       pointwise," in drawn(ACCELERATED, 40)


@pytest.mark.parametrize(
    ("names", "said"), [("abc", "a, b, c"), ("abcd", "a, b, c, ...")]
)
def test_three_layers_are_named_for_one_reason(names, said):
    left = tuple(Row(name, "Conv2D", None, "why") for name in names)
    report = ConversionReport("net", (), left)
    assert str(report).split("\n") == [
        f"net: 0 of {len(names)} convolutions converted.",
        f"  {len(names)} Conv2D left, why: {said}",
    ]


def test_what_a_step_model_needs():
    assert str(STREAMED).split("\n") == [
        "net: 4 steps at a time, 4.0 times fewer multiply-adds.",
        "  receptive field: 1,300 steps",
        "  delay: 3 steps",
        "  state: 2,048 bytes",
        "  multiply-adds: 1,500, of the whole window of 16 steps 6,000",
        "A note.",
        "Another.",
    ]
    assert str(StreamingReport("net", 1, None, 0, 8, None)).split("\n") == [
        "net: 1 step at a time.",
        "  receptive field: all before",
        "  delay: 0 steps",
        "  state: 8 bytes",
        "  multiply-adds: unknown, of the whole window unknown",
    ]
    assert STREAMED.as_dict()["fewer"] == 4.0
    assert STREAMED.as_dict()["chunk"] == 4


@pytest.mark.parametrize(
    ("parts", "share"),
    [((1, 4), 0.25), ((0, 4), 0.0), ((None, 4), None), ((1, None), None)],
)
def test_what_is_unknown_has_no_share(parts, share):
    report = AccelerationReport("net", (), multiply_adds=parts)
    assert report.share == share
    assert report.as_dict()["share"] == share
    assert report.as_dict()["model"] == "net"
    assert ("of the multiply-adds" in str(report)) == (share is not None)
    # Of nothing, too.
    assert AccelerationReport("net", (), multiply_adds=(0, 0)).share is None
    fewer = StreamingReport("net", 1, 1, 0, 8, 1, parts[::-1]).fewer
    expected = None if None in parts else parts[0] / parts[1]
    assert fewer == expected
    assert StreamingReport("net", 1, 1, 0, 8, 1, (0, 4)).fewer is None


@pytest.mark.parametrize(
    "report",
    [CONVERTED, ACCELERATED, STREAMED],
    ids=lambda report: type(report).__name__,
)
def test_a_report_does_not_change(report):
    assert str(report) == str(dataclasses.replace(report))
    rows = getattr(report, "left", ())
    for value in (report, *rows):
        first = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, first, "other")
        assert hash(value) == hash(dataclasses.replace(value))


def test_names_are_printed_as_they_are():
    file = io.StringIO()
    shared.console(file=file, force_terminal=True).print("[bold]:smile: 3")
    assert file.getvalue() == "[bold]:smile: 3\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("It is\n  off.\n"), "It is off"),
        (KeyError(), "KeyError"),
        (ValueError("\x1b[1mBold\x1b[0m text"), "Bold text"),
        (
            ValueError(
                "Exception encountered: when calling A. Exception "
                "encountered: \x1b[1mThe cause.\x1b[0m"
            ),
            "The cause",
        ),
        (
            ValueError("No class. Example:\n class A: ... Example: b"),
            "No class",
        ),
        (ValueError("x" * 400), "x" * 400),
        (ValueError("x" * 401), "x" * 400 + "..."),
    ],
)
def test_an_error_in_one_line(error, text):
    assert words.short_error(error) == text
