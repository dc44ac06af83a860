"""Tests that concern only torch: its transforms, and its fast gradients."""

import functools

import keras
import numpy as np
import pytest
import torch
from backends import EPSILON, array, gradients, tensor
from cases import Case
from reference import Convolution
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode

from keras_sepconv import SeparableConv2D, ops
from keras_sepconv._spec import ConvSpec
from keras_sepconv.kernels.torch import convolution
from keras_sepconv.kernels.torch import gradients as own_gradients
from keras_sepconv.kernels.torch.window import Window

# One case for each way in which a gradient is computed.
CASES = (
    Case("wide", (9, 8), 9, 1, 5, (5, 5)),
    Case("wide_multiplier_2", (7, 8), 9, 2, 40, (3, 4)),
    Case("few_rows", (9, 8), 4, 1, 5, (2, 6)),
    Case("strided", (8, 8), 4, 1, 5, (3, 3), (2, 2)),
    Case("strided_multiplier_2", (8, 8), 9, 2, 5, (3, 3), (2, 2)),
    Case("wide_strided", (8, 11), 4, 1, 5, (5, 5), (2, 2)),
    Case("wide_strided_even", (10, 8), 4, 1, 5, (4, 6), (2, 3)),
    Case("dilated", (9, 10), 4, 1, 5, (3, 3), (1, 1), (2, 2)),
    Case("dilated_wide", (9, 10), 4, 1, 5, (2, 5), (1, 1), (2, 1)),
    Case("dilated_even", (9, 10), 4, 1, 5, (2, 4), (1, 1), (3, 1)),
    Case("one_wide_row", (1, 9), 4, 1, 5, (1, 7)),
    Case("dense", (6, 7), 3, 4, 5, (3, 3), (2, 2)),
    Case("steps", (11,), 4, 1, 5, (4,), (2,), (1,)),
    Case("steps_dilated", (11,), 9, 2, 5, (3,), (1,), (2,)),
    Case("volume", (5, 5, 6), 4, 1, 5, (3, 2, 3), (2, 2, 2), (1, 1, 1)),
    Case(
        *("volume_multiplier_2", (5, 4, 6), 9, 2, 5, (3, 2, 3)),
        *((1, 1, 1), (2, 1, 2)),
    ),
)
FORMATS = ("channels_last", "channels_first")


@pytest.fixture
def always(monkeypatch):
    """Makes small images run the code that is meant for large ones."""
    monkeypatch.setattr(own_gradients, "_LEAST_IMAGE", 0)
    monkeypatch.setattr(own_gradients, "_MOST_COPIED", 0)
    monkeypatch.setattr(convolution, "_FEWEST_PIXELS", 0)


@pytest.fixture
def in_float64(monkeypatch, always):
    """Makes float64 run the code of float32, for a close comparison."""
    monkeypatch.setattr(convolution, "_mode", lambda inputs: "tuned")


def stock(inputs, depthwise, pointwise, bias, options):
    outputs = keras.ops.depthwise_conv(inputs, depthwise, **options)
    data_format = options["data_format"]
    outputs = keras.ops.conv(outputs, pointwise, data_format=data_format)
    if data_format == "channels_last":
        return outputs + bias
    return outputs + bias.reshape(-1, *(1,) * (inputs.ndim - 2))


