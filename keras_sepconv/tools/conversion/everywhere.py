"""Accelerates all layers that any code creates from now on."""

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from keras_sepconv.layers._call import FastCall
from keras_sepconv.tools.inspection.convolutions import STOCK, obstacle

_LOCK = threading.RLock()


class Everywhere:
    """Accelerates each new layer until the context ends."""

    _active: ClassVar[list["Everywhere"]] = []
    _plain: ClassVar[dict[Any, Any]] = {}

    def __init__(self, implementation: str | None) -> None:
        self.implementation = implementation
        with _LOCK:
            if not self._active:
                for stock in STOCK:
                    self._plain[stock] = vars(stock)["__init__"]
                    stock.__init__ = self._making(self._plain[stock])
            self._active.append(self)

    def __repr__(self) -> str:
        state = "is active" if self in self._active else "has ended"
        return f"<keras_sepconv.accelerate() {state}>"

    def __enter__(self) -> "Everywhere":
        return self

    def __exit__(self, *_: object) -> None:
        self._end([self])

    @classmethod
    def end_all(cls) -> None:
        """Ends all active contexts."""
        cls._end(cls._active)

    @classmethod
    def _end(cls, ending: list["Everywhere"]) -> None:
        with _LOCK:
            cls._active[:] = [one for one in cls._active if one not in ending]
            if not cls._active:
                for stock, plain in cls._plain.items():
                    stock.__init__ = plain
                cls._plain.clear()

    @classmethod
    def _making(cls, plain: Callable[..., None]) -> Callable[..., None]:
        """Returns a constructor that also accelerates the new layer."""

        @functools.wraps(plain)
        def init(layer: Any, *args: Any, **kwargs: Any) -> None:
            plain(layer, *args, **kwargs)
            active = cls._active[-1:]  # Another thread may empty the list.
            if active and obstacle(layer) is None:
                layer.call = FastCall(layer, active[0].implementation)

        # Keras reads this signature when it makes configs.
        init.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]
        return init
