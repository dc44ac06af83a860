"""Loads models that were saved by Keras 3 or by tf.keras."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import keras

from keras_sepconv._checks import boolean, wrong
from keras_sepconv.tools.conversion.convert import convert_model
from keras_sepconv.tools.legacy.reading import no_weights, read


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    weights: str | os.PathLike[str] | None = None,
    convert: bool = False,
) -> keras.Model:
    """Loads a model from a file of Keras 3, or of tf.keras up to 2.15.

    Files of Keras 3 are loaded by `keras.models.load_model`. Files of tf.keras
    are first translated for Keras 3, which by itself refuses every tf.keras
    model with a separable or depthwise convolution. The first bytes of the file
    decide what it is, not its name:

    - `.h5` and `.keras`: a whole model.
    - `.json`: the result of `model.to_json()`. Then `weights` must name the
      file of `model.save_weights()`, or of a whole model.

    The result has the layers that the file names, so stock layers. It predicts
    what the model predicted when it was saved. Some things do not exist in
    Keras 3, and are replaced by something that computes the same: a
    `SeparableConv1D` with causal padding (a layer of this package, with a
    warning), the `hard_sigmoid` of Keras 2, and arithmetic and activations that
    tf.keras saved as `TFOpLambda`. The state of a tf.keras optimizer is not
    restored.

    Args:
        filepath: The file. A path with a scheme, such as `hf://`, is passed on
            to Keras.
        custom_objects: Classes and functions by the names in the file.
        compile: Whether to compile the model as it was. If that fails, the
            model is not compiled, and there is a warning.
        safe_mode: Whether to refuse Python code that a file contains, for
            example in a `Lambda` layer.
        weights: The file with the weights, if `filepath` is a JSON file.
        convert: Whether to return `keras_sepconv.convert_model(model)`.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: A directory that is not a model of Keras 3, for
            example a SavedModel.
        TypeError: An argument has the wrong type.
        ValueError: The file is not a model, is damaged, or contains something
            that Keras 3 lacks. The message says which, and the error of Keras
            is the cause.

    Example:

    >>> import os, tempfile
    >>> import keras
    >>> import keras_sepconv
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 4)),
    ...     keras.layers.SeparableConv2D(6, 3),
    ... ])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> model.save(path)
    >>> loaded = keras_sepconv.load_model(path, convert=True)
    >>> type(loaded.layers[0]) is keras_sepconv.SeparableConv2D
    True
    """
    for name, value in (
        ("compile", compile),
        ("safe_mode", safe_mode),
        ("convert", convert),
    ):
        boolean(name, value)
    if not isinstance(custom_objects, Mapping | None):
        rule = "a dict of classes and functions by their names"
        raise wrong("custom_objects", rule, custom_objects, TypeError)
    custom_objects = dict(custom_objects or {})
    if isinstance(filepath, str) and "://" in filepath:
        no_weights(weights)
        model = keras.models.load_model(
            filepath, custom_objects, compile, safe_mode
        )
    else:
        model, notes = read(
            filepath, custom_objects, compile, safe_mode, weights
        )
        for note in notes:
            warnings.warn(f"In {os.fspath(filepath)!r}, {note}.", stacklevel=2)
    return convert_model(model) if convert else model
