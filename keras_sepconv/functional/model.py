"""What a model starts from, in the manner of R's keras."""

from typing import Any

import keras

from keras_sepconv._spec import wrong
from keras_sepconv.functional._shapes import shape_of, size_of
from keras_sepconv.functional._types import REQUIRED, ShapeLike, Whole


def layer_input(
    shape: ShapeLike = REQUIRED,
    batch_size: Whole | None = None,
    name: str | None = None,
    dtype: Any = None,
) -> Any:
    """Returns a symbolic tensor for a functional model to start with.

    Args:
        shape: The shape without the batch; `None` is an unknown size.
        batch_size: The size of the batch, or `None` if it may be any.
        name: The input's name.
        dtype: A dtype name. `None`: `keras.config.floatx()`.

    Returns:
        A `keras.KerasTensor`.

    Raises:
        TypeError: Something that is no shape, or no whole number.
        ValueError: A size that is neither positive nor unknown.

    Example:

    >>> from keras_sepconv import layer_input
    >>> layer_input((28, 28, 1), batch_size=8).shape
    (8, 28, 28, 1)
    """
    batch, sizes = size_of("batch_size", batch_size), shape_of("shape", shape)
    if sizes is None:
        raise wrong("shape", "a shape", shape, TypeError)
    return keras.Input(batch_shape=(batch, *sizes), name=name, dtype=dtype)


def keras_model_sequential(
    input_shape: ShapeLike | None = None,
    name: str | None = None,
    batch_size: Whole | None = None,
    dtype: Any = None,
) -> keras.Sequential:
    """Returns a `keras.Sequential` to add layers to.

    Args:
        input_shape: The input's shape without the batch. `None`: that of the
            first layer that says one, or of the first call.
        name: The model's name.
        batch_size: The size of the batch, or `None` if it may be any.
        dtype: The input's dtype. `None`: `keras.config.floatx()`.

    Raises:
        TypeError: Something that is no shape, or no whole number.
        ValueError: A size that is neither positive nor unknown.

    Example:

    >>> from keras_sepconv import keras_model_sequential, layer_conv_2d
    >>> model = keras_model_sequential((28, 28, 1))
    >>> layer_conv_2d(model, filters=32, kernel_size=3).output_shape
    (None, 26, 26, 32)
    """
    batch = size_of("batch_size", batch_size)
    sizes = shape_of("input_shape", input_shape)
    model = keras.Sequential(name=name)
    if sizes is not None:
        model.add(keras.Input(batch_shape=(batch, *sizes), dtype=dtype))
    return model
