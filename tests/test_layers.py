"""The layers replace those of Keras, except for documented differences."""

import copy
import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from backends import BACKEND, EPSILON, HAS_GRADIENTS, array, tensor
from reference import Convolution

from keras_sepconv import SeparableConv2D, kernels, layers, ops
from keras_sepconv.layers import DepthwiseFans, _call

Stock = keras.layers.SeparableConv2D

CONFIGURATIONS = {
    "default": {},
    "same_stride": {"strides": 2, "padding": "SAME"},
    "dilated": {"dilation_rate": (2, 1), "padding": "same"},
    "multiplier": {"depth_multiplier": 3, "activation": "relu"},
    "first": {"data_format": "channels_first", "padding": "same"},
    "no_bias": {"use_bias": False, "activation": "tanh"},
    "parts": {
        "depthwise_initializer": keras.initializers.HeNormal(seed=1),
        "pointwise_initializer": "he_uniform",
        "bias_initializer": "ones",
        "depthwise_regularizer": "l2",
        "pointwise_regularizer": keras.regularizers.L1(0.1),
        "bias_regularizer": "l1",
        "activity_regularizer": "l2",
        "depthwise_constraint": "max_norm",
        "pointwise_constraint": keras.constraints.NonNeg(),
        "bias_constraint": "unit_norm",
    },
}
configurations = pytest.mark.parametrize(
    "options", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys()
)


def image(data_format=None, channels=3, seed=0):
    shape = (2, 9, 8, channels)
    if data_format == "channels_first":
        shape = (2, channels, 9, 8)
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype("float32")


def with_bias(layer):
    """Gives the bias values which show where it is added."""
    if layer.bias is not None:
        layer.bias.assign(np.arange(1, layer.filters + 1) / 10)
    return layer


@pytest.mark.each_backend
@configurations
def test_value_is_the_reference(options):
    options = {**options, "activation": None}
    layer = SeparableConv2D(8, (3, 2), **options)
    inputs = image(layer.data_format)
    layer.build(inputs.shape)
    with_bias(layer)
    weights = [array(weight) for weight in layer.weights]
    truth = Convolution(
        inputs,
        *weights,
        strides=layer.strides,
        padding=layer.padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
    )
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
    found = array(layer(inputs))
    assert np.all(np.abs(found - expected) <= bound["value"])
    assert layer.compute_output_shape(inputs.shape) == found.shape


@configurations
def test_config_has_the_keys_and_values_of_stock(options):
    options = {"depthwise_initializer": keras.initializers.Ones(), **options}
    ours = SeparableConv2D(8, 3, name="a", **options).get_config()
    stock = Stock(8, 3, name="a", **options).get_config()
    assert json.dumps(ours, sort_keys=True) == json.dumps(stock, sort_keys=True)


@configurations
def test_stock_config_and_weights_give_the_same_numbers(options):
    # Seven filters, because stock Keras adds a bias along a width of as many.
    stock = Stock(7, 3, **{**options, "activity_regularizer": None})
    layer = SeparableConv2D.from_config(stock.get_config())
    inputs = image(layer.data_format)
    layer.build(inputs.shape)
    with_bias(layer)
    stock.build(inputs.shape)
    stock.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        array(layer(inputs)), array(stock(inputs)), atol=1e-5
    )


@configurations
def test_our_config_loads_in_stock(options):
    layer = SeparableConv2D(8, 3, **options)
    stock = Stock.from_config(layer.get_config())
    layer.build(image(layer.data_format).shape)
    stock.build(image(layer.data_format).shape)
    assert [(w.name, w.shape) for w in layer.weights] == [
        (w.name, w.shape) for w in stock.weights
    ]


@pytest.mark.slow("it runs each kind of layer, which JAX compiles")
@pytest.mark.each_backend
@pytest.mark.parametrize("name", list(ops.implementations()))
def test_the_implementation_asked_for_runs(name, monkeypatch):
    asked = []

    def choose(call, implementation=None):
        asked.append(implementation)
        return original(call, implementation)

    original = kernels.choose
    monkeypatch.setattr(kernels, "choose", choose)
    layer = SeparableConv2D(8, 3, implementation=name)
    copy = SeparableConv2D.from_config(layer.get_config())
    copy(image())
    for make, _ in LAYERS.values():
        layer = make()
        layer.implementation = name
        layer(image())
    assert set(asked) == {name}


