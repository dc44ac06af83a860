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
from keras_sepconv.tools.commands import info, shared, table
from keras_sepconv.tools.conversion.convert import convert_model
from keras_sepconv.tools.inspection.choice import Choice, choice
from keras_sepconv.tools.inspection.counts import (
    CountedCall,
    Counts,
    model_counts,
)

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
    assert captured.out == json.dumps(found, indent=2) + "\n"
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
    assert separable["input_shapes"] == [[None, 20, 20, 4]]
    assert (separable["steps"], separable["parameters"]) == (1, 66)
    assert layers["head/ours"]["module"].startswith("keras_sepconv")
    assert layers["head/ours"]["implementation"]["runs"] == FIRST
    assert layers["head/pool"]["implementation"] is None


def test_what_runs_is_asked_for_the_input_of_a_layer(path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        info, "choice", lambda layer, shape: asked.update({layer.name: shape})
    )
    assert main([path]) == 0
    assert asked["separable"] == (None, 20, 20, 4)


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

    zealous = kernels.Kernel("zealous", why_not, lambda *args: None)
    others = kernels._KERNELS
    monkeypatch.setattr(kernels, "_KERNELS", (zealous, *others))
    shape = (None, 8, 8, 4)
    refused = {"zealous": "it is an example"}
    layer = keras_sepconv.SeparableConv2D(4, 3)
    found = choice(layer, shape)
    assert found == Choice(FIRST, DEFAULT, refused=refused)
    layer = keras_sepconv.DepthwiseConv2D(3)
    assert choice(layer, shape) == Choice("zealous", DEFAULT)
    layer = keras_sepconv.DepthwiseConv2D(3, implementation="portable")
    assert choice(layer, shape) == Choice("portable", "chosen by name")
    layer = keras_sepconv.SeparableConv2D(4, 3, implementation="zealous")
    found = choice(layer, shape)
    assert found.runs is None
    assert "zealous: it is an example" in found.why
    assert found.refused == refused
    layer = keras_sepconv.SeparableConv2D(4, 3, depthwise_use_bias=True)
    found = choice(layer, shape)
    assert found.runs == f"zealous and {FIRST}"
    layer = stock.SeparableConv2D(4, 3)
    found = choice(layer, shape)
    assert found.accelerated == FIRST
    assert found.refused == refused


def test_an_accelerated_layer_runs_what_it_was_given():
    layer = stock.DepthwiseConv2D(3)
    for name, why in ((None, DEFAULT), ("portable", "chosen by name")):
        keras_sepconv.accelerate(layer, implementation=name)
        found = choice(layer, (None, 8, 8, 4))
        assert found == Choice(name or FIRST, why, refused=found.refused)
        assert found.accelerated is None


# On JAX a kernel must know all sizes.
@pytest.mark.each_backend
@pytest.mark.parametrize("first", [False, True])
def test_only_the_channels_must_be_known(first):
    order = "channels_first" if first else "channels_last"
    layer = keras_sepconv.DepthwiseConv2D(3, data_format=order)
    shape = (None, 4, None, None) if first else (None, None, None, 4)
    assert choice(layer, shape).runs == FIRST
    for unknown in (None, (None, None, 8, 8) if first else (8, 8, 8, None)):
        found = choice(layer, unknown)
        assert found == Choice(None, "the shape of its input is not known")


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


class Network:
    """What the tables need of a model."""

    name = "net"

    def __init__(self, built):
        self.built = built

    def count_params(self):
        return 1234567


def row(path, layer, outputs, steps, parameters, counts):
    path = tuple(path.split("/"))
    return CountedCall(path, layer, (), outputs, steps, parameters, counts)


def printed(found, built=True, width=72, **options):
    console = Console(file=io.StringIO(), width=width, **options)
    table.report(console, Network(built), found)
    return console.file.getvalue()


DEPTHWISE = stock.DepthwiseConv2D(3)
ROWS = [
    (
        row(
            "inner/separable",
            stock.SeparableConv2D(4, 3),
            ((None, 7, 7, 4),),
            1,
            1200,
            Counts(1000, 3000, 0),
        ),
        Choice("stock", "it can be faster", accelerated="taps"),
    ),
    (
        row(
            "each",
            DEPTHWISE,
            ((None, 7, 7, 4), (None, 2)),
            3,
            36,
            Counts(2000, 0, 0),
        ),
        Choice("taps", DEFAULT, refused={"xla": "it is odd"}),
    ),
    (
        row("later", DEPTHWISE, ((None, None, 7, 4),), None, None, None),
        Choice(None, "its input is not known"),
    ),
    (row("relu", stock.ReLU(), (), 1, 0, Counts()), None),
    (
        row("dense", stock.Dense(3), ((None, 3),), 1, 30, Counts(other=30)),
        None,
    ),
]


