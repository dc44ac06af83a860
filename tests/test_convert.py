"""Conversion of whole models; test_layers tests the numbers of layers."""

import io
import warnings

import keras
import numpy as np
import pytest
from backends import BACKEND, KERAS, array, needs_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    MODELS,
    Block,
    Library,
    LibraryTask,
    inner_model,
    inverted_residuals,
    nested,
    sequential,
    shaken,
)
from rich.console import Console

from keras_sepconv import convert_model, layers, restore_model
from keras_sepconv.tools.conversion import comparison, swaps

L = keras.layers


@pytest.fixture(params=MODELS, ids=lambda build: build.__name__)
def model(request):
    return shaken(request.param())


def outputs(model, inputs):
    return keras.tree.flatten(model.predict_on_batch(inputs))


def assert_alike(model, other):
    inputs = comparison.sample(model)
    for one, two in zip(
        outputs(model, inputs), outputs(other, inputs), strict=True
    ):
        scale = np.abs(one).max()
        np.testing.assert_allclose(two, one, rtol=0, atol=3e-5 * scale)


@pytest.mark.each_backend("inverted_residuals")
def test_a_converted_model_computes_the_same(model):
    fast = convert_model(model)
    assert type(fast) is type(model)
    assert fast.name == model.name
    assert [x.name for x in fast.layers] == [x.name for x in model.layers]
    assert fast.conversion_report.converted
    dense = [row.layer for row in fast.conversion_report.left]
    assert dense == (["stem"] if model.name == "sequential_one" else [])
    assert_alike(model, fast)


def test_a_restored_model_is_the_one_before(model):
    fast = convert_model(model, verify=False)
    restored = restore_model(fast, verify=False)
    before, after = model.get_config(), restored.get_config()
    assert before == after
    for one, two in zip(
        model.get_weights(), restored.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_an_inference_model_computes_the_same(model):
    fast = convert_model(model, inference=True, verify=False)
    kinds = [type(layer) for layer in fast.layers]
    report = fast.conversion_report
    assert not report.unfolded
    assert not {L.BatchNormalization, L.ZeroPadding2D} & set(kinds)
    assert len(fast.layers) == len(model.layers) - sum(
        "/" not in row.layer for row in report.folded
    )
    assert not fast.trainable_variables
    assert_alike(model, fast)


def test_every_layer_that_can_be_converted_is():
    fast = convert_model(shaken(sequential()))
    assert {
        layer.name: type(layer)
        for layer in fast.layers
        if type(layer).__module__.startswith("keras_sepconv")
    } == {
        "separable": layers.SeparableConv2D,
        "depthwise": layers.DepthwiseConv2D,
        "pointwise": layers.Conv2D,
        "grouped": layers.Conv2D,
    }
    rows = convert_model(shaken(nested())).conversion_report.converted
    assert {row.layer for row in rows} == {
        "inner/separable",
        "over_time/frame/separable",
        "twice/small_depthwise",
    }


def test_shared_layers_stay_shared():
    model = shaken(inverted_residuals())
    fast = convert_model(model, inference=True)
    assert len(fast.layers) == len(model.layers) - 4
    # A model of its own, and in a wrapper.
    a, b = keras.Input((8, 8, 3)), keras.Input((4, 8, 8, 3))
    inner = inner_model("inner")
    over_time = L.TimeDistributed(inner, name="over_time")(b)
    model = keras.Model([a, b], [inner(a), over_time])
    for inference in (False, True):
        fast = convert_model(shaken(model), inference=inference, verify=False)
        assert fast.get_layer("over_time").layer is fast.get_layer("inner")
        assert_alike(model, fast)


@pytest.mark.parametrize("inference", [False, True])
def test_the_model_stays_as_it_was(model, inference):
    config, weights = model.get_config(), model.get_weights()
    fast = convert_model(model, inference=inference, verify=False)
    for variable in fast.variables:
        if "int" not in str(variable.dtype):
            variable.assign(variable + 1.0)
    assert model.get_config() == config
    for one, two in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_flags_policies_and_penalties_are_kept():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.SeparableConv2D(
                4,
                3,
                dtype="mixed_bfloat16",
                depthwise_regularizer=keras.regularizers.L2(0.3),
                pointwise_constraint="unit_norm",
                bias_initializer=keras.initializers.Constant(2.0),
                name="a",
            ),
            L.Conv2D(5, 1, kernel_regularizer="l1", name="b"),
            L.DepthwiseConv2D(3, trainable=False, name="c"),
        ]
    )
    model.get_layer("b").bias.trainable = False
    fast = convert_model(shaken(model))
    for layer, twin in zip(model.layers, fast.layers, strict=True):
        config = layer.get_config()
        assert twin.get_config() == config
        assert twin.dtype_policy.name == layer.dtype_policy.name
        assert twin.trainable == layer.trainable
    assert [v.name for v in fast.trainable_variables] == [
        v.name for v in model.trainable_variables
    ]
    losses = [[float(array(loss)) for loss in m.losses] for m in (model, fast)]
    assert losses[0] == pytest.approx(losses[1])


