"""Helpers of the tests for the active backend."""

import functools

import keras
import numpy as np

BACKEND = keras.backend.backend()
# The version of Keras, for tests of features that older versions lack.
KERAS = tuple(map(int, keras.__version__.split(".")[:2]))
HAS_GRADIENTS = BACKEND in ("jax", "tensorflow", "torch")

# Unit roundoffs.
EPSILON = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}


def use_several_devices():
    """Splits the CPU into two devices under TensorFlow, before its first use.

    For JAX the variable XLA_FLAGS does the same when JAX starts.
    """
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )


def needs_gradients(function):
    """Leaves a test out under the numpy backend, which has no gradients."""
    return function if HAS_GRADIENTS else None


def array(tensor):
    """Returns a tensor as NumPy, half precision as float32."""
    if tensor is None:
        return None
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype in ("float16", "bfloat16"):
        tensor = keras.ops.cast(tensor, "float32")
    return keras.ops.convert_to_numpy(tensor)


def tensor(values, dtype="float32"):
    """Returns values as a tensor of the backend."""
    return keras.ops.convert_to_tensor(np.asarray(values), dtype=dtype)


def value_and_gradients(function, tensors, cotangent):
    """Returns a value, and the gradients of `sum(value * cotangent)`.

    Args:
        function: Computes the value from the tensors.
        tensors: The tensors for which to differentiate.
        cotangent: A tensor with the shape and dtype of the value.
    """
    if BACKEND == "jax":
        import jax

        # Compiled as a whole: op by op, JAX would compile each operation.
        def pulled(tensors, cotangent):
            value, pull = jax.vjp(function, *tensors)
            return value, pull(cotangent)

        return jax.jit(pulled)(tensors, cotangent)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensors = list(tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        return value, tape.gradient(value, tensors, cotangent)
    if BACKEND == "torch":
        leaves = [t.detach().clone().requires_grad_(True) for t in tensors]
        value = function(*leaves)
        value.backward(cotangent)
        return value.detach(), [leaf.grad for leaf in leaves]
    raise NotImplementedError(f"{BACKEND} has no gradients")


def gradients(function, tensors, cotangent):
    """Returns the gradients of `sum(function(*tensors) * cotangent)`."""
    return value_and_gradients(function, tensors, cotangent)[1]


def ways(function, channel_axis, kernel=None):
    """Returns the ways in which a backend can run a function, by name.

    Args:
        function: Computes a tensor from inputs and weights.
        channel_axis: The axis of the channels in the inputs.
        kernel: The implementation that the function runs.

    Returns:
        Functions of tensors and a cotangent, which return the same as
        `value_and_gradients(function, ...)`.
    """
    eager = functools.partial(value_and_gradients, function)
    if BACKEND == "jax":
        return {"jit": eager}
    if BACKEND == "tensorflow":
        graph = compiled(function, channel_axis)
        found = {"graph": functools.partial(value_and_gradients, graph)}
        # The taps are for compiled functions.
        return found if kernel == "taps" else {"eager": eager, **found}
    return {"eager": eager} if HAS_GRADIENTS else {}


def compiled(function, channel_axis):
    """Returns a compiled `function` of inputs and weights.

    On TensorFlow all sizes of the inputs except the channels are unknown, as in
    a model that is built with None for them.
    """
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def with_unknown_sizes(inputs, *weights):
            shape = [None] * inputs.shape.rank
            shape[channel_axis] = inputs.shape[channel_axis]
            signature = [tf.TensorSpec(shape, inputs.dtype)]
            signature += [tf.TensorSpec(w.shape, w.dtype) for w in weights]
            traced = tf.function(function, input_signature=signature)
            return traced(inputs, *weights)

        return with_unknown_sizes
    return function
