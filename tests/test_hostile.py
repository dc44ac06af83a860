"""Hostile arguments and damaged files must give an error that names them.

`pytest tests/test_hostile.py --hypothesis-profile=long` runs many more
examples. test_load has more tests of files. The tests here do not depend on the
backend.
"""

import inspect
import os
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from backends import BACKEND
from hypothesis import given
from hypothesis import strategies as st

import keras_sepconv as ks
from keras_sepconv import functional, layers, tools
from keras_sepconv.__main__ import main


class Hostile:
    """An object that raises when it is used."""

    def __repr__(self):
        return "<hostile>"

    def __eq__(self, other):
        raise RuntimeError("compared")

    def __bool__(self):
        raise RuntimeError("asked for its truth")

    def __len__(self):
        raise RuntimeError("asked for its length")

    __hash__ = object.__hash__


class Speechless(Hostile):
    def __repr__(self):
        raise RuntimeError("asked for its name")


JUNK = st.one_of(
    st.sampled_from(
        [None, True, False, -1, 0, 2**31, 2**63, -(2**70), 10**30, 1.5, 3.0]
    ),
    st.sampled_from(
        [float("nan"), float("inf"), "", "4", "same", b"\x00", "é"]
    ),
    st.sampled_from([np.float64("nan"), np.bool_(True), np.array([[1, 2]])]),
    st.builds(Hostile),
    st.builds(Speechless),
    # Python cannot print a number with so many digits.
    st.sampled_from([10**5000, [7] * 10**5, "x" * 10**5, b"x" * 10**5]),
    st.builds(object),
    st.just(len),
    st.lists(st.integers(-3, 3), max_size=4),
    st.lists(st.lists(st.integers(-1, 2), max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.complex_numbers(),
)
OURS = [
    getattr(layers, name)
    for name in layers.__all__
    if name.startswith(("Separable", "Depthwise")) and name[-1] == "D"
]
HELPERS = [
    getattr(functional, name)
    for name in functional.__all__
    if name.startswith("layer_") and name != "layer_input"
]
# Arguments that Keras checks itself, with its own messages. In helpers all
# messages are ours.
KERAS = re.compile(
    "initializer|regularizer|constraint|activation|name|dtype|trainable|kwargs"
)


def fuzzed(draw, function, first=()):
    """Draws arguments for `function`; most of them are valid."""
    parameters = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in first
    ]
    good = {"filters": 4, "kernel_size": 3}
    arguments = {name: good[name] for name in parameters if name in good}
    wrong = draw(st.lists(st.sampled_from(parameters), min_size=1, max_size=2))
    return {**arguments, **{name: draw(JUNK) for name in wrong}}, set(wrong)


def assert_clear(error, wrong, is_keras=KERAS.search):
    """Checks that an error names an argument that was wrong."""
    text = str(error)
    assert len(text) < 2000 or any(map(is_keras, wrong)), text[:500]
    if isinstance(error, (TypeError, ValueError)) and any(
        f"`{name}`" in text for name in wrong
    ):
        # Messages of Keras have no colon here.
        assert "Received" in text, text
        return
    assert any(map(is_keras, wrong)), repr(error)


@given(st.data())
def test_constructors(data):
    cls = data.draw(st.sampled_from(OURS))
    arguments, wrong = fuzzed(data.draw, cls)
    try:
        layer = cls(**arguments)
    except Exception as error:
        assert_clear(error, wrong)
    else:
        assert not layer.built


@given(st.data())
def test_helpers_leave_the_model_as_it_was(data):
    helper = data.draw(st.sampled_from(HELPERS))
    arguments, wrong = fuzzed(data.draw, helper, ("object",))
    model = keras.Sequential([keras.layers.Identity()])
    try:
        found = helper(model, **arguments)
    except Exception as error:
        assert_clear(error, wrong, is_keras=lambda name: False)
        assert len(model.layers) == 1
        assert not model.built
    else:
        assert found is model


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("dropout", None, TypeError),
        ("recurrent_dropout", True, TypeError),
        ("dropout", float("nan"), ValueError),
        ("dropout", 1.5, ValueError),
        ("dropout", 10**400, ValueError),
    ],
)
def test_rates_of_dropout(name, value, error):
    with pytest.raises(error, match=f"`{name}` must be a number from 0 to 1"):
        ks.layer_conv_lstm_2d(None, 4, 3, **{name: value})
    assert ks.layer_conv_lstm_2d(None, 4, 3, dropout=1).dropout == 1


