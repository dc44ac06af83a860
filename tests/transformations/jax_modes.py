"""The transformations of JAX."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from subjects import Function, Mode

MODES: dict[str, Mode] = {}
WRAPPERS: dict[str, object] = {}


def mode(function):
    """Adds a mode to the list, by its name."""
    MODES[function.__name__] = function
    return function


def cosines(like):
    """Returns numbers between -1 and 1 in the shape and dtype of a tensor."""
    numbers = jnp.cos(jnp.arange(like.size, dtype="float32"))
    return numbers.reshape(like.shape).astype(like.dtype)


def derived(function, tensors):
    """Returns the value and the gradient for each tensor."""
    value, pull = jax.vjp(function, *tensors)
    return [value, *pull(cosines(value))]


def energy(function):
    """Returns a function of the same tensors that computes one number.

    Its terms have the same sign. Otherwise they could cancel, and only rounding
    errors would be left.
    """

    def to_number(*tensors):
        value = function(*tensors)
        return (value**2 * (2 + cosines(value))).astype("float32").sum()

    return to_number


def gradients(function, tensors):
    """Returns the gradient of `energy` for each tensor."""
    every = tuple(range(len(tensors)))
    return list(jax.grad(energy(function), every)(*tensors))


# Differentiation.


@mode
def eager(f, t):
    return derived(f, t)


@mode
def jit(f, t):
    return jax.jit(functools.partial(derived, f))(t)


@mode
def jit_of_value(f, t):
    return derived(jax.jit(f), t)


@mode
def jvp(f, t):
    return list(jax.jvp(f, tuple(t), tuple(map(cosines, t))))


@mode
def linearize(f, t):
    value, along = jax.linearize(f, *t)
    transposed = jax.linear_transpose(along, *t)
    return [value, along(*map(cosines, t)), *transposed(cosines(value))]


@mode
def taylor_series(f, t):
    from jax.experimental import jet

    series = [[cosines(a), a] for a in t]
    value, terms = jet.jet(f, tuple(t), tuple(series))
    return [value, *terms]


@mode
def jacrev(f, t):
    return list(jax.jit(jax.jacrev(f, argnums=(1, len(t) - 1)))(*t))


@mode
def jacfwd(f, t):
    return list(jax.jit(jax.jacfwd(f, argnums=(1, len(t) - 1)))(*t))


def _energy_of_kernel(f, t):
    return lambda kernel: energy(f)(t[0], kernel, *t[2:])


@mode
def hessian(f, t):
    return [jax.jit(jax.hessian(_energy_of_kernel(f, t)))(t[1])]


@mode
def hessian_the_other_way(f, t):
    second = jax.jacrev(jax.jacfwd(_energy_of_kernel(f, t)))
    return [jax.jit(second)(t[1])]


@mode
def gradient_of_gradient(f, t):
    def slope(*tensors):
        return sum((g**2).sum() for g in gradients(f, tensors))

    return list(jax.jit(jax.grad(slope, tuple(range(len(t)))))(*t))


@mode
def custom_vjp_around(f, t):
    around = jax.custom_vjp(f)
    around.defvjp(
        lambda *tensors: jax.vjp(f, *tensors),
        lambda pull, cotangent: pull(cotangent),
    )
    return derived(around, t)


def _checkpoint(policy):
    def checkpointed(f, t):
        rule = getattr(jax.checkpoint_policies, policy)
        return jax.jit(
            functools.partial(derived, jax.checkpoint(f, policy=rule))
        )(t)

    return checkpointed


for _policy in (
    "everything_saveable",
    "nothing_saveable",
    "dots_saveable",
    "dots_with_no_batch_dims_saveable",
):
    MODES[f"checkpoint_{_policy}"] = _checkpoint(_policy)


# Batching.


def over_examples(f):
    """Returns a function that runs `f` on one example at a time."""

    def one(inputs, *weights):
        return f(inputs[None], *weights)[0]

    def every(inputs, *weights):
        axes = (0, *(None for _ in weights))
        return jax.vmap(one, axes)(inputs, *weights)

    return every


@mode
def vmap_over_examples(f, t):
    return derived(over_examples(f), t)


@mode
def vmap_over_weights(f, t):
    many = [t[0], *(jnp.stack([w, 2 * w]) for w in t[1:])]
    axes = (None, *(0 for _ in t[1:]))
    return derived(jax.vmap(f, axes), many)


@mode
def vmap_over_both(f, t):
    return derived(jax.vmap(f), [jnp.stack([a, 2 * a]) for a in t])


@mode
def gradients_by_example(f, t):
    def one(inputs, *weights):
        return tuple(gradients(f, [inputs[None], *weights]))

    axes = (0, *(None for _ in t[1:]))
    return list(jax.jit(jax.vmap(one, axes))(*t))


# Control flow.


@mode
def scan(f, t):
    def steps(inputs, *weights):
        def step(total, factor):
            value = f(inputs * factor, *weights)
            return total + value, value

        start = jnp.zeros_like(f(inputs, *weights))
        factors = jnp.arange(1, 4, dtype=inputs.dtype)
        total, values = lax.scan(step, start, factors)
        return total + values[1]

    return derived(steps, t)


@mode
def while_loop(f, t):
    def steps(inputs, *weights):
        def step(state):
            return state[0] + 1, state[1] + f(inputs, *weights)

        start = 0, jnp.zeros_like(f(inputs, *weights))
        return lax.while_loop(lambda state: state[0] < 3, step, start)[1]

    return list(jax.jvp(steps, tuple(t), tuple(map(cosines, t))))


@mode
def cond(f, t):
    def branch(flag, *tensors):
        skip = lambda *a: 0 * f(*a)  # noqa: E731
        return lax.cond(flag > 0, f, skip, *tensors)

    step = jax.jit(lambda flag, t: derived(lambda *a: branch(flag, *a), t))
    return [*step(1, t), *step(0, t)]


@mode
def switch(f, t):
    def branch(index, *tensors):
        twice = lambda *a: 2 * f(*a)  # noqa: E731
        return lax.switch(index, [f, twice, f], *tensors)

    step = jax.jit(lambda index, t: derived(lambda *a: branch(index, *a), t))
    return step(1, t)


@mode
def keras_cond(f, t):
    def branch(flag, *tensors):
        return keras.ops.cond(
            flag > 0, lambda: f(*tensors), lambda: 0 * f(*tensors)
        )

    step = jax.jit(lambda flag, t: derived(lambda *a: branch(flag, *a), t))
    return step(1, t)


# Several devices.


def _mesh(sizes, kind=None):
    devices = np.asarray(jax.devices()[: int(np.prod(sizes))]).reshape(sizes)
    names = ("batch", "model")[: len(sizes)]
    if kind is None or not hasattr(jax.sharding, "AxisType"):
        return Mesh(devices, names)
    types = (getattr(jax.sharding.AxisType, kind),) * len(sizes)
    return Mesh(devices, names, axis_types=types)


def _shard_map(function, mesh, inputs, outputs, checked=True):
    if hasattr(jax, "shard_map"):
        options = {"check_vma": checked}
        return jax.shard_map(
            function, mesh=mesh, in_specs=inputs, out_specs=outputs, **options
        )
    from jax.experimental.shard_map import shard_map

    return shard_map(function, mesh, inputs, outputs, check_rep=checked)


def _mapped(sizes, batch, checked):
    def over_devices(f, t):
        def loss(*tensors):
            return lax.pmean(energy(f)(*tensors), "batch")

        def step(*tensors):
            every = tuple(range(1, len(tensors)))
            return jax.value_and_grad(loss, every)(*tensors)

        weights = [P()] * (len(t) - 1)
        function = loss if not checked else step
        outputs = P() if not checked else (P(), tuple(weights))
        if len(sizes) > 1 and batch != "batch":
            outer = function
            function = lambda *a: jax.tree.map(  # noqa: E731
                lambda one: lax.pmean(one, "model"), outer(*a)
            )
        mapped = _shard_map(
            function, _mesh(sizes), (P(batch), *weights), outputs, checked
        )
        if not checked:
            # Without the check, JAX sums no gradient inside.
            every = tuple(range(1, len(t)))
            mapped = jax.value_and_grad(mapped, every)
        value, slopes = jax.jit(mapped)(*t)
        return [value, *slopes]

    return over_devices


MODES["shard_map"] = _mapped((4,), "batch", True)
MODES["shard_map_unchecked"] = _mapped((4,), "batch", False)
MODES["shard_map_two_axes"] = _mapped((2, 2), "batch", True)
MODES["shard_map_batch_over_both"] = _mapped((2, 2), ("batch", "model"), True)


@mode
def shard_map_differentiated_outside(f, t):
    specs = (P("batch"), *(P() for _ in t[1:]))
    mapped = _shard_map(f, _mesh((4,)), specs, P("batch"))
    return jax.jit(functools.partial(derived, mapped))(t)


@mode
def shard_map_with_split_weights(f, t):
    """Each device has some of the filters, or of the channels."""
    *first, kernel, bias = t
    last = P(*(None,) * (kernel.ndim - 1), "batch")
    specs = [P() for _ in first]
    axis = -1
    if kernel[..., 0, 0].size > 1:  # A depthwise kernel: split the channels.
        first = [jnp.concatenate([a, 2 * a], -1) for a in first]
        specs = [P(*(None,) * (a.ndim - 1), "batch") for a in first]
        axis = -2
        last = P(*(None,) * (kernel.ndim - 2), "batch", None)
    outputs = P(*(None,) * (t[0].ndim - 1), "batch")
    mapped = _shard_map(f, _mesh((2,)), (*specs, last, P("batch")), outputs)
    kernel = jnp.concatenate([kernel, 2 * kernel], axis)
    bias = jnp.concatenate([bias, 2 * bias])
    return jax.jit(functools.partial(derived, mapped))([*first, kernel, bias])


@mode
def pmap(f, t):
    def step(inputs, *weights):
        slopes = gradients(f, [inputs, *weights])
        return [slopes[0], *(lax.pmean(g, "batch") for g in slopes[1:])]

    axes = (0, *(None for _ in t[1:]))
    return list(jax.pmap(step, "batch", in_axes=axes)(t[0][:, None], *t[1:]))


def _on_mesh(sizes, kind, batch="batch"):
    def over_devices(f, t):
        mesh = _mesh(sizes, kind)
        put = [jax.device_put(t[0], NamedSharding(mesh, P(batch)))]
        put += [jax.device_put(w, NamedSharding(mesh, P())) for w in t[1:]]
        value = f(*put)
        return [value, *jax.jit(functools.partial(gradients, f))(put)]

    return over_devices


for _kind in ("Auto", "Explicit"):
    MODES[f"{_kind.lower()}_mesh"] = _on_mesh((4,), _kind)
    MODES[f"{_kind.lower()}_mesh_of_two_axes"] = _on_mesh((2, 2), _kind)
    MODES[f"{_kind.lower()}_mesh_batch_over_both"] = _on_mesh(
        (2, 2), _kind, ("batch", "model")
    )


def _distributed(make):
    def over_devices(f, t):
        distribution = make()
        mesh = _mesh(distribution.device_mesh.shape)
        put = [jax.device_put(t[0], NamedSharding(mesh, P("batch")))]
        put += [jax.device_put(w, NamedSharding(mesh, P())) for w in t[1:]]
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(distribution)
        try:
            return [f(*put), *jax.jit(functools.partial(gradients, f))(put)]
        finally:
            keras.distribution.set_distribution(before)

    return over_devices


def _device_mesh(shape):
    names = ["batch", "model"][: len(shape)]
    devices = keras.distribution.list_devices()[: int(np.prod(shape))]
    return keras.distribution.DeviceMesh(shape, names, devices)


MODES["data_parallel"] = _distributed(
    lambda: keras.distribution.DataParallel(device_mesh=_device_mesh((4,)))
)
MODES["model_parallel"] = _distributed(
    lambda: keras.distribution.ModelParallel(
        layout_map=keras.distribution.LayoutMap(_device_mesh((2, 2))),
        batch_dim_name="batch",
    )
)


# Settings.


def _with(context):
    def in_context(f, t):
        with context():
            return jax.jit(functools.partial(derived, f))(t)

    return in_context


@mode
def disable_jit(f, t):
    with jax.disable_jit():
        return derived(f, t)


@contextlib.contextmanager
def _config(name, value):
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


MODES["debug_nans"] = _with(lambda: jax.debug_nans(True))
MODES["checking_leaks"] = _with(jax.checking_leaks)
MODES["enable_checks"] = _with(lambda: _config("jax_enable_checks", True))
MODES["rank_promotion_raises"] = _with(
    lambda: jax.numpy_rank_promotion("raise")
)
MODES["strict_dtype_promotion"] = _with(
    lambda: jax.numpy_dtype_promotion("strict")
)
MODES["highest_matmul_precision"] = _with(
    lambda: jax.default_matmul_precision("highest")
)


@mode
def x64(f, t):
    with _config("jax_enable_x64", True):
        wide = [jnp.asarray(np.asarray(a, "float64")) for a in t]
        return [a.astype("float32") for a in derived(f, wide)]


# Programs as data.


@mode
def eval_shape(f, t):
    found = jax.eval_shape(functools.partial(derived, f), t)
    return [jnp.zeros(one.shape, one.dtype) for one in found]


@mode
def jaxpr_evaluated_again(f, t):
    from jax.extend.core import jaxpr_as_fun

    jaxpr = jax.make_jaxpr(functools.partial(derived, f))(t)
    return list(jaxpr_as_fun(jaxpr)(*t))


@mode
def ahead_of_time(f, t):
    compiled = jax.jit(functools.partial(derived, f)).lower(t).compile()
    assert compiled.cost_analysis()
    return compiled(t)


@mode
def donated_arguments(f, t):
    step = jax.jit(
        lambda x, *w: (x + 1, *derived(f, [x, *w])), donate_argnums=0
    )
    return list(step(jnp.array(t[0]), *t[1:]))


@mode
def export_with_gradients(f, t):
    from jax import export

    exported = export.export(jax.jit(f), platforms=["cpu", "cuda", "tpu"])(*t)
    loaded = export.deserialize(bytearray(exported.serialize(vjp_order=1)))
    return derived(loaded.call, t)


STOCK_CANNOT: dict[str, str] = {}
# XLA 0.10.2 crashes, with stock Keras's operations and with ours.
NOT_TRIED: dict[str, str] = {
    "hessian_the_other_way": "(separable|depthwise)-volume"
}
# Here XLA's partitioner multiplies the gradient of a depthwise kernel by the
# size of the axis along which the batch is not split (docs/stock_defects.md).
STOCK_IS_WRONG: dict[str, str] = dict.fromkeys(
    (
        "auto_mesh_of_two_axes",
        "explicit_mesh_of_two_axes",
        "model_parallel",
    ),
    "(separable|depthwise)-.*",
)
# The mode on one device with the same results.
RIGHT: dict[str, Mode] = {
    name: lambda f, t: [f(*t), *gradients(f, t)] for name in STOCK_IS_WRONG
}


def _branch(f: Function) -> Function:
    return lambda *t: lax.cond(t[0].ravel()[0] < 9, f, lambda *a: 2 * f(*a), *t)


WRAPPERS.update(
    {
        "jit": jax.jit,
        "checkpoint": jax.checkpoint,
        "cond": _branch,
        "vmap": over_examples,
        "jvp": lambda f: lambda *t: jax.jvp(f, t, t)[1],
        "scan": lambda f: (
            lambda *t: lax.scan(
                lambda total, _: (total + f(*t), None),
                jnp.zeros_like(f(*t)),
                None,
                length=2,
            )[0]
        ),
        "shard_map": lambda f: (
            lambda *t: _shard_map(
                f,
                _mesh((2,)),
                (P("batch"), *(P() for _ in t[1:])),
                P("batch"),
            )(*t)
        ),
    }
)
