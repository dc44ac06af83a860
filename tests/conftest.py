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
# run. On other backends only tests marked `each_backend` run. With
# `--every-test` all tests run on every backend.
ONCE = {
    "test_accelerate.py": ("numpy", "torch"),
    "test_bench.py": ("numpy", "torch"),
    "test_command.py": ("numpy",),
    "test_convert.py": ("numpy", "torch"),
    "test_convert_state.py": ("numpy", "torch"),
    "test_counts.py": ("numpy",),
    "test_deploy.py": ("numpy", "torch"),
    "test_family.py": ("numpy",),
    "test_functional.py": ("numpy", "torch"),
    "test_guards.py": ("numpy",),
    "test_hostile.py": ("numpy",),
    "test_info.py": ("numpy",),
    "test_layers.py": ("numpy", "torch"),
    "test_load.py": ("numpy", "torch"),
    "test_ranks.py": ("numpy", "torch"),
    "test_results_page.py": ("numpy",),
    "test_spec.py": ("numpy",),
}

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
    if config.getoption("every_test"):
        return

    def is_asked_elsewhere(item):
        name = item.path.name
        return (
            keras.backend.backend() not in ONCE.get(name, BACKENDS)
            and not item.get_closest_marker("each_backend")
            and not any(name in argument for argument in config.args)
        )

    elsewhere = [item for item in items if is_asked_elsewhere(item)]
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [item for item in items if item not in set(elsewhere)]


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
def double_precision():
    """Lets JAX keep float64, as the other backends do."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
