"""`python -m keras_sepconv convert`; `info` is in test_info."""

import json
import os
import pathlib
import re
import runpy
import subprocess
import sys
import tomllib
import types
import warnings
import zipfile

import h5py
import jsonschema
import keras
import numpy as np
import pytest
import schemas
from backends import BACKEND
from pages import ROOT
from rich.status import Status

import keras_sepconv
from keras_sepconv import __main__, _arguments, layers
from keras_sepconv.__main__ import main
from keras_sepconv.tools.commands.shared import (
    _objects,
    attempt,
    in_own_words,
)

LEGACY = pathlib.Path(__file__).parent / "data" / "legacy"


@pytest.fixture
def source(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((9, 9, 3)),
            keras.layers.SeparableConv2D(4, 3, name="separable"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Conv2D(2, 1, name="pointwise"),
        ],
        name="small",
    )
    path = tmp_path / "in.keras"
    model.save(path)
    return path


def kinds(path):
    return [type(layer) for layer in keras.models.load_model(path).layers]


def test_convert_and_back(source, tmp_path, capsys):
    fast, stock = tmp_path / "fast.keras", tmp_path / "stock.keras"
    assert main(["convert", "--verbose", str(source), str(fast)]) == 0
    text = capsys.readouterr().out
    assert "small: 2 of 2 convolutions converted, 100.0 % of the mult" in text
    assert "keras_sepconv SeparableConv2D" in text
    normalisation = keras.layers.BatchNormalization
    assert kinds(fast) == [
        layers.SeparableConv2D,
        normalisation,
        layers.Conv2D,
    ]
    arguments = ["convert", "--restore", str(fast), str(stock)]
    assert main([*arguments, "--verbose"]) == 0
    text = capsys.readouterr().out
    assert "small: 2 of 2 convolutions converted." in text
    assert "keras_sepconv" not in text
    assert "keras SeparableConv2D" in text
    assert main([*arguments, "--force"]) == 0
    assert (
        capsys.readouterr().out
        == text[: text.index("\n  layer")].rstrip(" \n") + "\n"
    )
    assert kinds(stock) == kinds(source)
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 3))
    before, *after = (
        keras.models.load_model(path).predict(x, verbose=0)
        for path in (source, fast, stock)
    )
    for found in after:
        np.testing.assert_allclose(found, before, atol=1e-5)
    assert sorted(os.listdir(tmp_path)) == [
        "fast.keras",
        "in.keras",
        "stock.keras",
    ]


def test_inference_and_json(source, tmp_path, capsys):
    fast = tmp_path / "fast.keras"
    arguments = ["convert", "--inference", "--json", str(source), str(fast)]
    assert main([*arguments, "--implementation", "portable"]) == 0
    text = capsys.readouterr().out
    report = json.loads(text)
    assert text == json.dumps(report, indent=2) + "\n"
    schemas.check("convert", report)
    for wrong in ({**report, "more": 1}, {**report, "share": "all"}):
        with pytest.raises(jsonschema.ValidationError):
            schemas.check("convert", wrong)
    assert report["model"] == "small"
    (folded,) = report["folded"]
    assert (folded["layer"], folded["after"]) == ("bn", "separable")
    assert report["multiply_adds"] == [7 * 7 * (9 * 3 + 3 * 4 + 4 * 2)] * 2
    first, _ = keras.models.load_model(fast).layers
    assert first.implementation == "portable"


