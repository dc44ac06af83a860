"""Tests that concern only JAX.

test_kernels.py tests values and gradients of every case, transformations/ tests
the transformations.
"""

import functools
import math
import re
import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax.extend.core.primitives import conv_general_dilated_p
from outcomes import MODES, RIGHT, outcome, problem
from reference import Convolution
from subjects import OPERATIONS, Subject

from keras_sepconv import ops
from keras_sepconv._spec import ConvSpec
from keras_sepconv.kernels.jax import blocks, dispatch
from keras_sepconv.kernels.jax.depthwise import depthwise_p
from keras_sepconv.kernels.jax.primitive import MEANINGS

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
    """Returns the convolution, computed by the tested kernel."""
    return lambda x, d, p, b: ops.separable_conv(
        x, d, p, bias=b, implementation="taps", **options
    )


def portable(options):
    """Returns the same, computed by JAX's own operations."""
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


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (3,), (0, 2), (1, 3)])
def test_gradients_of_some_arguments_only(which, tensors):
    def loss(make):
        return lambda *t: jnp.sum(jnp.sin(make(OPTIONS[1])(*t)))

    found = jax.grad(loss(taps), which)(*tensors)
    close(found, jax.grad(loss(portable), which)(*tensors))


@pytest.mark.slow("it compiles three nested derivatives")
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


def test_the_gradients_of_each_example_by_itself(tensors):
    images, *weights = tensors

    def gradients(make):
        def loss(weights, image):
            return jnp.sum(jnp.sin(make(OPTIONS[1])(image[None], *weights)))

        return jax.vmap(jax.grad(loss), (None, 0))(weights, images)

    close(gradients(taps), gradients(portable))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_over_nothing(axes, tensors):
    nothing = [
        t if axis is None else jnp.zeros((0, *t.shape))
        for t, axis in zip(tensors, axes, strict=False)
    ]

    def results(name):
        run = depthwise(name, OPTIONS[1])
        loss = jax.grad(lambda x, d: jnp.sum(run(x, d)), (0, 1))
        return [jax.vmap(f, axes)(*nothing) for f in (run, loss)]

    shapes = [
        [array.shape for array in jax.tree.leaves(results(name))]
        for name in ("taps", "portable")
    ]
    assert shapes[0] == shapes[1]


def test_linear_transpose(tensors):
    x, d, _, _ = tensors
    y = depthwise("taps", OPTIONS[1])(x, d)
    (image,) = jax.linear_transpose(
        lambda x: depthwise("taps", OPTIONS[1])(x, d), x
    )(y)
    np.testing.assert_allclose(jnp.vdot(image, x), jnp.vdot(y, y), rtol=1e-4)


def test_no_gradient_of_a_result_that_nothing_reads(tensors):
    """JAX 0.4 asks the primitives for one; newer versions do not."""

    @jax.jit
    def several(x, d, p, b):
        depthwise_too = depthwise("taps", OPTIONS[0])(x, d)
        return taps(OPTIONS[0])(x, d, p, b), depthwise_too, jnp.sum(x)

    found = jax.grad(lambda *t: several(*t)[2], (0, 1, 2, 3))(*tensors)
    expected = (jnp.ones_like(tensors[0]), *map(jnp.zeros_like, tensors[1:]))
    close(found, expected)


@every_option
def test_a_few_images_at_a_time(options, tensors, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1)
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

    def gradients(run, *arrays):
        total = jax.grad(lambda *t: jnp.sum(run(*t)), (0, 1))
        return jax.jit(total).lower(*arrays).as_text()

    assert "stablehlo.convolution" not in text("cpu")
    run = depthwise("taps", OPTIONS[0])
    for found in (
        gradients(taps(OPTIONS[0]), *tensors),
        gradients(run, *tensors[:2]),
    ):
        assert "stablehlo.convolution" not in found
    assert "stablehlo.convolution" in text("cuda")
    assert "stablehlo.convolution" in text("tpu")


