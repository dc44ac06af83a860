"""What all separable and depthwise layers have in common, for each rank."""

import inspect
import json
import pickle

import keras
import numpy as np
import pytest
from backends import EPSILON, array, tensor
from reference import Convolution

from keras_sepconv import convert_model, layers, ops, restore_model

LAYERS = [
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.SeparableConv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.DepthwiseConv3D,
]
OPTIONS = [
    {"padding": "same", "strides": 2},
    {"padding": "valid", "dilation_rate": 2, "depth_multiplier": 2},
    {"padding": "same", "data_format": "channels_first", "use_bias": False},
    {"padding": "valid", "activation": "relu"},
]
PADDINGS = {
    1: ["causal", 3, (0,), [[4, 1]], np.array([[0, 2]])],
    2: [1, 4, (0, 2), [[4, 1], 1], np.array([[1, 1], [0, 2]])],
    3: [1, 3, (0, 2, 1), [[4, 1], 1, (0, 0)]],
}

every_layer = pytest.mark.parametrize("cls", LAYERS)
with_stock = pytest.mark.parametrize(
    "cls", [cls for cls in LAYERS if hasattr(keras.layers, cls.__name__)]
)
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def stock(cls):
    return getattr(keras.layers, cls.__name__)


def make(cls, **options):
    if "Separable" in cls.__name__:
        options = {"filters": 5, **options}
    return cls(kernel_size=3, **options)


def images(cls, options, rng):
    sizes = (9, 8, 7)[: int(cls.__name__[-2])]
    first = options.get("data_format") == "channels_first"
    shape = (2, 4, *sizes) if first else (2, *sizes, 4)
    return rng.standard_normal(shape).astype("float32")


def fill(layer, rng):
    layer.set_weights(
        [rng.standard_normal(w.shape).astype("float32") for w in layer.weights]
    )


@pytest.mark.each_backend("channels_first")
@every_layer
@every_option
def test_value_is_the_reference(cls, options, rng):
    check(cls, options, rng)


@every_layer
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("strides", [1, 2])
def test_every_padding(cls, data_format, strides, rng):
    for padding in PADDINGS[int(cls.__name__[-2])]:
        options = {"data_format": data_format, "strides": strides}
        check(cls, {**options, "padding": padding}, rng)
        layer = make(cls, padding=padding)
        twin = cls.from_config(json.loads(json.dumps(layer.get_config())))
        assert twin.padding == layer.padding


def check(cls, options, rng):
    layer, inputs = make(cls, **options), images(cls, options, rng)
    layer.build(inputs.shape)
    fill(layer, rng)
    weights = [array(weight) for weight in layer.weights]
    bias = weights.pop() if layer.use_bias else None
    pointwise = weights[1] if len(weights) > 1 else None
    truth = Convolution(
        inputs,
        weights[0],
        pointwise,
        bias,
        strides=layer.strides,
        padding=layer.padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
    )
    expected = truth.value()
    bound = truth.tolerances(np.ones_like(expected), EPSILON["float32"])
    if options.get("activation") == "relu":
        expected = np.maximum(expected, 0)
    found = layer(tensor(inputs))
    assert layer.compute_output_shape(inputs.shape) == tuple(found.shape)
    assert np.all(np.abs(array(found) - expected) <= bound["value"])
    symbolic = layer(keras.Input(inputs.shape[1:]))
    assert symbolic.shape == (None, *expected.shape[1:])
    # The same in a model with unknown sizes.
    unknown = [None if n > 4 else n for n in inputs.shape]
    symbolic = keras.Input(batch_shape=unknown)
    model = keras.Model(symbolic, layer(symbolic))
    assert model.output_shape == layer.compute_output_shape(unknown)
    known = model.predict(inputs, verbose=0)
    assert np.all(np.abs(known - expected) <= bound["value"])


@with_stock
def test_constructor_takes_the_arguments_of_stock_in_order(cls):
    ours = inspect.signature(cls).parameters
    theirs = inspect.signature(stock(cls)).parameters
    added = [name for name in ours if name not in theirs]
    assert [name for name in ours if name in theirs] == list(theirs)
    assert all(ours[name].kind is ours[name].KEYWORD_ONLY for name in added)
    for name, parameter in theirs.items():
        default = parameter.default
        if name in ("strides", "dilation_rate"):
            # One number means the same for each axis.
            default = np.max(default)
        assert ours[name].default == default
        assert ours[name].kind == parameter.kind