@pytest.mark.parametrize(
    ("option", "copies"),
    [
        # By default only some backends use copies, and only for wide layers.
        ([], "1" if BACKEND in ("numpy", "tensorflow") else None),
        (["--copies"], "2"),
        (["--no-copies"], None),
    ],
)
def test_copies_and_equalize(tmp_path, capsys, option, copies):
    source, target = tmp_path / "in.keras", tmp_path / "out.keras"
    model = keras.Sequential(
        [
            keras.Input((9, 9, 3)),
            keras.layers.SeparableConv2D(16, 3, depth_multiplier=2),
            keras.layers.SeparableConv2D(4, 3, depth_multiplier=2),
        ]
    )
    model.save(source)
    arguments = ["convert", "--inference", "--equalize", *option]
    assert main([*arguments, str(source), str(target)]) == 0
    lines = capsys.readouterr().out.split("\n")
    found = [line for line in lines if line.endswith("written with copies")]
    expected = [f"  {copies} SeparableConv2D written with copies"]
    assert found == (expected if copies else [])
    assert "  2 SeparableConv2D equalized" in lines


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A file of tf.keras with Python code in it."""
    with zipfile.ZipFile(LEGACY / "keras_2_15.zip") as archive:
        archive.extract("lambda.h5", tmp_path)
        archive.extract("sequential.h5", tmp_path)
    (tmp_path / "their_functions.py").write_text(
        "from keras import ops\n\ndef doubled(x):\n    return 2 * x\n"
    )
    with h5py.File(tmp_path / "lambda.h5", "r+") as file:
        text = file.attrs["model_config"]
        file.attrs["model_config"] = text.replace('"lambda"', '"doubled"')
    monkeypatch.chdir(tmp_path)
    return "lambda.h5"


def test_an_architecture_and_its_weights(source, tmp_path):
    model = keras.models.load_model(source)
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / "m.weights.h5")
    named = ["--weights", str(tmp_path / "m.weights.h5")]
    target = tmp_path / "out.keras"
    source = str(tmp_path / "m.json")
    assert main(["convert", *named, source, str(target)]) == 0
    assert kinds(target)[0] is layers.SeparableConv2D


def test_a_module_in_the_folder_comes_first(old, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    text = "raise ImportError('the other one')"
    (tmp_path / "other" / "their_functions.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "other")
    monkeypatch.delitem(sys.modules, "their_functions", raising=False)
    before = list(sys.path)
    assert main(["info", old, "--import", "their_functions"]) == 0
    assert sys.path == before


def test_what_a_file_needs(old, capsys):
    for command in (["convert", old, "out.keras"], ["info", old]):
        assert main(command) == 1
        message = capsys.readouterr().err
        assert "--import MODULE" in message
        assert "--unsafe" in message
        assert "=" not in message.split("Received")[0]
        for options in (["--import", "their_functions"], ["--unsafe"]):
            force = ["--force"] if command[0] == "convert" else []
            assert main([*command, *options, *force]) == 0
    for modules in (("their_functions", "json"), ("json", "their_functions")):
        both = [word for name in modules for word in ("--import", name)]
        assert main(["info", old, *both]) == 0
    pathlib.Path("broken.py").write_text("raise RuntimeError('it is odd')")
    for module, why in (("no_such", "No module"), ("broken", "it is odd")):
        with pytest.raises(SystemExit) as end:
            main(["info", old, "--import", module])
        assert end.value.code == 2
        message = capsys.readouterr().err
        assert f"imported ({why}" in message
        assert f"Received: {module}\n" in message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "it is odd, and pass compile=False to load it without "
            "this warning.",
            "it is odd.",
        ),
        (
            "it is lost. Pass compile=False to load the model without "
            "this warning",
            "it is lost",
        ),
        (
            "Pass custom_objects={'a': <the class>}, or else",
            "Pass --import MODULE, or else",
        ),
        ("pass\n safe_mode=False", "pass --unsafe"),
        ("Name it with `weights=`", "Name it with --weights"),
        ("Pass `verify=False`", "Pass --no-verify"),
        (
            "Pass the JSON as `filepath`, and this as `weights`",
            "Name the JSON, and this with --weights",
        ),
    ],
)
def test_messages_name_options(text, wanted):
    assert in_own_words(text) == wanted


def test_what_is_imported_from_a_module():
    module = types.ModuleType("theirs")
    code = (
        "from json import dumps\ndef f(): pass\ndef _g(): pass\n"
        "class C: pass\nclass D(C): __module__ = 'theirs.inside'\n"
        "class E(C): __module__ = 'theirs_too'\nx = 3\nc = C()\n"
    )
    exec(code, vars(module))
    assert set(_objects(module)) == {"f", "C", "D"}


def test_warnings_are_plain(old, capsys):
    assert main(["convert", "sequential.h5", "out.keras"]) == 0
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "In '" in x]
    start = "python -m keras_sepconv convert: In 'sequential.h5', the optim"
    assert line.startswith(start)
    assert line.endswith("so it is not restored.")


def test_a_warning_is_said_once_and_others_are_as_they_are(capsys):
    def work():
        for category in (UserWarning, DeprecationWarning, FutureWarning) * 2:
            warnings.warn("be\n careful", category, stacklevel=1)
        warnings.warn("and slow", stacklevel=1)
        print("loading")
        return 3

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        assert attempt("info", work) == 3
    assert [one.category for one in found] == [DeprecationWarning] * 2
    assert {one.filename for one in found} == {__file__}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "python -m keras_sepconv info: be careful",
        "python -m keras_sepconv info: and slow",
        "loading",
    ]


def test_a_mistake_in_the_program_is_not_hidden(monkeypatch):
    """Only what is wrong with a file or a backend becomes a message."""

    def broken(*_):
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        attempt("info", broken)
    monkeypatch.setattr(_arguments.importlib, "import_module", broken)
    monkeypatch.setattr(sys, "argv", ["bin/keras-sepconv", "info", "a.keras"])
    with pytest.raises(RuntimeError, match="a mistake"):
        _arguments.answer_first()


@pytest.mark.parametrize("restore", [False, True])
def test_what_it_does_is_shown_while_it_does_it(
    source, tmp_path, monkeypatch, restore
):
    said = []
    monkeypatch.setattr(Status, "update", lambda _, text: said.append(text))
    target = tmp_path / "out.keras"
    arguments = ["convert", str(source), str(target)]
    assert main([*arguments, *["--restore"] * restore]) == 0
    assert said == ["converting small", f"writing {target}"]


def test_an_existing_file_needs_force(source, tmp_path, capsys):
    target = tmp_path / "out.keras"
    target.write_text("precious")
    with pytest.raises(SystemExit) as end:
        main(["convert", str(source), str(target)])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "--force" in message
    assert message.endswith(f"Received: {target}\n")
    assert target.read_text() == "precious"
    assert main(["convert", "--force", str(source), str(target)]) == 0
    assert kinds(target)[0] is layers.SeparableConv2D
    # In place, too.
    assert main(["convert", "--force", str(source), str(source)]) == 0
    assert kinds(source)[0] is layers.SeparableConv2D


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(
    source, tmp_path, monkeypatch, error
):
    target = tmp_path / "out.keras"
    target.write_text("precious")

    def save(model, path):
        pathlib.Path(path).write_text("half")
        raise error

    monkeypatch.setattr(keras.Model, "save", save)
    arguments = ["convert", "--force", str(source), str(target)]
    if isinstance(error, OSError):
        assert main(arguments) == 1
    else:
        with pytest.raises(KeyboardInterrupt):
            main(arguments)
    assert target.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["in.keras", "out.keras"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["IN", "out.h5"], "must be a .keras file in a folder that exists"),
        (["IN", "nowhere/out.keras"], "must be a .keras file in a folder"),
        (["--restore", "--inference", "IN", "OUT"], "must be used without"),
        (
            ["--restore", "--implementation", "portable", "IN", "OUT"],
            "--restore: must be used without --inference",
        ),
        (["--implementation", "fastest", "IN", "OUT"], "`implementation` must"),
        (["--copies", "IN", "OUT"], "--copies: must be used with --inference"),
        (["--equalize", "IN", "OUT"], "--equalize: must be used with --inf"),
        (["IN"], "the following arguments are required"),
    ],
)
def test_bad_arguments(source, tmp_path, capsys, arguments, message):
    names = {"IN": str(source), "OUT": str(tmp_path / "out.keras")}
    with pytest.raises(SystemExit) as end:
        main(["convert", *(names.get(a, a) for a in arguments)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["in.keras"]


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"PK\3\4cut"])
def test_a_file_that_is_no_model(tmp_path, capsys, content):
    source, target = tmp_path / "in.keras", tmp_path / "out.keras"
    if content is not None:
        source.write_bytes(content)
    assert main(["convert", str(source), str(target)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "in.keras" in line
    assert not target.exists()


def test_a_model_that_would_compute_something_else(
    source, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        "keras_sepconv.tools.conversion.comparison.difference",
        lambda *_: ("layer 'separable': its output is off", []),
    )
    target = tmp_path / "out.keras"
    assert main(["convert", str(source), str(target)]) == 1
    assert "layer 'separable'" in capsys.readouterr().err
    assert not target.exists()
    assert main(["convert", "--no-verify", str(source), str(target)]) == 0
    arguments = ["convert", "--force", "--restore", str(source), str(target)]
    assert main(arguments) == 1
    assert main([*arguments, "--no-verify"]) == 0


def test_the_version(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dynamic"] == ["version"]
    assert project["scripts"] == {"keras-sepconv": f"{main.__module__}:main"}
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    version = keras_sepconv.__version__
    assert capsys.readouterr().out == f"keras_sepconv {version}\n"
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("command", ["bench", "convert", "info", "stream"])
def test_every_argument_is_explained(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    usage, description, *groups = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"usage: python -m keras_sepconv {command} ")
    assert description.endswith(".")
    epilog = groups.pop()
    assert epilog.startswith("Exit codes: 0 success; 1 ")
    arguments = re.findall(r"^  (\S.*(?:\n {6,}.*)*)", "\n".join(groups), re.M)
    assert len(arguments) > 3
    for argument in arguments:
        assert re.search(r"(\n|\S {2,})\s*[a-z]", argument), argument


@pytest.mark.parametrize("command", ["bench", "convert", "info", "stream"])
def test_each_command_has_its_function(command):
    module = {"bench": "bench.command"}.get(
        command, f"tools.commands.{command}"
    )
    run = __main__._COMMANDS[command]
    assert (run.__module__, run.__name__) == (f"keras_sepconv.{module}", "run")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("bench --backend=numpy IN", 2, "error: argument --backend: "),
        ("convert IN OUT.keras", 1, "`filepath` must be a file that exists"),
        ("info IN", 1, "`filepath` must be a file that exists"),
        ("stream IN OUT.keras", 1, "`filepath` must be a file that exists"),
    ],
)
def test_the_process_runs_its_command_and_ends_with_the_code(
    words, code, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["keras-sepconv", *words.split()])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(__main__.__file__, run_name="__main__")
    assert end.value.code == code
    *_, line = capsys.readouterr().err.splitlines()
    command = words.split()[0]
    assert line.startswith(f"python -m keras_sepconv {command}: {message}")


def test_no_words_are_not_those_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keras-sepconv", "--version"])
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "required: COMMAND" in capsys.readouterr().err


def started(*words, **environment):
    """Returns a process of the command, as users start it."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


