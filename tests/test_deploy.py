"""Conversion for inference: copies for runtimes, ranges for quantizers."""

import keras
import numpy as np
import pytest
from backends import BACKEND
from networks import shaken

from keras_sepconv import convert_model, layers
from keras_sepconv.tools.conversion import channels, copies, equalization
from keras_sepconv.tools.conversion.carry import serialized

L = keras.layers


def predicted(model, size=(9, 8, 4)):
    x = np.random.default_rng(1).standard_normal((2, *size)).astype("float32")
    return model.predict_on_batch(x)


def stack(*inside, size=(9, 8, 4)):
    return shaken(keras.Sequential([keras.Input(size), *inside], name="net"))


def convert(model, **options):
    return convert_model(model, inference=True, **options)


def copied(model, **options):
    """Returns the report's rows on copies, by layer."""
    report = convert(model, **options).conversion_report
    return {row.layer: row.after or row.reason for row in report.copied}


@pytest.mark.parametrize(
    "first",
    [
        lambda: L.SeparableConv2D(6, 3, depth_multiplier=3, padding="same"),
        lambda: layers.SeparableConv2D(
            6,
            3,
            depth_multiplier=2,
            depthwise_use_bias=True,
            depthwise_activation="elu",
        ),
        lambda: L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu6"),
        lambda: L.DepthwiseConv2D(3, depth_multiplier=3, use_bias=False),
        lambda: L.Conv2D(8, 3, groups=4),
    ],
)
def test_a_multiplier_is_written_as_copies(first):
    model = stack(
        first(),
        L.MaxPooling2D(2),
        L.ReLU(6.0),
        L.Conv2D(5, 1, name="reads"),
        L.Flatten(),
        L.Dense(3),
    )
    fast = convert(model, copies=True, verify=False)
    (row,) = fast.conversion_report.copied
    assert row.after.endswith("copies of its input")
    *_, inner = fast.layers[0].layers
    assert getattr(inner, "depth_multiplier", 1) == 1
    expected = predicted(model)
    np.testing.assert_allclose(
        predicted(fast), expected, rtol=0, atol=3e-6 * np.abs(expected).max()
    )


def graph():
    """A depthwise convolution, and what a convolution reads of it."""
    inputs = keras.Input((9, 8, 4))
    hidden = L.DepthwiseConv2D(
        3, depth_multiplier=2, dtype="mixed_bfloat16", name="first"
    )(inputs)
    hidden = L.ReLU(dtype="mixed_bfloat16", name="between")(hidden)
    outputs = L.Conv2D(3, 1, name="reads")(hidden)
    return shaken(keras.Model(inputs, [outputs, L.ReLU()(inputs)]))


def test_copies_in_a_graph_have_the_names_and_the_dtype_of_the_layer():
    model = graph()
    fast = convert(model, copies=True, verify=False)
    first = fast.get_layer("first")
    assert [layer.name for layer in first.layers] == [
        *("first_input", "first_copies", "first")
    ]
    assert first.input.dtype == "bfloat16"
    policies = {layer.dtype_policy.name for layer in first.layers[1:]}
    assert policies == {"mixed_bfloat16"}
    for one, two in zip(predicted(fast), predicted(model), strict=True):
        np.testing.assert_allclose(one, two, atol=0.1)


def test_the_layers_between_are_not_compared():
    """Their channels are in another order, or scaled."""
    model = graph()
    found = copies.with_copies(model, serialized(model), True)
    assert found[2] == {"first", "between"}
    rows, changed = equalization.equalize(model, serialized(model))
    assert [(row.layer, row.after) for row in rows] == [("first", "reads")]
    assert changed == {"first", "between"}
    # Inside another model, they are that model.
    inner, inputs = graph(), keras.Input((9, 8, 4))
    inner.name = "inner"
    model = keras.Model(inputs, inner(inputs))
    _, (row,), changed = copies.with_copies(model, serialized(model), True)
    assert (row.layer, row.after) == ("inner/first", "2 copies of its input")
    assert changed == {"inner"}
    rows, changed = equalization.equalize(model, serialized(model))
    assert [row.after for row in rows] == ["inner/reads"]
    assert changed == {"inner"}
    assert copies.with_copies(model, serialized(model), False) == (
        model,
        [],
        set(),
    )


