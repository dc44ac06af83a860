"""The public operations; test_kernels tests their numbers."""

import inspect

import keras
import numpy as np
import pytest
from backends import (
    BACKEND,
    EPSILON,
    HAS_GRADIENTS,
    array,
    gradients,
    tensor,
    value_and_gradients,
)
from hypothesis import given
from hypothesis import strategies as st
from reference import Convolution

from keras_sepconv import _facts, ops
from keras_sepconv._spec import ConvSpec

INPUTS = np.ones((2, 8, 7, 3), "float32")
DEPTHWISE = np.ones((3, 3, 3, 2), "float32")
POINTWISE = np.ones((1, 1, 6, 5), "float32")
BIAS = np.ones(5, "float32")


def test_what_the_docstring_says_it_computes():
    found = ops.separable_conv(
        INPUTS, DEPTHWISE, POINTWISE, 1, "same", "channels_last", 2, bias=BIAS
    )
    middle = keras.ops.depthwise_conv(
        INPUTS, DEPTHWISE, 1, "same", "channels_last", 2
    )
    expected = keras.ops.conv(middle, POINTWISE, data_format="channels_last")
    np.testing.assert_allclose(array(found), array(expected) + BIAS, atol=1e-5)
    found = ops.depthwise_conv(
        INPUTS, DEPTHWISE, 1, "same", "channels_last", 2, bias=np.ones(6)
    )
    np.testing.assert_allclose(array(found), array(middle) + 1, atol=1e-5)


def test_each_function_has_the_same_defaults():
    expected = {
        "strides": 1,
        "padding": "valid",
        "data_format": None,
        "dilation_rate": 1,
    }
    for function in (
        ops.separable_conv,
        ops.depthwise_conv,
        ops.implementations,
    ):
        parameters = inspect.signature(function).parameters
        found = {name: parameters[name].default for name in expected}
        assert found == expected


def test_symbolic_calls_make_functional_models_that_save(tmp_path):
    inputs = keras.Input((None, 7, 3))
    x = ops.separable_conv(
        inputs,
        tensor(DEPTHWISE),
        tensor(POINTWISE),
        strides=[2.0, 1.0],
        padding="SAME",
        bias=tensor(BIAS),
    )
    assert x.shape == (None, None, 7, 5)
    assert x.dtype == "float32"
    kernel = keras.Variable(np.ones((2, 2, 5, 1)))
    outputs = ops.depthwise_conv(x, kernel, implementation="portable")
    assert outputs.shape == (None, None, 6, 5)
    model = keras.Model(inputs, outputs)
    assert model.operations[-1].implementation == "portable"
    expected = ops.depthwise_conv(
        ops.separable_conv(
            INPUTS, DEPTHWISE, POINTWISE, (2, 1), "same", bias=BIAS
        ),
        kernel,
    )
    np.testing.assert_allclose(
        model.predict(INPUTS, verbose=0), array(expected), atol=1e-4
    )
    model.save(tmp_path / "model.keras")
    # The format is that of the call, whatever is the default later.
    keras.config.set_image_data_format("channels_first")
    twin = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        twin.predict(INPUTS, verbose=0), array(expected), atol=1e-4
    )


@pytest.mark.parametrize("name", list(ops.implementations()))
def test_dtypes_are_promoted_as_kerass_are(name):
    inputs, kernel = INPUTS.astype("float16"), tensor(DEPTHWISE)
    for image in (
        tensor(inputs, "float16"),
        keras.Input(batch_shape=(2, 8, 7, 3), dtype="float16"),
    ):
        found = ops.depthwise_conv(image, kernel, implementation=name)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_nodes_of_a_model_keep_what_they_were_called_with():
    arguments = {
        "strides": (1, 2),
        "padding": "same",
        "data_format": "channels_first",
        "dilation_rate": (2, 1),
        "implementation": "portable",
        "name": "node",
    }
    for node in (ops.SeparableConv, ops.DepthwiseConv, ops.PointwiseConv):
        assert node(**arguments).get_config() == arguments


