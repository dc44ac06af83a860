"""Where stock Keras 3.15.1 is wrong or gives up, our layers must be right.

Each test has the name of a row in docs/stock_defects.md, and says in one
sentence what stock Keras does wrong and why. All tests run on every backend,
not only on those with the defect.
"""

import concurrent.futures
import json
import pathlib
import threading

import keras
import numpy as np
import pytest
from backends import (
    BACKEND,
    EPSILON,
    HAS_GRADIENTS,
    KERAS,
    array,
    compiled,
    gradients,
    needs_gradients,
    tensor,
)
from reference import Convolution

from keras_sepconv import (
    SeparableConv2D,
    layer_separable_conv_2d,
    layers,
    ops,
)

HALF = ("float16", "bfloat16")
HERE = pathlib.Path(__file__).parent


def arrays(shape, multiplier=1, filters=4, size=3, seed=0):
    """Returns channels_last inputs, kernels and a bias."""
    rng = np.random.default_rng(seed)
    channels = shape[-1]
    return [
        rng.standard_normal(s).astype("float32")
        for s in (
            shape,
            (size, size, channels, multiplier),
            (1, 1, channels * multiplier, filters),
            (filters,),
        )
    ]


def test_w1_channels_first_bias_where_the_width_equals_the_filters():
    """`keras.ops.add` on TensorFlow adds such a bias along the width."""
    inputs, depthwise, pointwise, bias = arrays((2, 6, 5, 3), filters=5)
    inputs = np.moveaxis(inputs, -1, 1)
    options = {"padding": "same", "data_format": "channels_first"}
    truth = Convolution(inputs, depthwise, pointwise, bias, **options)
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
    layer = SeparableConv2D(5, 3, **options)
    layer.build(inputs.shape)
    layer.set_weights([depthwise, pointwise, bias])
    model = keras.Sequential([layer])
    for found in (array(layer(inputs)), model.predict(inputs, verbose=0)):
        assert np.all(np.abs(found - expected) <= bound["value"])


