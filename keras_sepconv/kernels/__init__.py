"""The kernels, and the registry that picks one by static facts."""

import dataclasses
import importlib

import keras

from keras_sepconv.kernels import portable
from keras_sepconv.kernels._kernel import Call, Kernel

__all__ = ["Call", "Kernel", "choose", "reasons"]

# The modules of the backends' own kernels; only the active one's is imported.
_MODULES = {
    "numpy": "keras_sepconv.kernels._numpy",
    "tensorflow": "keras_sepconv.kernels._tensorflow",
}


def _load(backend: str) -> tuple[Kernel, ...]:
    """Returns a backend's kernels, the fastest first."""
    own: tuple[Kernel, ...] = ()
    if backend in _MODULES:
        own = importlib.import_module(_MODULES[backend]).KERNELS
    if backend == "tensorflow":
        # Keras's operations are wrong there in too many places; the name still
        # works, so that what was saved with it loads.
        return (*own, dataclasses.replace(own[0], name=portable.KERNEL.name))
    return (*own, portable.KERNEL)


_KERNELS = _load(keras.backend.backend())


def reasons(call: Call | None = None) -> dict[str, str | None]:
    """Returns why each kernel cannot run `call`, `None` where it can."""
    return {
        kernel.name: None if call is None else kernel.why_not(call)
        for kernel in _KERNELS
    }


def choose(call: Call, implementation: str | None = None) -> Kernel:
    """Returns the kernel that runs `call`.

    Args:
        call: The static facts.
        implementation: A kernel's name, or `None` for the fastest that can.

    Raises:
        ValueError: There is no kernel of that name on this backend, or none
            that can run the call, with the reasons.
    """
    backend = keras.backend.backend()
    kernels = {kernel.name: kernel for kernel in _KERNELS}
    if implementation is not None:
        # A tuple, because it also answers for what cannot be a key.
        if implementation not in tuple(kernels):
            raise ValueError(
                f"`implementation` must be None or one of {list(kernels)} on "
                f"the {backend} backend. "
                f"Received: implementation={implementation!r}"
            )
        kernels = {implementation: kernels[implementation]}
    refusals = []
    for kernel in kernels.values():
        reason = kernel.why_not(call)
        if reason is None:
            return kernel
        refusals.append(f"{kernel.name}: {reason}")
    raise ValueError(
        f"No implementation on the {backend} backend can run this "
        f"convolution ({'; '.join(refusals)}). "
        f"Received: implementation={implementation!r}, {call}"
    )
