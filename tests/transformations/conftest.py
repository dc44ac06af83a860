import pytest
from backends import BACKEND


@pytest.fixture(autouse=True)
def _as_if_large(monkeypatch):
    """Sends small images through the code that is there for large ones."""
    if BACKEND == "jax":
        from keras_sepconv.kernels import _jax_blocks

        monkeypatch.setattr(_jax_blocks, "_BLOCK_BYTES", 1)
    if BACKEND == "torch":
        from keras_sepconv.kernels import _torch, _torch_depthwise

        monkeypatch.setattr(_torch_depthwise, "_LEAST_IMAGE", 0)
        monkeypatch.setattr(_torch_depthwise, "_MOST_COPIED", 0)
        monkeypatch.setattr(_torch, "_FEWEST_PIXELS", 0)
    yield
    if BACKEND == "torch":
        import torch

        # What fails halfway in torch may leave them off.
        torch.set_grad_enabled(True)
