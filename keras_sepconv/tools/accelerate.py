"""Lets the layers of a model run our operations in place, and the way back."""

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import keras

from keras_sepconv import kernels
from keras_sepconv._spec import boolean, wrong
from keras_sepconv.layers._call import FastCall, is_accelerated, kind
from keras_sepconv.tools import _verify
from keras_sepconv.tools._swap import STOCK, is_ours, obstacle
from keras_sepconv.tools._tree import Path, layers
from keras_sepconv.tools.counts import CONVOLUTIONS, model_counts, sum_counts
from keras_sepconv.tools.report import AccelerationReport, Row

_LOCK = threading.RLock()


def accelerate(
    model: Any = None,
    *,
    implementation: str | None = None,
    verify: bool = True,
) -> Any:
    """Lets the convolutions of a model run fast, in place.

    Every `SeparableConv1D/2D` and `DepthwiseConv1D/2D` of Keras in the model,
    and every `Conv1D/2D/3D` that is depthwise (as many groups as channels) or
    pointwise (a kernel of size 1), runs the operations of this package from
    then on, wherever it stands: in models of any class, in models and layers
    inside, in attributes, lists and dictionaries, in wrappers.

    Nothing else changes: the classes, the weights, the names, the config, the
    compile and optimizer state, and the file that `save` writes, which loads
    where this package is not installed. Copies, by `copy.deepcopy`,
    `keras.models.clone_model` or `pickle`, and loaded files are plain models of
    Keras: accelerate them again. What Keras has compiled for `fit`, `evaluate`
    and `predict` of this model, and of models inside, is made anew; accelerate
    the outermost model.

    Without a model, it holds for each layer that is made from then on, by
    whoever's code and in every thread: constructed, loaded, or read from a
    config. Such a layer stays accelerated. `decelerate()` ends it; so does the
    end of a `with` block, `with keras_sepconv.accelerate(): ...`.

    Args:
        model: A `keras.Model` or a layer; `None` for the layers to come.
        implementation: What the operations are to run by; see
            `keras_sepconv.ops.implementations`. `None` for the fastest.
        verify: Whether to compare what the model computes for a random batch
            before and after. Where its input cannot be guessed, the report says
            so. Without a model there is nothing to compare.

    Returns:
        A `keras_sepconv.tools.AccelerationReport`; without a model, a context
        manager.

    Raises:
        TypeError: `model` is no layer of Keras 3, or `verify` is no flag.
        ValueError: The results differ by more than rounding; then the message
            names the layer, and the model is as it was before.

    Example:

    >>> import keras
    >>> import keras_sepconv
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 4)),
    ...     keras.layers.SeparableConv2D(6, 3),
    ...     keras.layers.Conv2D(2, 3, name="last"),
    ... ], name="small")
    >>> print(keras_sepconv.accelerate(model))
    small: 1 of 2 convolutions run fast, 55.6 % of the multiply-adds.
      1 separable SeparableConv2D
      1 Conv2D left, it is dense: last
    >>> keras_sepconv.decelerate(model)
    """
    kernels.check_name(implementation)
    boolean("verify", verify)
    if model is None:
        return _Everywhere(implementation)
    _check(model)
    with _LOCK:
        reached, left = _sorted(model)
        before = [vars(layer).get("call") for layer in reached.values()]
        try:
            notes = _exchange(model, reached, implementation, verify)
        except BaseException:
            for layer, call in zip(reached.values(), before, strict=True):
                _put(layer, call)
            raise
        _compile_anew(model)
        return _report(model, reached, left, notes)


def decelerate(model: Any = None) -> None:
    """Undoes `accelerate` with the same argument.

    Args:
        model: The model or layer, whose layers run Keras's own code again.
            `None` ends `accelerate()`: layers to come are plain again, and what
            was made in between stays accelerated.

    Raises:
        TypeError: `model` is no layer of Keras 3.

    Example:

    >>> import keras
    >>> import keras_sepconv
    >>> layer = keras.layers.DepthwiseConv2D(3)
    >>> report = keras_sepconv.accelerate(layer)
    >>> keras_sepconv.decelerate(layer)
    """
    with _LOCK:
        if model is None:
            _Everywhere.end_all()
            return
        _check(model)
        for _, layer in _every(model):
            if is_accelerated(layer):
                _put(layer, None)
        _compile_anew(model)


def _check(model: Any) -> None:
    if not isinstance(model, keras.layers.Layer):
        hint = ""
        if "keras" in type(model).__module__ and hasattr(model, "layers"):
            hint = "; a model of Keras 2 is one after `load_model` of its file"
        what = f"a model or a layer of Keras 3{hint}"
        raise wrong("model", what, model, TypeError)


def _every(model: Any) -> list[tuple[Path, Any]]:
    """Returns the model, and the layers inside."""
    return [((model.name,), model), *layers(model)]


