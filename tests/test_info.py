"""`python -m keras_sepconv info`: what it prints, and that it is true."""

import io
import json
import re

import keras
import numpy as np
import pytest
import schemas
from backends import BACKEND
from rich.console import Console

import keras_sepconv
from keras_sepconv import __main__, kernels
from keras_sepconv.layers import Conv2D
from keras_sepconv.tools.commands import shared, table
from keras_sepconv.tools.conversion.convert import convert_model
from keras_sepconv.tools.inspection.choice import Choice, choice
from keras_sepconv.tools.inspection.counts import model_counts

stock = keras.layers
FIRST = next(iter(keras_sepconv.ops.implementations()))
DEFAULT = "the first that supports the call"


def main(arguments):
    return __main__.main(["info", *map(str, arguments)])


def model(sizes=(20, 20)):
    """A model with one layer of each kind that the command distinguishes."""
    inputs = keras.Input((*sizes, 4))
    head = keras.Sequential(
        [
            keras_sepconv.SeparableConv2D(6, 3, name="ours"),
            stock.GlobalAveragePooling2D(name="pool"),
            stock.Dense(5, name="classes"),
        ],
        name="head",
    )
    layers = [
        stock.SeparableConv2D(6, 3, name="separable"),
        stock.DepthwiseConv2D(3, name="depthwise"),
        stock.Conv2D(8, 1, name="point"),
        stock.Conv2D(8, 3, groups=8, name="grouped"),
        stock.Conv2D(8, 3, name="plain"),
        stock.SeparableConv2D(
            8, 3, strides=1, dilation_rate=2, name="separable_with_a_long_name"
        ),
        keras_sepconv.SeparableConv2D(
            8, 3, depthwise_activation="relu", name="two_steps"
        ),
        head,
    ]
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs, name="example")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.keras"
    model().save(path)
    return path


