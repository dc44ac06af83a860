"""Tests of TensorFlow's kernels that tests/test_kernels.py does not have."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from backends import EPSILON, array, tensor
from reference import Convolution

from keras_sepconv import SeparableConv2D, accelerate, ops

KERNELS = ("native", "taps")
# Name: input shape, kernel size, multiplier, and options.
CASES = {
    "small": ((2, 6, 5, 3), (3, 3), 1, {}),
    "strided": ((2, 7, 6, 3), (3, 2), 2, {"strides": 2}),
    "dilated": ((2, 7, 6, 3), (3, 3), 1, {"dilation_rate": 2}),
    "sliced": ((2, 8, 6, 3), (3, 4), 2, {"strides": (2, 3)}),
    "large": ((2, 6, 5, 3), (5, 7), 1, {}),
    "one_axis": ((2, 9, 3), (3,), 2, {}),
    "large_one_axis": ((2, 9, 3), (27,), 1, {}),
    "large_valid": ((2, 8, 7, 3), (5, 6), 1, {"padding": "valid"}),
    "large_causal": ((2, 9, 3), (10,), 1, {"padding": "causal"}),
    "volume": ((2, 4, 6, 5, 3), (3, 3, 2), 2, {}),
    "volume_valid": ((2, 5, 6, 5, 3), (3, 3, 2), 1, {"padding": "valid"}),
    "volume_large": ((2, 4, 6, 5, 3), (2, 5, 5), 1, {}),
    "volume_strides": ((2, 4, 6, 5, 3), (3, 3, 3), 1, {"strides": (1, 2, 2)}),
    "volume_strided": ((2, 4, 6, 5, 3), (3, 3, 3), 1, {"strides": 2}),
}


def each_in_turn(name, options, step=1):
    """Runs a test for every kernel and case with the next options in turn.

    Args:
        name: The name of the test's parameter.
        options: All options.
        step: Only every `step`-th kernel and case is not long.
    """
    turn = itertools.cycle(options)
    return pytest.mark.parametrize(
        ("kernel", "case", name),
        [
            pytest.param(
                kernel,
                CASES[case],
                next(turn),
                id=f"{kernel}-{case}",
                marks=[pytest.mark.long] * bool(number % step),
            )
            for number, (kernel, case) in enumerate(
                itertools.product(KERNELS, CASES)
            )
        ],
    )


def arrays(rng, shape, size, multiplier, filters=4):
    channels = shape[-1]
    ones = (1,) * len(size)
    return [
        rng.standard_normal(s).astype("float32")
        for s in (
            shape,
            (*size, channels, multiplier),
            (*ones, channels * multiplier, filters),
            (filters,),
        )
    ]


def separable(kernel, **options):
    options = {"padding": "same", **options}

    def run(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(
            inputs,
            depthwise,
            pointwise,
            bias=bias,
            implementation=kernel,
            **options,
        )

    return run


def stepped(function):
    """Returns a function for the value and the gradients of `function`."""

    def step(cotangent, *tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors)
        return outputs, tape.gradient(outputs, tensors, cotangent)

    return step


def as_tuple(option, rank):
    return option if isinstance(option, tuple) else (option,) * rank


@each_in_turn("how", itertools.product([2, None], [False, True]))
def test_value_and_gradients(kernel, case, how, rng):
    """With known image sizes; in test_kernels the sizes are unknown."""
    batch, xla = how
    run = separable(kernel, **case[3])
    compare(run, case, (batch, *case[0][1:-1]), xla, rng)


def test_a_volume_that_is_dilated_along_its_depth_alone(rng):
    """Then its gradients are those of its planes."""
    options = {"dilation_rate": (2, 1, 1)}
    case = (2, 6, 4, 4, 3), (3, 3, 3), 1, options
    compare(separable("native", **options), case, case[0][:-1], False, rng)


# Cases that no way but one of the taps' loops computes.
LOOPS = {
    # The kernel's gradient takes two rows and 13 columns at a time.
    "wide": (
        (2, 11, 285, 2),
        (3, 2),
        2,
        {"strides": (3, 2), "dilation_rate": (1, 2)},
    ),
    # It takes one whole row at a time.
    "less_wide": ((2, 2, 30, 2), (2, 1), 1, {}),
    # The convolution takes one row of the kernel at a time.
    "many_taps": (
        (2, 7, 8, 2),
        (5, 10),
        2,
        {"strides": (2, 3), "dilation_rate": (3, 1)},
    ),
}


@pytest.mark.parametrize(
    ("case", "are_known"),
    [("wide", True), ("less_wide", True), ("many_taps", False)],
)
def test_loops_of_the_taps(case, are_known, rng):
    case = LOOPS[case]
    known = case[0][:-1] if are_known else (None,) * 3
    compare(separable("taps", **case[3]), case, known, False, rng)


@pytest.mark.parametrize("size", [1, 2])
def test_sums_of_half_precision_are_whole(size):
    """A sum of ones in half precision would stop growing at some point."""
    shapes = (2, 128, 128, 1), (size, size, 1, 1), (1, 1, 1, 1), (1,)
    tensors = [tf.ones(shape, "bfloat16") for shape in shapes]
    cotangent = tf.ones((2, 128, 128, 1), "bfloat16")
    outputs, slopes = stepped(separable("native"))(cotangent, *tensors)
    assert outputs.dtype == "bfloat16"
    assert outputs[0, 0, 0, 0] == size * size + 1
    assert float(slopes[1][0, 0, 0, 0]) == float(slopes[3][0]) == 2 * 128**2


@pytest.mark.slow("some are compiled by XLA")
@each_in_turn("how", ["graph", "unknown_sizes", "xla"], step=4)
def test_t6_a_branch_of_a_conditional_trains_with_an_open_batch(
    kernel, case, how, rng
):
    """A gradient in a branch must not use tensors from outside by closure."""
    run = separable(kernel, **case[3])

    def branch(*tensors):
        return tf.switch_case(
            tf.shape(tensors[0])[0] - 1,
            [lambda: -run(*tensors), lambda: run(*tensors)],
        )

    sizes = case[0][1:-1]
    if how == "unknown_sizes":
        sizes = (None,) * len(sizes)
    compare(branch, case, (None, *sizes), how == "xla", rng)


def compare(function, case, known, xla, rng):
    """Compares a graph's value and gradients with the reference.

    Args:
        function: The convolution of `case`, possibly wrapped.
        case: A value of `CASES`.
        known: The sizes of the inputs in the graph, `None` where unknown.
        xla: Whether XLA compiles the graph.
        rng: A random generator.
    """
    shape, size, multiplier, options = case
    rank = len(size)
    values = arrays(rng, shape, size, multiplier)
    truth = Convolution(
        *values,
        **{
            name: o if name == "padding" else as_tuple(o, rank)
            for name, o in ({"padding": "same"} | options).items()
        },
    )
    cotangent = rng.standard_normal(truth.value().shape).astype("float32")
    expected = truth.gradients(cotangent)
    bounds = truth.tolerances(cotangent, EPSILON["float32"])
    value_bound = truth.tolerances(np.ones_like(cotangent), EPSILON["float32"])[
        "value"
    ]
    are_known = None not in known[1:]
    sizes = cotangent.shape[1:-1] if are_known else known[1:]
    signature = [
        tf.TensorSpec((known[0], *sizes, cotangent.shape[-1])),
        tf.TensorSpec((*known, shape[-1])),
        *(tf.TensorSpec(v.shape) for v in values[1:]),
    ]
    step = tf.function(
        stepped(function), input_signature=signature, jit_compile=xla
    )
    found, gradients = step(tensor(cotangent), *map(tensor, values))
    assert np.all(np.abs(array(found) - truth.value()) <= value_bound)
    names = ("inputs", "depthwise", "pointwise", "bias")
    for name, gradient in zip(names, gradients, strict=True):
        assert np.all(
            np.abs(array(gradient) - expected[name]) <= bounds[name]
        ), name


# Not images by `native` with known sizes: TensorFlow's own result may be an
# error.
@pytest.mark.parametrize(
    ("case", "kernel", "sizes"),
    [
        pytest.param(
            CASES[case],
            *how,
            id=f"{case}-{'-'.join(how)}",
            marks=[pytest.mark.long] * bool((number + turn) % 3),
        )
        for number, case in enumerate(CASES)
        for turn, how in enumerate(
            [("native", "unknown"), ("taps", "known"), ("taps, xla", "unknown")]
        )
    ]
    + [pytest.param(CASES["volume_valid"], "native", "known", id="volume")],
)
def test_empty_batch_of_unknown_size(kernel, case, sizes, rng):
    shape, size, multiplier, options = case
    values = arrays(rng, (0, *shape[1:]), size, multiplier)
    run = separable(kernel.removesuffix(", xla"), **options)
    full = [tf.zeros(s) for s in (shape, *(v.shape for v in values[1:]))]
    outputs = run(*full)
    known = shape[1:-1] if sizes == "known" else (None,) * len(size)
    signature = [
        tf.TensorSpec((None,) * len(shape)),
        tf.TensorSpec((None, *known, shape[-1])),
        *(tf.TensorSpec(v.shape) for v in values[1:]),
    ]
    step = tf.function(
        stepped(run),
        input_signature=signature,
        jit_compile=kernel.endswith("xla"),
    )
    found, gradients = step(
        tf.zeros((0, *outputs.shape[1:])), *map(tensor, values)
    )
    assert found.shape == (0, *outputs.shape[1:])
    for gradient, value in zip(gradients, values, strict=True):
        assert gradient.shape == value.shape
        assert not np.any(array(gradient))


VALID = {"padding": "valid"}


@pytest.mark.parametrize(
    ("kernel", "size", "short", "options"),
    [
        # TensorFlow refuses an image that is still shorter.
        ("native", (4, 3), (3, 2), {**VALID, "strides": (1, 2)}),
        ("native", (4, 3), (1, 1), {**VALID, "strides": 2}),
        ("native", (5, 7), (0, 0), {}),
        ("native", (4, 3, 2), (1, 2, 2), {**VALID, "dilation_rate": (1, 1, 2)}),
        ("native", (3, 2, 3), (0, 0, 0), {"strides": 2}),
        ("taps", (4, 3), (1, 1), {**VALID, "strides": (1, 2)}),
    ],
)
def test_unknown_sizes_that_leave_nothing(kernel, size, short, options, rng):
    """Each axis in turn is too short for an output."""
    run, rank = separable(kernel, **options), len(size)
    enough = (2, *(n + 3 for n in size), 3)
    values = [tensor(a) for a in arrays(rng, enough, size, 1)]
    signature = [
        tf.TensorSpec((None,) * (rank + 2)),
        tf.TensorSpec((*(None,) * (rank + 1), 3)),
        *(tf.TensorSpec(v.shape) for v in values[1:]),
    ]
    step = tf.function(stepped(run), input_signature=signature)
    outputs = run(*values)
    for axis in range(1, rank + 1):
        shape, expected = list(enough), list(outputs.shape)
        shape[axis], expected[axis] = short[axis - 1], 0
        tensors = [tf.ones(shape), *values[1:]]
        found, gradients = step(tf.zeros(expected), *tensors)
        assert found.shape == expected
        for gradient, value in zip(gradients, tensors, strict=True):
            assert gradient.shape == value.shape
            assert not np.any(array(gradient))


@each_in_turn(
    "how", ["graph", "eager", "xla", "unknown_batch", "unknown"], step=3
)
def test_second_order_gradients(kernel, case, how, rng):
    """The gradient of a gradient, compared with differences of gradients."""
    shape, size, multiplier, options = case
    values = [v.astype("float64") for v in arrays(rng, shape, size, multiplier)]
    direction = [rng.standard_normal(v.shape) for v in values]
    run = separable(kernel, **options)

    def pulled(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = tf.reduce_sum(run(*tensors) ** 3)
        return tape.gradient(outputs, tensors)

    def twice(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            along = tf.add_n(
                [
                    tf.reduce_sum(g * d)
                    for g, d in zip(pulled(*tensors), direction, strict=True)
                ]
            )
        return tape.gradient(along, tensors)

    if how != "eager":
        batch = None if "unknown" in how else shape[0]
        sizes = (None,) * len(size) if how == "unknown" else shape[1:-1]
        known = batch, *sizes, shape[-1]
        signature = [tf.TensorSpec(known, tf.float64)]
        signature += [tf.TensorSpec(v.shape, tf.float64) for v in values[1:]]
        twice = tf.function(
            twice, input_signature=signature, jit_compile=how == "xla"
        )
    step = 1e-5
    ahead, behind = (
        pulled(
            *(
                tf.constant(v + sign * step * d)
                for v, d in zip(values, direction, strict=True)
            )
        )
        for sign in (1, -1)
    )
    found = twice(*map(tf.constant, values))
    for one, high, low in zip(found, ahead, behind, strict=True):
        expected = (array(high) - array(low)) / (2 * step)
        # The relative error of central differences is 1e-10, but terms cancel.
        scale = np.abs(expected).max()
        np.testing.assert_allclose(array(one), expected, atol=1e-6 * scale)


@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_forward_mode(how, rng):
    """A derivative along a direction, by forward mode and by linearity."""
    values = [tensor(a) for a in arrays(rng, *CASES["large"][:3])]
    along = tensor(rng.standard_normal(values[0].shape))
    for kernel in KERNELS:
        run = separable(kernel)

        def forward(inputs, along, run=run):
            with tf.autodiff.ForwardAccumulator(inputs, along) as accumulator:
                outputs = run(inputs, *values[1:])
            return accumulator.jvp(outputs)

        if how != "eager":
            forward = tf.function(forward, jit_compile=how == "xla")
        bias = tf.zeros_like(values[3])
        expected = run(along, *values[1:3], bias)
        np.testing.assert_allclose(
            array(forward(values[0], along)), array(expected), atol=1e-3
        )


def test_the_graph_of_inference_is_as_clean_as_tensorflows():
    """It has one depthwise operation and one convolution, and no checks.

    A custom gradient leaves an `IdentityN` in the graph. There may be some on
    weights, but none between operations on images, because converters could
    then not fuse these operations. Nothing else reads the images, because
    OpenVINO would make an output of it.
    """
    weights = [tf.ones(s) for s in ((3, 3, 3, 1), (1, 1, 3, 4), (4,))]
    signature = [tf.TensorSpec((None, 8, 7, 3))]
    run = separable("native")
    function = tf.function(
        lambda x: run(x, *weights), input_signature=signature
    )
    graph = function.get_concrete_function().graph
    free = {"Const", "Identity", "IdentityN", "Placeholder", "NoOp"}
    for operation in graph.get_operations():
        if operation.type == "IdentityN":
            assert all(t.shape.is_fully_defined() for t in operation.inputs)
    (reader,) = graph.inputs[0].consumers()
    assert reader.type == "DepthwiseConv2dNative"
    kinds = sorted(op.type for op in graph.get_operations())
    assert [kind for kind in kinds if kind not in free] == [
        "BiasAdd",
        "Conv2D",
        "DepthwiseConv2dNative",
    ]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("size", [3, 5])
def test_gradient_of_an_empty_batch_of_images(size, padding):
    """The shape must be right, because gradients of devices are summed."""

    @tf.function(input_signature=[tf.TensorSpec([None, 9, 9, 3])])
    def gradient(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = ops.depthwise_conv(
                images, tf.ones((size, size, 3, 1)), padding=padding
            )
        return tape.gradient(outputs, images)

    assert gradient(tf.zeros((0, 9, 9, 3))).shape == (0, 9, 9, 3)


def gradient_graph(shape, size, multiplier=1, filters=None, **options):
    """Returns the operations of a graph of the value and its gradients.

    Args:
        shape: The shape of the inputs, `None` where unknown.
        size: The kernel size.
        multiplier: Depthwise outputs for each input channel.
        filters: The outputs of the pointwise step, `None` without this step.
        **options: Other arguments of the operation.

    Returns:
        The types of the operations.
    """
    channels, ones = shape[-1], (1,) * len(size)
    shapes = [shape, (*size, channels, multiplier)]
    operation = ops.depthwise_conv
    if filters:
        shapes.append((*ones, channels * multiplier, filters))
        operation = ops.separable_conv

    def step(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = operation(*tensors, **options)
        return tape.gradient(outputs, tensors)

    signature = [tf.TensorSpec(s) for s in shapes]
    graph = tf.function(step, input_signature=signature).get_concrete_function()
    return [op.type for op in graph.graph.get_operations()]


def convolutions(*arguments, **options):
    """Counts the operations that convolve or multiply matrices."""
    kinds = gradient_graph(*arguments, **options)
    return {k: kinds.count(k) for k in kinds if "Conv" in k or k == "MatMul"}


DEPTHWISE = "DepthwiseConv2dNative"
IMAGE, OPEN_IMAGE = (40, 12, 12, 3), (40, None, None, 3)
SAME = {"padding": "same"}


# TensorFlow's own gradient of a 31x31 kernel takes 50 times as long as the
# convolution. It is not used for a kernel of 25 taps, or of 9 in one row.
@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        (IMAGE, (9, 9), SAME),
        (IMAGE, (5, 5), {}),
        (IMAGE, (5, 6), {}),
        (IMAGE, (1, 9), {}),
        ((40, 12, 3), (9,), {"padding": "causal"}),
        (OPEN_IMAGE, (5, 5), SAME),
        ((None, 12, 12, 3), (5, 5), {}),
    ],
)
def test_the_gradients_of_a_large_kernel_are_convolutions(shape, size, options):
    assert convolutions(shape, size, **options) == {DEPTHWISE: 3}


@pytest.mark.parametrize(
    ("shape", "size", "multiplier", "options"),
    [
        (IMAGE, (4, 6), 1, {}),
        (IMAGE, (1, 8), 1, {}),
        (IMAGE, (5, 5), 2, {}),
        (IMAGE, (5, 5), 1, {"strides": 2}),
        (IMAGE, (5, 5), 1, {"dilation_rate": 2}),
        (IMAGE, (5, 6), 1, SAME),
        (IMAGE, (7, 4), 1, SAME),
        (OPEN_IMAGE, (5, 5), 1, {}),
        ((40, None, 12, 3), (5, 5), 1, {}),
    ],
)
def test_other_kernels_have_the_gradients_of_tensorflow(
    shape, size, multiplier, options
):
    assert convolutions(shape, size, multiplier, **options) == {
        DEPTHWISE: 1,
        DEPTHWISE + "BackpropInput": 1,
        DEPTHWISE + "BackpropFilter": 1,
    }


def test_the_gradient_of_a_large_kernel_takes_few_images_one_by_one():
    """All at once takes up to an eighth longer; see `_MOST_IN_TURN`."""
    assert convolutions((32, 12, 12, 3), (5, 5)) == {DEPTHWISE: 2 + 32}
    assert convolutions((33, 12, 12, 3), (5, 5)) == {DEPTHWISE: 2 + 1}


def test_planes_of_a_volume_have_the_same_gradients_as_images():
    volume = (40, 6, 12, 12, 3)
    large = convolutions(volume, (2, 5, 5), **SAME)
    assert set(large) == {DEPTHWISE}
    assert convolutions(volume, (2, 3, 3), **SAME) == {
        DEPTHWISE: 2,
        DEPTHWISE + "BackpropInput": 2,
        DEPTHWISE + "BackpropFilter": 2,
    }


def test_gradients_of_the_pointwise_step_are_products_in_a_graph():
    """With an open batch, a converter could then not fuse the operations."""
    depthwise = dict.fromkeys(
        [
            DEPTHWISE + suffix
            for suffix in ("", "BackpropInput", "BackpropFilter")
        ],
        1,
    )
    assert convolutions(IMAGE, (3, 3), filters=4) == {
        **depthwise,
        "Conv2D": 1,
        "MatMul": 2,
    }
    assert convolutions((None, 12, 12, 3), (3, 3), filters=4) == {
        **depthwise,
        "Conv2D": 1,
        "Conv2DBackpropInput": 1,
        "Conv2DBackpropFilter": 1,
    }


def test_in_eager_mode_only_raw_operations_run(monkeypatch):
    """The others take as long as the convolution itself."""
    native = "keras_sepconv.kernels.tensorflow.native"
    monkeypatch.delattr(f"{native}.differentiable")
    monkeypatch.delattr(tf.nn, "depthwise_conv2d")
    monkeypatch.delattr(tf.nn, "conv2d")
    step = stepped(separable("native"))
    shapes = IMAGE, (3, 3, 3, 1), (1, 1, 3, 4), (4,), (40, 12, 12, 4)
    *tensors, cotangent = map(tf.ones, shapes)
    _, gradients = step(cotangent, *tensors)
    assert all(np.all(array(gradient) > 0) for gradient in gradients)


def test_a_single_weight_is_multiplied():
    """oneDNN sometimes aborts when it reorders a single weight."""
    assert convolutions((2, 6, 6, 1), (1, 1), strides=2) == {}
    assert convolutions((2, 6, 6, 1), (1, 1), filters=1) == {}


def test_only_one_operation_reads_the_image():
    """If one more reads its shape, OpenVINO makes an output of that shape."""
    convolve = tf.function(
        lambda x: ops.depthwise_conv(x, tf.ones((3, 3, 3, 1)), strides=(1, 2)),
        input_signature=[tf.TensorSpec((None, 8, 7, 3))],
    )
    (image,) = convolve.get_concrete_function().graph.inputs
    assert len(image.consumers()) == 1


def test_an_image_of_which_only_the_width_is_known(rng):
    values = [tensor(a) for a in arrays(rng, (2, 1, 6, 3), (3, 3), 1)]
    run = tf.function(
        lambda x: separable("native", strides=2)(x, *values[1:]),
        input_signature=[tf.TensorSpec((2, None, 6, 3))],
    )
    assert run(tf.ones((2, 0, 6, 3))).shape == (2, 0, 3, 4)
    assert run(tf.ones((2, 5, 6, 3))).shape == (2, 3, 3, 4)
    run = tf.function(
        lambda x: separable("native", padding="valid")(x, *values[1:]),
        input_signature=[tf.TensorSpec((2, None, 6, 3))],
    )
    assert run(tf.ones((2, 2, 6, 3))).shape == (2, 0, 4, 4)


def test_what_is_known_of_a_size_is_known_of_the_output():
    run = tf.function(
        lambda x: ops.depthwise_conv(x, tf.ones((3, 3, 3, 1)), strides=2),
        input_signature=[tf.TensorSpec((None, 12, None, 3))],
    )
    shape = run.get_concrete_function().output_shapes
    assert shape.as_list() == [None, 5, None, 3]


def test_if_all_sizes_are_known_no_gradient_is_replaced():
    """An empty output is known before the graph runs."""
    assert "SelectV2" not in gradient_graph(IMAGE, (3, 3))
    assert "SelectV2" in gradient_graph((None, 12, 12, 3), (3, 3))


def trace(jit_compile):
    """Traces a layer of ours and, in a branch, an accelerated one of Keras."""
    ours, stock = SeparableConv2D(4, 3), keras.layers.DepthwiseConv2D(3)
    for layer in (ours, stock):
        layer.build((2, 8, 8, 4))
    accelerate(stock, verify=False)
    inner = tf.function(stock)

    @tf.function(jit_compile=jit_compile)
    def function(inputs):
        outputs = ours(inputs)
        positive = tf.reduce_all(outputs > 0)
        return tf.cond(positive, lambda: inner(outputs), lambda: inputs)

    function.get_concrete_function(tf.TensorSpec((2, 8, 8, 4)))


@pytest.mark.parametrize("jit_compile", [True, False, None])
def test_xla_on_a_cpu_takes_the_taps(jit_compile, ran):
    trace(jit_compile)
    assert ran == ["taps" if jit_compile else "native"] * 2


def test_xla_elsewhere_takes_native(monkeypatch, ran):
    gpu = tf.config.PhysicalDevice("gpu", "GPU")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda: [gpu])
    trace(True)
    assert ran == ["native"] * 2


def test_without_a_way_to_know_of_xla_native_runs(monkeypatch, ran):
    monkeypatch.delattr(tf.__internal__, "get_enclosing_xla_context")
    trace(True)
    assert ran == ["native"] * 2


def test_inside_a_compiled_function_the_taps_come_first():
    found = []
    tf.function(
        lambda: found.extend(ops.implementations()), jit_compile=True
    ).get_concrete_function()
    assert found == ["taps", "native", "portable"]
    assert list(ops.implementations()) == ["native", "portable", "taps"]


def test_compiling_and_loading_choose_anew(ran, tmp_path):
    inputs, outputs = np.ones((2, 6, 6, 2)), np.ones((2, 4, 4, 3))
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), keras.layers.SeparableConv2D(3, 3)]
    )
    accelerate(model, verify=False)

    for jit_compile, name in ((False, "native"), (True, "taps")):
        model.compile("sgd", "mse", jit_compile=jit_compile)
        ran.clear()
        model.fit(inputs, outputs, verbose=0)
        model.predict(inputs, verbose=0)
        assert ran == [name] * 2
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    accelerate(loaded, verify=False)
    ran.clear()
    loaded.predict(inputs, verbose=0)
    assert ran == ["taps"]


@pytest.mark.slow("XLA compiles it")
@pytest.mark.parametrize("sizes", [(6, 5), (None, None)])
def test_xla_compiles_a_jacobian_of_an_open_batch(sizes, rng):
    shape, size, multiplier, _ = CASES["small"]
    values = [tensor(a) for a in arrays(rng, shape, size, multiplier)]
    run = separable("taps")

    def jacobian(inputs):
        with tf.GradientTape() as tape:
            tape.watch(values[1])
            outputs = run(inputs, *values[1:])
            sums = tf.reduce_sum(outputs, (0, 1, 2))
        return tape.jacobian(sums, values[1])

    signature = [tf.TensorSpec((None, *sizes, shape[-1]))]
    compiled = tf.function(
        jacobian, input_signature=signature, jit_compile=True
    )
    np.testing.assert_allclose(
        array(compiled(values[0])), array(jacobian(values[0])), atol=1e-4
    )
