"""The same tests for every kernel of the active backend.

A new kernel needs no new tests: they run for all kernels.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from backends import BACKEND, EPSILON, array, needs_gradients, tensor, ways
from cases import CASES, PADDED, SHRUNK
from reference import Convolution

from keras_sepconv import kernels, ops

# A kernel may have two names; each kernel is here once.
KERNELS = tuple({k.run: k.name for k in reversed(kernels._KERNELS)}.values())
FORMATS = ("channels_last", "channels_first")
PADDINGS = ("valid", "same")

# Each case runs with one of these four; test_ops draws from all of them.
PAIRS = itertools.cycle(itertools.product(PADDINGS, FORMATS))
RUNS = [
    pytest.param(
        case, padding, data_format, id=f"{case}-{padding}-{data_format}"
    )
    for case, (padding, data_format) in zip(CASES, PAIRS, strict=False)
]
RUNS += [
    pytest.param(case, case.padding, data_format, id=f"{case}-{data_format}")
    for case, data_format in zip(PADDED, itertools.cycle(FORMATS))
]
OWN = len(RUNS)
RUNS += [
    pytest.param(case, case.padding, case.data_format, id=str(case))
    for case in SHRUNK
]

# Where compiling takes long, `test_depthwise` leaves out every second of these,
# and `test_separable` those of the benchmark's that `test_depthwise` has.
COMPILES = BACKEND in ("jax", "tensorflow")
IN_SEPARABLE = range(1, len(RUNS) * COMPILES, 2)
IN_DEPTHWISE = range(OWN + OWN % 2, len(RUNS) * COMPILES, 2)
# Keras's own operations run only these cases: each argument that they are given
# matters in one of them. torch takes a single channel or a single column apart.
PORTABLE = (
    *("one_column", "one_channel_many_filters", "unequal_strides"),
    *("unequal_dilation", "steps_strided", "volume", "zeros_uneven"),
)


def battery(long):
    """Runs a test with all kernels and cases; some cases are long."""
    return pytest.mark.parametrize(
        ("kernel", "case", "padding", "data_format"),
        [
            pytest.param(
                kernel,
                *run.values,
                id=f"{kernel}-{run.id}",
                marks=[pytest.mark.long] * (number in long),
            )
            for kernel in KERNELS
            for number, run in enumerate(RUNS)
            if kernel != "portable" or run.values[0].name in PORTABLE
        ],
    )


def assert_close(found, expected, bound, what):
    found = array(found)
    assert found.shape == expected.shape, what
    excess = np.abs(found - expected) - bound
    assert np.all(excess <= 0), f"{what}: {excess.max()} beyond the bound"


def test_a_tolerance_refuses_a_small_error_and_grows_with_the_terms(rng):
    def case(size):
        shapes = (2, 9, 8, 4), (size, size, 4, 1), (1, 1, 4, 6), (6,)
        arrays = [rng.standard_normal(shape) for shape in shapes]
        return Convolution(*arrays, padding="same"), arrays

    (truth, arrays), cotangent = case(3), rng.standard_normal((2, 9, 8, 6))
    bounds = truth.tolerances(cotangent, EPSILON["float32"])
    arrays[1] = arrays[1].copy()
    arrays[1][0, 0, 0, 0] += 1e-3
    wrong = Convolution(*arrays, padding="same")
    found = {"value": wrong.value(), **wrong.gradients(cotangent)}
    expected = {"value": truth.value(), **truth.gradients(cotangent)}
    for name in ("value", "inputs", "pointwise"):
        assert np.any(np.abs(found[name] - expected[name]) > bounds[name])
    twice = truth.tolerances(cotangent, 2 * EPSILON["float32"])
    larger = case(7)[0].tolerances(cotangent, EPSILON["float32"])
    for name, bound in bounds.items():
        np.testing.assert_allclose(twice[name], 2 * bound)
    assert larger["value"].mean() > 4 * bounds["value"].mean()


@battery(long=IN_DEPTHWISE)
def test_separable(case, kernel, data_format, padding, rng):
    arrays = case.arrays(rng, data_format)
    options = case.options(padding, data_format)

    def run(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(
            inputs,
            depthwise,
            pointwise,
            implementation=kernel,
            bias=bias,
            **options,
        )

    truth = Convolution(*arrays, **options)
    assert_right(run, kernel, arrays, truth, data_format, rng)


@battery(long=IN_SEPARABLE)
def test_depthwise(case, kernel, data_format, padding, rng):
    inputs, depthwise, _, _ = case.arrays(rng, data_format)
    bias = rng.standard_normal(case.channels * case.multiplier)
    bias = bias.astype("float32")
    options = case.options(padding, data_format)

    def run(inputs, depthwise, bias):
        return ops.depthwise_conv(
            inputs, depthwise, implementation=kernel, bias=bias, **options
        )

    truth = Convolution(inputs, depthwise, None, bias, **options)
    arrays = inputs, depthwise, bias
    assert_right(run, kernel, arrays, truth, data_format, rng)


def assert_right(run, kernel, arrays, truth, data_format, rng):
    """Compares the value and the gradients with the truth."""
    expected = truth.value()
    cotangent = rng.standard_normal(expected.shape).astype("float32")
    bounds = truth.tolerances(cotangent, EPSILON["float32"])
    tensors = [tensor(a) for a in arrays]
    if BACKEND in ("numpy", "torch"):
        # On other backends the value is the same if it is differentiated.
        assert_close(run(*tensors), expected, bounds["value"], "value")
    slopes = truth.gradients(cotangent)
    names = ["inputs", "depthwise", "pointwise", "bias"]
    if truth.pointwise is None:
        names.remove("pointwise")
    axis = 1 if data_format == "channels_first" else -1
    for how, function in ways(run, axis, kernel).items():
        value, found = function(tensors, tensor(cotangent))
        assert_close(value, expected, bounds["value"], how)
        for name, slope in zip(names, found, strict=True):
            what = f"{how}, gradient of {name}"
            assert_close(slope, slopes[name], bounds[name], what)


@pytest.mark.parametrize("kernel", KERNELS)
def test_sums_of_half_precision_are_whole(kernel):
    """A sum of ones in bfloat16 would stop growing at 256."""
    x, d, p = (
        tensor(np.ones(shape), "bfloat16")
        for shape in ((1, 300, 1), (300, 1, 1), (1, 1, 1))
    )
    found = ops.separable_conv(x, d, p, implementation=kernel)
    assert array(found).tolist() == [[[300.0]]]
    x, p = (
        tensor(np.ones(shape), "bfloat16")
        for shape in ((1, 1, 300), (1, 300, 1))
    )
    found = ops.pointwise_conv(x, p, implementation=kernel)
    assert array(found).tolist() == [[[300.0]]]


@needs_gradients
@pytest.mark.parametrize(
    ("kernel", "rank"),
    [
        (name, rank)
        for name in KERNELS
        for rank in (1, 2, 3)
        if name != "portable" or rank == 1
    ],
)
def test_gradients_of_half_precision_are_whole(kernel, rank):
    """The same of the sums over all positions, in which ones are added."""
    sizes = {1: (600,), 2: (24, 25), 3: (8, 9, 9)}[rank]
    ones = (1,) * rank
    shapes = (2, *sizes, 2), (*(3,) * rank, 2, 1), (*ones, 2, 3), (3,)
    arrays = [np.ones(shape) for shape in shapes]
    truth = Convolution(*arrays, padding="same")
    cotangent = np.ones((2, *sizes, 3))
    slopes = truth.gradients(cotangent)

    def run(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(
            inputs,
            depthwise,
            pointwise,
            padding="same",
            bias=bias,
            implementation=kernel,
        )

    *tensors, flow = (tensor(a, "bfloat16") for a in (*arrays, cotangent))
    *_, function = ways(run, -1, kernel).values()
    _, found = function(tensors, flow)
    names = ("inputs", "depthwise", "pointwise", "bias")
    for name, gradient in zip(names, found, strict=True):
        np.testing.assert_allclose(
            array(gradient),
            slopes[name],
            rtol=4 * EPSILON["bfloat16"],
            err_msg=name,
        )


def test_the_preferred_kernel_runs(ran):
    x, d, p = (
        np.ones((1, 4, 4, 2)),
        np.ones((3, 3, 2, 1)),
        np.ones((1, 1, 2, 3)),
    )
    ops.separable_conv(*(tensor(a) for a in (x, d, p)))
    taps = BACKEND in ("jax", "numpy")
    assert ran == ["taps" if taps else "native"]


def test_unknown_sizes_take_another_kernel_on_jax_alone(ran):
    d, x = tensor(np.ones((3, 3, 2, 1))), tensor(np.ones((1, 4, 4, 2)))

    def run(inputs):
        return ops.depthwise_conv(inputs, d, padding="same")

    run(x)
    if BACKEND == "jax":
        import jax
        from jax import export

        shape = export.symbolic_shape("batch, rows, cols, 2")
        jax.eval_shape(run, jax.ShapeDtypeStruct(shape, "float32"))
        assert ran == ["taps", "portable"]
        return
    if BACKEND == "tensorflow":
        import tensorflow as tf

        spec = tf.TensorSpec((None, None, None, 2))
        tf.function(run).get_concrete_function(spec)
    assert set(ran) == {"taps" if BACKEND == "numpy" else "native"}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_named_kernel_runs(kernel, ran):
    x, d = tensor(np.ones((1, 4, 4, 2))), tensor(np.ones((3, 3, 2, 1)))
    ops.depthwise_conv(x, d, implementation=kernel)
    assert ran == [kernel]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_no_number_or_too_large_brings_no_warning(kernel):
    x = tensor(np.array([[[np.inf, 3e38]]]))
    d = tensor(np.array([[[0.0], [10.0]]]))
    found = ops.depthwise_conv(x, d, implementation=kernel)
    np.testing.assert_array_equal(array(found), [[[np.nan, np.inf]]])


def test_a_backend_without_kernels_of_its_own_runs_the_portable():
    assert kernels._load("openvino") == (kernels.portable.KERNEL,)


def test_an_unknown_kernel_is_refused():
    x, d = tensor(np.ones((1, 4, 4, 2))), tensor(np.ones((3, 3, 2, 1)))
    with pytest.raises(
        ValueError, match="`implementation` must be None or one"
    ):
        ops.depthwise_conv(x, d, implementation="fastest")


def test_a_kernel_cannot_change_the_facts(monkeypatch):
    """They are remembered for the next call."""

    def change(call):
        call.is_empty = True

    careless = kernels.Kernel("careless", change, None)
    monkeypatch.setattr(kernels, "_KERNELS", (careless,))
    x, d = tensor(np.ones((1, 4, 4, 2))), tensor(np.ones((3, 3, 2, 1)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        ops.depthwise_conv(x, d)


def test_a_kernel_that_cannot_run_says_why(monkeypatch):
    def refuse(call):
        return "it is Sunday"

    sunday = kernels.Kernel("sunday", refuse, None)
    monkeypatch.setattr(kernels, "_KERNELS", (sunday,))
    x, d = tensor(np.ones((1, 4, 4, 2))), tensor(np.ones((3, 3, 2, 1)))
    assert ops.implementations(x, d) == {"sunday": "it is Sunday"}
    for name in ("sunday", None):
        with pytest.raises(ValueError, match="sunday: it is Sunday"):
            ops.depthwise_conv(x, d, implementation=name)