def run(inputs, depthwise, pointwise, bias, options):
    return ops.separable_conv(
        inputs, depthwise, pointwise, bias=bias, **options
    )


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradients(case, padding, data_format, rng, always):
    arrays = case.arrays(rng, data_format)
    options = case.options(padding, data_format)
    truth = Convolution(*arrays, **options)
    value = truth.value()
    cotangent = rng.standard_normal(value.shape).astype("float32")
    expected = truth.gradients(cotangent)
    bounds = truth.tolerances(cotangent, EPSILON["float32"])
    tensors = [tensor(a) for a in arrays]
    function = functools.partial(run, options=options)
    bound = truth.tolerances(np.ones_like(value), EPSILON["float32"])["value"]
    assert np.all(np.abs(array(function(*tensors)) - value) <= bound)
    found = gradients(function, tensors, tensor(cotangent))
    names = ("inputs", "depthwise", "pointwise", "bias")
    for name, gradient in zip(names, found, strict=True):
        gradient = array(gradient)
        assert np.all(np.abs(gradient - expected[name]) <= bounds[name]), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_t7_autocast_differentiates_as_stock_does(
    case, data_format, dtype, rng, always
):
    """Equal to the last bit: sums of -1, 0 and 1 are exact."""
    options = case.options("same", data_format)
    tensors = [
        tensor(np.round(a).clip(-1, 1)).requires_grad_()
        for a in case.arrays(rng, data_format)
    ]
    results = []
    for function in (run, stock):
        with torch.autocast("cpu", dtype):
            value = function(*tensors, options=options)
        numbers = torch.arange(value.numel()).reshape(value.shape) % 7 % 3
        loss = (value * numbers).sum()
        outside = torch.autograd.grad(loss, tensors, retain_graph=True)
        with torch.autocast("cpu", dtype):
            inside = torch.autograd.grad(loss, tensors)
        results.append([value, *outside, *inside])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_t7_autocast_leaves_the_dtype_that_stock_leaves(case, rng, always):
    """The outputs are rounded; a bias is then added without rounding."""
    tensors = [tensor(a).requires_grad_() for a in case.arrays(rng)]
    options = case.options("same", "channels_last")
    with torch.autocast("cpu"):
        assert run(*tensors, options).dtype == torch.float32
        assert run(*tensors[:3], None, options).dtype == torch.bfloat16
        depthwise = ops.depthwise_conv(*tensors[:2], **options)
        assert depthwise.dtype == torch.bfloat16


def test_t7_autocast_under_vmap_convolves_as_stock_does(rng):
    """There, autocast keeps convolutions in float32 but rounds products."""
    case = Case("dense_steps", (9,), 3, 4, 5, (3,), (1,), (1,))
    inputs, *weights = (tensor(a) for a in case.arrays(rng))
    options = case.options("same", "channels_last")
    results = []
    for function in (run, stock):
        mapped = torch.func.vmap(
            functools.partial(function, options=options), (0, None, None, None)
        )
        with torch.autocast("cpu"):
            results.append(mapped(inputs[:, None], *weights))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_t7_autocast_of_the_gradients_alone_rounds_none(case, rng, always):
    tensors = [tensor(a).requires_grad_() for a in case.arrays(rng)[:2]]
    options = case.options("same", "channels_last")
    value = ops.depthwise_conv(*tensors, **options)
    expected = torch.autograd.grad(value, tensors, value, retain_graph=True)
    with torch.autocast("cpu"):
        found = torch.autograd.grad(value, tensors, value)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


# A warning of torch when it first uses forward mode.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_derivatives_of_every_kind(case, data_format, rng, in_float64):
    """Forward, second and `vmap` derivatives against finite differences."""
    options = case.options("same", data_format)
    tensors = [
        tensor(a, "float64").requires_grad_()
        for a in case.arrays(rng, data_format)
    ]
    function = functools.partial(run, options=options)
    kinds = {"check_batched_grad": True, "fast_mode": True}
    assert torch.autograd.gradcheck(
        function,
        tensors,
        check_forward_ad=True,
        check_batched_forward_grad=True,
        **kinds,
    )
    assert torch.autograd.gradgradcheck(function, tensors, **kinds)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.multiplier == 1], ids=str
)
def test_gradients_of_one_argument_alone(case, rng, always):
    options = case.options("same", "channels_last")
    arrays = [tensor(a) for a in case.arrays(rng, "channels_last")]
    value = run(*(a.requires_grad_() for a in arrays), options)
    expected = torch.autograd.grad(value.square().sum(), arrays)
    for place, gradient in enumerate(expected):
        alone = [a.detach() for a in arrays]
        alone[place].requires_grad_()
        loss = run(*alone, options).square().sum()
        torch.testing.assert_close(
            torch.autograd.grad(loss, alone[place])[0], gradient
        )