@needs_gradients
@pytest.mark.each_backend("mixed_float16")
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_optimizers_that_hold_more_than_one_state_are_carried(policy):
    """Averages of weights, and the scale of the loss."""
    model = keras.Sequential(
        [keras.Input((4, 4, 2), dtype="float32"), L.SeparableConv2D(3, 3)]
    )
    model.dtype_policy = policy
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
    x, y = np.ones((4, 4, 4, 2), "float32"), np.ones((4, 2, 2, 3), "float32")
    model.fit(x, y, verbose=0)
    fast = convert_model(model)
    assert fast.optimizer.get_config() == model.optimizer.get_config()
    for one, two in zip(
        model.optimizer.variables, fast.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(array(one), array(two))
    # Both still train. Keras 3.6 goes on with the mean of what was before.
    for one in (model, fast):
        one.reset_metrics()
    for variable in model.variables:
        # By itself, Keras cannot go on after averages on JAX.
        variable.assign(keras.ops.copy(variable.value))
    losses = [one.train_on_batch(x, y) for one in (model, fast)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@needs_gradients
@pytest.mark.slow("it compiles two training steps")
@pytest.mark.each_backend("adam")
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_goes_on_where_it_was(optimizer):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 16, 14, 3)).astype("float32")
    y = rng.integers(0, 4, 8)
    model = sequential()
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False)
    fast = convert_model(model)
    assert fast.compiled
    assert int(array(fast.optimizer.iterations)) == 4
    histories = [
        one.fit(x, y, batch_size=4, epochs=3, verbose=0, shuffle=False).history
        for one in (model, fast)
    ]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=2e-3)


def test_a_file_of_a_converted_model_loads(model, tmp_path):
    fast = convert_model(model, verify=False)
    fast.save(tmp_path / "fast.keras")
    assert_alike(model, keras.models.load_model(tmp_path / "fast.keras"))


@needs_gradients
def test_fitting_an_inference_model_warns():
    model = shaken(sequential())
    fast = convert_model(model, inference=True)
    assert not fast.compiled
    fast.compile("sgd", "mse")
    x, y = np.ones((2, 16, 14, 3)), np.ones((2, 4))
    before = fast.get_weights()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fast.train_on_batch(x, y)
        fast.fit(x, y, verbose=0)
    said = [one for one in caught if "inference=True" in str(one.message)]
    # Both point to the lines above.
    assert [one.filename for one in said[:2]] == [__file__] * 2
    for one, two in zip(before, fast.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


class Padded(L.SeparableConv2D):
    """A convolution of a user's class."""


def test_what_cannot_be_converted_is_reported():
    model = keras.Sequential(
        [
            keras.Input((12, 12, 4)),
            Block(name="block"),
            Padded(4, 3, name="own"),
            L.Conv2D(4, 3, name="dense"),
            Padded(4, 3, name="a[red]:smile:"),
        ]
    )
    strided = {"strides": 2, "dilation_rate": 2, "name": "strided"}
    # Keras 3.6 refuses it too.
    if KERAS >= (3, 15):
        model.add(L.SeparableConv2D(4, 1, **strided))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            comparison,
            "difference",
            lambda *_: (None, []),
        )
        fast = convert_model(shaken(model))
    left = {row.layer: row.reason for row in fast.conversion_report.left}
    assert left["own"] == "Padded is a class of its own"
    assert left.pop("a[red]:smile:") == left["own"]
    assert left["block/hidden"] == "another layer creates it in its own code"
    if KERAS >= (3, 15):
        assert "`strides` other than 1" in left.pop("strided")
    assert left.pop("dense") == "it is dense"
    assert left.keys() == {"own", "block/hidden"}
    text = str(fast.conversion_report)
    assert f"{model.name}: 0 of " in text
    assert "Padded left, Padded is a class of its own: own, a[red]:sm" in text
    console = Console(file=io.StringIO(), width=80)
    console.print(fast.conversion_report.table())
    table = " ".join(console.file.getvalue().split())
    assert "block/hidden DepthwiseConv2D unchanged: another layer" in table