class Own(L.DepthwiseConv2D):
    """A user's class."""


def test_what_is_not_one_of_ours_or_keras_s_stays():
    inside = L.SpectralNormalization(L.Conv2D(8, 1, groups=4))
    model = stack(Own(1, depth_multiplier=2), L.Conv2D(4, 1), inside)
    report = convert(
        model, copies=True, equalize=True, verify=False
    ).conversion_report
    assert report.copied == ()
    assert report.equalized == ()


def test_copies_in_a_graph_over_time_and_of_channels_first():
    inside = keras.Sequential(
        [
            keras.Input((4, 9, 8)),
            layers.SeparableConv2D(
                3,
                3,
                depth_multiplier=2,
                data_format="channels_first",
                name="first",
            ),
        ],
        name="frame",
    )
    inputs = keras.Input((2, 4, 9, 8))
    hidden = L.TimeDistributed(inside, name="over_time")(inputs)
    model = shaken(keras.Model(inputs, [hidden, hidden]))
    fast = convert(model, copies=True, verify=False)
    (row,) = fast.conversion_report.copied
    assert row.layer == "over_time/frame/first"
    for one, two in zip(
        predicted(model, (2, 4, 9, 8)),
        predicted(fast, (2, 4, 9, 8)),
        strict=True,
    ):
        np.testing.assert_allclose(two, one, atol=1e-4)


class TheirReLU(L.ReLU):
    """It may do anything."""


def read(*after, scales, first=None):
    """Returns the layer that reads `first`, or the reason why none does."""
    first = first or L.Conv2D(4, 1, activation="relu", name="first")
    chain = tuple(((layer.name,), layer) for layer in after)
    place = channels.Place((first.name,), {}, first, True, chain)
    found = channels.reader(place, scales)
    return found if isinstance(found, str) else found[1]


def activations(*names):
    return [L.Activation(name) for name in names]


@pytest.mark.parametrize(
    ("between", "any_order", "any_scale"),
    [
        *(
            ([getattr(L, f"{name}{n}D")(2) for n in (1, 2, 3)], True, True)
            for name in (
                "AveragePooling",
                "MaxPooling",
                "ZeroPadding",
                "Cropping",
                "UpSampling",
            )
        ),
        ([L.Dropout(0.5), L.ReLU(), L.LeakyReLU()], True, True),
        (activations("linear", "relu", "leaky_relu"), True, True),
        ([L.ReLU(6.0), L.ReLU(threshold=1.0), L.ELU()], True, False),
        (activations("elu", "gelu", "relu6", "selu"), True, False),
        (activations("sigmoid", "silu", "tanh"), True, False),
        (activations("softmax"), False, False),
        ([L.PReLU(), L.Softmax(), L.Flatten(), TheirReLU()], False, False),
        ([L.BatchNormalization(), L.LayerNormalization()], False, False),
        ([L.MaxPooling2D(data_format="channels_first")], False, False),
        ([L.Conv2D(4, 1, groups=2), L.DepthwiseConv2D(1)], False, False),
        ([L.Conv2D(4, 1, dtype="int8_from_float32")], False, False),
    ],
)
def test_what_may_stand_between_two_convolutions(between, any_order, any_scale):
    last = L.Conv2D(4, 1)
    for layer in between:
        for scales, passes in ((False, any_order), (True, any_scale)):
            expected = f"{layer.name} after it is {type(layer).__name__}"
            found = read(L.ReLU(), layer, last, scales=scales)
            assert found == (last if passes else expected)
            if isinstance(layer, L.Activation):
                one = L.Conv2D(4, 1, activation=layer.activation)
                found = read(last, scales=scales, first=one)
                way = "its activation is in the way"
                assert found == (last if passes else way)


