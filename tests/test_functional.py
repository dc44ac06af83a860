"""`layer_separable_conv_2d`: tests of everything that R's function does."""

import inspect

import keras
import numpy as np
import pytest
from backends import BACKEND, HAS_GRADIENTS, KERAS, array, tensor

from keras_sepconv import (
    SeparableConv2D,
    layer_conv_2d,
    layer_depthwise_conv_2d,
    layer_separable_conv_2d,
    layers,
)

IMAGE = np.random.default_rng(0).standard_normal((2, 9, 8, 3)).astype("float32")


class MySequential(keras.Sequential):
    pass


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.convolution = layer

    def call(self, inputs):
        return self.convolution(inputs)


# object


def test_none_returns_the_layer():
    for layer in (
        layer_separable_conv_2d(None, 8, 3),
        layer_separable_conv_2d(filters=8, kernel_size=3),
        layer_separable_conv_2d(object=None, filters=8, kernel_size=3),
    ):
        assert type(layer) is SeparableConv2D
        assert not layer.built


@pytest.mark.parametrize("cls", [keras.Sequential, MySequential])
def test_a_sequential_is_extended_in_place_and_returned(cls):
    model = cls([keras.Input((9, 8, 3))])
    for count in (1, 2):
        assert layer_separable_conv_2d(model, 4, 3) is model
        assert len(model.layers) == count
    assert model.output_shape == (None, 5, 4, 4)


def tensors():
    yield "numpy", IMAGE
    yield "eager", tensor(IMAGE)
    yield "variable", keras.Variable(IMAGE)
    yield "integers", np.ones((2, 9, 8, 3), "uint8")


@pytest.mark.parametrize("kind", [kind for kind, _ in tensors()])
def test_a_tensor_is_passed_through_the_layer(kind):
    inputs = dict(tensors())[kind]
    keras.utils.set_random_seed(1)
    found = layer_separable_conv_2d(inputs, 8, 3)
    keras.utils.set_random_seed(1)
    later = layer_separable_conv_2d(None, 8, 3)(inputs)
    assert tuple(found.shape) == (2, 7, 6, 8)
    np.testing.assert_array_equal(array(found), array(later))


def test_a_symbolic_tensor_makes_a_functional_model():
    inputs = keras.Input((9, 8, 3))
    x = layer_separable_conv_2d(inputs, 8, 3, activation="relu")
    outputs = layer_separable_conv_2d(x, 4, 3)
    model = keras.Model(inputs, outputs)
    assert model.output_shape == (None, 5, 4, 4)
    assert model.predict(IMAGE, verbose=0).shape == (2, 5, 4, 4)


def wrong_objects():
    functional = keras.Model(inputs := keras.Input((9, 8, 3)), inputs)
    yield "functional", functional, "pass `model.output`"
    yield "subclassed", Subclassed(None), "model, call it and pass its result"
    yield "layer", keras.layers.Dense(1), "call it and pass its result"
    yield "string", "model", "leave it out. Received: object='model'"
    yield "number", 32.0, "leave it out. Received: object=32.0"
    yield "vector", [3.0, 3.0], "leave it out. Received: object=[3.0, 3.0]"
    yield "list", [[1.0]], "object=<builtins.list object>"
    yield "class", keras.Sequential, "object=<builtins.type object>"
    legacy = type("Sequential", (), {"__module__": "tf_keras.src.engine"})()
    yield "legacy", legacy, "rebuild it with Keras 3"


@pytest.mark.parametrize("kind", [kind for kind, _, _ in wrong_objects()])
def test_anything_else_is_refused(kind):
    value, hint = {k: rest for k, *rest in wrong_objects()}[kind]
    with pytest.raises(TypeError) as caught:
        layer_separable_conv_2d(value, 8, 3)
    message = str(caught.value)
    assert message.startswith("`object` must be None, a keras.Sequential, or")
    assert f"a tensor of the {BACKEND} backend" in message
    assert hint in message
    assert "Received: object=" in message