@with_stock
@every_option
def test_config_and_weights_go_both_ways(cls, options, rng, tmp_path):
    inputs = images(cls, options, rng)
    layer = make(cls, **options)
    other = stock(cls).from_config(layer.get_config())
    back = cls.from_config(make(stock(cls), **options).get_config())
    assert set(other.get_config()) == set(layer.get_config())
    for one in (layer, other, back):
        one.build(inputs.shape)
    assert [w.name for w in layer.weights] == [w.name for w in other.weights]
    fill(layer, rng)
    for source, target in ((layer, other), (other, back)):
        path = tmp_path / f"{id(source)}.weights.h5"
        model = keras.Sequential([keras.Input(inputs.shape[1:]), source])
        model.save_weights(path)
        twin = keras.Sequential([keras.Input(inputs.shape[1:]), target])
        twin.load_weights(path)
        for a, b in zip(source.weights, target.weights, strict=True):
            np.testing.assert_array_equal(array(a), array(b))
    np.testing.assert_array_equal(
        array(layer(tensor(inputs))), array(back(tensor(inputs)))
    )


def every_option_off_its_default(cls, biased):
    """Returns a value for each argument, different from all others."""
    rank = int(cls.__name__[-2])
    separable = "Separable" in cls.__name__
    options = {
        "kernel_size": (3, 2, 4)[:rank],
        "strides": (2, 3, 1)[:rank] if biased else (1,) * rank,
        "padding": [[1, 2], [0, 3], [2, 0]][:rank],
        "data_format": "channels_first",
        "dilation_rate": (1,) * rank if biased else (2, 1, 3)[:rank],
        "depth_multiplier": 2,
        "activation": "tanh",
        "use_bias": biased,
        "activity_regularizer": keras.regularizers.L1(0.5),
        "implementation": next(iter(ops.implementations())),
    }
    if separable:
        options["filters"] = 5
        options["depthwise_use_bias"] = biased
        options["depthwise_activation"] = "elu"
    parts = ["depthwise", "bias"] + ["pointwise"] * separable
    for number, part in enumerate(parts, 1):
        options |= {
            f"{part}_initializer": keras.initializers.Constant(number / 16),
            f"{part}_regularizer": keras.regularizers.L2(number / 8),
            f"{part}_constraint": keras.constraints.MaxNorm(number, axis=0),
        }
    return options


def plain(value):
    """Returns a value that can be compared."""
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    if hasattr(value, "get_config"):
        return type(value), value.get_config()
    return getattr(value, "__name__", value)


@pytest.mark.parametrize("biased", [True, False])
@every_layer
def test_every_option_reaches_its_place(cls, biased, tmp_path):
    """In the layer, in its config, in a copy and in one from a file."""
    options = every_option_off_its_default(cls, biased)
    signature = inspect.signature(cls).parameters
    assert set(signature) - {"kwargs"} == set(options)
    given = {"name": "mine", "trainable": False, "dtype": "mixed_bfloat16"}
    layer = cls(**options, **given)
    config = json.loads(json.dumps(layer.get_config()))
    inputs = keras.Input((3, *(9, 8, 8)[: layer.rank]), dtype="float32")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    for one in (layer, cls.from_config(config), loaded):
        for name, value in options.items():
            assert plain(getattr(one, name)) == plain(value), name
        assert (one.name, one.trainable) == ("mine", False)
        assert one.dtype_policy.name == "mixed_bfloat16"
    kept = {"bias"} if not biased else set()
    attributes = set(cls._attributes.items())
    for part, attribute in attributes:
        if part in kept:
            assert getattr(layer, attribute) is None
            continue
        for one in (layer, loaded):
            weight = getattr(one, attribute)
            for kind in ("regularizer", "constraint"):
                option = options[f"{part}_{kind}"]
                assert plain(getattr(weight, kind)) == plain(option)
            value = options[f"{part}_initializer"].value
            np.testing.assert_array_equal(array(weight), value)


@every_layer
def test_save_and_load(cls, rng, tmp_path):
    inputs = images(cls, {}, rng)
    layer = make(cls, depthwise_initializer="he_normal", activation="relu")
    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is cls
    assert loaded.layers[0].get_config() == layer.get_config()
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)


@every_layer
def test_names_of_initializers_mean_the_true_fans(cls):
    layer = make(cls, depthwise_initializer="he_normal")
    rank = int(cls.__name__[-2])
    layer.build((None,) * (rank + 1) + (512,))
    kernel = array(layer.weights[0])
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / 3**rank), rel=0.1)


