"""How a layer gives an empty `keras.Sequential` its input."""

import functools
import sys
from typing import Any

import keras

from keras_sepconv._spec import Shape

# Sets the type even of a layer whose `__class__` says another.
_set_type = vars(object)["__class__"].__set__


class FirstInput:
    """A layer that knows what an empty `keras.Sequential` should start with.

    `Sequential.add` reads `_input_shape_arg` of its first layer and makes of it
    an input of unknown batch size and default dtype; it has no other hook
    (Keras 3.6 to 3.15). So the model that is asking, found one frame up, gets
    the full input here, and the answer is that nothing is left to do.
    """

    batch_input_shape: Shape | None = None
    # That of the input, where the layer's own would be wrong: integers.
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
    """Returns the input, batch included, that goes before `layer`.

    Under mixed precision it is of the weights' dtype, as it is in Keras.
    """
    dtype = getattr(layer, "batch_input_dtype", None) or layer.variable_dtype
    return keras.layers.InputLayer(batch_shape=shape, dtype=dtype)


def start_with(layer: Any, shape: Shape) -> None:
    """Makes `shape`, batch included, the input that `layer` brings along.

    It does so until it is built, by whichever road; a build that fails changes
    nothing. Copies and saved configs are without the shape. A layer of Keras is
    of a type of ours meanwhile, since an instance cannot have a property.
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
    """Returns the type of a layer of Keras while it brings its input along.

    What copies, saves or pickles such a layer gets a plain one: Keras looks at
    `layer.__class__`, `pickle` and `copy` at `__reduce__`.
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