@pytest.mark.parametrize("ours_first", [True, False])
def test_weights_files_go_both_ways(tmp_path, ours_first):
    classes = [SeparableConv2D, Stock]
    source, target = classes if ours_first else classes[::-1]
    models = [
        keras.Sequential([keras.Input((9, 8, 3)), cls(8, 3, name="a")])
        for cls in (source, target)
    ]
    models[0].layers[0].bias.assign(np.arange(8.0))
    models[0].save_weights(tmp_path / "a.weights.h5")
    models[1].load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(
        models[0].predict(image(), verbose=0),
        models[1].predict(image(), verbose=0),
        atol=1e-5,
    )


def models():
    """Yields equal models: Sequential, functional and subclassed."""
    yield keras.Sequential(
        [keras.Input((9, 8, 3)), SeparableConv2D(8, 3, activation="relu")]
    )
    inputs = keras.Input((None, None, 3))
    outputs = SeparableConv2D(8, 3, activation="relu")(inputs)
    yield keras.Model(inputs, outputs)
    model = Subclassed()
    model.build((None, 9, 8, 3))
    yield model


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = SeparableConv2D(8, 3, activation="relu")

    def build(self, input_shape):
        self.convolution.build(input_shape)

    def call(self, inputs):
        return self.convolution(inputs)


three_models = pytest.mark.parametrize(
    "kind", [0, 1, 2], ids=["sequential", "functional", "subclassed"]
)


@three_models
@pytest.mark.parametrize("extension", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_save_and_load(tmp_path, kind, extension):
    model = list(models())[kind]
    if extension == "h5" and kind == 2:
        extension = "weights.h5"
    path = tmp_path / f"model.{extension}"
    before = model.predict(image(), verbose=0)
    if extension == "weights.h5":
        model.save_weights(path)
        loaded = list(models())[kind]
        loaded.load_weights(path)
    else:
        model.save(path)
        loaded = keras.models.load_model(path)
        assert type(loaded.layers[-1]) is type(model.layers[-1])
    np.testing.assert_array_equal(loaded.predict(image(), verbose=0), before)


@three_models
@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["deepcopy", "pickle"],
)
def test_copies_are_equal_and_independent(kind, duplicate):
    model = list(models())[kind]
    before = model.predict(image(), verbose=0)
    twin = duplicate(model)
    np.testing.assert_array_equal(twin.predict(image(), verbose=0), before)
    for weight in model.weights:
        weight.assign(weight * 0)
    np.testing.assert_array_equal(twin.predict(image(), verbose=0), before)


@pytest.mark.parametrize("kind", [0, 1])
def test_clone_model(kind):
    model = list(models())[kind]
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(
        clone.predict(image(), verbose=0), model.predict(image(), verbose=0)
    )


def test_summary(capsys):
    next(models()).summary()
    printed = capsys.readouterr().out
    assert "SeparableConv2D" in printed
    assert "59" in printed  # 27 + 24 + 8 parameters


@pytest.mark.each_backend("functional")
@three_models
def test_training(kind):
    model = list(classifiers())[kind]
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images, labels = task()
    if not HAS_GRADIENTS:
        with pytest.raises(NotImplementedError):
            model.fit(images, labels, verbose=0)
        return
    first = model.evaluate(images, labels, verbose=0)
    model.fit(images, labels, epochs=10, verbose=0)
    assert model.evaluate(images, labels, verbose=0) < 0.7 * first


def classifiers():
    """Yields a Sequential, a functional and a subclassed classifier."""

    def layers():
        return [
            SeparableConv2D(
                8, 3, activation="relu", depthwise_constraint="max_norm"
            ),
            SeparableConv2D(
                8, 3, depthwise_regularizer=keras.regularizers.L2(1e-4)
            ),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]

    yield keras.Sequential([keras.Input((8, 8, 1)), *layers()])
    x = inputs = keras.Input((8, 8, 1))
    for layer in layers():
        x = layer(x)
    yield keras.Model(inputs, x)

    class Classifier(keras.Model):
        def __init__(self):
            super().__init__()
            self.stack = layers()

        def call(self, x):
            for layer in self.stack:
                x = layer(x)
            return x

    yield Classifier()


