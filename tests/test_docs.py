"""The documentation is true; for each guard, a test shows that it can fail."""

import ast
import doctest
import importlib.util
import inspect
import pathlib
import re
import warnings
import zipfile

import keras
import numpy as np
import pytest
from backends import BACKEND, array, tensor
from commands import check, commands, run_if_cheap, tox_environments
from pages import DOCS, PAGES, ROOT, Block, blocks, cells, dead_links, run

import keras_sepconv
from keras_sepconv import layers, ops, tools

TESTS = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(keras_sepconv.__file__).parent

BLOCKS = {
    str(path.relative_to(ROOT)): list(
        blocks(path.read_text(), str(path.relative_to(ROOT)))
    )
    for path in PAGES
}
# The backends that run every page. The others run what these cannot.
FAST = {"numpy", "torch"}


def marks(page, blocks):
    """Says whether the active backend, if it is none of FAST, runs a page."""
    own = any(
        BACKEND in block.backends and not FAST & set(block.backends)
        for block in blocks
    )
    return [pytest.mark.each_backend] * own


RUN = [
    pytest.param(page, marks=marks(page, found))
    for page, found in BLOCKS.items()
    if any(block.language in ("python", "pycon") for block in found)
]


@pytest.mark.slow("the README trains, converts and saves models")
@pytest.mark.parametrize("page", RUN)
def test_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    with zipfile.ZipFile(TESTS / "data/legacy/keras_2_15.zip") as archive:
        for name, old in OLD_FILES.items():
            (tmp_path / name).write_bytes(archive.read(old))
    with warnings.catch_warnings():
        # The warnings of `load_model` about the old files.
        warnings.filterwarnings("ignore", "In .*", UserWarning)
        # Keras exports to ONNX and OpenVINO with deprecated functions of torch.
        warnings.filterwarnings(
            "ignore",
            category=DeprecationWarning,
            module=r"keras\.src\.export|torch\.(jit|onnx)",
        )
        # From TensorFlow it uses a converter that was written for NumPy 1.
        warnings.filterwarnings(
            "ignore", category=FutureWarning, module=r"keras\.src\.export"
        )
        for block in BLOCKS[page]:
            if block.language == "sh":
                for words in commands(block.text):
                    run_if_cheap(words)
            else:
                run(block, names)


NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

if BACKEND == "torch":  # JAX and TensorFlow compile, and ask the same.

    @pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
    def test_a_notebook_runs(path, monkeypatch, capsys):
        monkeypatch.chdir(path.parent)
        names = {"__name__": "__main__"}
        for block in cells(path):
            run(block, names)


# Modules and folders of other backends.
OTHERS = {"jax", "numpy", "tensorflow", "torch"} - {BACKEND}


def test_examples_in_docstrings_run(monkeypatch):
    examples = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if OTHERS & {part.removeprefix("_") for part in parts}:
            continue
        name = ".".join(["keras_sepconv", *parts]).removesuffix(".__init__")
        module = importlib.import_module(name)
        # By itself doctest leaves out functions with a decorator.
        wrapped = {
            key: value.__wrapped__
            for key, value in vars(module).items()
            if hasattr(value, "__wrapped__") and value.__module__ == name
        }
        monkeypatch.setattr(module, "__test__", wrapped, raising=False)
        results = doctest.testmod(module)
        assert results.failed == 0, name
        examples += results.attempted
    assert examples >= 150


# The names of old files in the pages, and a real file for each.
OLD_FILES = {
    "old.h5": "functional.h5",
    "old.keras": "functional.keras",
    "old.json": "functional.json",
    "old.weights.h5": "functional.weights.h5",
}


def test_a_block_that_fails_is_found():
    names = {}
    run(Block("page, line 1", "python", "x = 1\n"), names)
    with pytest.raises(AssertionError) as caught:
        run(Block("page, line 7", "python", "assert x == 2\n"), names)
    assert caught.traceback[-1].path == "page, line 7"
    session = ">>> 1 / 0\nTraceback (most recent call last):\n{}: {}\n"
    right = session.format("ZeroDivisionError", "division by\nzero")
    run(Block("page", "pycon", right), {})
    for wrong in (
        ("ValueError", "division by zero"),
        ("ZeroDivisionError", "so"),
    ):
        with pytest.raises(AssertionError, match="division"):
            run(Block("page", "pycon", session.format(*wrong)), {})


def test_a_block_runs_where_it_is_marked():
    text = "<!-- {} -->\n```python\nseen = True\n```\n"
    backend = keras.backend.backend()
    for mark, runs in (
        (f"runs on: {backend}", True),
        (f"runs on: numpy, {backend}", True),
        (f"runs on: {backend}; with: keras", True),
        (f"runs on: {backend}; with: no_such_package", False),
        ("not run: it needs a GPU", False),
    ):
        (block,) = blocks(text.format(mark))
        names = {}
        run(block, names)
        assert ("seen" in names) is runs
    for mark in "runs on: caffe", "run on: jax", "not run: ", "not run":
        with pytest.raises(ValueError, match=r"page, line 2"):
            list(blocks(text.format(mark)))
    with pytest.raises(ValueError, match="without a block"):
        list(blocks("<!-- runs on: jax -->\n\n```python\n```\n"))
    with pytest.raises(ValueError, match="language"):
        list(blocks("```pyhton\n```\n"))


def test_what_is_not_run_is_little():
    code = [
        block
        for found in BLOCKS.values()
        for block in found
        if block.language in ("python", "pycon")
    ]
    assert len(code) >= 40
    assert sum(not block.backends for block in code) <= 3


