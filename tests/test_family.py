"""All helpers: tests of everything that they have in common."""

import copy
import inspect
import json
import pickle
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from backends import BACKEND, array, tensor

import keras_sepconv
from keras_sepconv import functional, layers

HELPERS = [
    name
    for name in functional.__all__
    if name not in ("layer_input", "keras_model_sequential")
]
OURS = {
    "layer_separable_conv_1d": layers.SeparableConv1D,
    "layer_separable_conv_2d": layers.SeparableConv2D,
    "layer_separable_conv_3d": layers.SeparableConv3D,
    "layer_depthwise_conv_1d": layers.DepthwiseConv1D,
    "layer_depthwise_conv_2d": layers.DepthwiseConv2D,
    "layer_depthwise_conv_3d": layers.DepthwiseConv3D,
}


def helper(name):
    return getattr(keras_sepconv, name)


def shape(name):
    rank = int(name.split("d_transpose")[0].rstrip("d")[-1])
    time = (3,) if "lstm" in name else ()
    return (2, *time, *(8,) * rank, 3)


def needed(name):
    """Returns the required arguments of a helper, as R passes them."""
    if "conv" not in name:
        return {}
    needed = {"kernel_size": 3.0}
    return needed if "depthwise" in name else {"filters": 4.0, **needed}


@pytest.fixture
def inputs(rng, request):
    name = request.getfixturevalue("name")
    return rng.standard_normal(shape(name)).astype("float32")


every_helper = pytest.mark.parametrize("name", HELPERS)
with_weights = pytest.mark.parametrize(
    "name", [name for name in HELPERS if "conv" in name]
)
without_weights = pytest.mark.parametrize(
    "name", [name for name in HELPERS if "conv" not in name]
)


def test_the_family_is_whole():
    wanted = {
        f"layer_{kind}_{rank}d"
        for kind in ("conv", "cropping", "upsampling", "zero_padding")
        for rank in (1, 2, 3)
    }
    wanted |= {f"layer_conv_{rank}d_transpose" for rank in (1, 2, 3)}
    wanted |= {"layer_conv_lstm_2d", *OURS}
    assert set(HELPERS) == wanted
    assert set(functional.__all__) <= set(keras_sepconv.__all__)


@every_helper
def test_the_class(name):
    layer = helper(name)(**needed(name))
    words = name.removeprefix("layer_").split("_")
    title = {"1d": "1D", "2d": "2D", "3d": "3D", "lstm": "LSTM"}
    title["upsampling"] = "UpSampling"
    words = "".join(title.get(word, word.title()) for word in words)
    expected = OURS.get(name) or getattr(keras.layers, words)
    assert type(layer) is expected


@every_helper
def test_none_a_sequential_and_tensors(name, inputs):
    keras.utils.set_random_seed(1)
    layer = helper(name)(**needed(name))
    expected = array(layer(tensor(inputs)))
    for given in (inputs, tensor(inputs), keras.Variable(inputs)):
        keras.utils.set_random_seed(1)
        found = helper(name)(given, **needed(name))
        np.testing.assert_array_equal(array(found), expected)
    symbolic = keras.Input(inputs.shape[1:])
    found = helper(name)(symbolic, **needed(name))
    assert found.shape == (None, *expected.shape[1:])
    model = keras.Sequential([keras.Input(inputs.shape[1:])])
    assert helper(name)(model, **needed(name)) is model
    assert model.output_shape == (None, *expected.shape[1:])
    with pytest.raises(TypeError, match="`object` must be None, a keras"):
        helper(name)("model", **needed(name))


