"""What the tests need from the active backend, and nothing else does."""

import keras
import numpy as np

BACKEND = keras.backend.backend()
HAS_GRADIENTS = BACKEND in ("jax", "tensorflow", "torch")

# Unit roundoffs.
EPSILON = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}


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


def gradients(function, tensors, cotangent):
    """Returns the gradients of `sum(function(*tensors) * cotangent)`.

    Args:
        function: From tensors to a tensor.
        tensors: What to differentiate for.
        cotangent: A tensor of the result's shape and dtype.
    """
    if BACKEND == "jax":
        import jax

        return jax.vjp(function, *tensors)[1](cotangent)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensors = list(tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors)
        return tape.gradient(outputs, tensors, cotangent)
    if BACKEND == "torch":
        leaves = [t.detach().clone().requires_grad_(True) for t in tensors]
        function(*leaves).backward(cotangent)
        return [leaf.grad for leaf in leaves]
    raise NotImplementedError(f"{BACKEND} has no gradients")


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
