"""TensorFlow operations of old models, computed with `keras.ops`.

In the loaded model, each operation is a `Lambda` layer that runs
`tensorflow_operation`; its arguments name the operation. So the model can be
saved and loaded, also in safe mode. A file only chooses from the tables here;
nothing in it is run.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any


def _reduce(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    # Its signature says which arguments are supported.
    def reduce(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        return function(x, axis=axis, keepdims=keepdims)

    return reduce


def _getitem(x: Tensor, slice_spec: Any) -> Tensor:
    found = []
    for axis, part in enumerate(p for p in slice_spec if p is not None):
        if isinstance(part, dict) and part["step"] == -1:
            # torch does not support slices with a negative step.
            x = ops.flip(x, axis)
    for part in slice_spec:
        if isinstance(part, dict):
            step = part["step"]
            part = slice(
                part["start"], part["stop"], None if step == -1 else step
            )
        found.append(part)
    return x[tuple(found)]


def _pad(
    x: Tensor, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0
) -> Tensor:
    if mode == "CONSTANT":
        return ops.pad(x, paddings, constant_values=constant_values)
    if mode == "REFLECT":
        return ops.pad(x, paddings, mode="reflect")
    # On torch, `ops.pad` is wrong here if it pads by more than one.
    for axis, (before, after) in enumerate(paddings):
        at = (slice(None),) * axis
        parts = [x]
        if before:
            parts.insert(0, ops.flip(x[(*at, slice(before))], axis))
        if after:
            parts.append(ops.flip(x[(*at, slice(-after, None))], axis))
        x = ops.concatenate(parts, axis)
    return x


def _squeeze(x: Tensor, axis: Any = None) -> Tensor:
    return ops.squeeze(x, tuple(axis) if isinstance(axis, list) else axis)


def _resize(x: Tensor, size: Any, method: str = "bilinear") -> Tensor:
    return ops.image.resize(
        x, tuple(size), interpolation=method, data_format="channels_last"
    )


def _l2_normalize(
    x: Tensor, axis: Any = None, epsilon: float = 1e-12
) -> Tensor:
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, epsilon))


def _matmul(
    x: Tensor, y: Tensor, transpose_a: bool = False, transpose_b: bool = False
) -> Tensor:
    x = ops.swapaxes(x, -1, -2) if transpose_a else x
    y = ops.swapaxes(y, -1, -2) if transpose_b else y
    return ops.matmul(x, y)


def _depth_to_space(x: Tensor, block_size: int) -> Tensor:
    _, rows, cols, channels = ops.shape(x)
    size = block_size
    x = ops.reshape(x, (-1, rows, cols, size, size, channels // size**2))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, rows * size, cols * size, channels // size**2))


def _split(x: Tensor, num_or_size_splits: Any, axis: int = 0) -> Any:
    sizes = num_or_size_splits
    if isinstance(sizes, list):
        sizes = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return ops.split(x, sizes, axis=axis)


# Operations on one tensor or a list; the arguments have TensorFlow's names.
_OF_ONE: dict[str, Callable[..., Any]] = {
    "abs": ops.abs,
    "cast": lambda x, dtype: ops.cast(x, dtype),
    "clip_by_value": lambda x, clip_value_min, clip_value_max: ops.clip(
        x, clip_value_min, clip_value_max
    ),
    "concat": lambda x, axis: ops.concatenate(x, axis=axis),
    "depth_to_space": _depth_to_space,
    "exp": ops.exp,
    "expand_dims": lambda x, axis: ops.expand_dims(x, axis),
    "gelu": lambda x, approximate=False: ops.gelu(x, approximate),
    "getitem": _getitem,
    "identity": lambda x: x,
    "image.resize": _resize,
    "l2_normalize": _l2_normalize,
    "leaky_relu": lambda x, alpha=0.2: ops.leaky_relu(x, alpha),
    "log": ops.log,
    "negative": ops.negative,
    "pad": _pad,
    "reduce_max": _reduce(ops.max),
    "reduce_mean": _reduce(ops.mean),
    "reduce_min": _reduce(ops.min),
    "reduce_prod": _reduce(ops.prod),
    "reduce_sum": _reduce(ops.sum),
    "reshape": lambda x, shape: ops.reshape(x, tuple(shape)),
    "rsqrt": ops.rsqrt,
    "softmax": lambda x, axis=-1: ops.softmax(x, axis=axis),
    "split": _split,
    "sqrt": ops.sqrt,
    "square": ops.square,
    "squeeze": _squeeze,
    "stack": lambda x, axis=0: ops.stack(x, axis=axis),
    "stop_gradient": ops.stop_gradient,
    "tile": lambda x, multiples: ops.tile(x, tuple(multiples)),
    # torch has deprecated what `ops.transpose` calls without axes.
    "transpose": lambda x, perm=None: ops.transpose(
        x, perm or tuple(range(len(x.shape)))[::-1]
    ),
}
# Operations on two operands; each may be a tensor or a number.
_OF_TWO: dict[str, Callable[..., Any]] = {
    "add": ops.add,
    "matmul": _matmul,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
    "multiply": ops.multiply,
    "pow": ops.power,
    "squared_difference": lambda x, y: ops.square(x - y),
    "subtract": ops.subtract,
    "truediv": ops.true_divide,
}
_ALIASES = {"divide": "truediv", "mul": "multiply", "sub": "subtract"}
_PREFIXES = ("compat.v1.", "__operators__.", "math.", "nn.", "linalg.")
# The supported values of arguments for which TensorFlow has more.
_CHOICES = {
    "method": ("bilinear", "nearest"),
    "mode": ("CONSTANT", "REFLECT", "SYMMETRIC"),
}


def short_name(function: str) -> str:
    """Returns TensorFlow's name of an operation, without its module."""
    if function.startswith("compat.v1.image"):
        return function  # It samples other positions than `image.resize`.
    for prefix in _PREFIXES:
        function = function.removeprefix(prefix)
    return _ALIASES.get(function, function)


def takes_two(name: str) -> bool:
    """Tells whether an operation has two operands."""
    return name in _OF_TWO


def not_taken(name: str, arguments: dict[str, Any]) -> list[str] | None:
    """Returns the arguments of an operation that are not supported.

    Args:
        name: The name from `short_name`.
        arguments: The arguments other than the operands.

    Returns:
        The names of the arguments, or `None` if there is no such operation.
    """
    function = {**_OF_ONE, **_OF_TWO}.get(name)
    if function is None:
        return None
    taken = list(inspect.signature(function).parameters)[1:]
    return [
        key
        for key, value in arguments.items()
        if key not in taken or value not in _CHOICES.get(key, (value,))
    ]


@keras.saving.register_keras_serializable(  # type: ignore[untyped-decorator]
    package="keras_sepconv"
)
def tensorflow_operation(
    inputs: Any, function: str, x: Any = None, y: Any = None, **arguments: Any
) -> Any:
    """Computes an operation of TensorFlow.

    Args:
        inputs: A tensor or a list of tensors.
        function: The name of the operation, from `short_name`.
        x: The first operand if it is a number.
        y: The second operand if it is a number.
        **arguments: The other arguments, with TensorFlow's names.

    Returns:
        The same as TensorFlow.
    """
    if function not in _OF_TWO:
        return _OF_ONE[function](inputs, **arguments)
    if x is not None:
        operands = [x, inputs]
    elif y is not None:
        operands = [inputs, y]
    else:
        operands = inputs
    return _OF_TWO[function](*operands, **arguments)