EXPECTED = """\
net: layers
 layer            class            output                  parameters
 ────────────────────────────────────────────────────────────────────
 inner/separable  SeparableConv2D  (7, 7, 4)                    1,200
 each             DepthwiseConv2D  3 times (7, 7, 4), (2)          36
 later            DepthwiseConv2D  ? times (?, 7, 4)                ?
 relu             ReLU             ?                                -
 dense            Dense            (3)                             30
 total                                                      1,234,567
what multiplies, on the numpy backend
 layer            multiply-adds  depthwise  pointwise  runs by
 ───────────────────────────────────────────────────────────────────
 inner/separable          4,000     25.0 %     75.0 %  stock -> taps
 each                     2,000    100.0 %          -  taps
 later                        ?          ?          ?  ?
 dense                       30          -          -  -
 total                6,030 + ?          ?          ?
stock -> taps: it can be faster (inner/separable)
taps: the first that supports the call (each)
?: its input is not known (later)
not xla: it is odd (each)
multiply-adds: of one example; the zeros of padding count, biases,
activations and normalisations do not. depthwise, pointwise: the share
of such convolutions in the multiply-adds of the layer. output: without
the batch.
?: not known, because a size is unknown, or because the layer is of a
kind that is not counted. --input-shape gives unknown sizes.
"""


def test_the_tables_to_the_letter():
    lines = printed(ROWS).split("\n")
    found = [line.rstrip() for line in lines if line.strip()]
    assert found == EXPECTED.replace("numpy", BACKEND).splitlines()
    # Of sizes that are all known, nothing is said to be unknown.
    known = printed(ROWS[:1])
    assert "?" not in known
    assert re.search(r"total +4,000 +25\.0 % +75\.0 % *\n", known)
    assert re.search(r"total +\? *\n", printed(ROWS[:1], built=False))
    # The shares are of all multiply-adds.
    both = printed([ROWS[0], ROWS[-1]])
    assert re.search(r"total +4,030 +24\.8 % +74\.4 % *\n", both)


def test_numbers_are_whole_in_narrow_terminals():
    text = printed(ROWS, width=34)
    for number in ("1,234,567", "1,200", "6,030 + ?", "100.0 %", "75.0 %"):
        assert number in text


def test_headings_and_remarks_stand_out():
    text = printed(ROWS, force_terminal=True, color_system="standard")
    dim = [part.split("\x1b")[0] for part in text.split("\x1b[2m")[1:]]
    assert dim[0].startswith("multiply-adds: of one")
    assert any(part.startswith("?: not known") for part in dim)
    assert "\x1b[1mnet: layers" in text


def test_the_layers_of_one_reason_are_named_or_counted():
    why = Choice("b", DEFAULT, refused={"a": "so it is"})
    for names, said in (
        ("def", "d, e, f"),
        ("defg", "4 layers"),
        ("dededede", "d, e"),
    ):
        text = printed(
            [(row(n, DEPTHWISE, (), 1, 0, Counts(1)), why) for n in names]
        )
        assert f"b: {DEFAULT} ({said})" in text
        assert f"not a: so it is ({said})" in text


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
    assert main([path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    schemas.check("info", found)
    assert found["multiply_adds"]["complete"] is False
    assert found["layers"][0]["multiply_adds"] is None
    assert main([path, "--input-shape", "20,20,4"]) == 0
    known = capsys.readouterr().out
    model().save(path)
    assert main([path]) == 0
    assert known == capsys.readouterr().out


def test_a_model_without_shapes(tmp_path, capsys):
    path = tmp_path / "a.keras"
    with pytest.warns(UserWarning, match="not yet been built"):
        keras.Sequential(
            [keras_sepconv.SeparableConv2D(6, 3, name="one")]
        ).save(path)
    assert main([path]) == 0
    output = capsys.readouterr().out
    assert re.search(r"\n *one +SeparableConv2D +\? +\? *\n", output)
    assert "?: the shape of its input is not known (one)" in output
    assert main([path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    schemas.check("info", found)
    assert found["parameters"] is None
    assert found["layers"][0]["input_shapes"] == []


def test_the_compile_state_is_not_read(tmp_path, capsys):
    """It may name a loss that is not there."""

    def mine(y, p):
        return keras.ops.mean(y - p)

    one = keras.Sequential([keras.Input((4, 4, 3)), stock.Conv2D(2, 1)])
    one.compile("sgd", mine)
    one.save(tmp_path / "a.keras")
    assert main([tmp_path / "a.keras"]) == 0
    assert capsys.readouterr().err == ""


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