def test_object_is_checked_before_the_other_arguments():
    for helper in (layer_conv_2d, layer_separable_conv_2d):
        with pytest.raises(TypeError, match=r"`object` must be .*object=32$"):
            helper(32, 3)


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ({}, "filters"),
        ({"kernel_size": 3}, "filters"),
        ({"filters": 3}, "kernel_size"),
        ({"filters": 3, "kernel_size": None}, "kernel_size"),
    ],
)
def test_required_arguments(arguments, missing):
    model = keras.Sequential([keras.Input((9, 8, 3))])
    with pytest.raises(TypeError, match=f"`{missing}` is required"):
        layer_separable_conv_2d(model, **arguments)
    assert not model.layers


def test_an_unknown_argument_is_an_error_with_the_name_of_the_helper():
    message = r"^layer_conv_2d\(\) got an unexpected keyword argument 'filter'"
    with pytest.raises(TypeError, match=message):
        layer_conv_2d(None, filter=4)


# A failed add


def state(model):
    names = [layer.name for layer in super(keras.Sequential, model).layers]
    shapes = [tensor.shape for tensor in getattr(model, "outputs", None) or ()]
    weights = [array(weight).tolist() for weight in model.weights]
    return names, model.built, shapes, weights


def sequentials():
    yield "empty", keras.Sequential()
    yield "input_only", keras.Sequential([keras.Input((9, 8, 3))])
    yield "unbuilt", keras.Sequential([keras.layers.ReLU()])
    built = keras.Sequential([keras.Input((9, 8, 3)), SeparableConv2D(3, 3)])
    yield "built", built
    deferred = keras.Sequential([SeparableConv2D(3, 3)])
    deferred(IMAGE)
    yield "deferred", deferred
    yield "nested", keras.Sequential([built, keras.layers.ReLU()])
    inner = keras.Sequential([keras.Input((9, 8, 3)), keras.layers.ReLU()])
    yield "one_sequential", keras.Sequential([inner])
    functional = keras.Model(inputs := keras.Input((9, 8, 3)), inputs * 2)
    yield "one_functional", keras.Sequential([functional])


def broken(shape, dtype=None):
    raise KeyboardInterrupt("no numbers today")


FAILURES = {
    "argument": ({"kernel_size": 0}, ValueError),
    "too_large": ({"kernel_size": 10}, ValueError),
    "initializer": ({"pointwise_initializer": broken}, KeyboardInterrupt),
    "weights": ({"weights": [np.zeros(3)]}, ValueError),
    "no_weights": ({"weights": "imagenet"}, TypeError),
    "name": ({"name": "taken"}, ValueError),
    "input_shape": ({"input_shape": (9, 8)}, ValueError),
}


# Without an input nothing is built, so only these can fail.
UNBUILT = ("argument", "no_weights", "name", "input_shape")


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        (kind, failure)
        for kind, _ in sequentials()
        for failure in FAILURES
        if kind != "unbuilt" or failure in UNBUILT
    ],
)
def test_a_failed_add_leaves_the_model_as_it_was(kind, failure):
    model = dict(sequentials())[kind]
    options, error = FAILURES[failure]
    if failure == "name":
        model.add(keras.layers.ReLU(name="taken"))
    elif kind == "empty":
        options = {"input_shape": (9, 8, 3), **options}
    before = state(model)
    with pytest.raises(error):
        layer_separable_conv_2d(
            model, **{"filters": 4, "kernel_size": 3, **options}
        )
    assert state(model) == before
    layer_separable_conv_2d(model, 2, 1)
    assert model(IMAGE).shape[-1] == 2


class OwnMethods(keras.Sequential):
    """A Sequential whose methods have fewer arguments than Keras's."""

    def add(self, layer):
        super().add(layer)

    def pop(self):
        return super().pop()