def test_one_and_three_spatial_axes(rng):
    for rank in (1, 3):
        arrays = [
            rng.standard_normal(shape).astype("float32")
            for shape in (
                (2, *(6, 5, 7)[:rank], 3),
                (*(3, 2, 3)[:rank], 3, 2),
                (*(1, 1, 1)[:rank], 6, 4),
            )
        ]
        truth = Convolution(*arrays, padding="same")
        expected = truth.value()
        bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
        found = array(ops.separable_conv(*arrays, padding="same"))
        assert np.all(np.abs(found - expected) <= bound["value"])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", list(ops.implementations()))
def test_pointwise(name, data_format, rng):
    for rank in (1, 2, 3):
        inputs = rng.standard_normal((2, *(5, 1, 4)[:rank], 3))
        kernel = rng.standard_normal((*(1,) * rank, 3, 4))
        bias = rng.standard_normal(4)
        cotangent = rng.standard_normal((*inputs.shape[:-1], 4))
        given = inputs, cotangent
        if data_format == "channels_first":
            given = [np.moveaxis(array, -1, 1) for array in given]
        given, flow = given

        def run(inputs, kernel, bias):
            return ops.pointwise_conv(
                inputs, kernel, data_format, name, bias=bias
            )

        tensors = [tensor(a) for a in (given, kernel, bias)]
        found = array(run(*tensors))
        if data_format == "channels_first":
            found = np.moveaxis(found, 1, -1)
        matrix = kernel.reshape(3, 4)
        np.testing.assert_allclose(found, inputs @ matrix + bias, atol=1e-5)
        symbolic = run(keras.Input(given.shape[1:]), *tensors[1:])
        assert symbolic.shape == (None, *flow.shape[1:])
        if not HAS_GRADIENTS:
            continue
        expected = (
            cotangent @ matrix.T,
            inputs.reshape(-1, 3).T @ cotangent.reshape(-1, 4),
            cotangent.reshape(-1, 4).sum(0),
        )
        found = [array(g) for g in gradients(run, tensors, tensor(flow))]
        if data_format == "channels_first":
            found[0] = np.moveaxis(found[0], 1, -1)
        for one, other in zip(found, expected, strict=True):
            other = other.reshape(one.shape)
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_nothing_to_convolve():
    nothing = np.zeros((2, 0, 5, 3), "float32")
    found = ops.pointwise_conv(nothing, POINTWISE[:, :, :3])
    assert tuple(found.shape) == (2, 0, 5, 5)
    # The output consists of padding, so it must be the bias. If the weights
    # were summed, they would overflow.
    kernel = np.full((3, 800, 1), 60, "float16")
    steps = np.zeros((1, 0, 800), "float16")
    bias = np.ones(800, "float16")
    found = array(ops.depthwise_conv(steps, kernel, padding=3, bias=bias))
    np.testing.assert_array_equal(found, np.ones((1, 4, 800)))
    for padding in ("same", "causal", 1):
        found = ops.depthwise_conv(steps, kernel, padding=padding)
        assert tuple(found.shape) == (1, 0, 800)


