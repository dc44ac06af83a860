"""TensorFlow's wrappers, from a function to another of the same tensors."""

from collections.abc import Callable

import keras
import tensorflow as tf
from subjects import Function


def _is_first(inputs):
    """Returns a condition whose value is known only at run time."""
    return tf.reduce_sum(tf.cast(inputs, "float32")) > 0


def cond(function):
    return lambda x, *weights: tf.cond(
        _is_first(x),
        lambda: function(x, *weights),
        lambda: function(-x, *weights),
    )


def keras_cond(function):
    def run(x, *weights):
        skipped = tf.zeros_like(function(x, *weights))
        return keras.ops.cond(
            _is_first(x), lambda: function(x, *weights), lambda: skipped
        )

    return run


def _case(function):
    return lambda x, *weights: tf.case(
        [(_is_first(x), lambda: function(x, *weights))],
        default=lambda: function(-x, *weights),
    )


def _switch_case(function):
    return lambda x, *weights: tf.switch_case(
        tf.cast(_is_first(x), "int32"),
        [lambda: function(-x, *weights), lambda: function(x, *weights)],
    )


def while_loop(function):
    def run(x, *weights):
        def body(i, total):
            more = function(x * tf.cast(i, x.dtype), *weights)
            return i + 1, total + more

        return tf.while_loop(
            lambda i, _: i < 3, body, (1, function(x, *weights))
        )[1]

    return run


def _each(mapper):
    """Wraps a function with `mapper`, which maps it over the examples."""

    def wrap(function):
        return lambda x, *weights: mapper(
            lambda one: function(one[None], *weights)[0], x
        )

    return wrap


def _scan(function):
    def run(x, *weights):
        def add(total, one):
            return total + function(one[None], *weights)[0]

        first = tf.zeros_like(function(x[:1], *weights)[0])
        return tf.scan(add, x, first)

    return run


def _open(function):
    return lambda *tensors: graph(function, tensors, "nothing")(*tensors)


WRAPPERS: dict[str, Callable[[Function], Function]] = {
    "function": tf.function,
    "open": _open,
    "cond": cond,
    "keras_cond": keras_cond,
    "case": _case,
    "switch_case": _switch_case,
    "while_loop": while_loop,
    "map_fn": _each(tf.map_fn),
    "vectorized_map": _each(tf.vectorized_map),
    "scan": _scan,
    "recompute_grad": tf.recompute_grad,
}


def squares(value):
    """Returns the sum of squares, in float32."""
    return tf.reduce_sum(tf.cast(value, "float32") ** 2)


def pulled(function, tensors):
    """Returns the value and the gradients of the sum of its squares."""
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        loss = squares(value)
    return [value, *tape.gradient(loss, tensors)]


def graph(function, tensors, known="examples", **options):
    """Returns `function` as a graph.

    In the graph all sizes are known ("all"), all but the batch ("examples"), or
    only the channels of the inputs ("nothing").
    """
    shapes = [list(tensor.shape) for tensor in tensors]
    open_axes = {"all": 0, "examples": 1, "nothing": len(shapes[0]) - 1}[known]
    shapes[0][:open_axes] = [None] * open_axes
    signature = [
        tf.TensorSpec(shape, tensor.dtype)
        for shape, tensor in zip(shapes, tensors, strict=True)
    ]
    return tf.function(function, input_signature=signature, **options)


def in_graph(mode, known="examples", **options):
    """Returns a mode that runs `mode` in one graph."""

    def run(function, tensors):
        def whole(*tensors):
            return mode(function, tensors)

        return graph(whole, tensors, known, **options)(*tensors)

    return run


def wrapped(name):
    return lambda function, tensors: pulled(WRAPPERS[name](function), tensors)
