"""The kernels, and the registry that picks one by static facts."""

import importlib

import keras

from keras_sepconv._checks import short_text, wrong
from keras_sepconv.kernels import portable
from keras_sepconv.kernels._kernel import Call, Kernel

__all__ = ["Call", "Kernel", "check_name", "choose", "reasons"]

# The modules of the backends' own kernels; only the active one's is imported.
_MODULES = {
    "jax": "keras_sepconv.kernels.jax",
    "numpy": "keras_sepconv.kernels._numpy",
    "tensorflow": "keras_sepconv.kernels.tensorflow",
    "torch": "keras_sepconv.kernels.torch",
}


def _load(backend: str) -> tuple[Kernel, ...]:
    """Returns a backend's kernels, the fastest first."""
    own: tuple[Kernel, ...] = ()
    if backend in _MODULES:
        own = importlib.import_module(_MODULES[backend]).KERNELS
    if portable.KERNEL.name in [kernel.name for kernel in own]:
        return own
    return (*own, portable.KERNEL)


_KERNELS = _load(keras.backend.backend())


def reasons(call: Call | None = None) -> dict[str, str | None]:
    """Returns why each kernel cannot run `call`, `None` where it can."""
    first = sorted(_KERNELS, key=lambda kernel: not kernel.is_fast_here())
    return {
        kernel.name: None if call is None else kernel.why_not(call)
        for kernel in first
    }


def check_name(implementation: str | None) -> str | None:
    """Returns `implementation` if it is `None` or the name of a kernel.

    Raises:
        ValueError: There is no kernel of that name on this backend.
    """
    if implementation is None:
        return None
    names = [kernel.name for kernel in _KERNELS]
    # What is no string may not even answer whether it is equal.
    if not isinstance(implementation, str) or implementation not in names:
        backend = keras.backend.backend()
        rule = f"None or one of {names} on the {backend} backend"
        raise wrong("implementation", rule, implementation)
    return implementation


def choose(call: Call, implementation: str | None = None) -> Kernel:
    """Returns the kernel that runs `call`.

    Args:
        call: The static facts.
        implementation: A kernel's name, or `None` for the fastest that can.

    Raises:
        ValueError: There is no kernel of that name on this backend, or none
            that can run the call, with the reasons.
    """
    name = check_name(implementation)
    refusals = []
    for kernel in _KERNELS:
        if name != kernel.name and (name or not kernel.is_fast_here()):
            continue
        reason = kernel.why_not(call)
        if reason is None:
            return kernel
        refusals.append(f"{kernel.name}: {reason}")
    raise ValueError(
        f"No implementation on the {keras.backend.backend()} backend can run "
        f"this convolution ({'; '.join(refusals)}). "
        f"Received: implementation={short_text(implementation)}, {call}"
    )
