"""How the first layer of a `keras.Sequential` sets the model's input."""

import functools
import sys
from typing import Any

import keras

from keras_sepconv._spec import Shape

# Sets the type of a layer, even if its `__class__` is a property.
_set_type = vars(object)["__class__"].__set__


class FirstInput:
    """A layer that adds its input to an empty `keras.Sequential`.

    `Sequential.add` reads `_input_shape_arg` of its first layer and adds an
    input of that shape, with unknown batch size and the default dtype. Keras
    (3.6 to 3.15) has no other hook. So this property finds the calling model
    one stack frame up, adds the complete input to it, and returns `None`, so
    that Keras adds nothing.
    """

    batch_input_shape: Shape | None = None
    # The input's dtype if it is not the layer's, as for integers.
    batch_input_dtype: str | None = None

    @property
    def _input_shape_arg(self) -> None:
        model = sys._getframe(1).f_locals.get("self")
        if self.batch_input_shape is not None and isinstance(
            model, keras.Sequential
        ):
            model.add(input_layer(self, self.batch_input_shape))

    @_input_shape_arg.setter
    def _input_shape_arg(self, shape: Any) -> None:
        # `input_shape=` in a Keras layer's constructor ends here.
        self.batch_input_shape = (None, *shape)


def input_layer(layer: Any, shape: Shape) -> Any:
    """Returns the input layer for `layer`; `shape` includes the batch.

    Under mixed precision it has the dtype of the weights, as in Keras.
    """
    dtype = getattr(layer, "batch_input_dtype", None) or layer.variable_dtype
    return keras.layers.InputLayer(batch_shape=shape, dtype=dtype)


def start_with(layer: Any, shape: Shape) -> None:
    """Makes `layer` add an input of `shape`, which includes the batch.

    The shape is dropped as soon as the layer is built, however that happens,
    unless the build fails. Copies and saved configs do not have the shape.
    Until then a layer of Keras has a type of ours, because only a type can have
    a property.
    """
    plain: Any = type(layer)
    build = layer.build

    @functools.wraps(build)
    def build_and_forget(*args: Any, **kwargs: Any) -> None:
        build(*args, **kwargs)
        vars(layer).pop("batch_input_shape", None)
        _set_type(layer, plain)

    if not isinstance(layer, FirstInput):
        _set_type(layer, _with_first_input(plain))
    layer.batch_input_shape = shape
    layer.build = build_and_forget


@functools.cache
def _with_first_input(plain: Any) -> Any:
    """Returns the type of a Keras layer that adds its input.

    A copied, saved or pickled layer has the plain type again: Keras reads
    `layer.__class__`, and `pickle` and `copy` read `__reduce__`.
    """

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        return plain(*args, **kwargs)

    def reduce(layer: Any) -> tuple[Any, ...]:
        return plain.from_config, (layer.get_config(),)

    members = {
        "__class__": property(lambda layer: plain),
        "__new__": new,
        "__reduce__": reduce,
    }
    return type(plain.__name__, (FirstInput, plain), members)