MODULE = ("-m", "keras_sepconv")


def test_what_needs_no_keras_does_not_import_it(tmp_path):
    (tmp_path / "keras.py").write_text("raise RuntimeError('Keras')")
    script = tmp_path / "keras-sepconv"
    script.write_text(
        "import sys\nfrom keras_sepconv.__main__ import main\nsys.exit(main())"
    )
    package = pathlib.Path(keras_sepconv.__file__).parents[1]
    path = os.pathsep.join(map(str, (tmp_path, package)))
    for words, code, said in (
        ([*MODULE, "--help"], 0, "usage: python -m keras_sepconv"),
        (["-Wdefault", *MODULE, "bench", "--help"], 0, "--input-shape"),
        (["-mkeras_sepconv", "--version"], 0, keras_sepconv.__version__),
        ([str(script), "convert", "--help"], 0, "OUT.keras"),
        ([str(script), "convert", "in.keras"], 2, "are required: OUT.keras"),
        # Of other processes nothing is read.
        (["-c", "import keras_sepconv", "--help"], 1, "RuntimeError: Keras"),
        (["-m", "keras_sepconv.ops", "--help"], 1, "RuntimeError: Keras"),
    ):
        run = started(*words, PYTHONPATH=path)
        assert said in run.stdout + run.stderr, words
        assert run.returncode == code


def test_a_backend_that_keras_cannot_import():
    run = started(*MODULE, "info", "a.keras", KERAS_BACKEND="jaxx")
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith("python -m keras_sepconv: Keras cannot import its")
    assert line.endswith("Received: KERAS_BACKEND=jaxx")


def test_the_backends_that_are_installed_are_named(monkeypatch, capsys):
    """As above, with one backend that is there, and in this process."""

    def missing(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(_arguments.importlib, "import_module", missing)
    monkeypatch.setattr(
        _arguments.importlib.util, "find_spec", lambda name: name == "torch"
    )
    monkeypatch.setattr(sys, "argv", ["bin/keras-sepconv", "info", "a.keras"])
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(SystemExit) as end:
        _arguments.answer_first()
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "cannot import its backend (no keras)" in message
    assert "Installed: torch. Received: KERAS_BACKEND=\n" in message
    # Another program is not read.
    monkeypatch.setattr(sys, "argv", ["bin/other", "--help"])
    _arguments.answer_first()