def test_tensors_without_numbers():
    """torch raises if it is asked for autocast on the meta device."""
    shapes = (2, 9, 8, 3), (3, 3, 3, 1), (1, 1, 3, 5), (5,)
    tensors = [torch.empty(shape, device="meta") for shape in shapes]
    found = run(*tensors, {"data_format": "channels_last"})
    assert found.device.type == "meta"
    assert found.shape == (2, 7, 6, 5)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_transforms(case, data_format, rng, in_float64):
    options = case.options("same", data_format)
    inputs, *weights = (
        tensor(a, "float64") for a in case.arrays(rng, data_format)
    )
    function = functools.partial(run, options=options)
    many = torch.stack([inputs, 2 * inputs])
    expected = torch.stack([function(x, *weights) for x in many])
    over_inputs = torch.func.vmap(function, (0, None, None, None))
    torch.testing.assert_close(over_inputs(many, *weights), expected)

    def energy(depthwise, inputs):
        return function(inputs, depthwise, *weights[1:]).square().sum()

    expected = torch.stack(
        [torch.func.grad(energy)(weights[0], x) for x in many]
    )
    by_example = torch.func.vmap(torch.func.grad(energy), (None, 0))
    torch.testing.assert_close(by_example(weights[0], many), expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compile(case, rng, in_float64):
    options = case.options("same", "channels_last")
    tensors = [
        tensor(a, "float64").requires_grad_()
        for a in case.arrays(rng, "channels_last")
    ]
    function = functools.partial(run, options=options)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    expected, found = function(*tensors), compiled(*tensors)
    torch.testing.assert_close(found, expected)
    cotangent = torch.ones_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, tensors, cotangent),
        torch.autograd.grad(expected, tensors, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_compile_of_a_layer(rng):
    layer = SeparableConv2D(5, 5, padding="same", strides=2)
    inputs = tensor(rng.standard_normal((2, 9, 8, 4)))
    expected = layer(inputs)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(inputs), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(
    "options",
    [{}, {"strides": 2}, {"dilation_rate": 2}, {"depth_multiplier": 2}],
    ids=str,
)
def test_a_trace_takes_other_sizes(options, data_format, rng):
    """Keras exports to ONNX and OpenVINO by a trace of one pixel."""
    layer = SeparableConv2D(
        5, 3, padding="same", data_format=data_format, **options
    )

    def images(*shape):
        image = tensor(rng.standard_normal((*shape, 4)))
        first = data_format == "channels_first"
        return image.movedim(-1, 1) if first else image

    layer(images(1, 1, 1))
    traced = torch.jit.trace(layer, images(1, 1, 1), check_trace=False)
    for shape in ((1, 1, 1), (2, 9, 8), (3, 8, 12)):
        inputs = images(*shape)
        torch.testing.assert_close(traced(inputs), layer(inputs))


@pytest.mark.parametrize("data_format", FORMATS)
def test_memory_is_channels_last(data_format, rng):
    """Then the next convolution gets the memory format that it needs."""
    arrays = CASES[0].arrays(rng, data_format)
    options = CASES[0].options("same", data_format)
    found = run(*(tensor(a) for a in arrays), options=options)
    if data_format == "channels_last":
        assert found.is_contiguous()
    else:
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_compiled_layer_is_traced_once():
    """Neither eager calls in between nor what they remember change that."""
    graphs = []

    def compiler(graph, examples):
        graphs.append(graph)
        return graph.forward

    layer = SeparableConv2D(4, 3, padding="same")
    images = torch.ones(2, 8, 8, 3)
    expected = layer(images)
    compiled = torch.compile(layer, backend=compiler)
    for _ in range(3):
        torch.testing.assert_close(compiled(images), expected)
        layer(images)
    assert len(graphs) == 1


@pytest.mark.parametrize(
    ("inputs", "kernel", "filters", "is_cheaper"),
    [
        ((8, 8, 28, 28), (8, 8, 3, 3), 64, True),
        ((8, 64, 28, 28), (64, 2, 3, 3), 64, False),
        ((8, 32, 28, 28), (32, 8, 5, 5), 64, True),
        ((8, 32, 28, 28), (32, 4, 5, 5), 64, False),
        ((8, 3, 64, 64), (3, 8, 5, 5), 32, False),
        ((8, 64, 1, 500), (64, 4, 1, 3), 64, True),
        ((1, 256, 7, 7), (256, 8, 3, 3), 256, False),
        ((9, 256, 8, 8), (256, 8, 3, 3), 256, True),
        ((8, 256, 8, 8), (256, 8, 3, 3), 256, False),
        ((1, 16, 8, 8, 8), (16, 8, 3, 3, 3), 16, False),
        ((8, 3, 64, 64), (3, 2, 3, 3), 64, True),
    ],
)
def test_one_dense_convolution_where_it_is_cheaper(
    inputs, kernel, filters, is_cheaper
):
    """`tests/long/thresholds_torch.py` measures where."""
    tensors = torch.empty(inputs), torch.empty(kernel)
    cheaper = convolution._is_dense_cheaper
    assert cheaper("tuned", *tensors, filters) == is_cheaper
    if kernel[0] > 3:
        assert not cheaper("plain", *tensors, filters)


class Steps(TorchDispatchMode):
    """Records torch's operations that take time, in a word or two each."""

    def __init__(self):
        super().__init__()
        self.words = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.__name__.split(".")[0]
        if name == "convolution":
            kernel, groups = args[1], args[8]
            kind = "dense" if groups == 1 else "depthwise"
            sizes = "x".join(str(n) for n in kernel.shape[2:])
            self.words.append(f"{kind} {sizes}")
        elif name == "convolution_backward":
            of_inputs, of_kernel, _ = args[10]
            assert of_inputs or of_kernel
            of_one = "inputs" if of_inputs else "kernel"
            self.words.append("both" if of_inputs and of_kernel else of_one)
        elif name in ("addmm", "bmm", "mm"):
            self.words.append("product")
        elif name == "constant_pad_nd":
            self.words.append("pad")
        elif name in ("cat", "stack"):
            self.words.append(name)
        return function(*args, **kwargs or {})


SMALL, LARGE = (2, 16, 16, 16), (2, 64, 64, 16)


@pytest.mark.parametrize(
    ("shape", "size", "options", "value", "gradients"),
    [
        # torch's own gradients are fast for at most three columns.
        (SMALL, (3, 3), {}, "depthwise 3x3", "both"),
        (SMALL, (7, 3), {}, "depthwise 7x3", "both"),
        ((2, 16, 16), (3,), {}, "depthwise 1x3", "both"),
        (
            SMALL,
            (3, 4),
            {},
            "pad, depthwise 3x5",
            "pad, depthwise 3x5, pad, kernel",
        ),
        (
            SMALL,
            (3, 4),
            {"padding": "valid"},
            "depthwise 3x4",
            "depthwise 3x4, kernel",
        ),
        (SMALL, (5, 5), {}, "depthwise 5x5", "depthwise 5x5, kernel"),
        (
            LARGE,
            (5, 5),
            {},
            "depthwise 5x5",
            "depthwise 5x5, depthwise 64x64, depthwise 64x64",
        ),
        # The kernel's gradient is found image by image from 2**15 numbers on.
        (
            (2, 32, 64, 16),
            (5, 5),
            {},
            "depthwise 5x5",
            "depthwise 5x5, depthwise 32x64, depthwise 32x64",
        ),
        ((2, 31, 64, 16), (5, 5), {}, "depthwise 5x5", "depthwise 5x5, kernel"),
        # It is found by torch if it has at most three columns.
        (
            LARGE,
            (4, 3),
            {},
            "pad, depthwise 5x3",
            "pad, depthwise 5x3, pad, kernel",
        ),
        (
            LARGE,
            (3, 4),
            {},
            "pad, depthwise 3x5",
            "pad, depthwise 3x5, depthwise 64x64, depthwise 64x64",
        ),
        # They are slow with a dilation, if nothing is strided.
        (
            LARGE,
            (3, 3),
            {"dilation_rate": 2},
            "depthwise 3x3",
            "depthwise 3x3, depthwise 64x64, depthwise 64x64",
        ),
        (
            LARGE,
            (3, 3),
            {"strides": 2},
            "pad, depthwise 4x4",
            "pad, inputs, pad, kernel",
        ),
        (
            LARGE,
            (5, 5),
            {"strides": 2},
            "pad, depthwise 6x6",
            "pad, inputs, pad, kernel",
        ),
        ((2, 65, 65, 16), (3, 3), {"strides": 2}, "depthwise 3x3", "both"),
        (
            LARGE,
            (3, 3),
            {"strides": 2, "dilation_rate": 2, "padding": "valid"},
            "depthwise 3x3",
            "both",
        ),
        # A volume's kernel has a gradient for each plane and each image.
        (
            (2, 6, 16, 16, 16),
            (3, 3, 3),
            {},
            "depthwise 3x3x3",
            "depthwise 3x3x3" + 6 * ", kernel" + ", stack",
        ),
    ],
)
def test_which_operations_find_a_depthwise_convolution(
    shape, size, options, value, gradients
):
    """`tests/long/thresholds_torch.py` measures which are faster."""
    tensors = [
        torch.ones(shape, requires_grad=True),
        torch.ones((*size, 16, 1), requires_grad=True),
    ]
    with Steps() as forward:
        outputs = ops.depthwise_conv(*tensors, **{"padding": "same", **options})
    assert ", ".join(forward.words) == value
    with Steps() as backward:
        torch.autograd.grad(outputs.sum(), tensors)
    assert ", ".join(backward.words) == gradients


@pytest.mark.parametrize(
    ("shape", "multiplier", "filters", "expected"),
    [
        # From 4000 pixels on, a convolution is faster than a product.
        ((1, 40, 100, 16), 1, 8, "depthwise 3x3, dense 1x1"),
        ((1, 43, 93, 16), 1, 8, "depthwise 3x3, product"),
        # From eight channels on, there is one convolution for each filter.
        (SMALL, 2, None, "depthwise 3x3, depthwise 3x3, stack"),
        ((2, 16, 16, 8), 2, None, "depthwise 3x3, depthwise 3x3, stack"),
        ((2, 16, 16, 7), 2, None, "depthwise 3x3"),
        (SMALL, 2, 64, "depthwise 3x3, depthwise 3x3, cat, product"),
        (LARGE, 2, 64, "depthwise 3x3, depthwise 3x3, cat, dense 1x1"),
        ((2, 16, 16, 7), 2, 8, "depthwise 3x3, product"),
        # The first product is that of the kernels.
        (SMALL, 2, 8, "product, dense 3x3"),
        # Up to 36 terms in a sum of the dense convolution, from four filters
        # for each channel on.
        ((2, 16, 16, 4), 4, 8, "product, dense 3x3"),
        ((2, 16, 16, 4), 3, 8, "depthwise 3x3, product"),
        ((2, 16, 16, 5), 4, 8, "depthwise 3x3, product"),
    ],
)
def test_which_operations_find_a_separable_convolution(
    shape, multiplier, filters, expected
):
    """`tests/long/thresholds_torch.py` measures which are faster."""
    tensors = [
        torch.ones(shape, requires_grad=True),
        torch.ones(3, 3, shape[-1], multiplier),
    ]
    operation = ops.depthwise_conv
    if filters is not None:
        tensors.append(torch.ones(1, 1, shape[-1] * multiplier, filters))
        operation = ops.separable_conv
    with Steps() as steps:
        operation(*tensors, padding="same")
    assert ", ".join(steps.words) == expected


def test_without_gradients_a_dense_convolution_is_cheaper_with_two_filters():
    shapes = (2, 16, 16, 4), (3, 3, 4, 2), (1, 1, 8, 8)
    with Steps() as steps:
        ops.separable_conv(*map(torch.ones, shapes))
    assert steps.words == ["product", "dense 3x3"]


def test_other_dtypes_take_torchs_own_operations():
    """What was measured is float32 on a CPU."""
    shapes = (2, 64, 64, 16), (3, 3, 16, 2), (1, 1, 32, 8)
    with Steps() as steps:
        ops.separable_conv(*(torch.ones(s).double() for s in shapes))
    assert steps.words == ["depthwise 3x3", "product"]


def test_a_window_is_found_once_unless_sizes_are_symbols():
    spec = ConvSpec((3, 3), (2, 2), "same", "channels_last", (1, 1))
    known = Window.of(spec, (2, 4, 8, 9))
    assert Window.of(spec, (2, 4, 8, 9)) is known
    images = FakeTensorMode(shape_env=ShapeEnv()).from_tensor(
        torch.ones(2, 4, 8, 9)
    )
    assert not any(isinstance(size, int) for size in images.shape)
    found = Window.of(spec, images.shape)
    assert [int(n) for n in found.before] == list(known.before)
    assert [int(n) for n in found.after] == list(known.after)
    assert not found.is_even
