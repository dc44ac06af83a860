"""The transformations of TensorFlow."""

import functools
import tempfile

import keras
import tensorflow as tf
from subjects import Mode
from tensorflow_wrappers import (
    WRAPPERS,
    cond,
    graph,
    in_graph,
    keras_cond,
    pulled,
    squares,
    while_loop,
    wrapped,
)


def _jacobian(function, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        sums = tf.reduce_sum(value, range(value.shape.rank - 1))
    return [value, *tape.jacobian(sums, tensors)]


def _batch_jacobian(function, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        last = tf.reshape(value, (4, -1))[:, -7:]
    return [value, tape.batch_jacobian(last, tensors[0])]


def _forward(function, tensors):
    tensors = tuple(tensors)
    along = tuple(map(tf.sin, tensors))
    with tf.autodiff.ForwardAccumulator(tensors, along) as accumulator:
        value = function(*tensors)
    return [value, accumulator.jvp(value)]


def _persistent(function, tensors):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        value = function(*tensors)
        loss, other = squares(value), tf.reduce_sum(value)
    return tape.gradient(loss, tensors) + tape.gradient(other, tensors)


def _second(function, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        _, *gradients = pulled(function, tensors)
        loss = tf.add_n([squares(gradient) for gradient in gradients])
    return [*gradients, *tape.gradient(loss, tensors)]


def _penalty(function, tensors):
    """Differentiates a loss that contains the norm of the input gradient."""
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors[0])
            value = function(*tensors)
            loss = squares(value)
        gradient = tape.gradient(loss, tensors[0])
        loss += (tf.sqrt(squares(gradient)) - 1) ** 2
    return [value, *outer.gradient(loss, tensors)]


def _data(function, tensors):
    data = tf.data.Dataset.from_tensor_slices(tensors[0]).batch(4)
    data = data.map(lambda x: tuple(pulled(function, [x, *tensors[1:]])))
    return list(next(iter(data)))


@functools.cache
def _two_devices():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def _mirrored(function, tensors):
    strategy = _two_devices()
    halves = tf.split(tensors[0], 2)
    inputs = strategy.experimental_distribute_values_from_function(
        lambda context: halves[context.replica_id_in_sync_group]
    )

    def step(inputs):
        value, *gradients = pulled(function, [inputs, *tensors[1:]])
        context = tf.distribute.get_replica_context()
        return [value, *context.all_reduce("sum", gradients[1:]), gradients[0]]

    found = tf.function(lambda: strategy.run(step, (inputs,)))()
    return [
        one
        for each in found
        for one in strategy.experimental_local_results(each)
    ]


def _scaled(function, tensors):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    weights = [keras.Variable(weight) for weight in tensors[1:]]
    optimizer.build(weights)

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            values = [weight.value for weight in weights]
            tape.watch(values)
            loss = optimizer.scale_loss(squares(function(inputs, *values)))
        optimizer.apply(tape.gradient(loss, values), weights)

    step(tensors[0])
    return [weight.value for weight in weights]


def _saved(function, tensors):
    module = tf.Module()
    module.run = graph(function, tensors)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder)
        return pulled(tf.saved_model.load(folder).run, tensors)


def _eagerly(function, tensors):
    tf.config.run_functions_eagerly(True)
    try:
        return in_graph(pulled)(function, tensors)
    finally:
        tf.config.run_functions_eagerly(False)


class _StochasticDepth(keras.layers.Layer):
    """A branch with the function that some batches skip."""

    def __init__(self, function, weights):
        super().__init__(
            dtype=keras.backend.standardize_dtype(weights[0].dtype)
        )
        self.function = function
        self.kernels = [
            self.add_weight(
                weight.shape,
                dtype=weight.dtype,
                initializer=lambda shape, dtype, weight=weight: weight,
            )
            for weight in weights
        ]

    def call(self, inputs):
        return keras_cond(self.function)(
            inputs, *(kernel.value for kernel in self.kernels)
        )


def _fit(function, tensors, jit=False):
    inputs, *weights = tensors
    layer = _StochasticDepth(function, weights)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
    target = tf.ones_like(function(*tensors))
    model.fit(inputs, target, batch_size=2, shuffle=False, verbose=0)
    model.train_on_batch(inputs, target)
    return [*layer.get_weights(), model.predict(inputs, verbose=0)]


MODES: dict[str, Mode] = {
    "eager": pulled,
    "all_sizes": in_graph(pulled, "all"),
    "open_batch": in_graph(pulled),
    "open_sizes": in_graph(pulled, "nothing"),
    **{name: in_graph(wrapped(name)) for name in WRAPPERS},
    **{
        f"{name}_eager": wrapped(name)
        for name in ("map_fn", "vectorized_map", "recompute_grad")
    },
    "cond_all_sizes": in_graph(wrapped("cond"), "all"),
    "cond_open_sizes": in_graph(wrapped("cond"), "nothing"),
    "while_loop_open_sizes": in_graph(wrapped("while_loop"), "nothing"),
    "jacobian": _jacobian,
    "jacobian_graph": in_graph(_jacobian),
    "batch_jacobian": _batch_jacobian,
    "forward": _forward,
    "forward_graph": in_graph(_forward),
    "persistent": _persistent,
    "second": _second,
    "second_graph": in_graph(_second),
    "second_cond": in_graph(lambda f, t: _second(cond(f), t)),
    "second_while_loop": in_graph(lambda f, t: _second(while_loop(f), t)),
    "penalty": in_graph(_penalty),
    "xla": in_graph(pulled, jit_compile=True),
    "xla_cond": in_graph(wrapped("cond"), jit_compile=True),
    "xla_second": in_graph(_second, jit_compile=True),
    "data": _data,
    "mirrored": _mirrored,
    "loss_scale": _scaled,
    "saved": _saved,
    "run_eagerly": _eagerly,
    "fit": _fit,
    "fit_xla": functools.partial(_fit, jit=True),
}
# Grouped convolutions of volumes do not work in eager mode or in maps.
_VOLUMES = "(separable|depthwise)-volume"
STOCK_CANNOT: dict[str, str] = {
    "vectorized_map": _VOLUMES,
    "vectorized_map_eager": _VOLUMES,
    "jacobian": _VOLUMES,
    "jacobian_graph": _VOLUMES,
    "batch_jacobian": _VOLUMES,
    "run_eagerly": _VOLUMES,
}