def test_the_tables(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([path]) == 0
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    assert "…" not in output
    assert re.search(
        r"\n *separable +SeparableConv2D +\(18, 18, 6\) +66 *\n", output
    )
    # 18 * 18 places, of 9 * 4 and 4 * 6.
    assert re.search(
        rf"\n *separable +19,440 +60\.0 % +40\.0 % +stock -> {FIRST} *\n",
        output,
    )
    assert re.search(rf"head/ours .* {FIRST} *\n", output)
    assert re.search(r"plain +[\d,]+ +- +- +stock *\n", output)
    assert re.search(r"head/classes +30 +- +- +- *\n", output)
    assert "it is dense (plain)" in output
    assert f"stock -> {FIRST}: accelerate makes it faster (5 layers)" in output
    assert f"on the {BACKEND} backend" in output
    total = sum(row.counts.total for row in model_counts(model()))
    assert re.search(rf"total +{total:,} ", output)
    assert re.search(rf"total +{model().count_params():,} *\n", output)
    assert "?" not in output


def test_long_names_are_whole_in_narrow_terminals(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main([path]) == 0
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 60
    assert "…" not in output


def test_json(path, capsys, monkeypatch):
    load = shared.load_model

    def loud(*args, **options):
        print("loading")
        return load(*args, **options)

    monkeypatch.setattr(shared, "load_model", loud)
    assert main([path, "--json"]) == 0
    captured = capsys.readouterr()
    assert "loading" in captured.err
    found = json.loads(captured.out)
    schemas.check("info", found)
    assert (found["model"], found["backend"]) == ("example", BACKEND)
    assert found["parameters"] == model().count_params()
    layers = {layer["layer"]: layer for layer in found["layers"]}
    for part, number in found["multiply_adds"].items():
        if part != "complete":
            layer_numbers = [x["multiply_adds"][part] for x in layers.values()]
            assert number == sum(layer_numbers)
    assert found["multiply_adds"]["complete"] is True
    separable = layers["separable"]
    assert separable["class"] == "SeparableConv2D"
    assert separable["output_shapes"] == [[None, 18, 18, 6]]
    assert separable["multiply_adds"] == {
        "depthwise": 11664,
        "pointwise": 7776,
        "other": 0,
        "total": 19440,
    }
    assert separable["implementation"]["runs"] == "stock"
    assert separable["implementation"]["accelerated"] == FIRST
    assert layers["head/ours"]["module"].startswith("keras_sepconv")
    assert layers["head/ours"]["implementation"]["runs"] == FIRST
    assert layers["head/pool"]["implementation"] is None


def ran(monkeypatch, model):
    """Returns the names of the kernels that a call of a model runs."""
    names = []
    with monkeypatch.context() as patch:
        original = kernels.choose

        def choose(*args):
            kernel = original(*args)
            names.append(kernel.name)
            return kernel

        patch.setattr(kernels, "choose", choose)
        model(np.ones((1, *model.inputs[0].shape[1:]), "float32"))
    return names


def said(model, name):
    found = [choice(r.layer, r.inputs[0]) for r in model_counts(model)]
    return [getattr(one, name) for one in found if one is not None]


@pytest.mark.parametrize("implementation", [None, "portable"])
def test_what_is_said_to_run_runs(monkeypatch, implementation):
    before = model()
    assert ran(monkeypatch, before) == 3 * [FIRST], "two in two steps"
    after = convert_model(before, implementation=implementation)
    layers = said(after, "runs")
    expected = implementation or FIRST
    # Those of ours from the start stay as they are.
    assert layers == [*4 * [expected], "stock", expected, FIRST, FIRST]
    steps = [*5 * [expected], *3 * [FIRST]]
    assert ran(monkeypatch, after) == steps
    if implementation is None:
        assert said(before, "accelerated") == [
            FIRST if name == "stock" and layer.name != "plain" else None
            for name, layer in zip(
                said(before, "runs"), before.layers[1:], strict=False
            )
        ]


def test_reasons(monkeypatch):
    def why_not(call):
        return "it is an example" if call.filters else None

    picky = kernels.Kernel("picky", why_not, lambda *args: None)
    others = kernels._KERNELS
    monkeypatch.setattr(kernels, "_KERNELS", (picky, *others))
    shape = (None, 8, 8, 4)
    refused = {"picky": "it is an example"}
    layer = keras_sepconv.SeparableConv2D(4, 3)
    found = choice(layer, shape)
    assert found == Choice(FIRST, DEFAULT, refused=refused)
    layer = keras_sepconv.DepthwiseConv2D(3)
    assert choice(layer, shape) == Choice("picky", DEFAULT)
    layer = keras_sepconv.DepthwiseConv2D(3, implementation="portable")
    assert choice(layer, shape) == Choice("portable", "chosen by name")
    layer = keras_sepconv.SeparableConv2D(4, 3, implementation="picky")
    found = choice(layer, shape)
    assert found.runs is None
    assert "picky: it is an example" in found.why
    layer = keras_sepconv.SeparableConv2D(4, 3, depthwise_use_bias=True)
    found = choice(layer, shape)
    assert found.runs == f"picky and {FIRST}"
    layer = stock.SeparableConv2D(4, 3)
    found = choice(layer, shape)
    assert found.accelerated == FIRST
    assert found.refused == refused


def test_what_stays_stock():
    shape = (None, 8, 8, 4)

    class Special(stock.SeparableConv2D):
        def call(self, inputs):
            return inputs

    left = "accelerate leaves it: "
    for layer, why in (
        (
            Special(4, 3),
            left + "its class Special has its own `call`",
        ),
        (stock.Conv2D(4, 3), left + "it is dense"),
        (Conv2D(4, 3), "it is dense"),
        (stock.Conv2DTranspose(4, 1), left + "it is transposed"),
    ):
        layer.build(shape)
        assert choice(layer, shape) == Choice("stock", why)
    assert choice(stock.Dense(4), shape) is None
    assert choice(Conv2D(4, 1), shape).runs == FIRST
    assert choice(Conv2D(4, 1), None).runs is None


def test_refusals_are_printed():
    rows = model_counts(model())
    refusing = Choice("b", DEFAULT, refused={"a": "so it is"})
    console = Console(file=io.StringIO(), width=80)
    table.report(console, model(), [(row, refusing) for row in rows[:2]])
    output = console.file.getvalue()
    assert f"b: {DEFAULT} (separable, depthwise)" in output
    assert "not a: so it is (separable, depthwise)" in output


def test_names_are_no_markup():
    one = keras.Sequential(
        [keras.Input((4, 4, 3)), stock.Conv2D(2, 3, name="a[red]:smile:")]
    )
    console = shared.console()
    with console.capture() as capture:
        table.report(console, one, [(row, None) for row in model_counts(one)])
    assert capture.get().count("a[red]:smile:") == 2


def test_unknown_sizes(tmp_path, capsys):
    path = tmp_path / "a.keras"
    model((None, None)).save(path)
    assert main([path]) == 0
    output = capsys.readouterr().out
    assert re.search(r"\n *separable +\? +\? +\? +stock -> ", output)
    assert re.search(r"total +30 \+ \? ", output)
    assert "(?, ?, 6)" in output
    assert "--input-shape gives unknown sizes" in output
    assert main([path, "--input-shape", "20,20,4"]) == 0
    known = capsys.readouterr().out
    model().save(path)
    assert main([path]) == 0
    assert known == capsys.readouterr().out


def test_a_layer_in_steps(tmp_path, capsys):
    inputs = keras.Input((3, 9, 9, 4))
    layer = stock.TimeDistributed(stock.DepthwiseConv2D(3, name="one"))
    path = tmp_path / "a.keras"
    keras.Model(inputs, layer(inputs)).save(path)
    assert main([path]) == 0
    output = capsys.readouterr().out
    assert re.search(r"/one +DepthwiseConv2D +3 times \(7, 7, 4\)", output)
    assert f"{3 * 7 * 7 * 4 * 9:,}" in output


def test_a_model_without_convolutions(tmp_path, capsys):
    path = tmp_path / "a.keras"
    keras.Sequential([keras.Input((3,)), stock.ReLU()]).save(path)
    assert main([path]) == 0
    output = capsys.readouterr().out
    assert "ReLU" in output
    assert "runs by" not in output


@pytest.mark.parametrize("kind", ["missing", "text", "cut", "folder"])
def test_files_that_cannot_be_read(kind, tmp_path, path, capsys):
    if kind == "missing":
        path.unlink()
    elif kind == "text":
        path.write_text("no model")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    else:
        path = tmp_path
    assert main([path]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert str(path) in line


BAD_ARGUMENTS = {
    "nothing": ([], "required: FILE"),
    "words": (["--input-shape", "a,b"], "argument --input-shape: .* a,b"),
    "zero": (["--input-shape", "0,4"], "positive whole numbers.* 0,4"),
    "channels": (["--input-shape", "20,20,3"], r"inputs are \(20, 20, 4\)"),
    "rank": (["--input-shape", "20,20"], r"inputs are \(20, 20, 4\)"),
    "two": (2 * ["--input-shape", "20,20,4"], r"inputs are \(20, 20, 4\)"),
}


@pytest.mark.parametrize(
    ("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys()
)
def test_bad_arguments(arguments, message, path, capsys):
    file = [path] if arguments else []
    with pytest.raises(SystemExit) as caught:
        main([*file, *arguments])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(message, " ".join(captured.err.split()))