def test_what_reads_a_convolution():
    none = "no convolution reads it alone"
    assert read(L.ReLU(), scales=True) == none
    other = L.Conv2D(4, 1, data_format="channels_first")
    assert read(other, L.Conv2D(4, 1), scales=True) == none
    for reader in (L.Conv1D(4, 1), L.Conv3D(4, 1), layers.Conv2D(4, 1)):
        assert read(reader, L.Conv2D(4, 1), scales=True) is reader
    adapted = L.Conv2D(4, 1)
    adapted.build((None, 8, 8, 4))
    adapted.enable_lora(1)
    assert read(adapted, scales=True).endswith("after it is Conv2D")


def test_what_stays_without_copies_says_why():
    inputs = keras.Input((9, 8, 4))

    def depthwise(name):
        return L.DepthwiseConv2D(1, depth_multiplier=2, name=name)

    alone = depthwise("alone")(inputs)
    by_two = depthwise("by_two")(inputs)
    ends = [L.Conv2D(2, 1)(by_two), L.Conv2D(2, 1)(by_two), alone]
    normed = L.PReLU(name="slopes")(depthwise("normed")(inputs))
    ends.append(L.Conv2D(2, 1)(normed))
    # This pooling in channels_first would pool channels.
    pools = L.MaxPooling2D(2, data_format="channels_first", name="pools")
    if BACKEND != "tensorflow":
        ends.append(L.Conv2D(2, 1)(pools(depthwise("pooled")(inputs))))
    twice = L.Conv2D(2, 1, name="twice")
    ends += [
        twice(depthwise("before")(inputs)),
        twice(depthwise("other")(inputs)),
    ]
    soft = L.DepthwiseConv2D(
        1, depth_multiplier=2, activation="softmax", name="soft"
    )
    ends.append(L.Conv2D(2, 1)(soft(inputs)))
    model = shaken(keras.Model(inputs, ends))
    reasons = copied(model, copies=True)
    if BACKEND != "tensorflow":
        assert reasons.pop("pooled") == "pools after it is MaxPooling2D"
    none = "no convolution reads it alone"
    assert reasons == {
        "alone": none,
        "by_two": none,
        "normed": "slopes after it is PReLU",
        "before": none,
        "other": none,
        "soft": "its activation is in the way",
    }


def test_a_layer_of_several_models_stays_without_copies():
    one = L.SeparableConv2D(4, 1, depth_multiplier=2, name="one")
    parts = [keras.Sequential([keras.Input((9, 8, 4)), one]) for _ in range(2)]
    inputs = keras.Input((9, 8, 4))
    model = keras.Model(inputs, L.Add()([part(inputs) for part in parts]))
    (reason,) = set(copied(shaken(model), copies=True).values())
    assert reason == "it is used elsewhere too"


def test_a_layer_whose_reader_is_of_several_models_stays_without_copies():
    reader = L.Conv2D(2, 1, name="reader")
    parts = [
        keras.Sequential(
            [
                keras.Input((9, 8, 4)),
                L.DepthwiseConv2D(1, depth_multiplier=2, name=name),
                reader,
            ]
        )
        for name in ("one", "other")
    ]
    inputs = keras.Input((9, 8, 4))
    model = keras.Model(inputs, L.Add()([part(inputs) for part in parts]))
    (reason,) = set(copied(shaken(model), copies=True).values())
    assert reason == "reader after it is used elsewhere too"


def test_a_layer_that_is_not_built_stays_without_copies():
    layers = [
        L.DepthwiseConv2D(3, depth_multiplier=2, name="one"),
        L.Conv2D(8, 3, groups=4, name="grouped"),
    ]
    reasons = copied(keras.Sequential(layers), copies=True)
    assert reasons == {"one": "its input's shape is not known yet"}