@every_helper
def test_shapes_on_the_first_layer(name, inputs, recwarn):
    dtype = "float32" if "lstm" in name else "float16"
    options = {
        **needed(name),
        "input_shape": [float(size) for size in inputs.shape[1:]],
        "batch_size": 2.0,
        "dtype": dtype,
    }
    added = helper(name)(keras.Sequential(), **options)
    later = keras.Sequential()
    layer = helper(name)(**options)
    later.add(layer)
    wins = {"batch_input_shape": (None, *inputs.shape[1:])}
    other = helper(name)(keras.Sequential(), **options | wins)
    for model, batch in ((added, 2), (later, 2), (other, None)):
        assert model.built
        assert model.input_shape == (batch, *inputs.shape[1:])
        assert model.inputs[0].dtype == dtype
        assert type(model.layers[0]) is type(helper(name)(**needed(name)))
    model = keras.Sequential([keras.Input(inputs.shape[1:])])
    helper(name)(model, **options)
    assert model.input_shape == (None, *inputs.shape[1:])
    assert not recwarn.list


def config_in(path):
    with zipfile.ZipFile(path) as file:
        return json.dumps(json.loads(file.read("config.json")))


@every_helper
def test_a_layer_that_brings_its_input_is_copied_and_saved_as_plain(
    name, inputs, tmp_path
):
    options = {**needed(name), "name": "layer"}
    plain = helper(name)(**options)
    layer = helper(name)(**options, input_shape=inputs.shape[1:])
    # Only a Sequential gets an input; anyone may read the attribute.
    assert getattr(layer, "_input_shape_arg", "missing") is None
    serialize = keras.saving.serialize_keras_object
    assert serialize(layer) == serialize(plain)
    for twin in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        type(layer).from_config(layer.get_config()),
    ):
        assert type(twin) is type(plain)
        assert twin.get_config() == plain.get_config()
    model = keras.Sequential([keras.layers.ReLU(), layer])
    model = keras.models.clone_model(model)
    assert type(model.layers[1]) is type(plain)
    model.build(inputs.shape)
    model.save(tmp_path / "model.keras")
    assert "keras.src" not in config_in(tmp_path / "model.keras")
    assert "_first_input" not in config_in(tmp_path / "model.keras")


@with_weights
def test_a_shape_is_used_until_the_layer_is_built(name, inputs):
    attempts = []

    def fails_at_first(shape, dtype=None):
        attempts.append(shape)
        if len(attempts) == 1:
            raise RuntimeError("no numbers yet")
        return keras.ops.zeros(shape, dtype)

    parameters = inspect.signature(helper(name)).parameters
    part = "kernel" if "kernel_initializer" in parameters else "depthwise"
    options = {**needed(name), "batch_input_shape": inputs.shape}
    layer = helper(name)(**options, **{f"{part}_initializer": fails_at_first})
    with pytest.raises(RuntimeError, match="no numbers yet"):
        keras.Sequential([layer, keras.layers.ReLU()])
    assert keras.Sequential([layer]).input_shape == inputs.shape
    assert not keras.Sequential([layer]).built
    layer = helper(name)(**options)
    layer(inputs)
    assert not keras.Sequential([layer]).built


@every_helper
def test_wrong_shapes(name, inputs):
    sizes = inputs.shape[1:]
    for wrong in ((*sizes, 3), (*sizes[:-1], -1), (*sizes[:-1], 2.5)):
        with pytest.raises(ValueError, match="`input_shape` must be a shape"):
            helper(name)(input_shape=wrong, **needed(name))


@with_weights
def test_unknown_channels(name, inputs):
    wrong = (*inputs.shape[1:-1], None)
    with pytest.raises(ValueError, match="channel dimension of `input_shape`"):
        helper(name)(input_shape=wrong, **needed(name))


def integer_arguments(name):
    parameters = inspect.signature(helper(name)).parameters
    for argument in (
        "filters",
        "kernel_size",
        "strides",
        "dilation_rate",
        "depth_multiplier",
        "groups",
        "output_padding",
        "size",
        "cropping",
    ):
        if argument in parameters:
            yield argument
    if "zero_padding" in name:
        yield "padding"


