import pytest
from backends import BACKEND


@pytest.fixture(autouse=True)
def _one_image_at_a_time(monkeypatch):
    """Lets small images on JAX, too, go through the loop over images."""
    if BACKEND == "jax":
        from keras_sepconv.kernels import _jax_blocks

        monkeypatch.setattr(_jax_blocks, "_BLOCK_BYTES", 1)
