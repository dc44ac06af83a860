"""Makes the layers of a model run our operations, in place; and undoes it."""

import threading
from contextlib import AbstractContextManager
from typing import Any, overload

import keras

from keras_sepconv import kernels
from keras_sepconv._checks import boolean
from keras_sepconv.layers._call import FastCall, is_accelerated, kind, set_call
from keras_sepconv.tools.conversion import comparison
from keras_sepconv.tools.conversion.everywhere import Everywhere
from keras_sepconv.tools.inspection.convolutions import (
    CONVOLUTIONS,
    is_ours,
    obstacle,
)
from keras_sepconv.tools.inspection.counts import multiply_adds
from keras_sepconv.tools.inspection.report import AccelerationReport, Row
from keras_sepconv.tools.inspection.tree import Path, check, layers

_LOCK = threading.RLock()


@overload
def accelerate(
    model: None = None,
    *,
    implementation: str | None = None,
    verify: bool = True,
) -> AbstractContextManager[Any]: ...


@overload
def accelerate(
    model: keras.layers.Layer,
    *,
    implementation: str | None = None,
    verify: bool = True,
) -> AccelerationReport: ...


def accelerate(
    model: keras.layers.Layer | None = None,
    *,
    implementation: str | None = None,
    verify: bool = True,
) -> AccelerationReport | AbstractContextManager[Any]:
    """Makes the convolutions of a model fast, in place.

    Every `SeparableConv1D/2D` and `DepthwiseConv1D/2D` of Keras in the model
    then runs the operations of this package. So does every `Conv1D/2D/3D` that
    is depthwise (as many groups as channels) or pointwise (a kernel of size 1).
    The layers may be anywhere: in models of any class, in models and layers
    inside, in attributes, lists and dictionaries, in wrappers.

    Nothing else changes. The model keeps its classes, weights, names, config,
    and its compile and optimizer state. The file that `save` writes loads
    without this package. Copies made by `copy.deepcopy`,
    `keras.models.clone_model` or `pickle`, and loaded files, are plain models
    of Keras: accelerate them again. Keras compiles the functions of `fit`,
    `evaluate` and `predict` again, for this model and for models inside. So
    accelerate the outermost model.

    Without a model, it applies to each layer that any code creates from then
    on, in every thread: in a constructor, from a file, or from a config. Such a
    layer stays accelerated. `decelerate()` ends this; so does the end of a
    `with` block, `with keras_sepconv.accelerate(): ...`.

    Args:
        model: A `keras.Model` or a layer; `None` for all new layers.
        implementation: The implementation that the operations run; see
            `keras_sepconv.ops.implementations`. `None` for the fastest.
        verify: Whether to compare what the model computes for a random batch
            before and after. If the input cannot be guessed, the report says
            so. Without a model there is nothing to compare.

    Returns:
        A `keras_sepconv.tools.AccelerationReport`; without a model, a context
        manager.

    Raises:
        TypeError: `model` is not a layer of Keras 3, or `verify` is not a bool.
        ValueError: The results differ by more than rounding. The message names
            the layer, and the model is as it was before.

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
        return Everywhere(implementation)
    check(model, keras.layers.Layer, "a model or a layer of Keras 3")
    with _LOCK:
        reached, left = _sorted(model)
        before = [vars(layer).get("call") for layer in reached.values()]
        try:
            notes = _exchange(model, reached, implementation, verify)
        except BaseException:
            for layer, call in zip(reached.values(), before, strict=True):
                set_call(layer, call)
            raise
        _compile_anew(model)
        return _report(model, reached, left, notes)


def decelerate(model: keras.layers.Layer | None = None) -> None:
    """Undoes `accelerate` with the same argument.

    Args:
        model: The model or layer. Its layers run Keras's own code again. `None`
            ends `accelerate()`: new layers are plain again, and the layers that
            were created in between stay accelerated.

    Raises:
        TypeError: `model` is not a layer of Keras 3.

    Example:

    >>> import keras
    >>> import keras_sepconv
    >>> layer = keras.layers.DepthwiseConv2D(3)
    >>> report = keras_sepconv.accelerate(layer)
    >>> keras_sepconv.decelerate(layer)
    """
    if model is None:
        Everywhere.end_all()
        return
    check(model, keras.layers.Layer, "a model or a layer of Keras 3")
    with _LOCK:
        for _, layer in _every(model):
            if is_accelerated(layer):
                set_call(layer, None)
        _compile_anew(model)


def _every(model: Any) -> list[tuple[Path, Any]]:
    """Returns the model, and the layers inside."""
    return [((model.name,), model), *layers(model)]


def _sorted(model: Any) -> tuple[dict[Path, Any], list[Row]]:
    """Returns the layers to accelerate, and the others with the reason."""
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
    """Accelerates the layers; returns sentences for the report."""
    for layer in reached.values():
        set_call(layer, None)
    before, notes = None, []
    if verify and reached:
        try:
            before = comparison.predict(model)
        except comparison.CannotPredictError as error:
            notes = [str(error)]
    for layer in reached.values():
        set_call(layer, FastCall(layer, implementation))
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
    """Returns in words which layers differ when they run alone."""
    names = []
    for path, layer in reached.items():
        fast = vars(layer)["call"]
        set_call(layer, None)
        try:
            before = comparison.predict(layer)
        except comparison.CannotPredictError:
            continue
        finally:
            set_call(layer, fast)
        if before.differs(layer) is not None:
            names.append("/".join(path))
    return f" (by itself, so does layer {', '.join(names)})" if names else ""


def _compile_anew(model: Any) -> None:
    """Makes Keras compile its functions again, where it has compiled them."""
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
    return AccelerationReport(
        model.name,
        tuple(
            _row(path, layer, kind(layer) or "perhaps depthwise", None)
            for path, layer in reached.items()
        ),
        tuple(left),
        multiply_adds(
            model, lambda layer: is_accelerated(layer) or is_ours(layer)
        ),
        tuple(notes),
    )