def test_the_native_form_is_that_of_the_taps(rng):
    """The native convolution runs only on other platforms than a CPU."""
    zeros = ((2, 0), (0, 1))
    spec = ConvSpec((3, 2), (1, 2), zeros, "channels_last", (2, 1))
    form = blocks.Form(spec, (6, 7), 2)
    sizes = blocks.output_sizes(form)
    values = {
        "inputs": rng.standard_normal((2, 6, 7, 3)),
        "kernel": rng.standard_normal((3, 2, 3, 2)),
        "outputs": rng.standard_normal((2, *sizes, 6)),
    }

    @functools.partial(jax.jit, static_argnums=0)
    def results(function, values):
        return [
            function(
                *(value for role, value in values.items() if role != result),
                form=form,
                result=result,
            )
            for result in ("inputs", "kernel", "outputs")
        ]

    native = MEANINGS[depthwise_p]
    close(results(native, values), results(blocks.depthwise, values))


HALF = {
    "depthwise": lambda x, d, p, b, by: ops.depthwise_conv(
        x, d, bias=b, implementation=by
    ),
    "pointwise": lambda x, d, p, b, by: ops.pointwise_conv(
        x, p, bias=b, implementation=by
    ),
    "separable": lambda x, d, p, b, by: ops.separable_conv(
        x, d, p, bias=b, implementation=by
    ),
}


@pytest.mark.parametrize("operation", HALF)
@pytest.mark.parametrize("implementation", ["taps", "portable"])
def test_sums_of_half_precision_are_whole(
    operation, implementation, monkeypatch
):
    """A sum of ones in half precision would stop growing at some point."""
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1)
    shapes = (2, 128, 128, 1), (1, 1, 1, 1), (1, 1, 1, 1), (1,)
    x, *weights = (jnp.ones(shape, "bfloat16") for shape in shapes)

    def loss(d, p, b):
        outputs = HALF[operation](x, d, p, b, implementation)
        return jnp.sum(outputs.astype("float32"))

    with jax.numpy_dtype_promotion("strict"):
        found = jax.grad(loss, (0, 1, 2))(*weights)
    # The gradient of an unused weight is 0.
    sums = [gradient.item() for gradient in found]
    assert sums[2] == 2 * 128 * 128
    assert implementation == "portable" or set(sums) <= {0, 2 * 128 * 128}


def test_large_kernels_are_not_unrolled():
    def length(size):
        x, d = jnp.ones((1, 16, 16, 4)), jnp.ones((size, size, 4, 1))
        run = depthwise("taps", {"padding": "same"})
        gradient = jax.grad(lambda x, d: jnp.sum(run(x, d)), (0, 1))
        return len(jax.jit(gradient).lower(x, d).as_text())

    assert length(31) < 2 * length(7)


@pytest.mark.parametrize(
    ("size", "channels", "at_once"),
    [
        ((3, 3), 64, 9),
        # 49 at most.
        ((7, 7), 83, 49),
        ((5, 10), 4, 10),
        # 2**15 bytes of the images and the kernel at most. So with 84 channels
        # of float32 these are 48 taps.
        ((7, 7), 84, 7),
        ((3, 3), 5000, 1),
        # If those bytes hold n taps, at least n or five of them at once, where
        # the kernel's size has a divisor of at most 64 for that.
        ((11, 11), 1024, 11),
        ((3, 5), 2048, 5),
        ((4, 3), 2048, 3),
        ((10,), 585, 5),
        ((61,), 512, 61),
        ((67,), 512, 1),
    ],
)
def test_how_many_taps_one_loop_sums(size, channels, at_once):
    """This is a matter of speed; see `_OUTPUT_TAPS` and `_CACHE_BYTES`."""
    spec = ConvSpec(
        size, (1,) * len(size), "valid", "channels_last", (1,) * len(size)
    )
    images = jnp.ones((1, *(n + 1 for n in size), channels))
    kernel = jnp.ones((*size, channels, 1))
    run = functools.partial(blocks.plain, spec)
    text = jax.jit(run).lower(images, kernel).as_text()
    assert len(re.findall("stablehlo.multiply .*f32>", text)) == at_once
    is_loop = at_once < math.prod(size)
    assert ("dynamic_slice" in text) == is_loop, "XLA does not fuse these well"


