"""What TensorFlow can do with a function."""

import functools
import tempfile

import keras
import tensorflow as tf
from subjects import Mode

# Whether a conditional takes its first branch is known only at run time.


def _is_first(inputs):
    return tf.reduce_sum(tf.cast(inputs, "float32")) < 1e9


def _cond(function):
    return lambda x, *weights: tf.cond(
        _is_first(x),
        lambda: function(x, *weights),
        lambda: function(-x, *weights),
    )


def _keras_cond(function):
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


def _while_loop(function):
    def run(x, *weights):
        def body(i, total):
            more = function(x * tf.cast(i, x.dtype), *weights)
            return i + 1, total + more

        return tf.while_loop(
            lambda i, _: i < 3, body, (1, function(x, *weights))
        )[1]

    return run


def _each(mapper):
    """Wraps by `mapper`, over the examples."""

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
    return lambda *tensors: _graph(function, tensors, "nothing")(*tensors)


WRAPPERS = {
    "function": tf.function,
    "open": _open,
    "cond": _cond,
    "keras_cond": _keras_cond,
    "case": _case,
    "switch_case": _switch_case,
    "while_loop": _while_loop,
    "map_fn": _each(tf.map_fn),
    "vectorized_map": _each(tf.vectorized_map),
    "scan": _scan,
    "recompute_grad": tf.recompute_grad,
}


def _loss(value):
    return tf.reduce_sum(tf.cast(value, "float32") ** 2)


def _pulled(function, tensors):
    """Returns the value and, of the sum of its squares, each gradient."""
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        loss = _loss(value)
    return [value, *tape.gradient(loss, tensors)]


def _graph(function, tensors, known="examples", **options):
    """Returns `function` as a graph.

    It knows all sizes ("all"), those of one example ("examples"), or of the
    inputs no more than the channels ("nothing").
    """
    shapes = [list(tensor.shape) for tensor in tensors]
    open_axes = {"all": 0, "examples": 1, "nothing": len(shapes[0]) - 1}[known]
    shapes[0][:open_axes] = [None] * open_axes
    signature = [
        tf.TensorSpec(shape, tensor.dtype)
        for shape, tensor in zip(shapes, tensors, strict=True)
    ]
    return tf.function(function, input_signature=signature, **options)


def _in_graph(mode, known="examples", **options):
    """Returns the mode, all of it in one graph."""

    def run(function, tensors):
        def whole(*tensors):
            return mode(function, tensors)

        return _graph(whole, tensors, known, **options)(*tensors)

    return run


def _wrapped(name):
    return lambda function, tensors: _pulled(WRAPPERS[name](function), tensors)


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
    along = [tf.sin(tensor) for tensor in tensors]
    with tf.autodiff.ForwardAccumulator(tensors, along) as accumulator:
        value = function(*tensors)
    return [value, accumulator.jvp(value)]


def _persistent(function, tensors):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        value = function(*tensors)
        loss, other = _loss(value), tf.reduce_sum(value)
    return tape.gradient(loss, tensors) + tape.gradient(other, tensors)


def _second(function, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        _, *gradients = _pulled(function, tensors)
        loss = tf.add_n([_loss(gradient) for gradient in gradients])
    return [*gradients, *tape.gradient(loss, tensors)]


def _penalty(function, tensors):
    """Differentiates a loss with the norm of the inputs' gradient in it."""
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors[0])
            value = function(*tensors)
            loss = _loss(value)
        gradient = tape.gradient(loss, tensors[0])
        loss += (tf.sqrt(_loss(gradient)) - 1) ** 2
    return [value, *outer.gradient(loss, tensors)]


def _data(function, tensors):
    data = tf.data.Dataset.from_tensor_slices(tensors[0]).batch(4)
    data = data.map(lambda x: tuple(_pulled(function, [x, *tensors[1:]])))
    return list(next(iter(data)))


def _mirrored(function, tensors):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    halves = tf.split(tensors[0], 2)
    inputs = strategy.experimental_distribute_values_from_function(
        lambda context: halves[context.replica_id_in_sync_group]
    )

    def step(inputs):
        value, *gradients = _pulled(function, [inputs, *tensors[1:]])
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
            loss = optimizer.scale_loss(_loss(function(inputs, *values)))
        optimizer.apply(tape.gradient(loss, values), weights)

    step(tensors[0])
    return [weight.value for weight in weights]


def _saved(function, tensors):
    module = tf.Module()
    module.run = _graph(function, tensors)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder)
        return _pulled(tf.saved_model.load(folder).run, tensors)


def _eagerly(function, tensors):
    tf.config.run_functions_eagerly(True)
    try:
        return _in_graph(_pulled)(function, tensors)
    finally:
        tf.config.run_functions_eagerly(False)


class _StochasticDepth(keras.layers.Layer):
    """A branch of the function, which half of the examples' batches skip."""

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
        return _keras_cond(self.function)(
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
    "eager": _pulled,
    "all_sizes": _in_graph(_pulled, "all"),
    "open_batch": _in_graph(_pulled),
    "open_sizes": _in_graph(_pulled, "nothing"),
    **{name: _in_graph(_wrapped(name)) for name in WRAPPERS},
    **{
        f"{name}_eager": _wrapped(name)
        for name in ("map_fn", "vectorized_map", "recompute_grad")
    },
    "cond_all_sizes": _in_graph(_wrapped("cond"), "all"),
    "cond_open_sizes": _in_graph(_wrapped("cond"), "nothing"),
    "while_loop_open_sizes": _in_graph(_wrapped("while_loop"), "nothing"),
    "jacobian": _jacobian,
    "jacobian_graph": _in_graph(_jacobian),
    "batch_jacobian": _batch_jacobian,
    "forward": _forward,
    "forward_graph": _in_graph(_forward),
    "persistent": _persistent,
    "second": _second,
    "second_graph": _in_graph(_second),
    "second_cond": _in_graph(lambda f, t: _second(_cond(f), t)),
    "second_while_loop": _in_graph(lambda f, t: _second(_while_loop(f), t)),
    "penalty": _in_graph(_penalty),
    "xla": _in_graph(_pulled, jit_compile=True),
    "xla_cond": _in_graph(_wrapped("cond"), jit_compile=True),
    "xla_switch_case": _in_graph(_wrapped("switch_case"), jit_compile=True),
    "xla_second": _in_graph(_second, jit_compile=True),
    "data": _data,
    "mirrored": _mirrored,
    "loss_scale": _scaled,
    "saved": _saved,
    "run_eagerly": _eagerly,
    "fit": _fit,
    "fit_xla": functools.partial(_fit, jit=True),
}
STOCK_CANNOT: dict[str, str] = {}