@pytest.mark.parametrize("helper", [layer_conv_2d, layer_separable_conv_2d])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_failed_add_to_a_model_with_its_own_methods(helper, is_empty):
    model = OwnMethods()
    if not is_empty:
        model.add(keras.Input((8, 8, 3)))
        model.add(keras.layers.ReLU())
    before = state(model)
    with pytest.raises(ValueError, match=r"300|negative"):
        helper(model, 4, 300, input_shape=(8, 8, 3))
    assert state(model) == before
    helper(model, 4, 3, input_shape=(8, 8, 3))
    assert model.output_shape == (None, 6, 6, 4)


# Integers


def test_numbers_from_r_are_doubles():
    layer = layer_separable_conv_2d(
        None,
        filters=32.0,
        kernel_size=[3.0, 5.0],
        strides=np.array([2.0, 1.0]),
        dilation_rate=np.int64(1),
        depth_multiplier=np.float32(2),
    )
    config = layer.get_config()
    found = [
        config[name]
        for name in (
            "filters",
            "kernel_size",
            "strides",
            "dilation_rate",
            "depth_multiplier",
        )
    ]
    assert found == [32, (3, 5), (2, 1), (1, 1), 2]
    for value in (*found[1], *found[2], *found[3], found[0], found[4]):
        assert type(value) is int


def test_the_message_shows_what_was_given():
    with pytest.raises(ValueError, match=r"kernel_size=\[3.0, 3.0, 3.0\]$"):
        layer_separable_conv_2d(None, 4, [3.0, 3.0, 3.0])


@pytest.mark.parametrize("pair", [[3, 5], (3, 5), np.array([3, 5])])
def test_lists_tuples_and_arrays_are_equal(pair):
    assert layer_separable_conv_2d(None, 4, pair).kernel_size == (3, 5)


@pytest.mark.parametrize("value", [4.7, True, "4"])
def test_fractions_are_refused_not_truncated(value):
    with pytest.raises((TypeError, ValueError), match="`filters` must be"):
        layer_separable_conv_2d(None, value, 3)


@pytest.mark.parametrize("na", [True, float("nan"), -(2**31)])
@pytest.mark.parametrize("argument", ["filters", "dtype", "kernel_size"])
def test_what_na_becomes_is_said_where_it_is_refused(na, argument):
    value = [na, 3] if argument == "kernel_size" else na
    options = {"filters": 4, "kernel_size": 3, argument: value}
    message = rf"\. R's NA arrives as {na}\. Received: {argument}="
    with pytest.raises((TypeError, ValueError), match=message):
        layer_separable_conv_2d(None, **options)


def wrapped(value):
    yield [value]
    yield np.array([value])


def test_what_r_wraps_around_one_value_is_dropped():
    for filters, size, padding, flag in zip(
        *map(wrapped, (4.0, 3.0, "same", False)), strict=True
    ):
        layer = layer_separable_conv_2d(
            None, filters, size, padding=padding, use_bias=flag
        )
        assert (layer.filters, layer.kernel_size) == (4, (3, 3))
        assert (layer.padding, layer.use_bias) == ("same", False)
    with pytest.raises(TypeError, match=r"`kernel_size` .*=array"):
        layer_separable_conv_2d(None, 4, np.array([[3.0, 3.0]]))


def test_more_depthwise_outputs_than_filters():
    x = np.zeros((1, 9, 8, 64), "float32")
    y = layer_separable_conv_2d(x, 64, 3, depth_multiplier=2)
    assert tuple(y.shape) == (1, 7, 6, 64)


# Other arguments


def test_strings_in_any_case():
    layer = layer_separable_conv_2d(
        None, 4, 3, padding="SAME", data_format="Channels_First"
    )
    assert layer.padding == "same"
    assert layer.data_format == "channels_first"


def test_standard_arguments():
    layer = layer_separable_conv_2d(
        None, 4, 3, dtype="mixed_float16", name="a", trainable=False
    )
    assert layer.compute_dtype == "float16"
    assert layer.name == "a"
    assert layer.trainable is False
    assert layer_separable_conv_2d(None, 4, 3).trainable is True