def test_copies_are_the_default_where_they_were_measured_to_help():
    def reasons(multiplier, size, kernel=3, **options):
        layer = L.SeparableConv2D(
            2, kernel, depth_multiplier=multiplier, name="one"
        )
        return copied(stack(layer, size=size), verify=False, **options)["one"]

    wide = (8, 8, 16)
    written = "2 copies of its input"
    assert reasons(2, wide, copies=True) == written
    assert reasons(5, (8, 8, 3), copies=True) == "5 copies of its input"
    if BACKEND not in ("tensorflow", "numpy"):
        assert reasons(2, wide) == f"with {BACKEND} it is as fast as it is"
        return
    assert reasons(2, wide) == written
    assert reasons(2, (None, None, 16)) == written
    assert reasons(4, wide) == "4 copies of its input"
    assert reasons(5, wide) == "more than 4 copies do not help"
    assert reasons(2, (8, 8, 15)) == (
        "copies of fewer than 16 channels do not help"
    )
    assert reasons(2, wide, kernel=8) == (
        "its output is so small that the copies would take longer"
    )
    assert not copied(
        stack(L.SeparableConv2D(2, 3, depth_multiplier=2), size=wide),
        copies=False,
    )
    small = "its output is so small that the copies would take longer"
    for size, why in (
        # A quarter of the pixels is enough, and less is not.
        ((8, 8, 16), written),
        ((9, 8, 16), small),
        ((8, 8, 15), "copies of fewer than 16 channels do not help"),
    ):
        for order in ("channels_last", "channels_first"):
            layer = layers.SeparableConv2D(
                2,
                2,
                strides=2,
                depth_multiplier=2,
                data_format=order,
                name="one",
            )
            if order == "channels_first":
                size = (size[-1], *size[:-1])
            assert copied(stack(layer, size=size), verify=False)["one"] == why


def chain(between=None):
    return stack(
        L.Conv2D(8, 3, activation="relu", name="first"),
        L.DepthwiseConv2D(3, name="depthwise"),
        L.BatchNormalization(),
        between or L.LeakyReLU(),
        L.AveragePooling2D(2),
        L.Conv2D(5, 1, name="pointwise"),
        L.ReLU(),
        layers.SeparableConv2D(6, 1, depthwise_use_bias=True, name="separable"),
        L.Flatten(),
        L.Dense(3),
    )


def test_an_operation_of_the_graph_is_in_the_way():
    inputs = keras.Input((8, 8, 16))
    hidden = L.DepthwiseConv2D(3, depth_multiplier=2)(inputs)
    outputs = L.Conv2D(4, 1)(keras.ops.tanh(hidden))
    fast = convert(keras.Model(inputs, outputs), copies=True)
    (row,) = fast.conversion_report.copied
    assert row.reason == "tanh after it is Tanh"


def test_equalized_is_the_same_to_the_last_bit():
    model = chain()
    plain, even = convert(model), convert(model, equalize=True)
    assert not plain.conversion_report.equalized
    np.testing.assert_array_equal(predicted(even), predicted(plain))
    rows = even.conversion_report.equalized
    assert {(row.layer, row.after, row.reason) for row in rows} == {
        ("depthwise", "pointwise", None),
        ("separable", "separable", None),
    }
    assert "1 DepthwiseConv2D equalized" in str(even.conversion_report)
    now = even.conversion_report.table().columns[2].cells
    assert "equalized with pointwise" in now


@pytest.mark.parametrize("writer", ["depthwise", "separable"])
def test_channels_of_any_range_are_equalized_alike(writer):
    """Scaling one kernel up and the next one down changes nothing."""
    model, other = chain(), chain()
    factors = 4.0 ** np.arange(-2, 3)[:, None]
    if writer == "depthwise":
        factors = 4.0 ** np.arange(-4, 4)[:, None]
    for one in model, other:
        # With other values the normalisation would round differently.
        for name in ("moving_mean", "beta"):
            getattr(one.layers[2], name).assign(np.zeros(8))
    maker = other.get_layer(writer)
    kernel = maker.weights[0]
    bias = {w.name: w for w in maker.weights}[
        "bias" if writer == "depthwise" else "depthwise_bias"
    ]
    rows = (
        other.get_layer("pointwise").kernel
        if writer == "depthwise"
        else maker.pointwise_kernel
    )
    kernel.assign(kernel.numpy() * factors)
    bias.assign(bias.numpy() * factors[:, 0])
    rows.assign(rows.numpy() / factors)
    even = [convert(one, equalize=True) for one in (model, other)]
    for one, two in zip(*(m.get_weights() for m in even), strict=True):
        np.testing.assert_array_equal(one, two)
    made, taken = (
        np.abs(even[0].get_layer(name).kernel).reshape(-1, 8, 5)
        if name == "pointwise"
        else np.abs(even[0].get_layer(name).kernel).reshape(-1, 8)
        for name in ("depthwise", "pointwise")
    )
    made = made.sum(0) + np.abs(even[0].get_layer("depthwise").bias)
    assert np.all(np.abs(np.log2(made / taken.max((0, 2)))) <= 1.0)