@every_helper
def test_whole_numbers(name):
    for argument in integer_arguments(name):
        options = needed(name)
        if argument == "output_padding":
            options["strides"] = 2
        for value in (1.0, np.int64(1), np.float32(1)):
            options[argument] = value
            found = getattr(helper(name)(**options), argument)
            options[argument] = 1
            assert found == getattr(helper(name)(**options), argument)
        has_value = argument not in ("output_padding", *needed(name))
        may_be_0 = argument in ("padding", "cropping", "output_padding")
        rule = "a positive whole number"
        if may_be_0:
            rule = "a whole number, 0 or more"
            assert helper(name)(**{**options, argument: 0})
        for value, error in (
            *((1.5, ValueError), (True, TypeError)),
            (-1 if may_be_0 else 0, ValueError),
            *([(None, TypeError)] * has_value),
        ):
            with pytest.raises(error, match=f"`{argument}` must be {rule}"):
                helper(name)(**{**options, argument: value})
        with pytest.raises((TypeError, ValueError), match=argument):
            helper(name)(**{**options, argument: "one"})
        error = TypeError if is_one_number(name, argument) else ValueError
        with pytest.raises(error, match=r"a .*whole number.*=\[1, 1.5\]"):
            helper(name)(**{**options, argument: [1, 1.5]})


def is_one_number(name, argument):
    return argument in ("filters", "groups", "depth_multiplier") or (
        (name, argument) == ("layer_upsampling_1d", "size")
    )


@every_helper
def test_one_number_may_be_wrapped_but_no_matrix(name):
    for argument in integer_arguments(name):
        bare = {**needed(name), argument: 1}
        if argument == "output_padding":
            bare["strides"] = 2
        expected = getattr(helper(name)(**bare), argument)
        for wrapped in ([1.0], np.array([1.0])):
            layer = helper(name)(**{**bare, argument: wrapped})
            assert getattr(layer, argument) == expected
        if is_one_number(name, argument):
            with pytest.raises(TypeError, match="a positive whole number"):
                helper(name)(**{**bare, argument: np.array([[1.0, 2.0]])})


@with_weights
def test_padding_of_convolutions(name):
    assert helper(name)(**needed(name), padding="SAME").padding == "same"
    if name in OURS:
        assert helper(name)(**needed(name), padding=1.0).padding == 1
    else:
        for value in (1, None, [1, 1]):
            with pytest.raises(TypeError, match='`padding` must be "valid"'):
                helper(name)(**needed(name), padding=value)
    one_axis = ("layer_conv_1d", *(n for n in OURS if n.endswith("1d")))
    if name in one_axis:
        layer = helper(name)(**needed(name), padding="Causal")
        assert layer.padding == "causal"
    else:
        with pytest.raises(ValueError, match=r"`padding` .*='causal'$"):
            helper(name)(**needed(name), padding="causal")


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_zero_padding_is_a_number(rank):
    with pytest.raises(TypeError, match="`padding` must be a whole number"):
        helper(f"layer_zero_padding_{rank}d")(padding="same")


FLAGS = {
    *("use_bias", "unit_forget_bias", "return_sequences", "return_state"),
    *("go_backwards", "stateful", "trainable"),
}


@every_helper
def test_flags_and_words(name):
    parameters = inspect.signature(helper(name)).parameters
    for flag in FLAGS & set(parameters):
        layer = helper(name)(**needed(name), **{flag: np.True_})
        assert getattr(layer, flag) is True
        with pytest.raises(TypeError, match=f"`{flag}` must be True or False"):
            helper(name)(**needed(name), **{flag: "no"})
    for word, value in (
        ("data_format", "channels_last"),
        ("interpolation", "nearest"),
    ):
        if word in parameters:
            layer = helper(name)(**needed(name), **{word: value.title()})
            assert getattr(layer, word) == value
            for wrong, error in ((3, TypeError), ("area", ValueError)):
                with pytest.raises(error, match=f'`{word}` must be "{value}"'):
                    helper(name)(**needed(name), **{word: wrong})