def test_a_policy_as_dtype():
    policy = keras.DTypePolicy("mixed_bfloat16")
    assert layer_separable_conv_2d(None, 4, 3, dtype=policy).dtype_policy == (
        policy
    )


def test_a_duplicate_name_is_the_error_of_keras():
    model = keras.Sequential()
    layer_separable_conv_2d(model, 4, 3, name="a")
    with pytest.raises(ValueError, match="should have unique names"):
        layer_separable_conv_2d(model, 4, 3, name="a")


@pytest.mark.parametrize(
    ("argument", "value", "nearest"),
    [
        ("activation", "RELU", "relu"),
        ("depthwise_initializer", "glorot_unifrom", "glorot_uniform"),
        ("bias_regularizer", "l3", "l2"),
        ("pointwise_constraint", "maxnorm", "max_norm"),
        ("dtype", "Float32", "float32"),
        ("dtype", "mixed_bfloat", "mixed_bfloat16"),
    ],
)
def test_a_misspelt_name(argument, value, nearest):
    article = "an" if argument[-1] == "n" or "init" in argument else "a"
    rule = f"`{argument}` must be {article} "
    with pytest.raises(ValueError, match=rule) as caught:
        layer_separable_conv_2d(None, 4, 3, **{argument: value})
    assert f'nearest name is "{nearest}". Received: {argument}={value!r}' in (
        str(caught.value)
    )


def test_a_name_like_no_other_has_no_nearest():
    with pytest.raises(ValueError, match="`activation` must be an") as caught:
        layer_separable_conv_2d(None, 4, 3, activation="zzzz")
    assert "nearest" not in str(caught.value)
    # A function of the module, but no activation.
    with pytest.raises(ValueError, match="`activation` must be an") as caught:
        layer_separable_conv_2d(None, 4, 3, activation="deserialise")
    assert '"deserialize"' not in str(caught.value)


def test_groups_divide_the_filters():
    assert layer_conv_2d(None, 4, 3, groups=2).groups == 2
    message = "`groups` must be a divisor of filters=5. Received: groups=2"
    with pytest.raises(ValueError, match=message):
        layer_conv_2d(None, 5, 3, groups=2)


@pytest.mark.parametrize("sizes", [[], [3] * 4])
def test_a_list_has_an_item_for_each_axis(sizes):
    message = "`kernel_size` must be a positive whole number, or a list of them"
    with pytest.raises(ValueError, match=message):
        layer_conv_2d(None, 4, sizes)


def test_what_is_no_name():
    for wrong in (3.0, "a/b", ["a", "b"]):
        with pytest.raises(TypeError, match="`name` must be a string without"):
            layer_separable_conv_2d(None, 4, 3, name=wrong)


def test_integers_come_in_and_are_computed_with_as_floats():
    integers = np.arange(2 * 9 * 8 * 3).reshape(2, 9, 8, 3)
    model = keras.Sequential()
    options = {"input_shape": (9, 8, 3), "weights": KERNELS}
    layer_separable_conv_2d(model, 4, 3, dtype="int32", **options)
    floats = layer_separable_conv_2d(integers * 1.0, 4, 3, weights=KERNELS)
    twin = keras.Sequential.from_config(model.get_config())
    for one in (model, twin):
        assert one.inputs[0].dtype == "int32"
        assert one.outputs[0].dtype == "float32"
    np.testing.assert_allclose(
        model.predict(integers.astype("int32"), verbose=0), array(floats)
    )
    for wrong in ("bool", "string", "complex64"):
        with pytest.raises(ValueError, match="`dtype` must be a float dtype"):
            layer_separable_conv_2d(None, 4, 3, dtype=wrong)
    for cls in (SeparableConv2D, layers.Conv2D):
        with pytest.raises(ValueError, match=r"`dtype` .*dtype='int32'$"):
            cls(4, 3, dtype="int32")