def task():
    """Returns horizontal and vertical stripes."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 64)
    stripes = np.tile([1.0, -1.0], (8, 4))
    images = np.where(labels[:, None, None] == 1, stripes, stripes.T)
    images = images + 0.1 * rng.standard_normal(images.shape)
    return images[..., None].astype("float32"), labels


def test_regularizers_make_losses():
    layer = SeparableConv2D(
        4,
        3,
        depthwise_regularizer=keras.regularizers.L2(0.1),
        pointwise_regularizer=keras.regularizers.L1(0.2),
        bias_regularizer="l2",
        activity_regularizer="l1",
    )
    layer(image())
    assert len(layer.losses) == 4


if BACKEND == "torch":

    def test_torch_compile_takes_the_layer_whole():
        import torch

        layer = SeparableConv2D(4, 3, activation="relu", padding="same")
        inputs = tensor(image())
        expected = array(layer(inputs))
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        np.testing.assert_allclose(array(compiled(inputs)), expected, atol=1e-6)


def test_trainable():
    frozen = SeparableConv2D(4, 3, trainable=False)
    frozen.build((None, 9, 8, 3))
    assert not frozen.trainable_weights
    assert len(frozen.non_trainable_weights) == 3
    frozen.trainable = True
    assert len(frozen.trainable_weights) == 3


@pytest.mark.parametrize("cls", [SeparableConv2D, Stock])
def test_masks_are_as_in_stock(cls):
    class Masked(keras.layers.Layer):
        def compute_mask(self, inputs, mask=None):
            return keras.ops.ones((2, 9), "bool")

        def call(self, inputs):
            return inputs + 0

    with pytest.warns(UserWarning, match="does not support masking"):
        cls(4, 3)(Masked()(tensor(image())))


@pytest.mark.each_backend
@pytest.mark.parametrize(
    ("policy", "variables", "outputs"),
    [
        ("mixed_float16", "float32", "float16"),
        ("mixed_bfloat16", "float32", "bfloat16"),
        ("float16", "float16", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        (keras.DTypePolicy("mixed_float16"), "float32", "float16"),
    ],
    ids=str,
)
def test_dtype_policies(policy, variables, outputs):
    layer = SeparableConv2D(4, 3, dtype=policy)
    result = layer(image())
    dtype = keras.backend.standardize_dtype(result.dtype)
    assert dtype == outputs
    assert {w.dtype for w in layer.weights} == {variables}
    symbolic = layer(keras.Input((9, 8, 3)))
    assert symbolic.dtype == outputs
    twin = SeparableConv2D.from_config(layer.get_config())
    assert twin.dtype_policy.name == layer.dtype_policy.name
    weights = [array(weight) for weight in layer.weights]
    truth = Convolution(image(), *weights)
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON[outputs])
    assert np.all(np.abs(array(result) - expected) <= bound["value"])


@pytest.mark.each_backend
def test_float64(double_precision, rng):
    layer = SeparableConv2D(4, 3, dtype="float64", padding="same")
    inputs = rng.standard_normal((2, 9, 8, 3))
    result = layer(tensor(inputs, "float64"))
    assert keras.backend.standardize_dtype(result.dtype) == "float64"
    truth = Convolution(
        inputs, *(array(w) for w in layer.weights), padding="same"
    )
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON["float64"])
    assert np.all(np.abs(array(result) - expected) <= bound["value"])


@pytest.mark.each_backend
def test_default_data_format_follows_keras():
    keras.config.set_image_data_format("channels_first")
    layer = SeparableConv2D(4, 3)
    assert layer.data_format == "channels_first"
    assert tuple(layer(image("channels_first")).shape) == (2, 4, 7, 6)


@pytest.mark.each_backend
def test_unknown_sizes_stay_unknown():
    layer = SeparableConv2D(4, 3, strides=2)
    assert layer.compute_output_shape((None, None, 9, 3)) == (None, None, 4, 4)
    assert layer(keras.Input((None, 9, 3))).shape == (None, None, 4, 4)


@pytest.mark.each_backend
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_empty_batch(data_format):
    layer = SeparableConv2D(4, 3, data_format=data_format, activation="relu")
    found = layer(image(data_format)[:0])
    assert tuple(found.shape) == layer.compute_output_shape(
        (0, *image(data_format).shape[1:])
    )


@pytest.mark.each_backend
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_pass_through_where_they_are(value):
    layer = SeparableConv2D(2, 3, pointwise_initializer="ones")
    inputs = image()
    clean = np.isfinite(array(layer(inputs)))
    assert clean.all()
    inputs[0, 0, 0, 0] = value
    found = np.isfinite(array(layer(inputs)))
    expected = np.ones_like(found)
    expected[0, 0, 0] = False
    np.testing.assert_array_equal(found, expected)


def test_a_failing_initializer_leaves_nothing_half_built():
    def broken(shape, dtype=None):
        raise KeyboardInterrupt("no numbers today")

    layer = SeparableConv2D(4, 3, pointwise_initializer=broken)
    with pytest.raises(KeyboardInterrupt, match="no numbers today"):
        layer(image())
    assert not layer.weights
    assert not layer.built
    layer.pointwise_initializer = keras.initializers.Ones()
    assert tuple(layer(image()).shape) == (2, 7, 6, 4)
    assert len(layer.weights) == 3


# A layer, and how many operations it runs.
LAYERS = {
    "separable": (lambda: SeparableConv2D(5, 3, depth_multiplier=2), 1),
    "biased": (lambda: SeparableConv2D(5, 3, depthwise_use_bias=True), 2),
    "active": (lambda: SeparableConv2D(5, 3, depthwise_activation="elu"), 2),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, 2, depth_multiplier=4), 1),
    "pointwise": (lambda: layers.Conv2D(6, 1), 1),
    "grouped": (lambda: layers.Conv2D(6, 3, groups=3), 1),
    "dense": (lambda: layers.Conv2D(6, 3), 0),
}


@pytest.mark.parametrize(("make", "count"), LAYERS.values(), ids=LAYERS.keys())
def test_what_a_layer_is_said_to_ask_is_what_it_asks(make, count, monkeypatch):
    """`operations` returns the calls that the layer makes, in order."""
    asked = []

    def choose(call, implementation=None):
        asked.append(call)
        return original(call, implementation)

    original, layer = kernels.choose, make()
    layer.build((2, 9, 8, 3))
    for weight in layer.weights:
        assert np.any(array(weight)) == (weight.ndim > 1), "a bias is 0"
    monkeypatch.setattr(kernels, "choose", choose)
    outputs = layer(inputs=tensor(image()))
    assert asked == _call.operations(layer, (2, 9, 8, 3))
    assert len(asked) == count
    unknown = _call.operations(layer, (None, None, None, 3))
    assert [call.filters for call in unknown] == [c.filters for c in asked]
    assert outputs.shape[-1] == layer.compute_output_shape((2, 9, 8, 3))[-1]


def test_building_twice_adds_nothing():
    layer = SeparableConv2D(4, 3)
    layer.build((None, 9, 8, 3))
    weights = layer.get_weights()
    layer.build((None, 20, 20, 3))
    assert len(layer.weights) == 3
    for before, after in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_activation_may_be_replaced():
    layer = SeparableConv2D(4, 3, activation="relu")
    layer.activation = None
    assert array(layer(image())).min() < 0


# Other people's classes around ours.


class Scaled(SeparableConv2D):
    """A subclass with its own weight, name and config."""

    def __init__(self, *args, scale=2.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

    def call(self, images):
        return super().call(images) * self.gain * self.scale

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@pytest.mark.each_backend
def test_a_subclass():
    layer = Scaled(4, 3, scale=3.0)
    outputs = layer(images=image())
    assert len(layer.weights) == 4
    plain = SeparableConv2D(4, 3)
    plain.build((None, 9, 8, 3))
    plain.set_weights(layer.get_weights()[:3])
    np.testing.assert_allclose(
        array(outputs), 3 * array(plain(image())), rtol=1e-5
    )
    assert Scaled.from_config(layer.get_config()).scale == 3.0


def test_a_wrapper():
    layer = SeparableConv2D(4, 3)
    video = np.stack([image(seed=1), image(seed=2)], axis=1)
    outputs = keras.layers.TimeDistributed(layer)(video)
    np.testing.assert_allclose(
        array(outputs)[:, 1], array(layer(image(seed=2))), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", [0, 1])
def test_paths_of_variables_are_those_of_stock(kind):
    paths = []
    for cls in (SeparableConv2D, Stock):
        layer = cls(4, 3, name="a")
        if kind == 0:
            model = keras.Sequential([layer], name="model")
            model(image())
        else:
            inputs = keras.Input((9, 8, 3))
            model = keras.Model(inputs, layer(inputs), name="model")
        paths.append([weight.path for weight in model.weights])
    assert paths[0] == paths[1]


@pytest.mark.slow("it starts a process")
def test_a_process_that_has_not_imported_this_package(tmp_path):
    next(models()).save(tmp_path / "model.keras")
    code = f"""
