"""What every helper does with its layer: return it, add it, or call it."""

import functools
from typing import Any

import keras
import numpy as np

from keras_sepconv._spec import integer, wrong
from keras_sepconv.functional._shapes import batch_shape
from keras_sepconv.layers._first_input import start_with

# Where a whole number is asked for: one, or one for each axis or side.
_WHOLE = (
    "filters",
    "kernel_size",
    "strides",
    "dilation_rate",
    "depth_multiplier",
    "groups",
    "output_padding",
    "size",
    "padding",
    "cropping",
)


def compose(layer_class: Any, rank: int, arguments: dict[str, Any]) -> Any:
    """Does what a helper is there for.

    Args:
        layer_class: What to construct.
        rank: How many dimensions the layer's input has, batch included.
        arguments: The helper's `locals()`: `object`, the layer's arguments,
            `input_shape`, `batch_input_shape`, `batch_size` and `weights`.

    Returns:
        With `object=None` the layer; with a `keras.Sequential` the same model
        with the layer added; with a tensor (`keras.KerasTensor`, a tensor of
        the active backend, `keras.Variable`, NumPy array) the result of calling
        the layer.

    Raises:
        TypeError: Any other `object`; an argument of the wrong type.
        ValueError: An argument with the wrong value, and what adding or calling
            raises. A model is then as it was.
    """
    options = dict(arguments)
    target, weights = options.pop("object"), options.pop("weights")
    shapes = [
        options.pop(name)
        for name in ("input_shape", "batch_input_shape", "batch_size")
    ]
    for name in _WHOLE:
        if name in options:
            options[name] = _whole(name, options[name])
    if options["trainable"] is None:
        options["trainable"] = True
    layer = layer_class(**options)
    first = batch_shape(layer, rank, *shapes)
    if weights is not None:
        # The weights of a recurrent layer are its cell's.
        owner = getattr(layer, "cell", layer)
        _initialise(owner, _arrays(weights, _weight_count(options)))
    start_with(layer, first)
    if target is None:
        return layer
    if isinstance(target, keras.Sequential):
        _add(target, layer)
        return target
    if keras.ops.is_tensor(target) or isinstance(
        target, (keras.KerasTensor, keras.Variable, np.ndarray)
    ):
        return layer(target)
    raise _no_object(target)


def _whole(name: str, value: Any) -> Any:
    """Returns `value` with whole-number floats as integers, which R has not.

    What else is wrong with it is for the layer to say.
    """
    if name == "padding" and isinstance(value, str):
        return value
    if name == "output_padding" and value is None:
        return value
    least = 0 if name in ("padding", "output_padding", "cropping") else 1
    rule = "a positive whole number" if least else "a whole number, 0 or more"
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, (list, tuple)):
        return integer(name, items, rule, least)
    try:
        return tuple(_whole(name, item) for item in items)
    except (TypeError, ValueError) as error:
        rule += ", or a list of them"
        raise wrong(name, rule, value, type(error)) from None


def _weight_count(options: dict[str, Any]) -> int:
    count = sum(name.endswith("_initializer") for name in options)
    return count - (count > 0 and not options["use_bias"])


def _add(model: keras.Sequential, layer: Any) -> None:
    """Adds `layer`, or leaves `model` as it was.

    `Sequential.add` appends the layer, and puts an input before the first,
    ahead of finding out whether they can be built.
    """
    before, built = _all_layers(model), model.built
    try:
        model.add(layer)
    except BaseException:
        if len(_all_layers(model)) > len(before):
            while _all_layers(model):
                model.pop(rebuild=False)
            for old in before:
                model.add(old, rebuild=False)
            if built and isinstance(before[0], keras.layers.InputLayer):
                model.build(before[0].batch_shape)
            model.built = built
        raise


def _all_layers(model: keras.Sequential) -> list[Any]:
    """Returns the layers with the input, which `Sequential.layers` hides."""
    return list(super(keras.Sequential, model).layers)


def _arrays(weights: Any, count: int) -> list[Any]:
    """Returns `weights` as that many numeric arrays."""
    rule = f"a list of {count} arrays"
    if not isinstance(weights, (list, tuple)):
        raise wrong("weights", rule, weights, TypeError)
    try:
        arrays = [
            np.asarray(keras.ops.convert_to_numpy(weight), "float64")
            for weight in weights
        ]
    except Exception as error:  # Each backend has its own.
        raise wrong("weights", rule, weights, TypeError) from error
    if len(arrays) != count:
        raise ValueError(f"`weights` must be {rule}. {_received(arrays)}")
    return arrays


def _received(arrays: list[Any]) -> str:
    shapes = [array.shape for array in arrays]
    return f"Received: weights=arrays of the shapes {shapes}"


def _initialise(layer: Any, arrays: list[Any]) -> None:
    """Makes `layer` take `arrays` for initial values when it is built.

    As initializers, not by assignment: Keras may build a layer in a scope in
    which variables cannot be assigned.
    """
    build, add_weight = layer.build, layer.add_weight

    @functools.wraps(build)
    def build_with_arrays(*args: Any, **kwargs: Any) -> None:
        remaining = iter(arrays)

        def add_array(**options: Any) -> Any:
            array, name = next(remaining), options.get("name")
            if array.shape != tuple(options["shape"]):
                raise ValueError(
                    f"`weights` must have the shape {options['shape']} for the "
                    f"{name} of layer '{layer.name}'. {_received(arrays)}"
                )
            options["initializer"] = lambda shape, dtype=None: (
                keras.ops.convert_to_tensor(array, dtype=dtype)
            )
            return add_weight(**options)

        layer.add_weight = add_array
        try:
            build(*args, **kwargs)
        finally:
            del vars(layer)["add_weight"]
        layer.build = build

    layer.build = build_with_arrays


def _no_object(object: Any) -> TypeError:
    kind = f"{type(object).__module__}.{type(object).__qualname__}"
    hint = ""
    if isinstance(object, keras.Model):
        hint = " To go on from a functional model, pass `model.output`."
    elif isinstance(object, keras.Layer):
        hint = " To go on from a layer, call it and pass its result."
    elif kind.startswith(
        ("tf_keras.", "keras.engine", "tensorflow.python.keras")
    ):
        hint = " This is a model or layer of Keras 2; rebuild it with Keras 3."
    backend = keras.backend.backend()
    return TypeError(
        "`object` must be None, a keras.Sequential, or a tensor (a "
        f"keras.KerasTensor, a tensor of the {backend} backend, a "
        f"keras.Variable or a NumPy array).{hint} "
        f"Received: object=<{kind} object>"
    )
