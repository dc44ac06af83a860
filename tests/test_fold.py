"""What is folded into a layer: its numbers, and why others stay."""

import keras
import numpy as np
import pytest
from backends import array
from networks import shaken

from keras_sepconv import convert_model, layers
from keras_sepconv.tools.conversion import fold

L = keras.layers


def wide(variable):
    return array(variable).astype("float64")


KINDS = {
    "dense": lambda **k: L.Dense(5, **k),
    "plain": lambda **k: L.Conv2D(5, 2, **k),
    "grouped": lambda **k: L.Conv2D(6, 2, groups=3, **k),
    "transposed": lambda **k: L.Conv2DTranspose(5, 2, **k),
    "depthwise": lambda **k: L.DepthwiseConv2D(2, depth_multiplier=2, **k),
    "separable": lambda **k: L.SeparableConv2D(5, 2, depth_multiplier=2, **k),
    "ours": lambda **k: layers.SeparableConv2D(
        5, 2, depthwise_use_bias=True, **k
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_rounded_once(kind, dtype, double_precision):
    """They are those of the formula in float64, to the last bit."""
    for options in (
        {"epsilon": 0.25},
        {"scale": False},
        {"center": False},
    ):
        bias = "scale" not in options
        before, after = (
            KINDS[kind](use_bias=with_bias, dtype=dtype)
            for with_bias in (bias, True)
        )
        norm = L.BatchNormalization(dtype=dtype, **options)
        model = keras.Sequential([keras.Input((4, 4, 3)), before, norm])
        shaken(model)
        after.build((None, 4, 4, 3))
        fold.apply(before, after, [norm])
        scale = wide(norm.gamma) if norm.scale else 1.0
        scale = scale / np.sqrt(wide(norm.moving_variance) + norm.epsilon)
        shift = (wide(before.bias) if bias else 0.0) - wide(norm.moving_mean)
        expected = shift * scale + (wide(norm.beta) if norm.center else 0.0)
        np.testing.assert_array_equal(array(after.bias), expected.astype(dtype))
        weight = (
            "pointwise_kernel" if kind in ("separable", "ours") else "kernel"
        )
        kernel = wide(getattr(before, weight))
        if kind == "depthwise":
            scale = scale.reshape(3, 2)
        if kind == "transposed":
            scale = scale[:, None]
        expected = (kernel * scale).astype(dtype)
        np.testing.assert_array_equal(array(getattr(after, weight)), expected)
        if weight == "pointwise_kernel":
            np.testing.assert_array_equal(
                array(after.depthwise_kernel), array(before.depthwise_kernel)
            )


def test_two_normalisations_in_a_row_are_both_folded():
    model = shaken(
        keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                L.Conv2D(5, 2, name="conv"),
                L.BatchNormalization(name="first"),
                L.BatchNormalization(name="second"),
            ]
        )
    )
    fast = convert_model(model, inference=True)
    assert [layer.name for layer in fast.layers] == ["conv"]
    assert [row.layer for row in fast.conversion_report.folded] == [
        *("first", "second")
    ]


def test_what_stays_inside_another_model_has_its_path():
    inputs = keras.Input((4, 4, 3))
    norm = L.BatchNormalization(name="norm")
    inner = keras.Sequential([keras.Input((4, 4, 3)), L.ReLU(), norm])
    inner.name = "inner"
    model = shaken(keras.Model(inputs, inner(inputs)))
    (row,) = convert_model(model, inference=True).conversion_report.unfolded
    assert row.layer == "inner/norm"


def written(layer, shape=(None, 8, 8, 4)):
    """Returns what Keras writes of a layer."""
    if shape is not None:
        layer.build(shape)
    return keras.saving.serialize_keras_object(layer)


@keras.saving.register_keras_serializable("test_fold")
class Conv2D(L.Conv2D):
    """A user's class with the name of one of Keras's."""


HALF = "mixed_bfloat16"
INT8 = "int8_from_float32"


@pytest.mark.parametrize(
    ("before", "norm", "reason"),
    [
        (L.Conv2D(4, 3), {}, None),
        (L.Conv2D(4, 3), {"axis": 3}, None),
        (L.Conv2D(4, 3), {"axis": 1}, "it does not normalise the channels"),
        (L.Conv2D(4, 3), {"axis": -3}, "it does not normalise the channels"),
        (L.Conv2D(4, 3), {"axis": 2}, "it does not normalise the channels"),
        (L.Conv2D(4, 3), {"axis": -2}, "it does not normalise the channels"),
        (L.Dense(4), {"axis": 3}, None),
        (L.Conv2D(4, 3, activation="linear"), {}, None),
        (L.Conv2D(4, 3, activation="relu"), {}, "it before it has an activ"),
        (Conv2D(4, 3), {}, "it before it is Conv2D"),
        (layers.Conv2D(4, 1), {}, None),
        (layers.SeparableConv3D(4, 1), {}, None),
        (L.Conv2D(4, 3, dtype=HALF), {"dtype": HALF}, None),
        (L.Conv2D(4, 3, dtype=HALF), {}, "it before it has another dtype"),
        (L.Conv2D(4, 3), {"dtype": HALF}, "it before it has another dtype"),
        (
            L.Conv2D(4, 3, dtype=INT8),
            {"dtype": INT8},
            "it before it has more than its kernel",
        ),
        (L.ReLU(), {}, "it before it is ReLU"),
    ],
)
def test_why_a_normalisation_stays(before, norm, reason):
    before = type(before).from_config({**before.get_config(), "name": "it"})
    node = written(before, None)
    after = written(L.BatchNormalization(**norm))
    found = fold._why_not(node, after, True)
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)
    if reason is None:
        used = "it before it is used elsewhere too"
        assert fold._why_not(node, after, False) == used
        unknown = "its input's shape is not known yet"
        plain = written(L.BatchNormalization(**norm), None)
        assert fold._why_not(node, plain, True) == unknown
        call = {"args": [], "kwargs": {"training": True}}
        after["inbound_nodes"] = [{"args": [], "kwargs": {}}, call]
        trains = "it is called with training=True"
        assert fold._why_not(node, after, True) == trains


