"""What JAX can do with a function, done with the taps.

Values and gradients of every case are in test_kernels.py.
"""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import Convolution

from keras_sepconv import ops
from keras_sepconv.kernels import _jax_blocks

OPTIONS = (
    {"padding": "same"},
    {"padding": "same", "strides": 2},
    {"padding": "valid", "dilation_rate": 2},
    {"padding": "same", "data_format": "channels_first"},
)
every_option = pytest.mark.parametrize("options", OPTIONS)


@pytest.fixture
def tensors(rng):
    shapes = ((3, 6, 6, 6), (3, 3, 6, 2), (1, 1, 12, 5), (5,))
    return [jnp.asarray(rng.standard_normal(s), "float32") for s in shapes]


def taps(options):
    """Returns the convolution by the kernel that is tested."""
    return lambda x, d, p, b: ops.separable_conv(
        x, d, p, bias=b, implementation="taps", **options
    )


def portable(options):
    """Returns the same by JAX's own operations."""
    return lambda x, d, p, b: ops.separable_conv(
        x, d, p, bias=b, implementation="portable", **options
    )


def close(found, expected):
    """Asserts that two results in float32 differ by rounding only."""
    found, expected = map(jax.tree.leaves, (found, expected))
    for a, b in zip(found, expected, strict=True):
        bound = 1e-5 * np.max(np.abs(b))
        np.testing.assert_allclose(a, b, rtol=0, atol=bound)


def depthwise(implementation, options):
    return lambda x, d: ops.depthwise_conv(
        x, d, implementation=implementation, **options
    )


@every_option
def test_forward_mode(options, tensors, rng):
    tangents = tuple(
        jnp.asarray(rng.standard_normal(t.shape), "float32") for t in tensors
    )
    found = jax.jvp(taps(options), tuple(tensors), tangents)
    close(found, jax.jvp(portable(options), tuple(tensors), tangents))


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (3,), (0, 2), (1, 3)])
def test_gradients_of_some_arguments_only(which, tensors):
    def loss(make):
        return lambda *t: jnp.sum(jnp.sin(make(OPTIONS[1])(*t)))

    found = jax.grad(loss(taps), which)(*tensors)
    close(found, jax.grad(loss(portable), which)(*tensors))


@every_option
def test_second_derivatives(options, tensors):
    def penalty(make):
        def loss(*t):
            return jnp.sum(jnp.sin(make(options)(*t)))

        def norm(*t):
            gradients = jax.grad(loss, (0, 1, 2, 3))(*t)
            return sum(jnp.sum(jnp.square(g)) for g in gradients)

        return jax.grad(norm, (0, 1, 2, 3))

    close(jax.jit(penalty(taps))(*tensors), penalty(portable)(*tensors))


def test_forward_over_reverse_over_forward(tensors):
    x, d, p, b = tensors

    def curve(make):
        def along(t):
            return jnp.sum(jnp.cos(make(OPTIONS[0])(x + t, d * (1 + t), p, b)))

        return jax.jacfwd(jax.grad(jax.jacfwd(along)))(0.1)

    expected = curve(portable)
    np.testing.assert_allclose(curve(taps), expected, rtol=1e-3)


@every_option
@pytest.mark.parametrize(
    "axes", [(0, None, None, None), (None, 0, 1, 0), (1, 2, 0, None)]
)
def test_vmap(options, axes, tensors):
    stacked = [
        t if axis is None else jnp.stack([t, -t, 2 * t], axis)
        for t, axis in zip(tensors, axes, strict=True)
    ]
    found = jax.vmap(taps(options), axes)(*stacked)
    close(found, jax.vmap(portable(options), axes)(*stacked))


@every_option
@pytest.mark.parametrize("axes", [(0, None), (None, 1), (1, 3)])
def test_vmap_of_depthwise_gradients(options, axes, tensors):
    stacked = [
        t if axis is None else jnp.stack([t, -t, 2 * t], axis)
        for t, axis in zip(tensors, axes, strict=False)
    ]

    def gradients(name):
        def loss(x, d):
            return jnp.sum(jnp.sin(depthwise(name, options)(x, d)))

        return jax.vmap(jax.grad(loss, (0, 1)), axes)(*stacked)

    close(gradients("taps"), gradients("portable"))


