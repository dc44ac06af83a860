"""How the first layer of a `keras.Sequential` sets the model's input.

As in R, a layer made with `batch_input_shape=(8, 28, 28, 1)` may be added to an
empty model later, and the model then has this input. Keras (3.6 to 3.15) offers
one thing for that: `Sequential.add` reads the attribute `_input_shape_arg` of
its first layer, and adds an input of that shape. But it always adds one of any
batch size and of the default dtype. So here the attribute is a property that
adds the right input itself, to the model in whose `add` it is read. Then it
returns `None`, so that Keras adds none.

This takes two unusual things. The property finds the model one stack frame up,
because Keras reads it without saying for which model. And the layer has a type
of its own until it is built, because only a type can have a property, and a
layer of Keras should not have it forever.
"""

import functools
import sys
from typing import Any

import keras

from keras_sepconv._spec import Shape

# Sets the type of a layer, even if its `__class__` is a property.
_set_type = vars(object)["__class__"].__set__


def start_with(layer: Any, shape: Shape, dtype: str) -> None:
    """Lets `layer` add an input to an empty `keras.Sequential`.

    It does so until it is built; a build that fails changes nothing. Copies and
    saved configs do not have the input.

    Args:
        layer: The layer, not built.
        shape: The shape of the input, with the batch.
        dtype: The dtype of the input.
    """
    plain: Any = type(layer)
    build = layer.build

    def add_input(layer: Any) -> None:
        model = sys._getframe(1).f_locals.get("self")
        if isinstance(model, keras.Sequential):
            model.add(keras.layers.InputLayer(batch_shape=shape, dtype=dtype))

    @functools.wraps(build)
    def build_and_be_plain(*args: Any, **kwargs: Any) -> None:
        build(*args, **kwargs)
        _set_type(layer, plain)

    # The other members are for what makes a copy: Keras reads `__class__`,
    # `pickle` and `copy` read `__reduce__`, `from_config` calls `__new__`.
    members = {
        "_input_shape_arg": property(add_input),
        "__class__": property(lambda layer: plain),
        "__new__": lambda cls, *args, **kwargs: plain(*args, **kwargs),
        "__reduce__": lambda layer: (plain.from_config, (layer.get_config(),)),
    }
    _set_type(layer, type(plain.__name__, (plain,), members))
    layer.build = build_and_be_plain
