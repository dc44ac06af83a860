"""What the tests need from the active backend, and nothing else does."""

import functools

import keras
import numpy as np

BACKEND = keras.backend.backend()
# Keras's version, for what an older one does not have.
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
    """Makes two devices of the CPU under TensorFlow, which it must not use yet.

    JAX reads XLA_FLAGS for that when it starts.
    """
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )


def needs_gradients(function):
    """Leaves a test out under Keras's numpy backend, which has none."""
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
        function: From tensors to a tensor, the value.
        tensors: What to differentiate for.
        cotangent: A tensor of the result's shape and dtype.
    """
    if BACKEND == "jax":
        import jax

        value, pull = jax.vjp(function, *tensors)
        return value, pull(cotangent)
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
    """Returns the ways a backend runs and differentiates, by name.

    Args:
        function: Of inputs and weights, to a tensor.
        channel_axis: The inputs' axis of channels.
        kernel: The implementation that it runs.

    Returns:
        Functions as `value_and_gradients(function, ...)` is, of tensors and a
        cotangent.
    """
    eager = functools.partial(value_and_gradients, function)
    if BACKEND == "jax":
        import jax

        # Op by op, JAX compiles each piece of it, to the same numbers.
        return {"jit": jax.jit(eager)}
    if BACKEND == "tensorflow":
        graph = compiled(function, channel_axis)
        found = {"graph": functools.partial(value_and_gradients, graph)}
        # The taps are for compiled functions.
        return found if kernel == "taps" else {"eager": eager, **found}
    return {"eager": eager} if HAS_GRADIENTS else {}


def compiled(function, channel_axis):
    """Returns `function`, of inputs and weights, as the backend compiles it.

    On TensorFlow every size of the inputs but the channels becomes unknown, as
    in a model that is built with None for them.
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
