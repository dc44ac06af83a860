"""Finds the layer that replaces a TensorFlow operation in an old model."""

from typing import Any

import keras

from keras_sepconv.tools.legacy import operations
from keras_sepconv.tools.legacy.files import RefusedError

_ACTIVATIONS = {
    "math.sigmoid": "sigmoid",
    "math.softplus": "softplus",
    "math.tanh": "tanh",
    "nn.elu": "elu",
    "nn.relu": "relu",
    "nn.relu6": "relu6",
    "nn.selu": "selu",
    "nn.sigmoid": "sigmoid",
    "nn.silu": "silu",
    "nn.swish": "silu",
    "nn.tanh": "tanh",
}
# The layer for two tensors; and, for a number on the right or on the left, the
# scale and offset of a `Rescaling` layer.
_ARITHMETIC: dict[str, tuple[str | None, Any, Any]] = {
    "add": ("Add", lambda y: (1.0, y), lambda x: (1.0, x)),
    "multiply": ("Multiply", lambda y: (y, 0.0), lambda x: (x, 0.0)),
    "subtract": ("Subtract", lambda y: (1.0, -y), lambda x: (-1.0, x)),
    "truediv": (None, lambda y: (1.0 / y, 0.0) if y else None, None),
}


@keras.saving.register_keras_serializable(  # type: ignore[untyped-decorator]
    package="keras_sepconv"
)
def keras_2_hard_sigmoid(x: Any) -> Any:
    """The `hard_sigmoid` of Keras 2, which is steeper than that of Keras 3.

    Args:
        x: A tensor.

    Returns:
        `clip(0.2 * x + 0.5, 0, 1)`.
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def layer_for(
    name: str, function: str, first: Any, arguments: dict[str, Any]
) -> tuple[dict[str, Any], Any]:
    """Returns the node of a layer for an operation, and its inputs.

    Args:
        name: The name of the operation in the model.
        function: The name of the operation in TensorFlow, such as `"math.add"`.
        first: The first operand: a tensor (a dict), several, or a number.
        arguments: The other arguments, with TensorFlow's names.

    Raises:
        RefusedError: There is no layer for the operation.
    """
    # Drops arguments without an effect, such as `conjugate=False`.
    arguments = {
        key: value
        for key, value in arguments.items()
        if key != "name" and value is not False
    }
    if function in _ACTIVATIONS and not arguments and isinstance(first, dict):
        config = {"name": name, "activation": _ACTIVATIONS[function]}
        return _node("Activation", config), first
    short = operations.short_name(function)
    second = None
    if operations.takes_two(short):
        second = arguments.pop("y", arguments.pop("b", None))
    wrong = operations.not_taken(short, arguments)
    if wrong:
        function += f" with {', '.join(wrong)}"
    if wrong or wrong is None:
        raise RefusedError(
            f"layer '{name}' is the TensorFlow operation '{function}', for "
            "which Keras 3 has no layer. Replace it in tf.keras by a Keras "
            "layer and save again"
        )
    both, right, left = _ARITHMETIC.get(short, (None, None, None))
    scaling = None
    if isinstance(first, dict) and isinstance(second, dict):
        first = [first, second]
        if both:
            return _node(both, {"name": name}), first
    elif isinstance(second, dict):
        scaling = left(first) if left and _is_number(first) else None
        arguments["x"], first = first, second
    elif second is not None:
        scaling = right(second) if right and _is_number(second) else None
        arguments["y"] = second
    if scaling:
        config = {"name": name, "scale": scaling[0], "offset": scaling[1]}
        return _node("Rescaling", config), first
    operation = {
        "name": name,
        "function": _named("tensorflow_operation"),
        "arguments": {"function": short, **arguments},
    }
    return _node("Lambda", operation), first


def _named(function: str) -> dict[str, Any]:
    return {
        "module": "builtins",
        "class_name": "function",
        "config": function,
        "registered_name": f"keras_sepconv>{function}",
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _node(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": config,
    }