@pytest.mark.parametrize(
    ("shape", "in_blocks", "with_sums", "at_once"),
    [
        # Eight images of 256x256 have 2**21 bytes.
        ((64, 256, 256, 1), False, False, 64),
        ((65, 256, 256, 1), False, False, 5),
        ((128, 256, 256, 1), False, False, 8),
        ((64, 256, 256, 1), True, False, 8),
        ((64, 256, 256, 1), False, True, 8),
        ((8, 256, 256, 1), True, False, 8),
        ((10, 256, 256, 1), True, False, 5),
        ((11, 256, 256, 1), True, False, 1),
        # One image has more than that.
        ((4, 1024, 1024, 1), True, False, 1),
    ],
)
def test_how_many_images_one_turn_takes(shape, in_blocks, with_sums, at_once):
    """This is a matter of speed and memory; see `_BLOCK_BYTES`."""
    counts = []

    def step(images):
        counts.append(len(images))
        return [images], [jnp.sum(images)] if with_sums else []

    spec = ConvSpec((3, 3), (1, 1), "same", "channels_last", (1, 1))
    form = blocks.Form(spec, shape[1:3], 1, in_blocks)
    images = [jax.ShapeDtypeStruct(shape, "float32")]
    sums = [jnp.zeros(())] if with_sums else []
    run = functools.partial(blocks._in_blocks, form, step)
    jax.eval_shape(run, images, images, sums)
    assert set(counts) == {at_once}


def test_the_pointwise_step_multiplies_rows_unless_on_a_mesh(monkeypatch):
    """A reshape would collect what the devices of a mesh hold."""

    def reshapes():
        images, kernel = jnp.ones((2, 6, 6, 3)), jnp.ones((1, 1, 3, 5))
        # A new function each time: JAX keeps the programs of those it knows.
        program = jax.make_jaxpr(lambda *t: ops.pointwise_conv(*t))
        text = str(program(images, kernel))
        return "[72,5]" in text

    assert reshapes()
    devices = keras.distribution.list_devices()[:2]
    parallel = keras.distribution.DataParallel(devices=devices)
    monkeypatch.setattr(keras.distribution, "distribution", lambda: parallel)
    assert not reshapes()


@pytest.mark.parametrize("operation", ["depthwise", "separable"])
def test_a_program_with_derivatives_saves_memory(operation):
    """All its convolutions run block by block."""
    subject = Subject(operation, "3x3")

    def loss(*tensors):
        return jnp.sum(subject.ours(*tensors))

    tensors = subject.tensors()
    text = str(jax.make_jaxpr(loss)(*tensors))
    assert re.findall(r"in_blocks=(\w+)", text) == ["False"]
    gradients = jax.grad(loss, tuple(range(len(tensors))))
    text = str(jax.make_jaxpr(gradients)(*tensors))
    assert set(re.findall(r"in_blocks=(\w+)", text)) == {"True"}


def assert_as_stock(mode, subject):
    right = RIGHT.get(mode, MODES[mode])
    expected, error = outcome(right, subject, "stock")
    if expected is None and jax.__version__.startswith("0.4."):
        return
    assert expected is not None, error
    found, error = outcome(MODES[mode], subject, "ours")
    assert found is not None, error
    assert problem(subject, found, expected) is None


@pytest.mark.parametrize("operation", ["separable", "depthwise"])
@pytest.mark.parametrize("sizes", [(4, 4), (8, 8)])
def test_t1_gradients_where_each_device_has_some_examples(sizes, operation):
    """With primitives, JAX would not know over which axes arrays vary."""
    assert_as_stock("shard_map", Subject(operation, "3x3", sizes=sizes))


@pytest.mark.parametrize("operation", ["separable", "depthwise"])
@pytest.mark.parametrize("mode", ["explicit_mesh", "explicit_mesh_of_two_axes"])
def test_t2_arrays_whose_type_says_how_they_are_sharded(mode, operation):
    """The primitives would slice such an array along a sharded axis."""
    assert_as_stock(mode, Subject(operation, "strided"))


@pytest.mark.parametrize("operation", ["separable", "depthwise"])
def test_on_a_mesh_no_primitive_runs(operation, monkeypatch):
    """A loop over blocks would collect the batch from all devices."""

    def refuse(*operands, **params):
        raise AssertionError("a primitive")

    for primitive in MEANINGS:
        monkeypatch.setattr(primitive, "bind", refuse)
    shapes = (4, 6, 6, 3), (3, 3, 3, 1), (1, 1, 3, 5)
    x, d, p = (jnp.ones(shape) for shape in shapes)
    weights = {"depthwise": [d], "separable": [d, p]}[operation]
    run = getattr(ops, f"{operation}_conv")
    with pytest.raises(AssertionError, match="a primitive"):
        run(x, *weights)
    devices = keras.distribution.list_devices()[:2]
    parallel = keras.distribution.DataParallel(devices=devices)
    monkeypatch.setattr(keras.distribution, "distribution", lambda: parallel)
    # Each output is the sum of the taps, and of the channels.
    sums = np.unique(run(x, *weights)).tolist()
    assert sums == [9 if operation == "depthwise" else 27]


