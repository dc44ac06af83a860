"""Loads models that Keras 3 wrote, and those of tf.keras before it."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import keras

from keras_sepconv._spec import boolean, wrong
from keras_sepconv.tools import legacy
from keras_sepconv.tools.convert import convert_model


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    weights: str | os.PathLike[str] | None = None,
    convert: bool = False,
) -> keras.Model:
    """Returns the model of a file, of Keras 3 or of tf.keras up to 2.15.

    What Keras 3 wrote, `keras.models.load_model` loads. What tf.keras wrote is
    put in the terms of Keras 3 first, which by itself refuses every model of
    tf.keras with a separable or depthwise convolution. The file's first bytes
    say what it is, not its name:

    - `.h5` and `.keras`: a whole model.
    - `.json`: what `model.to_json()` returned. `weights` then names the file of
      `model.save_weights()`, or one of a whole model.

    The result has the layers that the file names, so the stock ones, and it
    predicts what the model predicted when it was saved. Some things have no
    equal in Keras 3 and load as the nearest that computes the same, with a
    warning where the layer is of this package: a `SeparableConv1D` with causal
    padding, Keras 2's `hard_sigmoid`, arithmetic and activations that tf.keras
    wrote as `TFOpLambda`. The state of tf.keras's optimizer is not restored.

    Args:
        filepath: The file. What has a scheme, such as `hf://`, goes to Keras.
        custom_objects: Classes and functions by the names in the file.
        compile: Whether to compile the model as it was. If that fails, the
            model is left uncompiled, with a warning.
        safe_mode: Whether to refuse Python code that a file carries, as in a
            `Lambda` layer.
        weights: The file of the weights of an architecture in JSON.
        convert: Whether to return `keras_sepconv.convert_model(model)`.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: A directory that is no model of Keras 3, as a
            SavedModel.
        TypeError: An argument of the wrong type.
        ValueError: A file that is no model, is damaged, or has what Keras 3
            lacks; the message says which, and Keras's own error is the cause.

    Example:

    >>> import os, tempfile
    >>> import keras
    >>> import keras_sepconv
    >>> from keras_sepconv.tools.load import load_model
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 4)),
    ...     keras.layers.SeparableConv2D(6, 3),
    ... ])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> model.save(path)
    >>> loaded = load_model(path, convert=True)
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
        legacy.no_weights(weights)
        model = keras.models.load_model(
            filepath, custom_objects, compile, safe_mode
        )
    else:
        model, notes = legacy.read(
            filepath, custom_objects, compile, safe_mode, weights
        )
        for note in notes:
            warnings.warn(f"In {os.fspath(filepath)!r}, {note}.", stacklevel=2)
    return convert_model(model) if convert else model