import sys, keras
try:
    keras.models.load_model({str(tmp_path / "model.keras")!r})
except TypeError as error:
    assert "keras_sepconv>SeparableConv2D" in str(error), error
    assert "keras_sepconv" not in sys.modules
else:  # Keras before 3.13 or so imports the module that the file names.
    assert "keras_sepconv" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# The deliberate differences.


def test_eight_default_layers_keep_the_signal(rng):
    images = rng.standard_normal((2, 24, 24, 64)).astype("float32")

    def deviation(cls):
        x = images
        for _ in range(8):
            x = cls(64, 3, padding="same", activation="relu")(x)
        return array(x).std()

    assert 0.01 <= deviation(SeparableConv2D) <= 3
    assert deviation(Stock) < 1e-6


NAMES = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "variance_scaling",
    "HeNormal",
)
# Scale and fan from the papers that the initializers are named after.
VARIANCES = {
    "glorot": lambda taps, multiplier: 2 / (taps + taps * multiplier),
    "he": lambda taps, multiplier: 2 / taps,
    "lecun": lambda taps, multiplier: 1 / taps,
    "variance": lambda taps, multiplier: 1 / taps,
}


@pytest.mark.parametrize("multiplier", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_names_of_initializers_mean_the_true_fans(name, multiplier):
    layer = SeparableConv2D(
        4, (5, 3), depth_multiplier=multiplier, depthwise_initializer=name
    )
    layer.build((None, 9, 8, 2000))
    family = name.removesuffix("Normal").lower().split("_")[0]
    variance = VARIANCES[family](15, multiplier)
    kernel = array(layer.depthwise_kernel)
    assert kernel.std() == pytest.approx(np.sqrt(variance), rel=0.02)
    is_uniform = np.abs(kernel).max() <= np.sqrt(3 * variance) * 1.001
    assert is_uniform == ("uniform" in name)
    assert layer.get_config()["depthwise_initializer"] == name


@pytest.mark.parametrize(
    "name", ["zeros", "ones", "random_normal", "Orthogonal"]
)
def test_names_without_fans_are_stock_keras(name):
    layer = SeparableConv2D(4, 3, depthwise_initializer=name)
    assert type(layer.depthwise_initializer) is type(
        keras.initializers.get(name)
    )


def test_an_initializer_object_is_stock_keras():
    initializer = keras.initializers.GlorotUniform(seed=3)
    kernels = []
    for cls in (SeparableConv2D, Stock):
        layer = cls(4, 3, depthwise_initializer=initializer)
        layer.build((None, 9, 8, 64))
        kernels.append(array(layer.depthwise_kernel))
    np.testing.assert_array_equal(*kernels)


def test_no_initializer_is_the_default():
    layer = SeparableConv2D(
        400,
        3,
        depthwise_initializer=None,
        pointwise_initializer=None,
        bias_initializer=None,
    )
    layer.build((None, 9, 8, 100))
    assert layer.depthwise_initializer.name == "glorot_uniform"
    found = np.abs(array(layer.pointwise_kernel)).max()
    assert found == pytest.approx(np.sqrt(6 / (100 + 400)), rel=1e-2)
    assert not array(layer.bias).any()


def test_our_fans_are_reproducible_and_serializable():
    keras.utils.set_random_seed(1)
    first = array(DepthwiseFans("he_normal")((3, 3, 4, 2)))
    keras.utils.set_random_seed(1)
    initializer = DepthwiseFans("he_normal")
    for _ in range(2):
        # An initializer of Keras gives the same each time, too.
        np.testing.assert_array_equal(array(initializer((3, 3, 4, 2))), first)
    other = array(DepthwiseFans("he_normal")((3, 3, 4, 2)))
    assert not np.array_equal(other, first), "each has a seed of its own"
    if BACKEND != "jax":
        wide = initializer((3, 3, 4, 2), dtype="float64")
        assert keras.backend.standardize_dtype(wide.dtype) == "float64"
    twin = keras.initializers.get(keras.initializers.serialize(initializer))
    assert twin.get_config() == {"name": "he_normal"}
    for name in ("zeros", keras.initializers.HeNormal()):
        with pytest.raises(ValueError, match="fan-based"):
            DepthwiseFans(name)


def test_the_unused_arguments_of_a_config_are_ignored():
    """tf.keras's separable layers have those of its plain convolutions."""
    config = SeparableConv2D(4, 3).get_config()
    for name in ("initializer", "regularizer", "constraint"):
        config[f"kernel_{name}"] = "zeros"
    assert SeparableConv2D.from_config(config).filters == 4


def test_groups_of_a_config_are_refused():
    config = SeparableConv2D(4, 3).get_config()
    assert SeparableConv2D.from_config({**config, "groups": 1}).filters == 4
    with pytest.raises(ValueError, match=r"`groups` must be 1.*groups=2"):
        SeparableConv2D.from_config({**config, "groups": 2})


@pytest.mark.parametrize("strides", [2, (1, 2), [2.0, 1.0]])
@pytest.mark.parametrize("dilation_rate", [2, (2, 1)])
def test_strides_with_dilation_are_refused(strides, dilation_rate):
    with pytest.raises(
        ValueError, match="`strides` other than 1 cannot be"
    ) as caught:
        SeparableConv2D(4, 3, strides=strides, dilation_rate=dilation_rate)
    one, other = (
        tuple(np.broadcast_to(given, 2).astype(int).tolist())
        for given in (strides, dilation_rate)
    )
    received = f"Received: strides={one}, dilation_rate={other}"
    assert str(caught.value).endswith(received)


# Bad input.

BAD_INTEGERS = (
    (0, ValueError),
    (-1, ValueError),
    (2.5, ValueError),
    (float("nan"), ValueError),
    (float("inf"), ValueError),
    (2**31, ValueError),
    (10**400, ValueError),
    (True, TypeError),
    (np.True_, TypeError),
    ("3", TypeError),
    (b"3", TypeError),
    (None, TypeError),
    (1j, TypeError),
    ({3}, TypeError),
    (np.zeros((2, 2)), TypeError),
)
BAD_PAIRS = (
    ((3, 3, 3), ValueError),
    ((3,), ValueError),
    ((), ValueError),
    ([3, 0], ValueError),
    ((3, 1.5), ValueError),
    ((3, True), TypeError),
    (["3", 3], TypeError),
    ("33", TypeError),
    ([[3, 3]], ValueError),
    ([[3], [3]], TypeError),
    (np.array([1, 2, 3]), ValueError),
)
SCALARS = ("filters", "depth_multiplier")
PAIRS = ("kernel_size", "strides", "dilation_rate")


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [(n, *bad) for n in (*SCALARS, *PAIRS) for bad in BAD_INTEGERS]
    + [(n, *bad) for n in PAIRS for bad in BAD_PAIRS]
    + [(n, (3, 3), TypeError) for n in SCALARS]
    + [
        ("padding", "full", ValueError),
        ("padding", "causal", ValueError),
        ("padding", None, TypeError),
        ("padding", -1, ValueError),
        ("padding", 0.5, ValueError),
        ("padding", True, TypeError),
        ("padding", {1, 2}, TypeError),
        ("padding", b"ab", TypeError),
        ("padding", np.ones((2, 3)), ValueError),
        ("data_format", "NHWC", ValueError),
        ("data_format", 1, TypeError),
        ("data_format", np.ones((2, 2)), TypeError),
        ("use_bias", "no", TypeError),
        ("use_bias", None, TypeError),
        ("implementation", "fastest", ValueError),
        ("implementation", ["portable"], ValueError),
    ],
)
def test_bad_arguments(name, value, error):
    arguments = {"filters": 4, "kernel_size": 3, name: value}
    with pytest.raises(error) as caught:
        SeparableConv2D(**arguments)
    message = str(caught.value)
    assert message.startswith(f"`{name}` must be ")
    received = message.split("Received: ")[1]
    if len(repr(value)) > 300:
        assert received.startswith(f"{name}=10000")
        assert len(received) < 100
    else:
        assert received == f"{name}={value!r}"