@every_layer
def test_bad_arguments(cls):
    for name, value in (
        ("kernel_size", 0),
        ("strides", 1.5),
        ("padding", "full"),
        ("data_format", "NHWC"),
        ("depth_multiplier", 0),
    ):
        options = {"filters": 5} if "Separable" in cls.__name__ else {}
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            cls(**{**options, "kernel_size": 3, name: value})
    with pytest.raises(ValueError, match="cannot be combined"):
        make(cls, strides=2, dilation_rate=2)
    layer = make(cls)
    with pytest.raises(ValueError, match="`inputs` must have rank"):
        layer(np.ones((2, 3), "float32"))
    assert not layer.built


@every_layer
def test_a_failing_initializer_leaves_nothing_half_built(cls, rng):
    def fail(shape, dtype=None):
        raise RuntimeError("no numbers today")

    layer = make(cls, bias_initializer=fail)
    inputs = images(cls, {}, rng)
    with pytest.raises(RuntimeError, match="no numbers today"):
        layer(inputs)
    assert not layer.weights
    layer.bias_initializer = keras.initializers.Zeros()
    assert layer(inputs) is not None
    assert len(layer.weights) == (3 if "Separable" in cls.__name__ else 2)


@pytest.mark.each_backend("tanh")
@pytest.mark.parametrize("cls", LAYERS[:3])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "options",
    [
        {"depthwise_use_bias": True, "depthwise_activation": "relu"},
        {"depthwise_use_bias": True, "use_bias": False},
        {"depthwise_activation": "tanh", "depth_multiplier": 2},
    ],
    ids=str,
)
def test_what_stands_between_the_steps(
    cls, data_format, options, rng, tmp_path
):
    inputs = images(cls, {"data_format": data_format}, rng)
    common = {"padding": "same", "data_format": data_format}
    layer = make(cls, **common, **options)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    fill(layer, rng)
    biased = options.get("depthwise_use_bias", False)
    last = "depthwise_bias" if biased else "bias"
    assert [w.name for w in layer.weights][-1] == last
    assert len(layer.trainable_weights) == len(layer.weights)
    rank = int(cls.__name__[-2])
    first = getattr(layers, f"DepthwiseConv{rank}D")(
        3,
        depth_multiplier=layer.depth_multiplier,
        activation=options.get("depthwise_activation"),
        use_bias=biased,
        **common,
    )
    first.build(inputs.shape)
    weights = [array(weight) for weight in layer.weights]
    first.set_weights([weights[0], *([weights[-1]] if biased else [])])
    expected = array(first(tensor(inputs)))
    if data_format == "channels_first":
        expected = np.moveaxis(expected, 1, -1)
    expected = expected @ weights[1].reshape(weights[1].shape[-2:])
    if layer.use_bias:
        expected = expected + weights[2]
    if data_format == "channels_first":
        expected = np.moveaxis(expected, -1, 1)
    found = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    added = {"depthwise_use_bias", "depthwise_activation"}
    assert (
        loaded.layers[0].get_config().keys() & added == options.keys() & added
    )
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), found)
    assert not make(cls).get_config().keys() & added


@with_stock
def test_t10_ours_are_found_by_the_class_of_keras(cls, rng, tmp_path):
    layer = make(cls, name="mine")
    assert isinstance(layer, stock(cls))
    names = {one.__name__ for one in LAYERS} - {cls.__name__}
    for name in names & set(dir(keras.layers)):
        assert not isinstance(layer, getattr(keras.layers, name))
    x = images(cls, {}, rng)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    before = array(model(x))
    model.save(tmp_path / "mine.keras")
    copies = [
        keras.models.clone_model(model),
        keras.models.load_model(tmp_path / "mine.keras"),
        convert_model(model),
        pickle.loads(pickle.dumps(model)),
    ]
    for copy in copies:
        assert type(copy.layers[0]) is cls
        copy.set_weights(model.get_weights())
        np.testing.assert_allclose(array(copy(x)), before, atol=1e-6)
    assert type(restore_model(model).layers[0]) is stock(cls)


@with_stock
def test_t10_ours_run_nothing_of_the_class_of_keras(cls):
    """If a new version of Keras adds a method, someone must look at it."""
    mro = stock(cls).__mro__
    inherited = mro[: mro.index(keras.layers.Layer)]
    names = {name for kind in inherited for name in vars(kind)}
    layer = make(cls)
    for name in names - UNUSED:
        home = next(kind for kind in cls.__mro__ if name in vars(kind))
        assert home not in inherited, name
    for name in vars(stock(cls)(**arguments(layer))):
        assert hasattr(layer, name), name


# Names that every exported class has, and a method that only Keras calls.
UNUSED = {"_api_export_path", "_api_export_symbol_id", "_get_input_channel"}


def arguments(layer):
    names = {"filters", "kernel_size"} & set(layer.get_config())
    return {name: getattr(layer, name) for name in names}