def test_initializers_regularizers_constraints_of_every_kind():
    def ones(shape, dtype=None):
        return keras.ops.ones(shape, dtype)

    layer = layer_separable_conv_2d(
        None,
        4,
        3,
        depthwise_initializer=ones,
        pointwise_initializer="ones",
        # Older versions take no array.
        bias_initializer=np.ones(4) if KERAS >= (3, 15) else "ones",
        depthwise_regularizer=keras.regularizers.L1(),
        pointwise_regularizer="l2",
        depthwise_constraint=keras.constraints.NonNeg(),
        pointwise_constraint="max_norm",
    )
    layer(IMAGE)
    for weight in layer.get_weights():
        np.testing.assert_array_equal(weight, 1)
    assert len(layer.losses) == 2


def test_functions_as_regularizers_and_constraints():
    layer = layer_separable_conv_2d(
        None,
        4,
        3,
        depthwise_regularizer=lambda w: keras.ops.sum(w) * 0.1,
        pointwise_constraint=lambda w: w * 0.5,
    )
    if KERAS < (3, 15):
        with pytest.raises(ValueError, match="Expected an instance of"):
            layer(IMAGE)
        return
    layer(IMAGE)
    assert len(layer.losses) == 1


def test_signature_is_the_one_documented():
    names = list(inspect.signature(layer_separable_conv_2d).parameters)
    options = "strides padding data_format dilation_rate depth_multiplier"
    first = f"object filters kernel_size {options} activation use_bias"
    parts = "depthwise_{0} pointwise_{0} bias_{0}"
    last = "batch_input_shape batch_size dtype name trainable weights"
    expected = (
        f"{first} {parts.format('initializer')} {parts.format('regularizer')} "
        f"activity_regularizer {parts.format('constraint')} input_shape {last}"
    )
    assert " ".join(names) == expected


# Shapes


def dimensions(*sizes):
    """Returns a shape that can only be iterated."""
    if BACKEND != "tensorflow":
        return dict(enumerate(sizes)).values()
    import tensorflow as tf

    return tf.TensorShape(sizes)


SHAPES = {
    "input_shape": ({"input_shape": (9, 8, 3)}, (None, 9, 8, 3)),
    "unknown": ({"input_shape": [None, None, 3.0]}, (None, None, None, 3)),
    "na": ({"input_shape": (float("nan"), 8, 3)}, (None, None, 8, 3)),
    "na_float32": (
        {"input_shape": (np.float32("nan"), 8, 3)},
        (None, None, 8, 3),
    ),
    "na_integer": (
        {"input_shape": [-(2**31), 8, 3], "batch_size": -(2**31)},
        (None, None, 8, 3),
    ),
    "na_logical": (
        {"input_shape": [True, True, 3.0], "batch_size": True},
        (None, None, None, 3),
    ),
    "na_batch": (
        {"batch_input_shape": [True, 9.0, 8.0, 3.0]},
        (None, 9, 8, 3),
    ),
    "wrapped": (
        {"input_shape": [9.0, 8.0, 3.0], "batch_size": np.array([2.0])},
        (2, 9, 8, 3),
    ),
    "dimensions": ({"input_shape": dimensions(9, 8, 3)}, (None, 9, 8, 3)),
    "batch_dimensions": (
        {"batch_input_shape": dimensions(2, 9, 8, 3)},
        (2, 9, 8, 3),
    ),
    "array": ({"input_shape": np.array([9, 8, 3])}, (None, 9, 8, 3)),
    "batch_size": (
        {"input_shape": (9, 8, 3), "batch_size": 2.0},
        (2, 9, 8, 3),
    ),
    "batch_input_shape": (
        {"batch_input_shape": (2, 9, 8, 3)},
        (2, 9, 8, 3),
    ),
    "batch_input_shape_wins": (
        {
            "batch_input_shape": (2, 9, 8, 3),
            "input_shape": (5, 5),
            "batch_size": 7,
        },
        (2, 9, 8, 3),
    ),
    "first": (
        {"input_shape": (3, None, 8), "data_format": "channels_first"},
        (None, 3, None, 8),
    ),
}
shapes = pytest.mark.parametrize(
    ("options", "expected"), SHAPES.values(), ids=SHAPES.keys()
)