def test_the_axis_of_channels_first():
    node = written(L.Conv2D(4, 3, data_format="channels_first"), None)
    for axis, folds in ((1, True), (-3, True), (3, False), (-1, False)):
        norm = written(L.BatchNormalization(axis=axis))
        assert (fold._why_not(node, norm, True) is None) == folds


def test_an_adapted_layer_takes_nothing_in():
    layer = L.Dense(4, name="low", lora_rank=2)
    norm = written(L.BatchNormalization())
    why = "low before it has more than its kernel"
    assert fold._why_not(written(layer, None), norm, True) == why


def zeros(rank, amount, size=8, **options):
    """Returns the config of zeros around an input with 4 channels."""
    first = options.get("data_format") == "channels_first"
    sizes = (size,) * rank
    shape = (None, 4, *sizes) if first else (None, *sizes, 4)
    layer = getattr(L, f"ZeroPadding{rank}D")(amount, **options)
    return written(layer, None if size == 0 else shape)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (zeros(1, 1), L.Conv1D(4, 3), True),
        (zeros(1, (0, 1)), L.DepthwiseConv1D(3, 2), True),
        (zeros(1, (1, 0)), L.DepthwiseConv1D(3, 2), False),
        (zeros(1, 2), L.SeparableConv1D(4, 3, dilation_rate=2), True),
        (zeros(1, 1), L.Conv1D(4, 3, padding="causal"), False),
        (zeros(2, 1), L.Conv2D(4, 3), True),
        (zeros(2, ((1, 1), (2, 2))), L.Conv2D(4, (3, 5)), True),
        (zeros(2, ((2, 2), (1, 1))), L.Conv2D(4, (3, 5)), False),
        (zeros(2, ((1, 1), (0, 0))), L.Conv2D(4, 3), False),
        (zeros(2, 1), layers.SeparableConv2D(4, 3), True),
        (zeros(2, 1), L.Conv2D(4, 3, padding="same"), False),
        (zeros(2, 1), L.Conv2DTranspose(4, 3), False),
        (zeros(2, 1), Conv2D(4, 3), False),
        (zeros(2, 1), L.Dense(4), False),
        (zeros(2, 1), L.MaxPooling2D(3, 1), False),
        (zeros(2, 1, size=None), L.Conv2D(4, 3), False),
        (zeros(2, 1, size=0), L.Conv2D(4, 3), False),
        (zeros(3, 1), L.Conv3D(4, 3), True),
        (zeros(3, 1), layers.DepthwiseConv3D(3), True),
        (
            zeros(2, 1, data_format="channels_first"),
            L.DepthwiseConv2D(3, data_format="channels_first"),
            True,
        ),
        (
            zeros(2, 1, data_format="channels_first"),
            L.DepthwiseConv2D(3, data_format="channels_last"),
            False,
        ),
        (
            zeros(2, 1),
            L.DepthwiseConv2D(3, data_format="channels_first"),
            False,
        ),
    ],
)
def test_which_zeros_padding_same_adds_too(before, after, same):
    assert fold._is_same(before, written(after, None)) == same


@keras.saving.register_keras_serializable("test_fold")
class ZeroPadding2D(L.ZeroPadding2D):
    """A user's class; it may put other numbers around."""


def test_zeros_of_a_user_and_of_every_rank():
    for rank in (1, 2, 3):
        zeros, convolution = (
            getattr(L, f"{name}{rank}D") for name in ("ZeroPadding", "Conv")
        )
        stack = [keras.Input((6,) * rank + (4,)), zeros(1), convolution(4, 3)]
        fast = convert_model(shaken(keras.Sequential(stack)), inference=True)
        assert [type(layer) for layer in fast.layers] == [convolution]
        (row,) = fast.conversion_report.folded
        assert (row.before, row.after) == (
            zeros.__name__,
            fast.layers[0].name,
        )
        assert fast.layers[0].padding == "same"
    stack = [keras.Input((6, 6, 4)), ZeroPadding2D(1), L.Conv2D(4, 3)]
    fast = convert_model(keras.Sequential(stack), inference=True)
    assert [type(layer) for layer in fast.layers] == [ZeroPadding2D, L.Conv2D]


def test_layers_that_hold_layers_stay_as_they_are():
    """Their configs have `layers`, as those of models have."""
    inner = L.Pipeline([L.Rescaling(2.0), L.Rescaling(0.5)])
    model = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            inner,
            L.Conv2D(4, 1, name="conv"),
            L.BatchNormalization(),
        ]
    )
    fast = convert_model(shaken(model), inference=True)
    assert [layer.name for layer in fast.layers] == [inner.name, "conv"]