BAD_CALLS = {
    "kernel_rank": (
        {"depthwise_kernel": np.ones((3, 2))},
        "`depthwise_kernel` must have the shape (*kernel_size, channels,",
    ),
    "kernel_rank_6": (
        {"depthwise_kernel": np.ones((1, 1, 1, 1, 3, 1))},
        "with 1 to 3 spatial axes",
    ),
    "kernel_empty": (
        {"depthwise_kernel": np.ones((3, 0, 3, 1))},
        "every size known and positive",
    ),
    "inputs_rank": (
        {"inputs": np.ones((8, 7, 3))},
        "`inputs` must have rank 4, (batch, rows, cols, channels)",
    ),
    "inputs_rank_first": (
        {"inputs": np.ones((8, 7, 3)), "data_format": "channels_first"},
        "`inputs` must have rank 4, (batch, channels, rows, cols)",
    ),
    "channels": (
        {"inputs": np.ones((2, 8, 7, 4))},
        "the number of channels of `inputs` must be 3, as in the weights",
    ),
    "too_small": (
        {"inputs": np.ones((2, 8, 2, 3))},
        "along cols the kernel spans 3",
    ),
    "pointwise_depth": (
        {"pointwise_kernel": np.ones((1, 1, 3, 5))},
        "`pointwise_kernel` must have the shape (1, 1, 6, filters)",
    ),
    "pointwise_size": (
        {"pointwise_kernel": np.ones((3, 1, 6, 5))},
        "`pointwise_kernel` must have the shape (1, 1, 6, filters)",
    ),
    "pointwise_rank": (
        {"pointwise_kernel": np.ones((6, 5))},
        "`pointwise_kernel` must have the shape (1, 1, 6, filters)",
    ),
    "no_filters": (
        {"pointwise_kernel": np.ones((1, 1, 6, 0))},
        "`pointwise_kernel` must have the shape (1, 1, 6, filters)",
    ),
    "bias": ({"bias": np.ones(6)}, "`bias` must have the shape (5,)"),
    "bias_rank": ({"bias": np.ones((1, 5))}, "`bias` must have the shape (5,)"),
    "padding": ({"padding": "full"}, '`padding` must be "valid", "same", a'),
    "causal": ({"padding": "causal"}, "`padding` must be"),
    "zeros": ({"padding": -1}, "`padding` must be"),
    "zeros_pair": ({"padding": [[1, 2, 3], 1]}, "`padding` must be"),
    "zeros_deep": ({"padding": [[[1, 2], 1], 1]}, "`padding` must be"),
    "zeros_length": ({"padding": [1, 1, 1]}, "`padding` must be"),
    "zeros_half": ({"padding": [1, 0.5]}, "`padding` must be"),
    "strides": ({"strides": 0}, "`strides` must be a positive whole number"),
    "dilation": ({"dilation_rate": (1, 2, 3)}, "`dilation_rate` must be"),
    "implementation": ({"implementation": "x"}, "`implementation` must be"),
    "implementations": ({"implementation": ["x"]}, "`implementation` must be"),
}


@pytest.mark.parametrize(
    ("change", "message"), BAD_CALLS.values(), ids=BAD_CALLS.keys()
)
def test_bad_calls_say_the_same_eager_and_symbolic(change, message):
    arguments = {
        "inputs": INPUTS,
        "depthwise_kernel": DEPTHWISE,
        "pointwise_kernel": POINTWISE,
        "bias": BIAS,
        **change,
    }
    with pytest.raises(ValueError, match="Received: ") as eager:
        ops.separable_conv(**arguments)
    shape = arguments["inputs"].shape
    arguments["inputs"] = keras.Input(batch_shape=shape)
    with pytest.raises(ValueError, match="Received: ") as symbolic:
        ops.separable_conv(**arguments)
    text = str(eager.value)
    assert message in text
    assert text == str(symbolic.value)
    name = text[: text.index("` must")].split("`")[-1]
    assert text.rsplit("Received: ", 1)[1].startswith((f"{name}=", f"{name}."))


@pytest.mark.parametrize(
    "name", ["inputs", "depthwise_kernel", "pointwise_kernel"]
)
@pytest.mark.parametrize("value", [None, "image", object()])
def test_arguments_that_are_no_tensors(name, value):
    arguments = {
        "inputs": INPUTS,
        "depthwise_kernel": DEPTHWISE,
        "pointwise_kernel": POINTWISE,
        name: value,
    }
    with pytest.raises(TypeError, match=f"`{name}` must be a tensor") as caught:
        ops.separable_conv(**arguments)
    assert str(caught.value).endswith(f"Received: {name}={value!r}")


@pytest.mark.parametrize(
    ("function", "kernel"),
    [
        (ops.depthwise_conv, DEPTHWISE),
        (ops.pointwise_conv, POINTWISE[:, :, :3]),
    ],
)
def test_errors_name_the_function_and_its_arguments(function, kernel):
    good = {"inputs": INPUTS, "kernel": kernel, "bias": None}
    for name in good:
        with pytest.raises(TypeError, match=f"`{name}` must be a tensor"):
            function(**{**good, name: "image"})
        message = f"{function.__name__}: `{name}` must have"
        with pytest.raises(ValueError, match=message):
            function(**{**good, name: np.ones((3, 2))})