def _sorted(model: Any) -> tuple[dict[Path, Any], list[Row]]:
    """Returns the layers to accelerate, and those to leave with the reason."""
    reached, left = {}, []
    for path, layer in _every(model):
        if is_ours(layer) or not isinstance(layer, CONVOLUTIONS):
            continue
        reason = obstacle(layer)
        if reason is None:
            reached[path] = layer
        else:
            left.append(_row(path, layer, None, reason))
    return reached, left


def _row(path: Path, layer: Any, after: str | None, reason: str | None) -> Row:
    return Row("/".join(path), type(layer).__name__, after, reason)


def _exchange(
    model: Any,
    reached: dict[Path, Any],
    implementation: str | None,
    verify: bool,
) -> list[str]:
    """Accelerates the layers; returns what to say of it."""
    for layer in reached.values():
        _put(layer, None)
    before, notes = None, []
    if verify and reached:
        try:
            before = _verify.predict(model)
        except _verify.CannotPredictError as error:
            notes = [f"Not verified, because {error}."]
    for layer in reached.values():
        _put(layer, FastCall(layer, implementation))
    if before is None:
        return notes
    found = before.differs(model)
    if found is not None:
        raise ValueError(
            f"`model` must compute the same when it is accelerated, but {found}"
            f"{_where(reached)}. `verify=False` accelerates it nevertheless. "
            f"Received: model={model}"
        )
    return before.notes


def _where(reached: dict[Path, Any]) -> str:
    """Returns which layers differ by themselves, in words."""
    names = []
    for path, layer in reached.items():
        fast = vars(layer)["call"]
        _put(layer, None)
        try:
            before = _verify.predict(layer)
        except _verify.CannotPredictError:
            continue
        finally:
            _put(layer, fast)
        if before.differs(layer) is not None:
            names.append("/".join(path))
    return f" (by itself, so does layer {', '.join(names)})" if names else ""


def _put(layer: Any, call: Any) -> None:
    """Gives a layer a `call` of its own; `None` for that of its class."""
    if call is not None:
        layer.call = call
    elif "call" in vars(layer):
        del layer.call


def _compile_anew(model: Any) -> None:
    """Lets Keras trace the layers again in models that it has compiled."""
    for _, layer in _every(model):
        if not isinstance(layer, keras.Model):
            continue
        for step in ("train", "test", "predict"):
            if getattr(layer, f"{step}_function", None) is not None:
                setattr(layer, f"{step}_function", None)
                getattr(layer, f"make_{step}_function")()


def _report(
    model: Any, reached: dict[Path, Any], left: list[Row], notes: list[str]
) -> AccelerationReport:
    counts = model_counts(model)
    fast, fast_known = sum_counts(
        [
            row
            for row in counts
            if is_accelerated(row.layer) or is_ours(row.layer)
        ]
    )
    total, known = sum_counts(counts)
    return AccelerationReport(
        model.name,
        tuple(
            _row(path, layer, kind(layer) or "perhaps depthwise", None)
            for path, layer in reached.items()
        ),
        tuple(left),
        (
            fast.total if fast_known else None,
            total.total if known else None,
        ),
        tuple(notes),
    )


class _Everywhere:
    """Accelerates each layer that is made, until it ends."""

    _active: ClassVar[list["_Everywhere"]] = []
    _plain: ClassVar[dict[Any, Any]] = {}

    def __init__(self, implementation: str | None) -> None:
        self.implementation = implementation
        with _LOCK:
            if not self._active:
                for stock in STOCK:
                    self._plain[stock] = vars(stock)["__init__"]
                    stock.__init__ = self._making(self._plain[stock])
            self._active.append(self)

    def __enter__(self) -> "_Everywhere":
        return self

    def __exit__(self, *_: object) -> None:
        self._end([other for other in self._active if other is not self])

    @classmethod
    def end_all(cls) -> None:
        """Ends those that are active."""
        cls._end([])

    @classmethod
    def _end(cls, rest: list["_Everywhere"]) -> None:
        with _LOCK:
            cls._active[:] = rest
            if not rest:
                for stock, plain in cls._plain.items():
                    stock.__init__ = plain
                cls._plain.clear()

    @classmethod
    def _making(cls, plain: Callable[..., None]) -> Callable[..., None]:
        """Returns the constructor that makes a layer and accelerates it."""

        @functools.wraps(plain)
        def init(layer: Any, *args: Any, **kwargs: Any) -> None:
            plain(layer, *args, **kwargs)
            active = cls._active[-1:]  # Another thread may end them.
            if active and not is_ours(layer) and obstacle(layer) is None:
                layer.call = FastCall(layer, active[0].implementation)

        # Keras makes configs from what it finds here.
        init.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]
        return init
