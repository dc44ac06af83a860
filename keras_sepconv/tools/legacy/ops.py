"""What stands for a TensorFlow operation inside an old model."""

from typing import Any

import keras

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
# The layer for two tensors; what a number means, on the right and on the left.
_ARITHMETIC: dict[str, tuple[str | None, Any, Any]] = {
    "add": ("Add", lambda y: (1.0, y), lambda x: (1.0, x)),
    "multiply": ("Multiply", lambda y: (y, 0.0), lambda x: (x, 0.0)),
    "subtract": ("Subtract", lambda y: (1.0, -y), lambda x: (-1.0, x)),
    "truediv": (None, lambda y: (1.0 / y, 0.0), None),
}
_ALIASES = {"divide": "truediv", "mul": "multiply", "sub": "subtract"}


@keras.saving.register_keras_serializable(  # type: ignore[untyped-decorator]
    package="keras_sepconv"
)
def keras_2_hard_sigmoid(x: Any) -> Any:
    """Keras 2's `hard_sigmoid`, which is steeper than Keras 3's.

    Args:
        x: A tensor.

    Returns:
        `clip(0.2 * x + 0.5, 0, 1)`.
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def layer_for(
    name: str, function: str, first: Any, second: Any
) -> tuple[dict[str, Any], Any]:
    """Returns the stock layer's node for an operation, and what to call it on.

    Args:
        name: The operation's name in the model.
        function: TensorFlow's name of it, such as `"math.add"`.
        first: The first operand: a tensor (a dict) or a number.
        second: The second one, `None` where there is one.

    Raises:
        RefusedError: An operation that has no layer here.
    """
    if function in _ACTIVATIONS and second is None and isinstance(first, dict):
        config = {"name": name, "activation": _ACTIVATIONS[function]}
        return _node("Activation", config), first
    short = function.removeprefix("math.").removeprefix("__operators__.")
    both, right, left = _ARITHMETIC.get(
        _ALIASES.get(short, short), (None, None, None)
    )
    if isinstance(first, dict) and isinstance(second, dict) and both:
        return _node(both, {"name": name}), [first, second]
    if isinstance(first, dict) and _is_number(second) and right and second:
        scale, offset = right(second)
    elif isinstance(second, dict) and _is_number(first) and left:
        scale, offset = left(first)
        first = second
    else:
        raise RefusedError(
            f"layer '{name}' is the TensorFlow operation '{function}', for "
            "which Keras 3 has no layer. Replace it in tf.keras by a Keras "
            "layer and save again"
        )
    config = {"name": name, "scale": scale, "offset": offset}
    return _node("Rescaling", config), first


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _node(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": config,
    }