def test_what_is_not_equalized_says_why():
    report = convert(chain(L.ReLU(6.0)), equalize=True).conversion_report
    reasons = {row.layer: row.reason for row in report.equalized}
    assert reasons["depthwise"].endswith(" after it is ReLU")
    assert reasons["separable"] is None
    # What has no weights yet.
    unbuilt = keras.Sequential([L.SeparableConv2D(6, 3)])
    (row,) = convert(unbuilt, equalize=True).conversion_report.equalized
    assert row.reason == "it has no weights yet"
    scaled = layers.SeparableConv2D(
        6, 1, depthwise_activation="relu6", name="scaled"
    )
    report = convert(stack(scaled, L.Flatten()), equalize=True)
    (row,) = report.conversion_report.equalized
    assert (row.layer, row.after) == ("scaled", None)
    assert row.reason.endswith("after it is Flatten")
    shared = L.DepthwiseConv2D(3, name="shared")
    parts = [
        keras.Sequential([keras.Input((9, 8, 4)), shared, L.Conv2D(3, 1)])
        for _ in range(2)
    ]
    inputs = keras.Input((9, 8, 4))
    model = keras.Model(inputs, L.Add()([part(inputs) for part in parts]))
    report = convert(shaken(model), equalize=True).conversion_report
    assert {row.reason for row in report.equalized} == {
        "it or its reader is used elsewhere too"
    }


def test_a_relu_between_the_two_steps_is_not_in_the_way():
    model = stack(
        layers.SeparableConv2D(
            6, 2, depthwise_activation="relu", use_bias=False, name="it"
        )
    )
    even = convert(model, equalize=True)
    (row,) = even.conversion_report.equalized
    assert (row.layer, row.after) == ("it", "it")
    np.testing.assert_array_equal(predicted(even), predicted(convert(model)))


def test_what_is_scaled_by_design_is_not_named_as_wrong(monkeypatch):
    model = chain()

    def broken(other):
        for weight in other.layers[-1].weights:
            weight.assign(weight + 1.0)

    monkeypatch.setattr(
        "keras_sepconv.tools.conversion.convert._predict_only", broken
    )
    with pytest.raises(ValueError, match="must compute the same") as error:
        convert(model, equalize=True)
    assert f"'{model.layers[-1].name}'" in str(error.value)


def test_a_zero_channel_is_left_alone():
    model = chain()
    kernel = model.get_layer("pointwise").kernel
    kernel.assign(kernel.numpy() * (np.arange(8) > 1)[:, None])
    even = convert(model, equalize=True)
    assert np.isfinite(
        np.concatenate([w.ravel() for w in even.get_weights()])
    ).all()
    np.testing.assert_array_equal(predicted(even), predicted(convert(model)))


@pytest.mark.parametrize("options", [{"copies": True}, {"equalize": True}])
def test_what_is_for_inference_demands_it(options):
    (name,) = options
    message = f"`inference` must be True for `{name}=True`. Received: inf"
    with pytest.raises(ValueError, match=message):
        convert_model(chain(), **options)


def test_a_file_of_an_inference_model_stays_frozen(tmp_path):
    fast = convert(chain(), copies=True)
    fast.save(tmp_path / "fast.keras")
    again = keras.saving.load_model(tmp_path / "fast.keras")
    assert not again.trainable_variables
    np.testing.assert_array_equal(predicted(again), predicted(fast))