@pytest.mark.parametrize(
    "way", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]
)
def test_every_interpolation_of_keras(way):
    assert helper("layer_upsampling_2d")(interpolation=way).interpolation == way


@pytest.mark.parametrize("kind", ["padding", "cropping"])
def test_pairs_of_pairs(kind):
    name = "layer_zero_padding_2d" if kind == "padding" else "layer_cropping_2d"
    for pairs in ([[1.0, 2.0], (0.0, 3)], np.array([[1.0, 2], [0, 3]])):
        layer = helper(name)(**{kind: pairs})
        assert getattr(layer, kind) == ((1, 2), (0, 3))
    for wrong in ([[1, 2, 3], [0, 3]], [[1], [0, 3]], [[1, -2], [0, 3]]):
        rule = f"`{kind}` must be a whole number, 0 or more, or a list of them"
        with pytest.raises(ValueError, match=rule) as caught:
            helper(name)(**{kind: wrong})
        ending = f", one for each axis, or of pairs. Received: {kind}={wrong}"
        assert str(caught.value).endswith(ending)


@with_weights
def test_required_arguments(name):
    for argument in needed(name):
        model = keras.Sequential()
        options = {**needed(name), argument: None}
        with pytest.raises(TypeError, match=f"`{argument}` is required"):
            helper(name)(model, **options)
        assert not model.layers


@with_weights
def test_weights(name, inputs, rng):
    plain = helper(name)(**needed(name))
    plain.build(inputs.shape)
    weights = [rng.standard_normal(w.shape) for w in plain.weights]
    for target in (None, keras.Sequential()):
        options = {"input_shape": inputs.shape[1:], "weights": weights}
        layer = helper(name)(target, **needed(name), **options)
        if target is None:
            layer.build(inputs.shape)
        for weight, expected in zip(layer.weights, weights, strict=True):
            np.testing.assert_allclose(array(weight), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="`weights` must be a list of"):
        helper(name)(**needed(name), weights=weights[:-1])
    model = keras.Sequential([keras.Input(inputs.shape[1:])])
    wrong = [np.zeros((2, 2)), *weights[1:]]
    with pytest.raises(ValueError, match="`weights` must have the shape"):
        helper(name)(model, **needed(name), weights=wrong)
    assert not model.layers


@with_weights
def test_a_wrong_last_weight_leaves_no_weights(name, inputs):
    plain = helper(name)(**needed(name))
    plain.build(inputs.shape)
    weights = [np.zeros(w.shape) for w in plain.weights[:-1]] + [np.zeros(7)]
    layer = helper(name)(**needed(name), weights=weights, name="mine")
    for _ in range(2):
        with pytest.raises(ValueError, match="for the bias of layer 'mine'"):
            layer(inputs)
        assert not layer.weights
        assert not layer.built


@pytest.mark.parametrize(
    "name", [name for name in HELPERS if "conv" not in name]
)
def test_a_layer_without_weights(name):
    assert not helper(name)(weights=[]).weights
    for weights in ([np.zeros(3)], "imagenet"):
        with pytest.raises(ValueError, match="`weights` must be None, because"):
            helper(name)(weights=weights)


@every_helper
def test_a_failed_add_leaves_the_model(name, inputs):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    before = [*model.layers]
    with pytest.raises(ValueError, match=r"rank|ndim|dimension"):
        helper(name)(model, **needed(name))
    assert model.layers == before
    assert model.built


@every_helper
def test_the_signature_is_that_of_the_layer(name):
    ours = inspect.signature(helper(name)).parameters
    stock = inspect.signature(type(helper(name)(**needed(name)))).parameters
    helpers_own = {
        "object",
        *("input_shape", "batch_input_shape", "batch_size", "weights"),
        *("dtype", "name", "trainable"),
    }
    layers_own = {"kwargs", "implementation", "seed"}
    layers_own |= {"depthwise_use_bias", "depthwise_activation"}
    if "transpose" in name:
        # Keras 3.6 takes it among its other keywords.
        helpers_own |= {"output_padding"}
        layers_own |= {"output_padding"}
    if name in ("layer_cropping_1d", "layer_zero_padding_1d"):
        layers_own |= {"data_format"}
    assert set(ours) - helpers_own == set(stock) - layers_own
    assert next(iter(ours)) == "object"


