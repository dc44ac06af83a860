"""The `layer_*` helpers that crop, as in R's keras."""

# `help` and editors then show the names of the types.
from __future__ import annotations

from typing import Any

import keras

from keras_sepconv._types import (
    DataFormat,
    Pairs,
    ShapeLike,
    Weights,
    Whole,
)
from keras_sepconv.functional.compose import helper


@helper(keras.layers.Cropping1D, 3)
def layer_cropping_1d(
    object: Any = None,
    cropping: Pairs = (1, 1),
    batch_size: Whole | None = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    dtype: Any = None,
) -> Any:
    """Cropping of sequences, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes and the errors. The
    other arguments are those of `keras.layers.Cropping1D`.
    `weights` must be None, because the layer has no weights.

    Input shape:
        `(batch, steps, channels)`.

    Output shape:
        `(batch, new_steps, channels)`.

    Example:

    >>> from keras_sepconv import layer_cropping_1d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 3), "float32")
    >>> tuple(layer_cropping_1d(x, cropping=1).shape)
    (2, 6, 3)
    """


@helper(keras.layers.Cropping2D, 4)
def layer_cropping_2d(
    object: Any = None,
    cropping: Pairs = ((0, 0), (0, 0)),
    data_format: DataFormat | None = None,
    batch_size: Whole | None = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    dtype: Any = None,
) -> Any:
    """Cropping of images, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes and the errors. The
    other arguments are those of `keras.layers.Cropping2D`.
    `weights` must be None, because the layer has no weights.

    Input shape:
        `(batch, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_rows, new_cols, channels)`, or with the channels first.

    Example:

    >>> from keras_sepconv import layer_cropping_2d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 3), "float32")
    >>> tuple(layer_cropping_2d(x, cropping=1).shape)
    (2, 6, 6, 3)
    """


@helper(keras.layers.Cropping3D, 5)
def layer_cropping_3d(
    object: Any = None,
    cropping: Pairs = ((1, 1), (1, 1), (1, 1)),
    data_format: DataFormat | None = None,
    batch_size: Whole | None = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    dtype: Any = None,
) -> Any:
    """Cropping of volumes, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes and the errors. The
    other arguments are those of `keras.layers.Cropping3D`.
    `weights` must be None, because the layer has no weights.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, channels)`,
        or with the channels first.

    Example:

    >>> from keras_sepconv import layer_cropping_3d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 8, 3), "float32")
    >>> tuple(layer_cropping_3d(x, cropping=1).shape)
    (2, 6, 6, 6, 3)
    """