def test_what_keras_has_no_layer_for_is_reported():
    model = keras.Sequential(
        [
            keras.Input((5, 6, 7, 3)),
            layers.SeparableConv3D(2, 3, name="volume"),
            layers.Conv3D(2, 1, name="pointwise"),
        ]
    )
    stock = restore_model(model)
    assert [type(layer) for layer in stock.layers] == [
        layers.SeparableConv3D,
        L.Conv3D,
    ]
    (row,) = stock.conversion_report.left
    assert (row.layer, row.reason) == ("volume", "Keras has no SeparableConv3D")


def test_padding_that_keras_lacks_is_reported():
    model = keras.Sequential(
        [keras.Input((9, 9, 3)), layers.DepthwiseConv2D(3, padding=2)]
    )
    (row,) = restore_model(model).conversion_report.left
    assert row.reason == "Keras's DepthwiseConv2D has no padding by numbers"


def test_ours_in_the_code_of_another_layer_is_reported():
    @keras.saving.register_keras_serializable("test_convert")
    class OurBlock(L.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.hidden = layers.DepthwiseConv2D(3, name="hidden")

        def build(self, shape):
            self.hidden.build(shape)

        def call(self, inputs):
            return self.hidden(inputs)

    model = keras.Sequential([keras.Input((5, 5, 2)), OurBlock(name="block")])
    (row,) = restore_model(model).conversion_report.left
    assert (row.layer, row.reason) == ("block/hidden", swaps.AROUND)


def test_normalisations_that_cannot_be_folded_say_why():
    inputs = keras.Input((8, 8, 4))
    used = L.Conv2D(4, 1, name="used")(inputs)
    a = L.BatchNormalization(name="beside")(used)
    active = L.Conv2D(4, 1, activation="relu", name="active")(inputs)
    b = L.BatchNormalization(name="after_relu")(active)
    c = L.BatchNormalization(name="first")(inputs)
    rows = L.Conv2D(8, 1, name="rows")(inputs)
    d = L.BatchNormalization(axis=1, name="of_rows")(rows)
    half = L.Conv2D(4, 1, dtype="mixed_bfloat16", name="half")(inputs)
    e = L.BatchNormalization(name="of_half")(half)
    batch = L.Conv2D(4, 1, name="batch")(inputs)
    f = L.BatchNormalization(name="of_batch")(batch, training=True)
    inner = inner_model("inner")
    g = inner(L.Conv2D(3, 1, name="three")(inputs), training=True)

    class BatchNormalization(L.BatchNormalization):
        """Another of the name."""

        def call(self, inputs, training=None):
            return 2.0 * super().call(inputs, training)

    h = BatchNormalization(name="other")(L.Conv2D(4, 1, name="last")(inputs))
    model = keras.Model(inputs, [used, a, b, c, d, e, f, g, h])
    fast = convert_model(shaken(model), inference=True)
    assert not fast.conversion_report.folded
    reasons = {r.layer: r.reason for r in fast.conversion_report.unfolded}
    assert reasons == {
        "beside": "used before it is used elsewhere too",
        "after_relu": "active before it has an activation",
        "first": f"{model.layers[0].name} before it is InputLayer",
        "of_rows": "it does not normalise the channels",
        # Keras 3.6 casts by an operation of its own.
        "of_half": "half before it has another dtype"
        if KERAS >= (3, 15)
        else "cast_1 before it is Cast",
        "of_batch": "it is called with training=True",
        "inner": "it is called with training=True",
    }


def test_what_another_model_holds_too_is_not_folded():
    """Folding changes the convolution, so it would change both models."""

    def model(*layers):
        return keras.Sequential([keras.Input((8, 8, 4)), *layers])

    normed = L.DepthwiseConv2D(3, name="normed")
    padded = L.DepthwiseConv2D(3, name="padded")
    parts = [
        model(normed, L.BatchNormalization(name="norm")),
        model(normed),
        model(L.ZeroPadding2D(1), padded, L.Cropping2D(1)),
        model(padded),
        model(
            L.ZeroPadding2D(1, name="zeros"),
            L.Conv2D(4, 3, name="alone"),
            L.BatchNormalization(name="own"),
            L.Cropping2D(1),
        ),
    ]
    inputs = keras.Input((8, 8, 4))
    whole = keras.Model(inputs, L.Add()([part(inputs) for part in parts]))
    shaken(whole)
    fast = convert_model(whole, inference=True)
    report = fast.conversion_report
    name = parts[-1].name
    assert [(row.layer, row.after) for row in report.folded] == [
        (f"{name}/zeros", f"{name}/alone"),
        (f"{name}/own", f"{name}/alone"),
    ]
    assert [row.reason for row in report.unfolded] == [
        "normed before it is used elsewhere too"
    ]
    x = np.random.default_rng(0).random((2, 8, 8, 4), "float32")
    np.testing.assert_allclose(
        fast.predict(x, verbose=0), whole.predict(x, verbose=0), atol=1e-5
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_folding_into_each_kind_of_layer(rank):
    def kind(name):
        place = layers if name in layers.__all__ and rank == 3 else L
        return getattr(place, name)

    made = [
        kind(f"Conv{rank}D")(4, 2),
        kind(f"Conv{rank}DTranspose")(4, 2),
        kind(f"DepthwiseConv{rank}D")(2),
        kind(f"SeparableConv{rank}D")(5, 2),
        L.Dense(3),
    ]
    model = keras.Sequential([keras.Input((5,) * rank + (3,))])
    for layer in made:
        model.add(layer)
        model.add(L.BatchNormalization())
    fast = convert_model(shaken(model), inference=True, verify=False)
    assert [x.name for x in fast.layers] == [layer.name for layer in made]
    assert_alike(model, fast)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **k: L.Conv2D(6, 3, **k),
        lambda **k: L.Conv2D(6, 3, groups=2, **k),
        lambda **k: L.Conv2DTranspose(6, 3, **k),
        lambda **k: L.SeparableConv2D(6, 3, depth_multiplier=2, **k),
        lambda **k: L.DepthwiseConv2D(3, depth_multiplier=3, **k),
    ],
)
def test_folding_in_both_formats(make, data_format):
    first = data_format == "channels_first"
    if first and BACKEND in ("tensorflow", "numpy"):
        # There stock layers support only channels_last; ours support both.
        make_layer = make(data_format=data_format)
        if not isinstance(make_layer, (L.SeparableConv2D, L.DepthwiseConv2D)):
            return
    model = keras.Sequential(
        [
            keras.Input((4, 9, 9) if first else (9, 9, 4)),
            make(data_format=data_format, use_bias=False),
            L.BatchNormalization(axis=1 if first else -1),
        ]
    )
    shaken(model)
    fast = convert_model(model, inference=True)
    assert len(fast.layers) == 1
    assert_alike(model, fast)