@shapes
@pytest.mark.parametrize("road", ["helper", "add", "list"])
@pytest.mark.parametrize(
    ("dtype", "of_input"),
    [
        (None, "float32"),
        ("mixed_bfloat16", "float32"),
        ("float16", "float16"),
        ("int32", "int32"),
    ],
)
def test_shapes_build_an_empty_sequential(
    options, expected, road, dtype, of_input
):
    options = {**options, "dtype": dtype}
    if road == "helper":
        model = keras.Sequential()
        layer_separable_conv_2d(model, 4, 3, **options)
    else:
        layer = layer_separable_conv_2d(None, 4, 3, **options)
        model = keras.Sequential([layer] if road == "list" else None)
        if road == "add":
            model.add(layer)
    assert model.built
    assert model.input_shape == expected
    assert model.inputs[0].dtype == of_input
    twin = keras.Sequential.from_config(model.get_config())
    assert twin.input_shape == expected


def test_an_input_has_the_dtype_of_the_weights():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential()
        layer_separable_conv_2d(model, 4, 3, input_shape=(9, 8, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.inputs[0].dtype == "float32"
    assert model.layers[0].compute_dtype == "float16"


def test_what_is_no_shape():
    for wrong in ("28", b"abc", {9: 8}, {9}, object(), [False, 8, 3]):
        with pytest.raises(TypeError, match="a shape of rank 3") as caught:
            layer_separable_conv_2d(None, 4, 3, input_shape=wrong)
        assert str(caught.value).endswith(f"input_shape={wrong!r}")


def test_shapes_are_ignored_elsewhere_with_a_warning():
    shape = {"input_shape": (20, 20, 3), "batch_size": 5}
    model = keras.Sequential([keras.Input((9, 8, 3))])
    ignored = r"`input_shape` is ignored.*input_shape=\(20, 20, 3\)$"
    with pytest.warns(UserWarning, match=ignored) as caught:
        layer_separable_conv_2d(model, 4, 3, **shape)
    assert caught[0].filename == __file__
    assert model.input_shape == (None, 9, 8, 3)
    assert model.output_shape == (None, 7, 6, 4)
    # The shape that the model has is not ignored.
    for built in (model, keras.Sequential([keras.layers.ReLU()])):
        built(IMAGE)
        layer_separable_conv_2d(built, 4, 3, input_shape=(9, 8, 3))
    with pytest.warns(UserWarning, match=ignored):
        called = layer_separable_conv_2d(IMAGE, 4, 3, **shape)
    assert tuple(called.shape) == (2, 7, 6, 4)
    ignored = r"`batch_input_shape` is ignored.*batch_input_shape=\(5, 8, 8, 3"
    with pytest.warns(UserWarning, match=ignored):
        layer_separable_conv_2d(IMAGE, 4, 3, batch_input_shape=(5, 8, 8, 3))


def test_a_batch_size_alone_does_nothing():
    model = layer_separable_conv_2d(keras.Sequential(), 4, 3, batch_size=2)
    assert not model.built


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (9, 8)}, "a shape of rank 3"),
        ({"input_shape": 28}, "a shape of rank 3"),
        ({"input_shape": (2, 9, 8, 3)}, "a shape of rank 3"),
        ({"batch_input_shape": (9, 8, 3)}, "a shape of rank 4"),
        ({"input_shape": (9, 8, None)}, "channel dimension of `input_shape`"),
        (
            {"batch_input_shape": (None, 9, 8, None)},
            "channel dimension of `batch_input_shape`",
        ),
        (
            {"input_shape": (None, 9, 8), "data_format": "channels_first"},
            "channel dimension of `input_shape`",
        ),
        (
            {"input_shape": (9, 8, 3), "batch_input_shape": (2, 9, 8, None)},
            "channel dimension of `batch_input_shape` must be known (axis 3,",
        ),
        ({"input_shape": (-1, 9, 3)}, "a positive whole number or None"),
        ({"input_shape": (9, 8.5, 3)}, "a positive whole number or None"),
        ({"input_shape": (9, "8", 3)}, "a positive whole number or None"),
        ({"input_shape": "28"}, "a shape of rank 3"),
        ({"input_shape": b"abc"}, "a shape of rank 3"),
        ({"input_shape": (9, 8, 3), "batch_size": 0}, "`batch_size` must be"),
    ],
)
@pytest.mark.parametrize("object", ["none", "sequential"])
def test_bad_shapes(options, message, object):
    model = None if object == "none" else keras.Sequential()
    with pytest.raises((TypeError, ValueError), match="Received: ") as caught:
        layer_separable_conv_2d(model, 4, 3, **options)
    text = str(caught.value)
    assert message in text
    received = text.rsplit("Received: ", 1)[1]
    assert received in {f"{n}={value!r}" for n, value in options.items()}
    if model is not None:
        assert not model.layers


