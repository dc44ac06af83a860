"""A memory for what follows from static facts."""

import functools
from collections.abc import Callable
from typing import TypeVar

import keras

if keras.backend.backend() == "torch":
    from torch.compiler import is_compiling
else:

    def is_compiling() -> bool:
        """Tells whether torch.compile or torch.export reads this code."""
        return False


# Beyond this many results, that of the longest unused arguments is forgotten.
_MOST = 4096

Function = TypeVar("Function", bound=Callable[..., object])


def remembered(function: Function) -> Function:
    """Lets a function of hashable arguments find each result only once.

    torch.compile and torch.export read the function itself, once for each
    graph. Some of the sizes that they give it are symbols, not numbers.
    """
    kept = functools.lru_cache(_MOST)(function)

    @functools.wraps(function)
    def find(*arguments: object) -> object:
        return (function if is_compiling() else kept)(*arguments)

    return find  # type: ignore[return-value]  # The same signature.