@pytest.mark.parametrize(
    ("size", "zeros", "options", "folded"),
    [
        (8, ((0, 1), (0, 1)), {"strides": 2}, True),
        (7, ((0, 1), (0, 1)), {"strides": 2}, False),
        (7, 1, {"strides": 2}, True),
        (8, 1, {}, True),
        (8, 2, {"dilation_rate": 2}, True),
        (8, 2, {}, False),
        (8, 1, {"padding": "same"}, False),
        (None, 1, {}, False),
    ],
)
@pytest.mark.parametrize("kind", ["DepthwiseConv2D", "Conv2D"])
def test_zeros_are_folded_where_they_are_same(
    size, zeros, options, folded, kind
):
    filters = (5,) if kind == "Conv2D" else ()
    model = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            L.ZeroPadding2D(zeros),
            getattr(L, kind)(*filters, 3, **options),
        ]
    )
    fast = convert_model(shaken(model), inference=True, verify=False)
    assert len(fast.layers) == 2 - folded
    assert_alike(model, fast)


@keras.saving.register_keras_serializable("test_convert")
class Conv2D(L.Conv2D):
    """Another of the name."""


@pytest.mark.parametrize(
    "after",
    [
        L.Conv2DTranspose(5, 3),
        # Its columns and channels are the rows and columns of the zeros.
        L.DepthwiseConv2D(3, data_format="channels_first"),
        Conv2D(5, 3),
        L.Dense(5),
    ],
    ids=lambda layer: layer.name,
)
def test_zeros_stay_before_what_does_not_pad_as_they_do(after):
    zeros = L.ZeroPadding2D(1, data_format="channels_last")
    model = keras.Sequential([keras.Input((8, 8, 8)), zeros, after])
    fast = convert_model(model, inference=True, verify=False)
    assert [layer.name for layer in fast.layers] == [zeros.name, after.name]