@needs_gradients
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_w3_w4_bias_gradient_in_half_precision(dtype, how):
    """JAX and eager TensorFlow sum it in half precision and lose most of it."""
    inputs, depthwise, pointwise, bias = arrays((1, 96, 96, 2), filters=2)

    def run(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(
            inputs, depthwise, pointwise, padding="same", bias=bias
        )

    function = run if how == "eager" else compiled(run, -1)
    tensors = [tensor(a, dtype) for a in (inputs, depthwise, pointwise, bias)]
    cotangent = np.full((1, 96, 96, 2), 0.125)
    found = gradients(function, tensors, tensor(cotangent, dtype))[3]
    np.testing.assert_allclose(array(found), 96 * 96 / 8, rtol=0.005)


@needs_gradients
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_w3_w4_training_moves_the_bias_by_the_true_step(policy):
    """The same in `fit`: one step of SGD shows the gradient."""
    layer = SeparableConv2D(1, 1, dtype=policy, use_bias=True)
    model = keras.Sequential([keras.Input((96, 96, 1)), layer])
    model.compile(keras.optimizers.SGD(1.0), MeanAsFloat32(), jit_compile=False)
    model.fit(
        np.zeros((1, 96, 96, 1)), np.zeros((1, 96, 96, 1)), verbose=0, epochs=1
    )
    np.testing.assert_allclose(array(layer.bias), -1, rtol=0.01)


class MeanAsFloat32(keras.losses.Loss):
    def call(self, truth, outputs):
        return keras.ops.mean(keras.ops.cast(outputs, "float32"))


@needs_gradients
@pytest.mark.parametrize("dtype", HALF)
def test_w5_depthwise_gradient_in_half_precision(dtype):
    """TensorFlow accumulates the depthwise kernel's gradient in float16."""
    inputs, depthwise, _, _ = arrays((4, 48, 48, 3))
    inputs = np.abs(inputs)

    def run(inputs, depthwise):
        return ops.depthwise_conv(inputs, depthwise, padding="same")

    inputs, depthwise = (array(tensor(a, dtype)) for a in (inputs, depthwise))
    cotangent = np.full((4, 48, 48, 3), 0.0625)
    truth = Convolution(inputs, depthwise, padding="same")
    tensors = [tensor(a, dtype) for a in (inputs, depthwise)]
    found = gradients(run, tensors, tensor(cotangent, dtype))[1]
    np.testing.assert_allclose(
        array(found),
        truth.gradients(cotangent)["depthwise"],
        rtol=2 * EPSILON[dtype],
    )


UNKNOWN_SIZES = {
    "fits": ((2, 8, 7, 3), (2, 6, 5, 4)),
    "just": ((2, 3, 3, 3), (2, 1, 1, 4)),
    "no_rows_left": ((2, 2, 7, 3), (2, 0, 5, 4)),
    "no_cols_left": ((2, 8, 2, 3), (2, 6, 0, 4)),
    "no_batch": ((0, 8, 7, 3), (0, 6, 5, 4)),
}


@pytest.mark.parametrize(
    ("shape", "expected"), UNKNOWN_SIZES.values(), ids=UNKNOWN_SIZES.keys()
)
def test_w6_w14_no_output_left(shape, expected):
    """Stock returns uninitialised memory (TensorFlow) or nothing (JAX)."""
    values = [tensor(a) for a in arrays(shape)]

    def run(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(inputs, depthwise, pointwise, bias=bias)

    if 0 in expected[1:]:
        with pytest.raises(ValueError, match="must be as large as the kernel"):
            run(*values)
        if BACKEND != "tensorflow":  # All others know the sizes when traced.
            return
    found = compiled(run, -1)(*values)
    assert tuple(found.shape) == expected
    if HAS_GRADIENTS:
        pulled = gradients(compiled(run, -1), values, tensor(np.ones(expected)))
        empty = 0 in expected
        for gradient, value in zip(pulled, values, strict=True):
            assert gradient.shape == value.shape
            assert empty == (not np.any(array(gradient)))


if BACKEND == "tensorflow":

    @pytest.mark.parametrize(
        ("unknown", "shape", "strides", "padding", "expected"),
        [
            ((None, 0, 7, 3), (5, 0, 7, 3), 1, "same", (5, 0, 7, 4)),
            ((0, None, 7, 3), (0, 5, 7, 3), 2, "same", (0, 3, 4, 4)),
            ((0, 8, None, 3), (0, 8, 2, 3), 1, "valid", (0, 6, 0, 4)),
        ],
    )
    def test_e2_one_size_is_zero_and_another_unknown(
        unknown, shape, strides, padding, expected
    ):
        """The static check and the run-time check each see only one size."""
        import tensorflow as tf

        values = [tensor(a) for a in arrays((2, 8, 7, 3))[1:]]

        @tf.function(input_signature=[tf.TensorSpec(unknown)])
        def run(inputs):
            return ops.separable_conv(inputs, *values[:2], strides, padding)

        assert tuple(run(tf.zeros(shape)).shape) == expected


@pytest.mark.parametrize(
    ("shape", "strides", "padding", "data_format", "how"),
    [
        ((0, 8, 7, 3), 1, "valid", "channels_last", "eager"),
        ((0, 8, 7, 3), 2, "same", "channels_first", "compiled"),
        ((0, 8, 7, 3), (2, 1), "valid", "channels_first", "eager"),
        ((0, 8, 7, 3), 1, "same", "channels_last", "compiled"),
        ((0, 8, 7, 3), 2, "valid", "channels_last", "compiled"),
        # A kernel does not fit into no rows: W6 and W14.
        ((2, 0, 7, 3), 1, "same", "channels_last", "eager"),
        ((2, 0, 7, 3), 2, "same", "channels_first", "eager"),
        ((2, 0, 7, 3), (2, 1), "same", "channels_last", "compiled"),
        ((2, 0, 7, 3), 1, "same", "channels_first", "compiled"),
    ],
)
def test_w7_e2_empty_batches_and_images(
    shape, strides, padding, data_format, how
):
    """TensorFlow returns the input's shape, and gradients of garbage."""
    inputs, *weights = arrays(shape)
    first = data_format == "channels_first"
    inputs = np.moveaxis(inputs, -1, 1) if first else inputs
    values = [tensor(a) for a in (inputs, *weights)]

    def run(inputs, depthwise, pointwise, bias):
        return ops.separable_conv(
            inputs,
            depthwise,
            pointwise,
            strides,
            padding,
            data_format,
            bias=bias,
        )

    function = run if how == "eager" else compiled(run, 1 if first else -1)
    found = function(*values)
    expected = run(keras.Input(batch_shape=inputs.shape), *weights).shape
    assert tuple(found.shape) == expected
    assert 0 in expected
    if HAS_GRADIENTS:
        cotangent = tensor(np.ones(expected))
        for gradient, value in zip(
            gradients(function, values, cotangent), values, strict=True
        ):
            assert gradient.shape == value.shape
            assert not np.any(array(gradient))


def test_w10_float64_is_float64(double_precision):
    """Keras's numpy backend computes it in float32 through JAX."""
    values = [a.astype("float64") for a in arrays((2, 8, 7, 3))]
    truth = Convolution(*values)
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON["float64"])
    x, d, p, b = (tensor(a, "float64") for a in values)
    if BACKEND == "numpy":
        x, d, p, b = values
    runs = ops.implementations(x, d, p)
    for name in [name for name, why_not in runs.items() if why_not is None]:
        found = ops.separable_conv(x, d, p, bias=b, implementation=name)
        assert keras.backend.standardize_dtype(found.dtype) == "float64"
        assert np.all(np.abs(array(found) - expected) <= bound["value"]), name


if BACKEND == "torch":

    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    @pytest.mark.parametrize("strides", [1, 2, 3])
    @pytest.mark.parametrize("size", [2, 3, 4])
    def test_w13_e9_export_with_unknown_sizes(size, strides, data_format):
        """Keras decides in Python code, by the padding of the example."""
        import torch

        options = {
            "padding": "same",
            "strides": strides,
            "data_format": data_format,
        }
        weights = arrays((1, 1, 1, 3), size=size)[1:]

        class Model(torch.nn.Module):
            def forward(self, inputs):
                depthwise, pointwise, bias = (tensor(a) for a in weights)
                return ops.separable_conv(
                    inputs, depthwise, pointwise, bias=bias, **options
                )

        rng = np.random.default_rng(0)
        any_size = torch.export.Dim.DYNAMIC
        channels = 1 if data_format == "channels_first" else 3
        exported = torch.export.export(
            Model(),
            (tensor(np.moveaxis(np.zeros((2, 9, 8, 3)), -1, channels)),),
            dynamic_shapes=(
                {axis: any_size for axis in range(4) if axis != channels},
            ),
        ).module()
        for sizes in ((3, 9, 8), (1, 8, 9), (2, 10, 7), (2, 7, 12)):
            inputs = rng.standard_normal((*sizes, 3)).astype("float32")
            inputs = np.moveaxis(inputs, -1, channels)
            truth = Convolution(
                inputs, *weights, **{**options, "strides": (strides, strides)}
            )
            expected = truth.value()
            bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
            found = array(exported(tensor(inputs)))
            assert np.all(np.abs(found - expected) <= bound["value"])

    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    def test_e7_vmap(data_format):
        """Keras asks for a memory format, which `vmap` does not support."""
        import torch

        values = arrays((4, 2, 6, 7, 3))
        inputs = values[0]
        if data_format == "channels_first":
            inputs = np.moveaxis(inputs, -1, 2)
        options = {"padding": "same", "data_format": data_format}

        def run(inputs):
            depthwise, pointwise, bias = (tensor(a) for a in values[1:])
            return ops.separable_conv(
                inputs, depthwise, pointwise, bias=bias, **options
            )

        found = array(torch.func.vmap(run)(tensor(inputs)))
        for one, image in zip(found, inputs, strict=True):
            truth = Convolution(image, *values[1:], **options)
            expected = truth.value()
            bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
            assert np.all(np.abs(one - expected) <= bound["value"])


def test_w15_pointwise_kernel_of_the_wrong_depth():
    """`keras.ops.separable_conv` accepts it in a symbolic call."""
    with pytest.raises(ValueError, match=r"must have the shape \(1, 1, 6, f"):
        ops.separable_conv(
            keras.Input((8, 7, 3)),
            np.ones((3, 3, 3, 2)),
            np.ones((1, 1, 3, 4)),
        )


def test_w17_one_channel_and_one_column_left():
    """torch misreads the strides of a single channel in channels_last."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((3, 7, 4, 1)).astype("float32")
    kernel = rng.standard_normal((2, 2, 1, 1)).astype("float32")
    options = {"strides": (1, 3), "padding": "valid"}
    truth = Convolution(inputs, kernel, **options)
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
    found = ops.depthwise_conv(tensor(inputs), tensor(kernel), **options)
    assert np.all(np.abs(array(found) - expected) <= bound["value"])


def test_w16_padding_full():
    """`keras.ops.separable_conv` on torch takes it for "valid"."""
    x, d, p, _ = arrays((2, 8, 7, 3))
    with pytest.raises(ValueError, match='must be "valid", "same", a'):
        ops.separable_conv(x, d, p, padding="full")


@pytest.mark.parametrize("strides", [(1, 2), (3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_e1_unequal_strides(strides, dtype, padding, double_precision):
    """TensorFlow supports them only in float32, and only with oneDNN."""
    values = [array(tensor(a, dtype)) for a in arrays((2, 9, 8, 3))]
    options = {"strides": strides, "padding": padding}
    truth = Convolution(*values, **options)
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON[dtype])
    x, d, p, b = (tensor(a, dtype) for a in values)
    found = ops.separable_conv(x, d, p, bias=b, **options)
    assert np.all(np.abs(array(found) - expected) <= bound["value"])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_e3_integer_inputs(dtype, policy):
    """A functional model for uint8 images is built, but fails when run."""
    images = np.random.default_rng(0).integers(0, 2, (2, 8, 7, 3))
    layer = SeparableConv2D(4, 3, dtype=policy)
    inputs = keras.Input((8, 7, 3), dtype=dtype)
    model = keras.Model(inputs, layer(inputs))
    assert model.output.dtype == layer.compute_dtype
    found = model.predict(images.astype(dtype), verbose=0)
    expected = array(layer(images.astype("float32")))
    np.testing.assert_allclose(
        found.astype("float32"), expected, rtol=0.01, atol=0.01
    )


if BACKEND == "tensorflow":

    @pytest.mark.slow("the defect shows in one graph of ten")
    def test_e4_a_kernel_of_one_weight():
        """oneDNN aborts in a graph, one time in ten or so.

        It cannot reorder the single weight of a pointwise kernel with a bias,
        or of a 1x1 depthwise kernel.
        """
        import tensorflow as tf

        rng = np.random.default_rng(0)
        for _ in range(80):
            size, stride, rows = rng.integers([1, 1, 4], [5, 3, 20]).tolist()
            layer = SeparableConv2D(
                1, size, strides=stride, padding="same", bias_initializer="ones"
            )
            inputs = rng.standard_normal((2, rows, rows, 1)).astype("float32")
            expected = array(layer(inputs))
            found = tf.function(layer)(tensor(inputs))
            np.testing.assert_allclose(array(found), expected, atol=1e-5)

    @pytest.mark.parametrize("strides", [1, 2])
    @pytest.mark.parametrize("size", [3, 9])
    def test_e8_vectorized_map(size, strides):
        """TensorFlow can map its depthwise operation only with the kernel.

        Our kernel `taps` uses operations that TensorFlow can map over images.
        """
        import tensorflow as tf

        inputs, *weights = map(tensor, arrays((2, 6, 5, 3), size=size))

        def run(inputs):
            return ops.separable_conv(
                inputs, *weights[:2], strides, "same", implementation="taps"
            )

        stack = tf.stack([inputs, 2 * inputs, -inputs])
        found = tf.vectorized_map(run, stack, fallback_to_while_loop=False)
        expected = tf.stack([run(inputs) for inputs in stack])
        np.testing.assert_allclose(array(found), array(expected), atol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **k: SeparableConv2D(4, 3, **k),
        lambda **k: SeparableConv2D(4, 3, depthwise_use_bias=True, **k),
        lambda **k: layers.DepthwiseConv2D(3, **k),
        lambda **k: layers.Conv2D(4, 1, **k),
    ],
    ids=["separable", "in_two_steps", "depthwise", "pointwise"],
)
def test_e11_stateless_call_under_mixed_precision(policy, make):
    """The weights are not cast: a dtype mismatch, or float32 results."""
    layer = make(dtype=policy)
    inputs = tensor(np.ones((2, 8, 7, 3)))
    expected = layer(inputs)
    found, _ = layer.stateless_call(
        [v.value for v in layer.trainable_variables],
        [v.value for v in layer.non_trainable_variables],
        inputs,
    )
    dtype = keras.backend.standardize_dtype(found.dtype)
    assert dtype == layer.compute_dtype
    np.testing.assert_array_equal(array(found), array(expected))


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float32", "float16", "float16"), "float32"),
        (("float16", "float16", "float32"), "float32"),
        (("float16", "bfloat16", "bfloat16"), "float32"),
        (("uint8", "float32", "float32"), "float32"),
        (("int32", "float16", "float16"), "float16"),
        (("uint8", "int32", "int32"), "float32"),
    ],
)
def test_e12_mixed_dtypes_are_promoted(dtypes, expected):
    """In stock Keras, each backend raises another error."""
    values = [np.ones(s) for s in ((1, 8, 7, 3), (3, 3, 3, 1), (1, 1, 3, 4))]
    found = ops.separable_conv(
        *(tensor(a, d) for a, d in zip(values, dtypes, strict=True))
    )
    assert keras.backend.standardize_dtype(found.dtype) == expected
    np.testing.assert_array_equal(array(found), 27)


@pytest.mark.parametrize("strides", [[2, 2], np.int64(2), 2.0, (2.0, 2)])
def test_e13_e14_strides_as_lists_and_numpy_integers(strides):
    """Raw TypeErrors on TensorFlow, and anywhere for NumPy integers."""
    x, d, p, _ = arrays((1, 8, 7, 3))
    found = ops.separable_conv(x, d, p, strides=strides)
    assert tuple(found.shape) == (1, 3, 3, 4)
    assert tuple(SeparableConv2D(4, 3, strides=strides)(x).shape) == (
        *(1, 3, 3, 4),
    )


@pytest.mark.parametrize("padding", [1, (0, 2), ((2, 0), (1, 3))], ids=str)
def test_e15_explicit_padding(padding):
    """The message of Keras's check mentions it, but nothing accepts it."""
    values = arrays((2, 6, 5, 3))
    truth = Convolution(*values, padding=padding)
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
    layer = SeparableConv2D(values[3].shape[0], 3, padding=padding)
    layer.build(values[0].shape)
    layer.set_weights(values[1:])
    x, d, p, b = (tensor(a) for a in values)
    for found in (
        layer(x),
        ops.separable_conv(x, d, p, padding=padding, bias=b),
    ):
        assert np.all(np.abs(array(found) - expected) <= bound["value"])


class WithGain(SeparableConv2D):
    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")


LAYERS = {
    "layer": (lambda: SeparableConv2D(4, 3), 3),
    "subclass": (lambda: WithGain(4, 3), 4),
    "weights": (
        lambda: layer_separable_conv_2d(
            None, 4, 3, weights=[np.ones(s) for s in SHAPES_OF_WEIGHTS]
        ),
        3,
    ),
}
SHAPES_OF_WEIGHTS = ((3, 3, 3, 1), (1, 1, 3, 4), (4,))


@pytest.mark.parametrize("repetition", range(3))
@pytest.mark.parametrize("kind", LAYERS)
def test_e17_first_call_from_several_threads(kind, repetition):
    """Each thread that finds the layer unbuilt adds its own weights."""
    make, count = LAYERS[kind]
    layer = make()
    inputs = tensor(np.ones((2, 8, 7, 3)))
    start = threading.Barrier(8)

    def work(_):
        start.wait()
        return array(layer(inputs))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert len(layer.weights) == count
    for result in found:
        np.testing.assert_array_equal(result, found[0])
    if kind == "weights":
        np.testing.assert_array_equal(found[0], 28)


@pytest.mark.parametrize("name", ["separable", "separable_mixed"])
def test_e18_a_config_of_tf_keras(name):
    """Keras 3 refuses arguments that tf.keras up to 2.15 saved."""
    path = HERE / "data" / f"tf_keras_{name}.json"
    config = json.loads(path.read_text())
    of_policy = AttributeError if KERAS < (3, 16) else ValueError
    with pytest.raises((TypeError, of_policy)):
        keras.layers.SeparableConv2D.from_config(config)
    before = json.dumps(config)
    layer = SeparableConv2D.from_config(config)
    assert json.dumps(config) == before
    assert layer.filters == config["filters"]
    assert layer.kernel_size == tuple(config["kernel_size"])
    assert layer.depth_multiplier == config["depth_multiplier"]
    policy = "mixed_float16" if name == "separable_mixed" else "float32"
    assert layer.dtype_policy.name == policy
    # An initializer object in the config has the fans of stock Keras.
    assert isinstance(
        layer.depthwise_initializer, keras.initializers.VarianceScaling
    )
    model = keras.Sequential([layer])
    assert model.input_shape == tuple(config["batch_input_shape"])
    assert model.inputs[0].dtype == "float32"
    again = SeparableConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_e18_groups_are_refused():
    """In tf.keras, the groups of a separable layer were always 1."""
    config = {**SeparableConv2D(4, 3).get_config(), "groups": 2}
    with pytest.raises(ValueError, match=r"`groups` must be 1.*: groups=2$"):
        SeparableConv2D.from_config(config)


def test_arguments_float_strides_do_not_spoil_later_layers():
    """In a cache 5.0 equals 5; on JAX every later layer would then fail."""
    x = arrays((1, 8, 7, 3))[0]
    SeparableConv2D(4, 3, strides=(5.0, 5.0))(x)
    SeparableConv2D(4, 3, strides=(5, 5))(x)
    stock = keras.layers.SeparableConv2D(4, 3, strides=(5, 5))
    assert tuple(stock(x).shape) == (1, 2, 1, 4)


def test_arguments_numpy_integers_survive_a_file(tmp_path):
    """They make a file that stock Keras cannot load."""
    layer = SeparableConv2D(
        np.int64(4), np.array([3, 3]), strides=np.int32(2), depth_multiplier=2.0
    )
    model = keras.Sequential([keras.Input((8, 7, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()


@pytest.mark.parametrize("road", ["layer", "helper"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": "4"},
        {"filters": None},
        {"filters": True},
        {"kernel_size": "3"},
        {"kernel_size": None},
        {"padding": None},
        {"strides": (2.5, 2.5)},
    ],
    ids=str,
)
def test_arguments_end_in_a_message_that_names_them(arguments, road):
    """Stock Keras raises raw errors, or raises them only at build."""
    (name,) = arguments
    arguments = {"filters": 4, "kernel_size": 3, **arguments}
    make = SeparableConv2D if road == "layer" else layer_separable_conv_2d
    with pytest.raises(
        (TypeError, ValueError), match=f"`{name}` (must be|is req)"
    ):
        make(**arguments)
