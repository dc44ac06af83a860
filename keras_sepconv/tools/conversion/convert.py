"""Makes a faster model from an existing one, and restores it."""

import functools
import warnings
from collections.abc import Iterable
from typing import Any

import keras

from keras_sepconv import kernels
from keras_sepconv._checks import boolean, wrong
from keras_sepconv.tools.conversion import comparison, equalization, fold, swaps
from keras_sepconv.tools.conversion.carry import rebuild, serialized
from keras_sepconv.tools.conversion.compile import compile_alike
from keras_sepconv.tools.conversion.copies import with_copies
from keras_sepconv.tools.inspection.convolutions import is_ours
from keras_sepconv.tools.inspection.counts import multiply_adds
from keras_sepconv.tools.inspection.report import (
    ConversionReport,
    RestorationReport,
    Row,
)
from keras_sepconv.tools.inspection.tree import (
    Node,
    Path,
    as_graph,
    check,
    layers,
    replaced,
)


def convert_model(
    model: keras.Model,
    *,
    inference: bool = False,
    verify: bool = True,
    implementation: str | None = None,
    copies: bool | None = None,
    equalize: bool = False,
) -> keras.Model:
    """Returns a new model that computes the same, faster.

    These layers of Keras become layers of this package: separable and depthwise
    convolutions, `Conv1D/2D/3D` with as many groups as channels, and those with
    a kernel of size 1. They may be in Sequential and functional models, in
    nested and shared models, and in wrappers. The result has its own copy of
    the weights, and the names, trainable flags, dtype policies, regularizers,
    constraints, compile state and optimizer state of `model`. `model` does not
    change.

    Layers that cannot be replaced stay. The `conversion_report` of the result
    lists them with the reason: layers of a user's class, layers that another
    layer creates in its own code, quantized layers, and layers with an argument
    that ours do not support, for example a stride together with a dilation.

    Args:
        model: A `keras.Model`.
        inference: Whether to fold `BatchNormalization` into the convolution or
            `Dense` before it, which is exact in inference. `ZeroPadding` is
            folded into the convolution after it if padding `"same"` gives the
            same zeros. The result only predicts: it is not compiled, nothing in
            it is trainable, and `fit` warns. To train, convert without this
            option.
        verify: Whether to compare the results of both models on a random
            batch.
        implementation: The implementation that our layers run; see
            `keras_sepconv.ops.implementations`. `None` for the fastest.
        copies: Whether to replace a depth multiplier m by m copies of the input
            and a convolution with multiplier 1, which many runtimes compute
            faster. `None` does so where it was measured to help. `True`
            requires `inference=True`.
        equalize: Whether to give the channels between two convolutions similar
            ranges. They are scaled by powers of two. This changes no result,
            and helps a quantizer to int8. Requires `inference=True`.

    Returns:
        The new model, with a `keras_sepconv.tools.ConversionReport` as its
        `conversion_report`.

    Raises:
        TypeError: `model` is not a model of Keras 3, or a flag is not a bool.
        ValueError: `model` cannot be made again from its config. Or the results
            differ by more than rounding; then the message names the layer.

    Example:

    >>> import keras
    >>> import keras_sepconv
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 4)),
    ...     keras.layers.SeparableConv2D(6, 3, name="separable"),
    ... ])
    >>> fast = keras_sepconv.convert_model(model)
    >>> fast.conversion_report.converted
    (Row(layer='separable', before='SeparableConv2D', after='SeparableConv2D', \
reason=None),)
    """
    check(model, keras.Model, "a keras.Model")
    boolean("inference", inference)
    boolean("verify", verify)
    kernels.check_name(implementation)
    boolean("equalize", equalize)
    if copies is not None:
        boolean("copies", copies)
    for name, value in (("copies", copies), ("equalize", equalize)):
        if value and not inference:
            raise wrong("inference", f"True for `{name}=True`", inference)
    deploy = functools.partial(_deployed, copies=copies, equalize=equalize)
    swap = swaps.to_ours(implementation)
    return _converted(
        model, swap, swaps.candidate, verify, deploy if inference else None
    )


def restore_model(model: keras.Model, *, verify: bool = True) -> keras.Model:
    """Returns a new model with layers of Keras that computes the same.

    It undoes `convert_model`: layers of this package become layers of Keras
    with the same weights, names and compile state. A layer that Keras lacks
    stays, and `conversion_report` lists it. Folded layers stay folded.

    Args:
        model: A `keras.Model`.
        verify: Whether to compare the results of both models on a random
            batch.

    Raises:
        TypeError: `model` is not a model of Keras 3, or `verify` is not a bool.
        ValueError: As for `convert_model`.

    Example:

    >>> import keras
    >>> import keras_sepconv
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 4)),
    ...     keras_sepconv.SeparableConv2D(6, 3),
    ... ])
    >>> stock = keras_sepconv.restore_model(model)
    >>> type(stock.layers[0]) is keras.layers.SeparableConv2D
    True
    """
    check(model, keras.Model, "a keras.Model")
    boolean("verify", verify)

    def left(layer: Any) -> str | None:
        return swaps.AROUND if is_ours(layer) else None

    return _converted(model, swaps.to_stock, left, verify, None)