def test_the_report_counts_ours_and_all(monkeypatch):
    monkeypatch.setattr(
        "keras_sepconv.tools.conversion.convert.multiply_adds",
        lambda model, where: (
            sum(map(where, model.layers)),
            len(model.layers),
        ),
    )
    fast = convert_model(inner_model("inner"), verify=False)
    assert fast.conversion_report.multiply_adds == (1, 2)
    assert fast.conversion_report.share == 0.5
    stock = restore_model(fast, verify=False)
    assert stock.conversion_report.multiply_adds == (None, 2)


def test_an_adapted_normalization_is_carried():
    normalization = L.Normalization()
    normalization.adapt(np.random.default_rng(0).random((8, 5, 5, 2)))
    model = keras.Sequential(
        [keras.Input((5, 5, 2)), normalization, L.SeparableConv2D(3, 3)]
    )
    assert_alike(model, convert_model(model))


def test_frozen_models_stay_frozen():
    """Configs of Keras lack the flag, and the policy of a Sequential."""
    inner = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            L.SeparableConv2D(2, 1, name="separable"),
            L.BatchNormalization(name="bn"),
        ],
        name="inner",
    )
    inner.trainable = False
    inner.get_layer("bn").trainable = True
    # This layer is also in the frozen model, but it is not frozen itself.
    beside = keras.Sequential(
        [keras.Input((4, 4, 2)), L.Conv2D(2, 1), inner.get_layer("bn")]
    )
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, beside(inner(inputs)))
    inner.dtype_policy = "mixed_bfloat16"
    fast = convert_model(model, verify=False)
    names = [variable.name for variable in model.trainable_variables]
    assert names == [variable.name for variable in fast.trainable_variables]
    twin = fast.get_layer("inner")
    flags = [layer.trainable for layer in inner.layers]
    assert (twin.trainable, flags) == (False, [False, True])
    assert [layer.trainable for layer in twin.layers] == flags
    assert twin.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.each_backend
def test_what_recurrent_layers_remember_is_carried():
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(2, 4, 3)),
            L.SeparableConv1D(3, 1),
            L.LSTM(2, stateful=True, return_sequences=True),
            L.GRU(2, stateful=True),
        ]
    )
    inputs = comparison.sample(model)
    first = array(model(inputs))
    fast = convert_model(model)
    second = array(model(inputs))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_allclose(array(fast(inputs)), second, atol=1e-6)


def test_a_model_with_code_of_its_own_is_verified(monkeypatch):
    model = Own(inner_model("inner"))
    model(np.ones((2, 8, 8, 3)))
    for inference in (False, True):
        fast = convert_model(shaken(model), inference=inference)
        assert not fast.conversion_report.notes
        (row,) = fast.conversion_report.converted
        assert row.layer == "inner/separable"
    monkeypatch.setattr(
        "keras_sepconv.tools.conversion.carry.copy_weights", lambda *_: None
    )
    with pytest.raises(ValueError, match="must compute the same"):
        convert_model(model)