_DENSE = "filters kernel_size strides padding data_format dilation_rate"
_TRANSPOSE = (
    "filters kernel_size strides padding output_padding data_format "
    "dilation_rate activation"
)
_DEPTHWISE = (
    "kernel_size strides padding depth_multiplier data_format dilation_rate "
    "activation"
)
# How R's arguments after `object` begin, of each rank.
ORDERS = {
    "layer_conv_{}d": f"{_DENSE} groups activation",
    "layer_conv_{}d_transpose": _TRANSPOSE,
    "layer_conv_lstm_{}d": f"{_DENSE} activation recurrent_activation use_bias",
    "layer_separable_conv_{}d": f"{_DENSE} depth_multiplier activation",
    "layer_depthwise_conv_{}d": _DEPTHWISE,
    "layer_upsampling_{}d": "size",
    "layer_zero_padding_{}d": "padding",
    "layer_cropping_{}d": "cropping",
}
_STANDARD = (
    "input_shape batch_input_shape batch_size dtype name trainable weights"
)
# How they end: R has the first four, and `input_shape` of an LSTM.
_OTHERS = (
    "batch_size name trainable weights input_shape batch_input_shape dtype"
)


@every_helper
def test_the_arguments_are_in_the_order_of_r(name):
    expected = ORDERS[re.sub(r"\d", "{}", name)].split()
    found = list(inspect.signature(helper(name)).parameters)[1:]
    assert found[: len(expected)] == expected
    is_standard = "conv" in name and "lstm" not in name
    expected = _STANDARD if is_standard else _OTHERS
    assert " ".join(found[-7:]) == expected


@every_helper
def test_the_defaults_are_those_of_the_layer(name):
    layer = helper(name)(**needed(name))
    whole = {key: int(value) for key, value in needed(name).items()}
    config = type(layer)(**whole).get_config()
    config["name"] = layer.name
    if "lstm" in name:
        config["recurrent_activation"] = "hard_sigmoid"
    assert layer.get_config() == config


