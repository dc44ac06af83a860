import itertools
import os

# Hides the messages that TensorFlow prints when it starts.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if os.environ.get("KERAS_BACKEND") == "jax":
    # Gives JAX several devices. JAX reads this when it starts.
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_force_host_platform_device_count=4"
    )

if os.environ.get("KERAS_BACKEND") == "torch":
    # Two workers on two cores would wait for each other's threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import keras
import numpy as np
import pytest
from backends import use_several_devices

# Tests for one backend. Importing such a file imports its backend.
collect_ignore = [
    f"test_{backend}_kernel.py"
    for backend in ("jax", "tensorflow", "torch")
    if backend != keras.backend.backend()
]
if keras.backend.backend() not in ("jax", "tensorflow", "torch"):
    collect_ignore.append("transformations")
use_several_devices()

BACKENDS = ("jax", "numpy", "openvino", "tensorflow", "torch")
# Files whose tests do not depend on the backend, and the backends on which they
# run. On other backends only tests marked `each_backend` run; with names, as in
# `each_backend("adam")`, only those whose parameters have one of the names.
# With `--every-test` all tests run on every backend.
ONCE = {
    "test_accelerate.py": ("numpy", "torch"),
    "test_arguments.py": ("numpy",),
    "test_bench.py": ("numpy", "torch"),
    "test_command.py": ("numpy",),
    "test_comparison.py": ("numpy", "torch"),
    "test_convert.py": ("numpy", "torch"),
    "test_convert_state.py": ("numpy", "torch"),
    "test_counts.py": ("numpy",),
    "test_deploy.py": ("numpy", "torch"),
    "test_edges.py": ("numpy",),
    "test_docs.py": ("numpy", "torch"),
    "test_family.py": ("numpy",),
    "test_fold.py": ("numpy",),
    "test_functional.py": ("numpy", "torch"),
    "test_guards.py": ("numpy",),
    "test_hostile.py": ("numpy",),
    "test_info.py": ("numpy",),
    "test_inputs.py": ("numpy",),
    "test_layers.py": ("numpy", "torch"),
    "test_load.py": ("numpy", "torch"),
    "test_ranks.py": ("numpy", "torch"),
    "test_report.py": ("numpy",),
    "test_rules.py": ("numpy",),
    "test_results_page.py": ("numpy",),
    "test_spec.py": ("numpy",),
    "test_streaming.py": ("numpy",),
    "test_swaps.py": ("numpy", "torch"),
}

# After so many seconds a test must say why, with the marker `slow`.
SLOW = 5.0

# No deadlines: on shared machines the time of an example says nothing.
hypothesis.settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=20,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "long",
    hypothesis.settings.get_profile("default"),
    derandomize=False,
    max_examples=2000,
)
hypothesis.settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption(
        "--every-cell",
        action="store_true",
        help="each transformation with each operation of each spec, and each "
        "exported layer in each format",
    )
    parser.addoption(
        "--every-test",
        action="store_true",
        help="also run tests that are the same on every backend",
    )


def pytest_collection_modifyitems(config, items):
    def is_named(item):
        return any(item.path.name in argument for argument in config.args)

    def runs(item):
        if item.get_closest_marker("long") and not is_named(item):
            return config.getoption("every_cell")
        each = item.get_closest_marker("each_backend")
        return (
            config.getoption("every_test")
            or keras.backend.backend() in ONCE.get(item.path.name, BACKENDS)
            or (each and (not each.args or _has_one(item, each.args)))
            or is_named(item)
        )

    left_out = [item for item in items if not runs(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_terminal_summary(terminalreporter):
    """Lists slow tests that do not say why they are slow."""
    reports = itertools.chain(*terminalreporter.stats.values())
    slow = {
        report.nodeid: report.duration
        for report in reports
        if getattr(report, "when", None) == "call"
        and report.duration > SLOW
        and "slow" not in report.keywords
    }
    if slow:
        terminalreporter.section("slow tests without the marker `slow`")
    for name in sorted(slow, key=slow.get, reverse=True):
        terminalreporter.line(f"{slow[name]:.0f} s  {name}")


def _has_one(item, names):
    return any(name in item.callspec.id for name in names)


@pytest.fixture(autouse=True)
def _reproducible():
    keras.utils.set_random_seed(0)
    keras.config.set_image_data_format("channels_last")
    yield
    # Collecting garbage here would take half of the suite's time.
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def ran(monkeypatch):
    """Records the names of the kernels that run."""
    from keras_sepconv import kernels

    names = []

    def choose(call, implementation=None):
        kernel = original(call, implementation)
        names.append(kernel.name)
        return kernel

    original = kernels.choose
    monkeypatch.setattr(kernels, "choose", choose)
    return names


@pytest.fixture
def double_precision():
    """Lets JAX keep float64, as the other backends do."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