def test_implementations_names_its_own_arguments():
    with pytest.raises(ValueError, match="pointwise_conv: `kernel` must have"):
        ops.pointwise_conv(INPUTS, np.ones((3, 2)))
    wrong = np.ones((3, 2))
    with pytest.raises(ValueError, match="implementations: `depthwise_kernel`"):
        ops.implementations(INPUTS, wrong)
    with pytest.raises(ValueError, match="implementations: `pointwise_kernel`"):
        ops.implementations(INPUTS, DEPTHWISE, wrong)
    with pytest.raises(TypeError, match="`inputs` must be a tensor"):
        ops.implementations("image", DEPTHWISE)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_weights_of_which_not_even_the_rank_is_known(place):
    """Only TensorFlow has such tensors."""
    shapes = [array.shape for array in (INPUTS, DEPTHWISE, POINTWISE, BIAS)]
    shapes[place] = None
    signature = ops.SeparableConv.signature
    options = (1, "valid", "channels_last", 1)
    dtypes = ("float32",) * 4
    with pytest.raises(ValueError, match="must have the shape") as caught:
        _facts._find(signature, tuple(shapes), dtypes, options, "float32")
    received = f"Received: {signature[place + 1]}.shape=None"
    assert str(caught.value).endswith(received)


def test_the_facts_of_a_call_are_found_once(monkeypatch):
    def found(*args):
        raise AssertionError("once more")

    def run(bias):
        options = ((1, 2), ((1, 0), (0, 4)), None, 1)
        return ops.depthwise_conv(INPUTS, DEPTHWISE, *options, bias=bias)

    expected = array(run(BIAS[:1].repeat(6)))
    monkeypatch.setattr(ConvSpec, "normalise", found)
    np.testing.assert_array_equal(array(run(BIAS[:1].repeat(6))), expected)
    with pytest.raises(AssertionError, match="once more"):
        run(None)


def test_implementations():
    names = ops.implementations()
    # On TensorFlow it is another name of the first.
    slowest = "taps" if BACKEND == "tensorflow" else "portable"
    assert list(names)[-1] == slowest
    assert set(names.values()) == {None}
    found = ops.implementations(keras.Input((8, 7, 3)), DEPTHWISE, POINTWISE)
    assert found["portable"] is None
    with pytest.raises(ValueError, match="as large as the kernel"):
        ops.implementations(keras.Input((2, 2, 3)), DEPTHWISE)
    with pytest.raises(ValueError, match="spans 5"):
        ops.implementations(keras.Input((4, 4, 3)), DEPTHWISE, dilation_rate=2)
    if BACKEND == "numpy":
        double = np.ones((2, 8, 7, 3))
        kernel = np.ones((3, 3, 3, 1))
        assert "float32" in ops.implementations(double, kernel)["portable"]


