import pytest
from backends import BACKEND


@pytest.fixture(autouse=BACKEND == "torch")
def as_if_large(monkeypatch):
    """Sends small images down the roads that torch has for large ones."""
    from keras_sepconv.kernels import _torch, _torch_depthwise

    monkeypatch.setattr(_torch_depthwise, "_LEAST_IMAGE", 0)
    monkeypatch.setattr(_torch_depthwise, "_MOST_COPIED", 0)
    monkeypatch.setattr(_torch, "_FEWEST_PIXELS", 0)