def all_commands():
    for found in BLOCKS.values():
        for block in found:
            if block.language == "sh":
                yield from commands(block.text)


def test_commands_exist():
    found = list(all_commands())
    for words in found:
        check(words)
    assert len(found) >= 20
    assert {"jax", "oldest", "docs", "r"} <= tox_environments()


@pytest.mark.parametrize(
    "line",
    [
        "keras_sepconv bench",
        "python -m keras_sepconv benhc",
        "python -m keras_sepconv bench --sweet separable",
        "python -m keras_sepconv info",
        "python examples/digit.py",
        "python examples/digits.py --data mnist --backends jax",
        "pip install '.[mxnet]'",
        "tox run -e jax,mxnet",
        "tox run -e jax -- tests/test_nothing.py",
        "tox -e jax",
        "KERAS_BACKEND=jax true && tox list",
    ],
)
def test_a_command_that_does_not_exist_is_found(line, capsys):
    found = list(commands(line))
    with pytest.raises(ValueError, match=r"no |not "):
        any(map(check, found))


def test_a_command_that_fails_is_found(capsys):
    with pytest.raises(ValueError, match="exit code 1"):
        run_if_cheap(["python", "-m", "keras_sepconv", "info", "nothing.h5"])


def test_links_lead_somewhere():
    for path in PAGES:
        assert not dead_links(path.read_text(), path), path


def test_a_dead_link_is_found():
    page = DOCS / "contributing.md"
    text = (
        "[a](layers.md) [b](layers.md#padding) [c](#tolerances) [d](lyers.md)"
    )
    text += " [e](layers.md#paddnig) [f](#tolerance) [g](https://keras.io)"
    assert dead_links(text, page) == [
        "lyers.md",
        "layers.md#paddnig",
        "#tolerance",
    ]


def undocumented(reference):
    """Returns the public names without an entry in the reference."""
    entries = re.findall(r"auto(?:class|function):: ([\w.]+)", reference)
    public = {*keras_sepconv.__all__, *ops.__all__}
    public |= {*layers.__all__, *tools.__all__}
    return public - {"ops"} - {entry.split(".")[-1] for entry in entries}


def test_the_reference_is_whole():
    pages = sorted((DOCS / "api").glob("*.md"))
    assert not undocumented("".join(page.read_text() for page in pages))


def test_a_name_without_an_entry_is_found():
    assert "load_model" in undocumented(".. autofunction:: convert_model\n")


def missing_tests(text):
    """Returns the tests that a page names and that do not exist."""
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", text)
    assert named
    missing = []
    for file, test in named:
        path = TESTS / file
        tree = ast.parse(path.read_text() if path.exists() else "")
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        if test not in [
            node.name for node in ast.walk(tree) if isinstance(node, functions)
        ]:
            missing.append(f"{file}::{test}")
    return missing


def test_the_design_names_tests_that_exist():
    assert not missing_tests((DOCS / "design.md").read_text())


def test_a_missing_test_is_found():
    text = "`test_docs.py::test_nothing` `test_nothing.py::test_docs`"
    assert len(missing_tests(text)) == 2


def script(name):
    """Returns a script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location("script", DOCS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_steps_of_a_call_exist():
    """Each row names a file and a function, method or class in it."""
    rows = re.findall(
        r"^\| \d+ \| `(\S+)` \| `(\S+)` \|",
        (DOCS / "call.md").read_text(),
        re.M,
    )
    assert len(rows) > 30
    for file, name in rows:
        body = ast.parse((ROOT / "keras_sepconv" / file).read_text()).body
        for part in name.split("."):
            found = [node for node in body if getattr(node, "name", "") == part]
            assert found, f"{file} has no {name}"
            body = found[0].body


def test_the_map_is_of_today():
    map_of_parts = script("figures/map.py")
    kept = map_of_parts.TARGET.read_text()
    assert map_of_parts.drawing() == kept, "run `python docs/figures/map.py`"
    assert kept.count("<rect") > 10
    assert kept.count("<path") > 10


def test_generated_pages_are_of_today():
    for page, make in script("generate.py").PAGES.items():
        # The line breaks of argparse depend on the version of Python.
        now, kept = make().split(), (DOCS / page).read_text().split()
        assert now == kept, "run `python docs/generate.py`"
        assert len(now) > 200


@pytest.mark.parametrize(
    "name", ["separable_conv", "depthwise_conv", "pointwise_conv"]
)
def test_definitions_in_docstrings(name, rng):
    """The code in an operation's docstring computes what the operation does."""
    function = getattr(ops, name)
    given = {
        "inputs": rng.standard_normal((2, 5, 6, 3)),
        "kernel": rng.standard_normal((3, 3, 3, 2)),
        "depthwise_kernel": rng.standard_normal((3, 3, 3, 2)),
        "pointwise_kernel": rng.standard_normal((1, 1, 6, 4)),
        "bias": rng.standard_normal(6 if name == "depthwise_conv" else 4),
        **{"strides": 2, "padding": "same", "dilation_rate": 1},
        "data_format": "channels_last",
    }
    if name == "pointwise_conv":
        given["kernel"] = rng.standard_normal((1, 1, 3, 4))
    given = {
        key: tensor(value) if isinstance(value, np.ndarray) else value
        for key, value in given.items()
    }
    names = {"keras": keras, **given}
    (block,) = blocks(inspect.cleandoc(function.__doc__))
    run(block, names)
    taken = inspect.signature(function).parameters
    found = function(**{key: given[key] for key in given if key in taken})
    wanted = array(names["outputs"])
    np.testing.assert_allclose(array(found), wanted, rtol=1e-5, atol=1e-5)