def test_on_a_mesh_a_large_kernel_has_gradients(rng):
    """A loop sums a few taps at a time. There JAX differentiates it."""
    x = rng.standard_normal((2, 5, 4, 2)).astype("float32")
    d = rng.standard_normal((9, 9, 2, 1)).astype("float32")
    spec = ConvSpec((9, 9), (1, 1), "same", "channels_last", (1, 1))
    run = jax.jit(functools.partial(blocks.plain, spec))
    found, pull = jax.vjp(run, x, d)
    truth = Convolution(x, d, padding="same")
    close(found, truth.value())
    gradients = truth.gradients(np.asarray(found))
    close(pull(found), (gradients["inputs"], gradients["depthwise"]))


def test_a_mesh_of_two_axes_has_no_grouped_convolution(tensors):
    """XLA's partitioner would multiply the gradient of its kernel."""
    spec = ConvSpec((3, 3), (1, 1), "same", "channels_last", (1, 1))

    def convolves(mesh, platform):
        run = functools.partial(dispatch._depthwise_on_mesh, spec, [mesh])
        traced = jax.jit(run).trace(*tensors[:2])
        lowered = traced.lower(lowering_platforms=(platform,))
        return "stablehlo.convolution" in lowered.as_text()

    assert convolves((4,), "cuda")
    # In older versions the program has the branches of all platforms.
    if jax.__version_info__ >= (0, 5):
        assert not convolves((4,), "cpu")
    assert convolves((4, 1), "cuda")
    assert not convolves((2, 2), "cuda")


def test_t3_without_jit():
    """The primitives would call themselves for ever."""
    assert_as_stock("disable_jit", Subject("separable", "5x5"))


def test_t4_without_promotion_of_ranks():
    """The bias with one axis must not be added to four axes directly."""
    for operation in OPERATIONS:
        assert_as_stock("rank_promotion_raises", Subject(operation, "3x3"))


# Tables of JAX that have a rule for convolutions but need none for our
# primitives, with the reason.
NOT_NEEDED = {
    "pp_eqn_rules": "how a program is printed",
    "fancy_transposes": "`primitive_transposes` is asked too",
    "primitive_transposes": "the separable convolution and its gradients are "
    "not linear: their derivatives are primitives of their own",
    "error_checks": "what no table has is not looked into",
    "padding_rules": "sizes that only the run time knows, an experiment",
    "rules": "what may be recomputed; the default is right",
    "sparse_rules_bcoo": "arrays that are sparse",
    "_BCOO_STANDARD_PRIMITIVES": "arrays that are sparse",
    "_rooflines": "estimates of time",
    "_cost_rules": "estimates of time",
}


def tables_that_know(primitive):
    """Yields the name and the table for every rule of a primitive in JAX."""
    seen = set()
    for name in [name for name in sys.modules if name.startswith("jax")]:
        for attribute, value in list(vars(sys.modules[name]).items()):
            is_new = isinstance(value, dict) and id(value) not in seen
            if is_new and primitive in value:
                seen.add(id(value))
                yield attribute, value


def test_jax_asks_for_no_rule_that_the_primitives_lack():
    tables = dict(tables_that_know(conv_general_dilated_p))
    assert {"primitive_jvps", "_lowerings", "jet_rules"} <= set(tables)
    lacking = {
        name
        for name, table in tables.items()
        if not all(primitive in table for primitive in MEANINGS)
    }
    assert lacking <= set(NOT_NEEDED)


@pytest.mark.parametrize("is_constant", [False, True])
def test_the_sums_of_one_layer_are_not_computed_again_in_the_next(is_constant):
    """XLA would do so where layers add their outputs to one stream."""

    def slices(layers):
        def stream(images, kernel):
            for _ in range(layers):
                images += ops.depthwise_conv(images, kernel, padding="same")
            return images

        images, kernel = jnp.ones((1, 6, 6, 8)), jnp.ones((3, 3, 8, 1))
        operands = [images, kernel]
        if is_constant:
            stream, operands = (
                functools.partial(stream, kernel=kernel),
                [images],
            )
        program = jax.jit(stream).lower(*operands).compile()
        return program.as_text().count(" slice(")

    assert slices(6) <= 2 * slices(3)