@keras.saving.register_keras_serializable("test_convert")
class Own(keras.Model):
    """A model that calls another model in its own code."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        inner = keras.saving.serialize_keras_object(self.inner)
        return {**super().get_config(), "inner": inner}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config.pop("inner"))
        return cls(inner, **config)


def test_a_model_that_cannot_predict_is_converted_and_not_verified():
    def refuse(inputs):
        # Symbolic tensors pass.
        if not isinstance(inputs, keras.KerasTensor):
            raise TypeError("not this batch")
        return inputs

    inputs = keras.Input((4, 4, 2))
    hidden = L.DepthwiseConv2D(3)(inputs)
    model = keras.Model(inputs, L.Lambda(refuse, lambda s: s)(hidden))
    (note,) = convert_model(model).conversion_report.notes
    assert note.startswith("Not verified, because the model cannot predict a")
    assert "not this batch" in note


def test_a_result_that_cannot_predict_is_refused(monkeypatch):
    predict = comparison._outputs

    def once(model, *batches):
        monkeypatch.setattr(comparison, "_outputs", fail)
        return predict(model, *batches)

    def fail(model, *batches):
        raise TypeError("no such dtype")

    monkeypatch.setattr(comparison, "_outputs", once)
    with pytest.raises(ValueError, match="result cannot predict: no such dty"):
        convert_model(inner_model("inner"))


def test_a_wrong_conversion_is_refused(monkeypatch):
    convert = "keras_sepconv.tools.conversion.carry._assign"

    def forget(variable, other):
        if "depthwise" not in variable.path:
            variable.assign(keras.ops.copy(other.value))

    monkeypatch.setattr(convert, forget)
    model = shaken(sequential())
    different = "layer 'separable': its output is .*Received: model=<Sequential"
    with pytest.raises(ValueError, match=different):
        convert_model(model)
    assert convert_model(model, verify=False).conversion_report.converted
    with pytest.raises(ValueError, match="layer 'over_time': its output is"):
        convert_model(shaken(nested()))


def test_a_model_without_a_shape_is_converted_and_not_verified():
    model = keras.Sequential(
        [
            L.BatchNormalization(),
            L.ZeroPadding2D(1),
            L.SeparableConv2D(3, 3),
            L.BatchNormalization(),
            L.Flatten(),
        ]
    )
    for inference in (False, True):
        fast = convert_model(model, inference=inference)
        assert isinstance(fast.layers[2], layers.SeparableConv2D)
        assert "Not verified" in fast.conversion_report.notes[0]
    assert [row.reason for row in fast.conversion_report.unfolded] == [
        "nothing but one layer may come before it",
        "its input's shape is not known yet",
    ]


def test_an_implementation_is_handed_on():
    model = shaken(sequential())
    fast = convert_model(model, implementation="portable")
    restored = restore_model(fast, verify=False)
    assert restored.get_config() == model.get_config()
    assert fast.get_layer("separable").implementation == "portable"
    assert fast.get_layer("pointwise").implementation == "portable"
    assert (
        fast.get_layer("stem")
        .get_config()
        .keys()
        .isdisjoint({"implementation"})
    )


def like(module):
    """Returns an object like a model of another package."""
    return type("Model", (), {"__module__": module, "layers": ()})()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("model",), TypeError, "`model` must be a keras.Model.* Received"),
        ((L.Dense(2),), TypeError, "`model` must be a keras.Model"),
        ((None,), TypeError, "`model` must be a keras.Model"),
        ((like("tf_keras"),), TypeError, "; to use a model of Keras 2, save"),
        ((like("theirs"),), TypeError, "`model` must be a keras.Model. Rec"),
    ],
)
def test_what_is_no_model_is_refused(arguments, error, message):
    for function in (convert_model, restore_model):
        with pytest.raises(error, match=message):
            function(*arguments)


@pytest.mark.parametrize(
    "options",
    [
        {"verify": 1},
        {"inference": "yes"},
        {"implementation": "fastest"},
        {"equalize": 1},
        {"copies": 1},
        {"copies": 0},
    ],
)
def test_wrong_options_are_refused(options):
    (name,) = options
    with pytest.raises((TypeError, ValueError), match=f"`{name}` must be"):
        convert_model(sequential(), **options)
    if name == "verify":
        with pytest.raises(TypeError, match="`verify` must be"):
            restore_model(sequential(), **options)


def test_a_loss_of_someones_own_is_kept():
    def my_loss(y, p):
        return keras.ops.mean((y - p) ** 2)

    def my_activation(x):
        return keras.ops.tanh(x)

    class MyConstraint(keras.constraints.Constraint):
        def __call__(self, weight):
            return 2.0 * weight

    class MyMetric(keras.metrics.MeanSquaredError):
        pass

    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.SeparableConv2D(
                3,
                3,
                activation=my_activation,
                pointwise_constraint=MyConstraint(),
            ),
            L.Lambda(lambda x: 2.0 * x),
        ]
    )

    class MySchedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5

        def get_config(self):
            return {}

    optimizer = keras.optimizers.SGD(MySchedule())
    model.compile(optimizer, {model.layers[-1].name: my_loss}, [MyMetric()])
    fast = convert_model(shaken(model), verify=False)
    assert fast.optimizer.get_config() == optimizer.get_config()
    assert fast.layers[0].activation is my_activation
    assert isinstance(fast.layers[0].pointwise_constraint, MyConstraint)
    assert fast.compiled
    assert list(fast.loss.values()) == [my_loss]


class Compiled(keras.Sequential):
    """A model with its own `compile`."""

    def compile(self, speed):
        super().compile(keras.optimizers.SGD(speed), "mse")


def test_what_cannot_be_compiled_again_is_said():
    stack = [keras.Input((4, 4, 2)), L.SeparableConv2D(3, 3)]
    model = Compiled(stack)
    model.compile(0.5)
    with pytest.warns(UserWarning, match="`compile"):
        (note,) = convert_model(model, verify=False).conversion_report.notes
    assert note.startswith("Not compiled, because")
    model = keras.Sequential(stack)
    model.compile("sgd", lambda y, p: keras.ops.mean(y - p))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Of the lambda.
        (note,) = convert_model(model, verify=False).conversion_report.notes
    assert note.startswith("Not compiled, because")

    class Scaled(keras.losses.Loss):
        """Its config lacks the factor."""

        def __init__(self, factor):
            super().__init__()
            self.factor = factor

    model.compile("sgd", Scaled(2.0))
    (note,) = convert_model(model, verify=False).conversion_report.notes
    assert note.startswith("Not compiled, because")


@needs_gradients
def test_state_that_is_gone_is_said():
    model = keras.Sequential([keras.Input((4, 4, 2)), L.SeparableConv2D(3, 3)])
    model.compile(keras.optimizers.SGD(momentum=0.5), "mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.build = lambda _: None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.optimizers.SGD, "variables", [None])
        notes = convert_model(model, verify=False).conversion_report.notes
    assert notes[0].startswith("The optimizer's state begins anew")
    assert notes[1:] == (
        "The optimizer's attribute `build` is not carried, because it is not "
        "in its config.",
    )


def test_a_model_that_keras_cannot_make_again_is_refused():
    class Bare(keras.Model):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

    unmade = "can make again from its config, but.* Received: model=<Bare "
    with pytest.raises(ValueError, match=unmade):
        convert_model(Bare(inner_model("inner")))


KINDS = st.sampled_from(
    [
        lambda f, s: L.SeparableConv2D(f, 3, s, padding="same"),
        lambda f, s: L.DepthwiseConv2D(3, s, padding="same"),
        lambda f, s: L.Conv2D(f, 1, s),
        lambda f, s: L.Conv2D(f, 3, s, padding="same", use_bias=False),
        lambda f, s: L.BatchNormalization(),
        lambda f, s: L.ReLU(),
        lambda f, s: L.ZeroPadding2D(((0, 1), (1, 0))),
    ]
)


@settings(max_examples=8 if BACKEND == "jax" else 20)
@given(
    st.lists(
        st.tuples(KINDS, st.integers(1, 5), st.integers(1, 2)),
        min_size=1,
        max_size=6,
    )
)
def test_any_chain_is_converted_folded_and_restored(chain):
    model = keras.Sequential([keras.Input((11, 10, 3))])
    for kind, filters, stride in chain:
        model.add(kind(filters, stride))
    shaken(model)
    fast = convert_model(model)
    assert_alike(model, convert_model(model, inference=True, verify=False))
    restored = restore_model(fast, verify=False)
    assert restored.get_config() == model.get_config()


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("make", [lambda: Library(4, name="lib"), LibraryTask])
def test_a_functional_model_of_any_class_is_converted_by_its_graph(
    make, inference, tmp_path
):
    model = shaken(make())
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    fast = convert_model(model, inference=inference)
    assert_alike(model, fast)
    report = fast.conversion_report
    assert not report.left
    assert len(report.folded) == inference
    assert fast.compiled is not inference
    names = [type(one).__name__ for one in (model, *model.layers)]
    classes = [name for name in names if "Library" in name]
    notes = [note for note in report.notes if "is gone" in note]
    assert [note.split()[2] for note in notes] == classes
    assert "`keras_sepconv.accelerate` keeps it" in notes[0]
    assert type(fast).__module__.startswith("keras.")
    assert fast.name == model.name
    assert fast.input.keys() == model.input.keys()
    expected = [layer.name for layer in model.layers if layer.name != "bn"]
    assert [x.name for x in fast.layers if x.name != "bn"] == expected
    fast.save(tmp_path / "fast.keras")
    assert_alike(model, keras.saving.load_model(tmp_path / "fast.keras"))


class Doubled(Library):
    """A model whose `call` computes something else than its graph."""

    def call(self, inputs):
        return {"features": 2 * super().call(inputs)["features"]}


class Unknown(Doubled):
    def get_config(self):
        raise NotImplementedError


def test_the_code_of_a_subclass_is_kept():
    model = shaken(Doubled(4))
    fast = convert_model(model)
    assert type(fast) is Doubled
    assert_alike(model, fast)
    report = fast.conversion_report
    assert {row.reason for row in report.left} == {swaps.AROUND}
    assert report.notes == (
        "`keras_sepconv.accelerate` also reaches layers that another layer "
        "creates in its own code.",
    )
    with pytest.raises(ValueError, match="accelerate` takes any"):
        convert_model(Unknown(4))


class Nameless(L.Layer):
    """A layer whose config has no name."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        return inputs * self.scale

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {}