@pytest.mark.parametrize(
    "cls", [SeparableConv2D, layers.DepthwiseConv2D, layers.Conv2D]
)
def test_weights_are_floats(cls):
    message = r"`dtype` must be a float dtype .*Received: dtype='int32'$"
    with pytest.raises(ValueError, match=message):
        cls(4, 3, dtype="int32")


BAD_INPUTS = {
    "rank_3": ((2, 9, 3), "must have rank 4, (batch, rows, cols, channels)"),
    "rank_5": ((2, 9, 9, 9, 3), "must have rank 4"),
    "too_small": ((2, 2, 9, 3), "along rows the kernel spans 3"),
    "too_small_cols": ((2, 9, 1, 3), "along cols the kernel spans 3"),
    "no_channels": (
        (2, 9, 9, 0),
        "channel dimension of `inputs` must be known",
    ),
}


@pytest.mark.parametrize(
    ("shape", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS.keys()
)
@pytest.mark.parametrize("built", [False, True])
def test_bad_inputs_say_the_same_eager_symbolic_and_at_build(
    shape, message, built
):
    messages = set()
    for attempt in (
        lambda layer: layer(np.zeros(shape, "float32")),
        lambda layer: layer(tensor(np.zeros(shape))),
        lambda layer: layer(keras.Input(batch_shape=shape)),
        lambda layer: layer(inputs=np.zeros(shape, "float32")),
        lambda layer: layer.build(shape),
        lambda layer: layer.compute_output_shape(shape),
    ):
        layer = SeparableConv2D(4, 3, name="a")
        if built:
            layer.build((None, 9, 9, 3))
        with pytest.raises(ValueError, match="Layer 'a'") as caught:
            attempt(layer)
        messages.add(str(caught.value))
        assert len(layer.weights) == (3 if built else 0)
        assert layer.built is built
    assert len(messages) == 1, messages
    assert message in messages.pop()


@pytest.mark.parametrize(
    ("cls", "name", "nearest"),
    [
        (SeparableConv2D, "stride", "strides"),
        (layers.DepthwiseConv1D, "dilation", "dilation_rate"),
        (layers.Conv3D, "group", "groups"),
    ],
)
def test_a_misspelt_argument(cls, name, nearest):
    sizes = (3,) if cls is layers.DepthwiseConv1D else (4, 3)
    message = f"no argument `{name}`; the nearest name is `{nearest}`. "
    with pytest.raises(ValueError, match=f"{message}Received: {name}=2$"):
        cls(*sizes, **{name: 2})
    with pytest.raises((TypeError, ValueError), match="zoom"):
        cls(*sizes, zoom=2)  # Like none: what Keras says.
    # The names of two arguments may be similar.
    assert cls(*sizes, bias_regularizer="l2", bias_initializer="ones")


def test_other_channels_than_built_for():
    layer = SeparableConv2D(4, 3, name="a")
    layer.build((None, 9, 9, 3))
    shape = (2, 9, 9, 5)
    messages = set()
    for attempt in (
        lambda: layer(np.zeros(shape, "float32")),
        lambda: layer(keras.Input(batch_shape=shape)),
        lambda: layer.build(shape),
    ):
        with pytest.raises(
            ValueError, match=r"be 3, as in .*not 5\. R"
        ) as caught:
            attempt()
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_unknown_channels():
    layer = SeparableConv2D(4, 3)
    with pytest.raises(ValueError, match="channel dimension of `inputs` must"):
        layer(keras.Input((9, 9, None)))
    layer = SeparableConv2D(4, 3, data_format="channels_first")
    with pytest.raises(ValueError, match="axis 1 for"):
        layer.build((None, None, 9, 9))


@pytest.mark.parametrize("shape", [None, (2, 9, 9, -1), (9, 9, 3)])
def test_bad_shapes_to_build_for(shape):
    layer = SeparableConv2D(4, 3)
    with pytest.raises(ValueError, match=r"Received: inputs\.shape=") as caught:
        layer.build(shape)
    assert str(caught.value).endswith(f"inputs.shape={shape}")
    assert not layer.weights


@pytest.mark.parametrize("inputs", [[[1.0]], "image", None, 3])
def test_inputs_that_are_no_tensor(inputs):
    with pytest.raises(TypeError, match="`inputs` must be one tensor") as found:
        SeparableConv2D(4, 3)(inputs)
    assert str(found.value).endswith(f"Received: inputs={inputs!r}")


def test_the_input_shape_of_keras_2_still_works():
    with pytest.warns(UserWarning, match="Do not pass an `input_shape`"):
        layer = SeparableConv2D(4, 3, input_shape=(9, 8, 3))
    assert keras.Sequential([layer]).output_shape == (None, 7, 6, 4)
