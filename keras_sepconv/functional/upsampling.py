"""The `layer_*` helpers that upsample, as in R's keras."""

# `help` and editors then show the names of the types.
from __future__ import annotations

from typing import Any

import keras

from keras_sepconv._types import (
    DataFormat,
    Interpolation,
    ShapeLike,
    Weights,
    Whole,
    Wholes,
)
from keras_sepconv.functional.compose import helper


@helper(keras.layers.UpSampling1D, 3)
def layer_upsampling_1d(
    object: Any = None,
    size: Whole = 2,
    batch_size: Whole | None = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    dtype: Any = None,
) -> Any:
    """Upsampling of sequences, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes and the errors. The
    other arguments are those of `keras.layers.UpSampling1D`.
    `weights` must be None, because the layer has no weights.

    Input shape:
        `(batch, steps, channels)`.

    Output shape:
        `(batch, new_steps, channels)`.

    Example:

    >>> from keras_sepconv import layer_upsampling_1d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 3), "float32")
    >>> tuple(layer_upsampling_1d(x, size=2).shape)
    (2, 16, 3)
    """


@helper(keras.layers.UpSampling2D, 4)
def layer_upsampling_2d(
    object: Any = None,
    size: Wholes = (2, 2),
    data_format: DataFormat | None = None,
    interpolation: Interpolation = "nearest",
    batch_size: Whole | None = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    dtype: Any = None,
) -> Any:
    """Upsampling of images, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes and the errors. The
    other arguments are those of `keras.layers.UpSampling2D`.
    `weights` must be None, because the layer has no weights.

    Input shape:
        `(batch, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_rows, new_cols, channels)`, or with the channels first.

    Example:

    >>> from keras_sepconv import layer_upsampling_2d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 3), "float32")
    >>> tuple(layer_upsampling_2d(x, size=2).shape)
    (2, 16, 16, 3)
    """


@helper(keras.layers.UpSampling3D, 5)
def layer_upsampling_3d(
    object: Any = None,
    size: Wholes = (2, 2, 2),
    data_format: DataFormat | None = None,
    batch_size: Whole | None = None,
    name: str | None = None,
    trainable: bool | None = None,
    weights: Weights = None,
    input_shape: ShapeLike | None = None,
    batch_input_shape: ShapeLike | None = None,
    dtype: Any = None,
) -> Any:
    """Upsampling of volumes, composed with `object`.

    `layer_separable_conv_2d` explains `object`, the shapes and the errors. The
    other arguments are those of `keras.layers.UpSampling3D`.
    `weights` must be None, because the layer has no weights.

    Input shape:
        `(batch, depth, rows, cols, channels)`, or with the channels first.

    Output shape:
        `(batch, new_depth, new_rows, new_cols, channels)`,
        or with the channels first.

    Example:

    >>> from keras_sepconv import layer_upsampling_3d
    >>> import numpy as np
    >>> x = np.zeros((2, 8, 8, 8, 3), "float32")
    >>> tuple(layer_upsampling_3d(x, size=2).shape)
    (2, 16, 16, 16, 3)
    """
