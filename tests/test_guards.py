"""Guards of the design; for each, a test shows that it can fail."""

import ast
import functools
import inspect
import pathlib
import re
import subprocess
import sys

import keras
import pytest

import keras_sepconv
from keras_sepconv import functional, layers, ops

PACKAGE = pathlib.Path(keras_sepconv.__file__).parent
SOURCES = {
    path.relative_to(PACKAGE): path.read_text()
    for path in sorted(PACKAGE.rglob("*.py"))
}

# The order of the modules; none imports a later one.
LEVELS = (
    "_version",
    "_arguments",
    "_types",
    "_remembered",
    "_checks",
    "_spec",
    "kernels",
    "_facts",
    "ops",
    "layers",
    "functional",
    "tools",
    "bench",
    "__main__",
)
# The same for the folders of `tools`.
FOLDERS = ("inspection", "conversion", "streaming", "legacy", "commands")
ORDERS = {"keras_sepconv": LEVELS, "keras_sepconv.tools": FOLDERS}


def imports(source):
    """Yields the full names of all imports in `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name, package):
    """Returns which part of a package a module is, or `None`."""
    before, found, rest = f"{name}.".partition(f"{package}.")
    return rest.split(".")[0] if found and not before else None


def dotted(path):
    return ".".join(("keras_sepconv", *path.with_suffix("").parts))


def backward_arrows(sources):
    """Returns the imports that break an order in `ORDERS`."""
    found = []
    for path, source in sources.items():
        for package, levels in ORDERS.items():
            own = inside(dotted(path), package)
            if own in (None, "__init__"):
                continue
            allowed = (None, *levels[: levels.index(own) + 1])
            found += [
                (str(path), name)
                for name in imports(source)
                if inside(name, package) not in allowed
            ]
    return found


def test_imports_point_one_way():
    for package, levels in ORDERS.items():
        parts = {inside(dotted(path), package) for path in SOURCES}
        assert parts - {None} == {"__init__", *levels}
    assert not backward_arrows(SOURCES)


def test_the_import_guard_can_fail():
    sources = {
        pathlib.Path("ops.py"): "from keras_sepconv.layers import separable",
        pathlib.Path(
            "kernels/jax/dispatch.py"
        ): "from keras_sepconv import ops",
        pathlib.Path("tools/inspection/tree.py"): (
            "from keras_sepconv.tools.conversion import swaps\n"
            "from keras_sepconv.tools import load_model"
        ),
    }
    assert len(backward_arrows(sources)) == 4


def private_keras(sources):
    """Returns the imports of Keras's private modules."""
    return [
        (str(path), name)
        for path, source in sources.items()
        for name in imports(source)
        if name.startswith("keras.src")
    ]


def test_only_public_keras():
    assert not private_keras(SOURCES)


def test_the_private_keras_guard_can_fail():
    sources = {pathlib.Path("a.py"): "from keras.src import backend"}
    assert private_keras(sources)


def hosts_of_indexes(text):
    """Returns the hosts of package indexes in a text; there must be none."""
    pattern = r"files\.pythonhosted\.org|pypi\.org/simple|download\.pytorch"
    return re.findall(pattern, text)


def test_no_host_of_a_package_index():
    assert not [p for p, text in SOURCES.items() if hosts_of_indexes(text)]


def test_the_host_guard_can_fail():
    assert hosts_of_indexes("--index-url https://download.pytorch.org/whl/cpu")


@functools.cache
def modules_after(*statements):
    """Returns the modules that are loaded after each statement."""
    code = "import sys"
    for statement in statements:
        code += f"\n{statement}; print(*sorted(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return [set(line.split()) for line in run.stdout.splitlines()]


FRAMEWORKS = ("jax", "tensorflow", "torch", "openvino", "flax")


def new_frameworks(before, after):
    def tops(modules):
        return {name.split(".")[0] for name in modules}

    return (tops(after) - tops(before)) & set(FRAMEWORKS)


@pytest.mark.slow("it starts a process")
@pytest.mark.each_backend
def test_importing_brings_in_no_framework_that_keras_did_not():
    before, after = modules_after("import keras", "import keras_sepconv")
    assert not new_frameworks(before, after)
    assert "keras_sepconv.ops" in after


OF_COMMANDS = {
    "keras_sepconv.__main__",
    "keras_sepconv.bench",
    "matplotlib",
    "keras_sepconv.tools.commands.convert",
    "keras_sepconv.tools.commands.info",
    "keras_sepconv.tools.commands.stream",
    "rich.progress",
}


@pytest.mark.slow("it starts a process")
def test_importing_brings_in_nothing_that_only_the_commands_need():
    before, after = modules_after("import keras", "import keras_sepconv")
    assert not (after - before) & OF_COMMANDS


@pytest.mark.slow("it starts a process")
def test_the_command_guard_can_fail():
    (after,) = modules_after("import keras_sepconv.__main__")
    assert after & OF_COMMANDS


def test_the_framework_guard_can_fail():
    assert new_frameworks({"keras"}, {"keras", "torch.nn"}) == {"torch"}


def test_files_name_our_classes_as_ours():
    nodes = (ops.SeparableConv, ops.DepthwiseConv, ops.PointwiseConv)
    for cls in (*(getattr(layers, name) for name in layers.__all__), *nodes):
        name = keras.saving.get_registered_name(cls)
        assert name == f"keras_sepconv>{cls.__name__}"


def test_public_names():
    assert sorted(keras_sepconv.__all__) == sorted(
        [
            "DepthwiseConv1D",
            "DepthwiseConv2D",
            "DepthwiseConv3D",
            "SeparableConv1D",
            "SeparableConv2D",
            "SeparableConv3D",
            *functional.__all__,
            "accelerate",
            "convert_model",
            "decelerate",
            "initial_states",
            "load_model",
            "ops",
            "restore_model",
            "streaming_model",
        ]
    )
    for name in keras_sepconv.__all__:
        assert getattr(keras_sepconv, name) is not None


def test_signatures_show_the_names_of_the_types():
    """What the names stand for would fill a screen."""
    modules = layers, functional
    for module in modules:
        for name in module.__all__:
            signature = inspect.signature(getattr(module, name))
            assert "numpy" not in str(signature), name