# weights

KERNELS = [
    np.full((3, 3, 3, 1), 0.5),
    np.full((1, 1, 3, 4), 0.25),
    np.arange(4.0),
]


def subclassed_fit(layer):
    model = Subclassed(layer)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(IMAGE, np.zeros((2, 7, 6, 4)), verbose=0)


ROADS = {
    "call": lambda layer: layer(IMAGE),
    "symbolic": lambda layer: layer(keras.Input((9, 8, 3))),
    "build": lambda layer: layer.build((None, 9, 8, 3)),
    "build_by_name": lambda layer: layer.build(input_shape=(None, 9, 8, 3)),
    "add": lambda layer: keras.Sequential([keras.Input((9, 8, 3)), layer]),
    "subclassed_predict": lambda layer: Subclassed(layer).predict(
        IMAGE, verbose=0
    ),
    "subclassed_symbolic": lambda layer: Subclassed(layer)(
        keras.Input((9, 8, 3))
    ),
}
if HAS_GRADIENTS:
    ROADS["subclassed_fit"] = subclassed_fit


@pytest.mark.parametrize("road", ROADS)
def test_weights_are_set_by_whichever_road_the_layer_is_built(road):
    layer = layer_separable_conv_2d(None, 4, 3, weights=KERNELS)
    ROADS[road](layer)
    for found, expected in zip(layer.get_weights(), KERNELS, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == "float32"
    layer.bias.assign(np.zeros(4))
    layer(IMAGE)
    np.testing.assert_array_equal(array(layer.bias), 0)
    assert "weights" not in layer.get_config()
    assert (
        layer.get_config()["depthwise_initializer"]
        == SeparableConv2D(4, 3).get_config()["depthwise_initializer"]
    )


def test_what_a_layer_adds_later_is_not_from_the_weights():
    weights = [np.ones((3, 3, 3, 4)), np.arange(4.0)]
    layer = layer_conv_2d(None, 4, 3, weights=weights)
    outputs = array(layer(IMAGE))
    layer.enable_lora(2)
    assert len(layer.weights) == 4
    np.testing.assert_allclose(array(layer(IMAGE)), outputs, rtol=1e-6)


def test_weights_reach_a_model_and_a_tensor():
    model = keras.Sequential()
    layer_separable_conv_2d(model, 4, 3, input_shape=(9, 8, 3), weights=KERNELS)
    outputs = layer_separable_conv_2d(IMAGE, 4, 3, weights=tuple(KERNELS))
    np.testing.assert_allclose(
        model.predict(IMAGE, verbose=0), array(outputs), atol=1e-5
    )


def test_a_named_list_of_weights():
    named = dict(zip(("depthwise", "pointwise", "bias"), KERNELS, strict=True))
    layer = layer_separable_conv_2d(None, 4, 3, weights=named)
    layer(IMAGE)
    for found, expected in zip(layer.get_weights(), KERNELS, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_weights_in_half_precision():
    halves = [keras.ops.cast(kernel, "bfloat16") for kernel in KERNELS]
    layer = layer_separable_conv_2d(None, 4, 3, weights=halves)
    layer(IMAGE)
    for found, expected in zip(layer.get_weights(), KERNELS, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2**-8)


def test_weights_without_bias():
    layer = layer_separable_conv_2d(
        None, 4, 3, use_bias=False, weights=KERNELS[:2]
    )
    layer(IMAGE)
    np.testing.assert_array_equal(layer.get_weights()[1], KERNELS[1])


@pytest.mark.parametrize(
    "weights",
    [KERNELS[::-1], [KERNELS[0].T, *KERNELS[1:]], [*KERNELS[:2], 2.0]],
)
def test_weights_of_the_wrong_shape_are_refused_each_time(weights):
    layer = layer_separable_conv_2d(None, 4, 3, weights=weights)
    for _ in range(2):
        with pytest.raises(
            ValueError, match="`weights` must have the"
        ) as caught:
            layer(IMAGE)
        assert "Received: weights=[<ndarray (" in str(caught.value)
        assert not layer.built
        assert not layer.weights


def test_weights_wait_for_an_input_that_they_fit():
    layer = layer_separable_conv_2d(None, 4, 3, weights=KERNELS)
    with pytest.raises(ValueError, match="`weights` must have the shape"):
        layer(np.zeros((2, 9, 8, 5), "float32"))
    layer(IMAGE)
    np.testing.assert_array_equal(layer.get_weights()[0], KERNELS[0])


@pytest.mark.parametrize("weights", [[], KERNELS[:2], [*KERNELS, np.zeros(1)]])
def test_the_wrong_number_of_weights(weights):
    with pytest.raises(
        ValueError, match="`weights` must be a list of 3 arrays"
    ):
        layer_separable_conv_2d(None, 4, 3, weights=weights)


def test_the_number_of_weights_in_words():
    for count, rule in ((1, "1 array of"), (2, "2 arrays of"), (3, "3 arrays")):
        options = {} if count == 1 else {"filters": 4}
        helper = layer_separable_conv_2d if options else layer_depthwise_conv_2d
        with pytest.raises(ValueError, match=f"`weights` .* list of {rule}"):
            helper(kernel_size=3, use_bias=count == 3, weights=[], **options)


@pytest.mark.parametrize("count", [8, 9])
def test_a_long_list_of_weights_is_shown_in_part(count):
    with pytest.raises(ValueError, match="`weights` must be") as caught:
        layer_separable_conv_2d(None, 4, 3, weights=[np.zeros(2)] * count)
    shown = ", ".join(["<ndarray (2,)>"] * 8 + ["..."] * (count - 8))
    assert str(caught.value).endswith(f"Received: weights=[{shown}]")


def test_weights_that_are_no_list():
    letters = [np.full(kernel.shape, "a") for kernel in KERNELS]
    digits = [np.full(kernel.shape, "1") for kernel in KERNELS]
    missing = [*KERNELS[:2], None]
    for weights in (
        *("imagenet", 3, np.zeros(3), [*KERNELS[:2], True]),
        *(letters, digits, missing),
    ):
        with pytest.raises(
            TypeError, match="`weights` must be a list"
        ) as caught:
            layer_separable_conv_2d(None, 4, 3, weights=weights)
        # No numbers but those of shapes.
        assert len(str(caught.value)) < 160
        kind = type(weights).__name__
        assert f"Received: weights={'[' if kind == 'list' else f'<{kind}'}" in (
            str(caught.value)
        )


@pytest.mark.parametrize("number", [2.0, np.float32(2), np.array(2.0)])
def test_one_number_is_a_vector_for_one_filter(number):
    weights = [KERNELS[0], np.ones((1, 1, 3, 1)), number]
    layer = layer_separable_conv_2d(None, 1, 3, weights=weights)
    layer(IMAGE)
    np.testing.assert_array_equal(array(layer.bias), [2.0])