@pytest.mark.parametrize("inference", [False, True])
def test_a_layer_without_a_name_in_its_config_keeps_its_name(inference):
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), Nameless(), L.BatchNormalization()]
    )
    inputs = keras.Input((8, 8, 3))
    outputs = Nameless()(L.SeparableConv2D(4, 3)(inner(inputs)))
    model = shaken(keras.Model(inputs, L.BatchNormalization()(outputs)))
    frozen = [inner.layers[0], model.layers[-2]]
    for layer, name in zip(frozen, ("one", "two"), strict=True):
        layer.name = name
        layer.trainable = False
    fast = convert_model(model, inference=inference)
    assert_alike(model, fast)
    assert [layer.name for layer in fast.layers] == [
        layer.name for layer in model.layers
    ]
    for layer in (fast.layers[1].layers[0], fast.get_layer("two")):
        assert layer.trainable is False
    assert fast.layers[1].layers[0].name == "one"


def test_the_layer_that_differs_is_named_with_its_own_difference(monkeypatch):
    """The message names neither a folded layer nor the whole model."""
    model = shaken(sequential())
    assign = "keras_sepconv.tools.conversion.carry._assign"

    def forget(variable, other):
        scale = 0.5 if "classes/kernel" in variable.path else 1.0
        variable.assign(keras.ops.copy(other.value) * scale)

    monkeypatch.setattr(assign, forget)
    with pytest.raises(ValueError, match="layer 'classes': its output is off"):
        convert_model(model, inference=True)