def test_a_file_of_stock_layers_needs_nothing_of_ours(tmp_path, rng):
    model = keras_sepconv.keras_model_sequential()
    model = helper("layer_zero_padding_2d")(model, 1.0, input_shape=(8, 8, 3))
    model = helper("layer_conv_2d")(model, 4.0, 3.0, activation="relu")
    model = helper("layer_upsampling_2d")(model)
    path, inputs = tmp_path / "stock.keras", rng.standard_normal((2, 8, 8, 3))
    model.save(path)
    assert "keras_sepconv" not in config_in(path)
    np.save(tmp_path / "inputs.npy", inputs.astype("float32"))
    np.save(tmp_path / "outputs.npy", model.predict(inputs, verbose=0))
    program = f"""
import keras, numpy as np, sys
model = keras.saving.load_model(r"{path}")
outputs = model.predict(np.load(r"{tmp_path / "inputs.npy"}"), verbose=0)
np.testing.assert_allclose(outputs, np.load(r"{tmp_path / "outputs.npy"}"))
assert "keras_sepconv" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@with_weights
def test_integers_as_dtype(name, inputs):
    model = keras.Sequential()
    options = {**needed(name), "dtype": "int32"}
    if name not in OURS:
        with pytest.raises(ValueError, match=r"must be a float.*'int32'$"):
            helper(name)(model, **options)
        assert not model.layers
        return
    helper(name)(model, **options, input_shape=inputs.shape[1:])
    assert (model.inputs[0].dtype, model.layers[0].dtype) == (
        *("int32", "float32"),
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding_of_integers(rank):
    model = keras.Sequential()
    options = {"dtype": "int32", "input_shape": (8,) * rank + (3,)}
    helper(f"layer_zero_padding_{rank}d")(model, 1, **options)
    assert model.inputs[0].dtype == model.outputs[0].dtype == "int32"


@every_helper
def test_the_configured_data_format_is_the_default_where_it_is_in_r(name):
    if "data_format" not in inspect.signature(helper(name)).parameters:
        return
    keras.config.set_image_data_format("channels_first")
    is_fixed = name in ("layer_conv_1d", "layer_separable_conv_1d")
    expected = "channels_last" if is_fixed else "channels_first"
    assert helper(name)(**needed(name)).data_format == expected


@pytest.mark.parametrize("kind", ["zero_padding", "cropping", "upsampling"])
def test_one_dimension_has_its_channels_last(kind):
    keras.config.set_image_data_format("channels_first")
    outputs = helper(f"layer_{kind}_1d")(np.ones((2, 8, 3), "float32"))
    steps = {"zero_padding": 10, "cropping": 6, "upsampling": 16}
    assert tuple(outputs.shape) == (2, steps[kind], 3)


def test_layer_input():
    layer_input = keras_sepconv.layer_input
    found = layer_input([28.0, np.nan, 1.0], None, "x", "float16", batch_size=8)
    assert (found.shape, found.dtype) == ((8, 28, None, 1), "float16")
    assert found.name == "x"
    assert layer_input(iter((8, 3))).shape == (None, 8, 3)
    for given, shape in (
        ({"shape": 784}, (None, 784)),
        ({"shape": True}, (None, None)),
        ({"shape": [True, True, 1.0]}, (None, None, None, 1)),
        ({"shape": 32.0, "batch_shape": [10.0, 32.0]}, (10, 32)),
        ({"batch_shape": [True, 28.0, 28.0, 1.0]}, (None, 28, 28, 1)),
        ({"shape": 3, "batch_size": True}, (None, 3)),
        ({"shape": 3, "dtype": "mixed_float16"}, (None, 3)),
    ):
        found = layer_input(**given)
        assert (found.shape, found.dtype) == (shape, "float32")
    assert not layer_input(3, optional=True).sparse
    if BACKEND in ("jax", "tensorflow"):
        assert layer_input(3, sparse=True).sparse
    else:
        with pytest.raises(ValueError, match="sparse=True"):
            layer_input(3, sparse=True)
    parameters = inspect.signature(layer_input).parameters
    for flag in ("sparse", "ragged", "optional"):
        assert parameters[flag].default is False
        with pytest.raises(TypeError, match=f"`{flag}` must be True or False"):
            layer_input(3, **{flag: "no"})
    for wrong, error in (("x", TypeError), (-1, ValueError)):
        with pytest.raises(error, match="`shape` must be a shape"):
            layer_input(wrong)
    for wrong, message in (
        ({}, "`shape` is required"),
        ({"shape": 3, "ragged": True}, "`ragged` must be False"),
        ({"shape": 3, "tensor": np.ones(3)}, "`tensor` must be None"),
        ({"batch_shape": []}, "`batch_shape` must be a shape with"),
        ({"shape": 3, "dtype": "flaot32"}, '`dtype` .*nearest .* "float32"'),
        ({"shape": 3, "name": 3}, "`name` must be a string"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            layer_input(**wrong)


def test_keras_model_sequential():
    model = keras_sepconv.keras_model_sequential(name="net")
    assert (type(model), model.name) == (keras.Sequential, "net")
    assert not model.built
    model = keras_sepconv.keras_model_sequential([8.0, 8.0, 3.0], batch_size=2)
    helper("layer_conv_2d")(model, 4, 3)
    assert model.input_shape == (2, 8, 8, 3)
    assert model.output_shape == (2, 6, 6, 4)
    with pytest.raises(TypeError, match="`layers` must be a layer, a list"):
        keras_sepconv.keras_model_sequential("28")
    for shape in (None, (8, 8, 3)):
        with pytest.raises(ValueError, match="`batch_size` must be a positive"):
            keras_sepconv.keras_model_sequential(shape, batch_size=0)


def test_a_sequential_of_layers():
    sequential = keras_sepconv.keras_model_sequential
    for given in (
        lambda relu: [relu],
        lambda relu: relu,
        lambda relu: {"first": relu},
        lambda relu: [keras_sepconv.layer_input(3), relu],
    ):
        relu = keras.layers.ReLU()
        model = sequential(given(relu), "net")
        assert (model.layers, model.name) == ([relu], "net")
    assert not sequential([]).layers
    model = sequential([keras.layers.ReLU()], input_shape=8, trainable=False)
    assert model.input_shape == (None, 8)
    assert not model.trainable
    assert not model.layers[0].trainable
    for options, shape, dtype in (
        ({"input_shape": 8, "input_batch_size": 2.0}, (2, 8), "float32"),
        ({"batch_input_shape": [True, 8]}, (None, 8), "float32"),
        (
            {"input_shape": 5, "batch_input_shape": (2, 8)},
            *((2, 8), "float32"),
        ),
        ({"layers": True, "input_dtype": "int32"}, (None, None), "int32"),
        (
            {
                "layers": (4, 8),
                "input_shape": (5, 8),
                "batch_size": 3,
                "input_batch_size": 2,
                "dtype": "float16",
                "input_dtype": "int32",
            },
            (2, 5, 8),
            "int32",
        ),
        ({"layers": 8, "dtype": "float16"}, (None, 8), "float16"),
    ):
        model = sequential(**options)
        model.add(keras.layers.ReLU())
        assert model.input_shape == shape
        assert model.inputs[0].dtype == dtype
    for wrong in ([keras.layers.ReLU(), 3], [3, keras.layers.ReLU()]):
        with pytest.raises(TypeError, match="a list of nothing but layers"):
            sequential(wrong)
    for alias in ("input_batch_size", "input_dtype", "trainable"):
        with pytest.raises((TypeError, ValueError), match=f"`{alias}` must"):
            sequential(input_shape=8, **{alias: "no"})


# Networks


def xception():
    sep, conv = helper("layer_separable_conv_2d"), helper("layer_conv_2d")
    inputs = keras_sepconv.layer_input((16, 16, 3))
    x = conv(inputs, 8, 3, padding="same", activation="relu")
    for filters in (8, 16):
        shortcut = conv(x, filters, 1)
        x = sep(x, filters, 3, padding="same", activation="relu")
        x = sep(x, filters, 3, padding="same")
        x = keras.layers.add([x, shortcut])
    return keras.Model(inputs, conv(x, 1, 1))


def unet():
    sep, conv = helper("layer_separable_conv_2d"), helper("layer_conv_2d")
    inputs = keras_sepconv.layer_input((16, 16, 3))
    top = sep(inputs, 8, 3, padding="same", activation="relu")
    x = conv(top, 16, 3, strides=2, padding="same", activation="relu")
    x = helper("layer_depthwise_conv_2d")(x, 3, padding="same")
    x = helper("layer_conv_2d_transpose")(x, 8, 3, strides=2, padding="same")
    side = helper("layer_zero_padding_2d")(top, 1)
    side = helper("layer_cropping_2d")(side, ((1, 1), (1, 1)))
    x = keras.layers.concatenate([x, side])
    return keras.Model(inputs, conv(x, 1, 1))


@pytest.mark.each_backend("unet")
@pytest.mark.parametrize("network", [xception, unet])
def test_a_network_of_helpers(network, tmp_path, rng):
    model = network()
    x = rng.standard_normal((4, 16, 16, 3)).astype("float32")
    if BACKEND != "numpy":
        model.compile(optimizer="sgd", loss="mse")
        before = model.get_weights()[0]
        model.fit(x, x[..., :1], epochs=1, verbose=0)
        assert not np.array_equal(before, model.get_weights()[0])
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6
    )