def test_gradients_of_each_example(tensors):
    x, *weights = tensors

    def gradients(make):
        def loss(weights, image):
            return jnp.sum(jnp.sin(make(OPTIONS[0])(image[None], *weights)))

        return jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(weights, x)

    close(gradients(taps), gradients(portable))


def test_checkpoint(tensors):
    def loss(make, wrap):
        return lambda *t: jnp.sum(jnp.sin(wrap(make(OPTIONS[0]))(*t)))

    found = jax.grad(loss(taps, jax.checkpoint), (0, 1, 2, 3))(*tensors)
    expected = jax.grad(loss(portable, lambda f: f), (0, 1, 2, 3))(*tensors)
    close(found, expected)


def test_linear_transpose(tensors):
    x, d, _, _ = tensors
    y = depthwise("taps", OPTIONS[1])(x, d)
    (image,) = jax.linear_transpose(
        lambda x: depthwise("taps", OPTIONS[1])(x, d), x
    )(y)
    np.testing.assert_allclose(jnp.vdot(image, x), jnp.vdot(y, y), rtol=1e-4)


@every_option
def test_a_few_images_at_a_time(options, tensors, monkeypatch):
    monkeypatch.setattr(_jax_blocks, "_BLOCK_BYTES", 1)
    complete = {
        "strides": (options.get("strides", 1),) * 2,
        "padding": options["padding"],
        "data_format": options.get("data_format", "channels_last"),
        "dilation_rate": (options.get("dilation_rate", 1),) * 2,
    }
    truth = Convolution(*map(np.asarray, tensors), **complete)
    found, pull = jax.vjp(jax.jit(taps(options)), *tensors)
    close(found, truth.value())
    gradients = truth.gradients(np.asarray(found))
    names = ("inputs", "depthwise", "pointwise", "bias")
    close(pull(found), tuple(gradients[name] for name in names))
    x, d = tensors[:2]
    found, pull = jax.vjp(jax.jit(depthwise("taps", options)), x, d)
    truth = Convolution(np.asarray(x), np.asarray(d), **complete)
    close(found, truth.value())
    gradients = truth.gradients(np.asarray(found))
    close(pull(found), (gradients["inputs"], gradients["depthwise"]))
    text = jax.jit(taps(options)).lower(*tensors).as_text()
    assert "while" in text, "all images at once"


def test_other_platforms_get_the_native_convolution(tensors):
    def text(platform):
        traced = jax.jit(taps(OPTIONS[0])).trace(*tensors)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    assert "stablehlo.convolution" not in text("cpu")
    assert "stablehlo.convolution" in text("cuda")
    assert "stablehlo.convolution" in text("tpu")


def test_large_kernels_are_not_unrolled():
    def length(size):
        x, d = jnp.ones((1, 16, 16, 4)), jnp.ones((size, size, 4, 1))
        run = depthwise("taps", {"padding": "same"})
        gradient = jax.grad(lambda x, d: jnp.sum(run(x, d)), (0, 1))
        return len(jax.jit(gradient).lower(x, d).as_text())

    assert length(31) < 2 * length(7)


SHARDED = """
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from keras_sepconv import ops

    rng = np.random.default_rng(0)
    shapes = ((8, 6, 6, 4), (3, 3, 4, 2), (1, 1, 8, 4))
    tensors = [rng.standard_normal(s).astype("float32") for s in shapes]

    def loss(name):
        def value(x, d, p):
            y = ops.separable_conv(
                x, d, p, padding="same", implementation=name
            )
            return jax.numpy.sum(jax.numpy.sin(y))

        return jax.jit(jax.value_and_grad(value, (0, 1, 2)))

    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("batch", "model"))
    specs = (("batch",), (None, None, "model"), (None, None, None, "model"))
    sharded = [
        jax.device_put(t, NamedSharding(mesh, PartitionSpec(*spec)))
        for t, spec in zip(tensors, specs)
    ]
    expected = loss("portable")(*tensors)
    for found in (loss("taps")(*sharded), loss("taps")(*tensors)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
            found,
            expected,
        )
"""


def test_sharded_inputs():
    flag = "--xla_force_host_platform_device_count=8"
    code = f"import os; os.environ['XLA_FLAGS'] = '{flag}'\n"
    code += textwrap.dedent(SHARDED)
    subprocess.run([sys.executable, "-c", code], check=True)