def _converted(
    model: Any,
    swap: swaps.Swap,
    why_left: Any,
    verify: bool,
    deploy: Any,
) -> Any:
    given, model = model, as_graph(model)
    node = serialized(model)
    folds = fold.Folds()
    if deploy is not None:
        node, folds = fold.fold(model, node)
    refused: dict[Path, str] = {}
    converted: list[Row] = []

    def change(path: Path, inner: Node) -> Node | None:
        found = swap(inner)
        if isinstance(found, str):
            refused[path] = found
        if not isinstance(found, dict):
            return None
        name, after = inner["class_name"], found["class_name"]
        converted.append(Row("/".join(path), name, after))
        return found

    config = replaced(node["config"], change)
    give = {
        path: functools.partial(fold.apply, norms=norms)
        for path, norms in folds.into.items()
    }
    other = rebuild(model, {**node, "config": config}, give)
    notes: list[str] = []
    changed = {path[0] for path in folds.into}
    copied: list[Row] = []
    equalized: list[Row] = []
    if deploy is not None:
        other, copied, equalized, by_design = deploy(other)
        changed |= by_design
    else:
        notes = compile_alike(given, other)
    if verify:
        notes += _verified(model, other, changed)
    left = tuple(
        Row("/".join(path), type(layer).__name__, None, reason)
        for path, layer in layers(other)
        if (reason := refused.get(path) or why_left(layer))
    )
    ours, total = multiply_adds(other, is_ours)
    kind: type[ConversionReport] = ConversionReport
    if swap is swaps.to_stock:
        ours, kind = None, RestorationReport
    else:
        notes += _what_accelerate_keeps(given, left)
    other.conversion_report = kind(
        model.name,
        tuple(converted),
        left,
        tuple(
            Row("/".join(path), kind, "/".join(into))
            for (path, kind), into in folds.away.items()
        ),
        tuple(
            Row("/".join(path), kind, None, reason)
            for (path, kind), reason in folds.left.items()
        ),
        (ours, total),
        tuple(notes),
        tuple(copied),
        tuple(equalized),
    )
    return other


def _deployed(
    model: Any, copies: bool | None, equalize: bool
) -> tuple[Any, list[Row], list[Row], set[str]]:
    """Returns a model that only predicts, and the rows for the report."""
    equalized: list[Row] = []
    changed: set[str] = set()
    node = serialized(model)
    if equalize:
        equalized, changed = equalization.equalize(model, node)
    model, rows, reordered = with_copies(model, node, copies)
    _predict_only(model)
    return model, rows, equalized, changed | reordered


def _what_accelerate_keeps(model: Any, left: Iterable[Row]) -> list[str]:
    gone = {
        type(one).__name__: None
        for one in (model, *(inner for _, inner in layers(model)))
        if isinstance(one, keras.Model) and as_graph(one) is not one
    }
    notes = [
        f"The class {name} is gone: its graph of layers is a plain "
        "`keras.Model` now. `keras_sepconv.accelerate` keeps it."
        for name in gone
    ]
    if any(row.reason == swaps.AROUND for row in left):
        notes.append(
            "`keras_sepconv.accelerate` also reaches layers that another layer "
            "creates in its own code."
        )
    return notes


def _verified(model: Any, other: Any, folded: set[str]) -> list[str]:
    try:
        found, notes = comparison.difference(model, other, folded)
    except comparison.CannotPredictError as error:
        return [str(error)]
    if found is not None:
        raise ValueError(
            f"`model` must compute the same after conversion, but {found}. "
            f"`verify=False` returns it nevertheless. Received: model={model}"
        )
    return notes


def _predict_only(model: Any) -> None:
    """Freezes a model, and makes it warn when it is trained."""
    model.trainable = False
    for name in ("fit", "train_on_batch"):
        method = getattr(model, name)

        @functools.wraps(method)
        def warn(*args: Any, method: Any = method, **kwargs: Any) -> Any:
            warnings.warn(
                "This model was converted with `inference=True`: its "
                "BatchNormalization is folded away and nothing in it is "
                "trainable. Train the model that it was made from, or "
                "`restore_model` of a conversion without `inference=True`.",
                stacklevel=2,
            )
            return method(*args, **kwargs)

        setattr(model, name, warn)