@pytest.mark.parametrize(
    ("helper", "arguments"),
    [
        ("layer_conv_1d", {"filters": 4, "kernel_size": [3] * 999}),
        ("layer_conv_2d", {"filters": 4, "kernel_size": ()}),
        ("layer_conv_2d", {"filters": 4, "kernel_size": (3, (3, 3))}),
        ("layer_conv_2d", {"filters": 4, "kernel_size": 3, "groups": 3}),
        ("layer_zero_padding_2d", {"padding": ((), ())}),
        ("layer_cropping_2d", {"cropping": ((1, 2), (1, 2, 3))}),
        ("layer_cropping_1d", {"cropping": 1, "input_shape": 10**400}),
        ("layer_cropping_1d", {"cropping": 1, "weights": [1] * 999}),
    ],
)
def test_what_is_said_is_short_and_ours(helper, arguments):
    name, value = list(arguments.items())[-1]
    error = TypeError if value == (3, (3, 3)) else ValueError
    with pytest.raises(error, match=f"`{name}` must be .* Received: ") as found:
        getattr(ks, helper)(None, **arguments)
    assert len(str(found.value)) < 300


def test_an_implementation_that_does_not_compare():
    for value in (np.array(["taps", "native"]), Hostile()):
        with pytest.raises(ValueError, match="`implementation` must be None"):
            ks.DepthwiseConv2D(3, implementation=value)


@given(JUNK, st.sampled_from(["convert_model", "restore_model", "load_model"]))
def test_tools(junk, name):
    with pytest.raises((TypeError, ValueError, OSError), match="Received: "):
        getattr(ks, name)(junk)


WORDS = st.sampled_from(
    ["convert", "info", "bench", "--json", "--force", "--case", "--seconds"]
) | st.sampled_from(
    ["no.keras", "/dev/null", "", "-", "\x00", "é", "-1", "nan", "--", "/"]
)


@given(st.lists(WORDS, max_size=4))
def test_the_command_ends_with_a_code(words):
    if words[:1] == ["bench"] and len(words) == 1:
        return  # It would start.
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    assert code in (0, 1, 2)


def test_the_command_says_that_dashes_stand_once(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["convert", "convert", "--", "--"])
    assert stop.value.code == 2
    assert "argument --: must be used once. Receiv" in capsys.readouterr().err


if BACKEND == "numpy":

    @pytest.fixture(scope="module")
    def files(tmp_path_factory):
        """A folder with two undamaged files of models."""
        folder = tmp_path_factory.mktemp("whole")
        keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.SeparableConv2D(4, 3),
                keras.layers.Lambda(lambda x: x * 2),
            ]
        ).save(folder / "model.keras")
        model = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.DepthwiseConv2D(3)]
        )
        model.save(folder / "plain.keras")
        return folder

    @given(st.data())
    def test_damaged_files_are_refused_or_load(files, data):
        """Bytes are changed, removed or inserted anywhere."""
        name = data.draw(st.sampled_from(["model.keras", "plain.keras"]))
        content = bytearray((files / name).read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "zero"]))
        if how == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "cut":
            del content[at:]
        elif how == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        else:
            content[at : at + 64] = bytes(min(64, len(content) - at))
        path = files / "damaged.keras"
        path.write_bytes(content)
        try:
            tools.load_model(path)
        except ValueError as error:
            assert_clear(error, {"filepath"})

    @pytest.mark.slow("it starts a process and ends it")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_an_interrupted_conversion_leaves_the_old_file(files, number):
        """Afterwards there is the old file or the whole new one."""
        target = files / "out.keras"
        command = [
            "convert",
            "--force",
            f"{files / 'plain.keras'}",
            f"{target}",
        ]
        assert main(command) == 0
        whole = target.read_bytes()
        target.write_bytes(b"the old one")
        before = set(files.iterdir())
        run = subprocess.Popen(
            [sys.executable, "-m", "keras_sepconv", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # Waits until there is a new file, which is not complete yet.
        while set(files.iterdir()) == before:
            assert run.poll() is None, "it ended before it was interrupted"
            time.sleep(0.001)
        run.send_signal(number)
        _, text = run.communicate(timeout=300)
        # It may have finished before the signal.
        kept = target.read_bytes()
        if run.returncode == 0:
            assert len(kept) == len(whole)
        else:
            assert kept == b"the old one" or len(kept) == len(whole)
            assert b"Traceback" not in text or number == signal.SIGINT
        left = {path.name for path in files.iterdir()}
        if number == signal.SIGINT:
            assert left <= {
                "model.keras",
                "plain.keras",
                "damaged.keras",
                "out.keras",
            }

    @pytest.mark.slow("it starts a process")
    def test_what_never_ends_does_not_hang(tmp_path):
        """A pipe without a writer and a device raise an error."""
        os.mkfifo(tmp_path / "pipe.keras")
        code = """if True:
            import sys, keras_sepconv
            for path in sys.argv[1:]:
                try:
                    keras_sepconv.load_model(path)
                except ValueError as error:
                    print(error)
        """
        paths = [str(tmp_path / "pipe.keras"), "/dev/zero"]
        run = subprocess.run(
            [sys.executable, "-c", code, *paths],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        lines = run.stdout.splitlines()
        for path, line in zip(paths, lines, strict=True):
            assert line.startswith("`filepath` must be a regular file")
            assert line.endswith(f"Received: filepath={path!r}")