@st.composite
def convolutions(draw):
    """Draws a case from all possible arguments, and a seed."""
    rank = draw(st.sampled_from((1, 2, 2, 3)))

    def each_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    # With three axes the numbers are smaller, because the reference is slow.
    kernel_size = each_axis(1, 3 if rank == 3 else 5)
    dilation = each_axis(1, 2 if rank == 3 else 3)
    zeros = each_axis(0, 3)
    pairs = [[n, draw(st.integers(0, 3))] for n in zeros]
    paddings = ["valid", "same", zeros[0], zeros, pairs]
    padding = draw(st.sampled_from(paddings + ["causal"] * (rank == 1)))
    sizes = []
    for axis, (k, d) in enumerate(zip(kernel_size, dilation, strict=True)):
        span = (k - 1) * d + 1
        if padding in ("same", "causal"):
            around = span - 1
        elif padding == "valid":
            around = 0
        elif isinstance(padding, int):
            around = 2 * padding
        else:
            each = padding[axis]
            around = 2 * each if isinstance(each, int) else sum(each)
        smallest = max(span - around, 1)
        sizes.append(draw(st.integers(smallest, smallest + 6 // rank)))
    return {
        "sizes": sizes,
        "kernel_size": kernel_size,
        "batch": draw(st.integers(1, 3)),
        "channels": draw(st.integers(1, 5)),
        "multiplier": draw(st.integers(1, 3)),
        "filters": draw(st.integers(1, 6)),
        "seed": draw(st.integers(0, 2**16)),
        "options": {
            "strides": each_axis(1, 3),
            "padding": padding,
            "data_format": draw(
                st.sampled_from(("channels_last", "channels_first"))
            ),
            "dilation_rate": dilation,
        },
    }


@pytest.mark.slow("it compiles a drawn convolution twenty times")
@given(convolutions())
def test_any_convolution(case):
    rng = np.random.default_rng(case["seed"])
    options = case["options"]
    wide = case["channels"] * case["multiplier"]
    inputs = rng.standard_normal(
        (case["batch"], *case["sizes"], case["channels"])
    )
    if options["data_format"] == "channels_first":
        inputs = np.moveaxis(inputs, -1, 1)
    ones = (1,) * len(case["sizes"])
    arrays = [
        np.asarray(a, "float32")
        for a in (
            inputs,
            rng.standard_normal(
                (*case["kernel_size"], case["channels"], case["multiplier"])
            ),
            rng.standard_normal((*ones, wide, case["filters"])),
            rng.standard_normal(case["filters"]),
        )
    ]
    truth = Convolution(*arrays, **options)
    expected = truth.value()
    cotangent = rng.standard_normal(expected.shape).astype("float32")
    bounds = truth.tolerances(cotangent, EPSILON["float32"])

    def run(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(
            inputs, depthwise, pointwise, bias=bias, **options
        )

    symbolic = run(keras.Input(batch_shape=arrays[0].shape), *arrays[1:])
    assert symbolic.shape == expected.shape
    tensors = [tensor(a) for a in arrays]
    if not HAS_GRADIENTS:
        found = array(run(*tensors))
        assert np.all(np.abs(found - expected) <= bounds["value"])
        return
    value, found = value_and_gradients(run, tensors, tensor(cotangent))
    assert np.all(np.abs(array(value) - expected) <= bounds["value"])
    names = ("inputs", "depthwise", "pointwise", "bias")
    slopes = truth.gradients(cotangent)
    for name, gradient in zip(names, found, strict=True):
        error = np.abs(array(gradient) - slopes[name])
        assert np.all(error <= bounds[name]), name


@pytest.mark.parametrize("name", list(ops.implementations()))
def test_a_named_kernel_in_a_model_of_unknown_sizes(name, rng):
    inputs = keras.Input((None, None, 3))
    kernel = rng.standard_normal((3, 3, 3, 1)).astype("float32")
    outputs = ops.depthwise_conv(inputs, kernel, implementation=name)
    image = rng.standard_normal((1, 6, 5, 3)).astype("float32")
    found = array(keras.Model(inputs, outputs)(image))
    expected = array(ops.depthwise_conv(image, kernel))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_equal_arguments_of_another_type_are_refused_after_the_right_ones():
    ops.depthwise_conv(INPUTS, DEPTHWISE, strides=1)
    with pytest.raises(TypeError, match="strides"):
        ops.depthwise_conv(INPUTS, DEPTHWISE, strides=True)
    with pytest.raises(TypeError, match="dilation_rate"):
        ops.depthwise_conv(INPUTS, DEPTHWISE, dilation_rate=(1, True))


def test_the_configuration_may_change_between_two_calls():
    """What is found once for each call depends on it."""
    kernel = np.ones((3, 3, 3, 2), "int32")
    images = np.ones((2, 8, 3, 3), "int32")

    def found():
        outputs = ops.depthwise_conv(images, kernel)
        dtype = keras.backend.standardize_dtype(outputs.dtype)
        return tuple(outputs.shape), dtype

    assert found() == ((2, 6, 1, 6), "float32")
    keras.config.set_floatx("float16")
    try:
        assert found() == ((2, 6, 1, 6), "float16")
        keras.config.set_image_data_format("channels_first")
        with pytest.raises(ValueError, match="channels_first"):
            found()
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")
