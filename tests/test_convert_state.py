"""What a conversion leaves alone, and what of the state it carries."""

import keras
import numpy as np
import pytest
from backends import BACKEND, array

from keras_sepconv import convert_model, restore_model

L = keras.layers


def small(**options):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            L.SeparableConv2D(4, 3, name="separable", **options),
        ]
    )


IMAGES = np.random.default_rng(0).standard_normal((2, 6, 6, 3), "float32")


@pytest.mark.parametrize("change", [convert_model, restore_model])
def test_t8_predict_sees_a_later_change_of_a_layer(change):
    model = small()
    other = change(model)
    before = other.predict(IMAGES, verbose=0)
    assert (before < -0.01).any(), "what the activation would change"
    model, other = small(), change(small())
    for one in (model, other):
        one.get_layer("separable").activation = keras.activations.relu
        assert one.predict(IMAGES, verbose=0).min() == 0.0
    # Compared anew, with the activation in both.
    assert change(other).layers[0].activation is keras.activations.relu


@keras.saving.register_keras_serializable("test_convert_state")
class Counting(L.Layer):
    """Counts its calls, draws numbers, watches, and adds a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = self.add_weight(name="calls", trainable=False)
        self.seed = keras.random.SeedGenerator(3)
        self.mean = keras.metrics.Mean(name="mean")

    def call(self, inputs):
        self.calls.assign(self.calls + 1.0)
        self.mean.update_state(inputs)
        self.add_loss(keras.ops.mean(inputs))
        # Too small to be a difference, but a draw.
        return inputs + 1e-9 * keras.random.normal((1,), seed=self.seed)


def test_t8_a_comparison_leaves_both_models_as_they_were():
    inputs = keras.Input(batch_shape=(2, 6, 6, 3))
    hidden = L.SeparableConv2D(4, 3, activity_regularizer="l2")(inputs)
    hidden = L.Dropout(0.5)(Counting()(hidden))
    hidden = L.BatchNormalization()(hidden)
    hidden = L.Reshape((16, 4))(hidden)
    hidden = L.LSTM(2, stateful=True, name="lstm")(hidden)
    model = keras.Model(inputs, hidden)
    model.compile("sgd", "mse", ["mae"])
    model(IMAGES)
    if BACKEND == "torch":
        model.train()

    def state(one):
        values = [array(v) for v in (*one.variables, *one.metrics_variables)]
        values += map(array, one.get_layer("lstm").states)
        made = [vars(one).get(f"{name}_function") for name in NAMES]
        return values, [*made, getattr(one, "training", None)]

    alone = convert_model(model, verify=False)
    before = [state(model), state(alone)]
    after = [state(convert_model(model)), state(model)][::-1]
    for (values, made), (known, none) in zip(after, before, strict=True):
        assert made == none
        assert made[:3] == [None] * 3
        for one, other in zip(values, known, strict=True):
            np.testing.assert_array_equal(one, other)


NAMES = ("train", "test", "predict")


def scale(factor, package=None):
    """Returns a class of the name `Scale`, each time another."""

    class Scale(L.Layer):
        def call(self, inputs):
            return keras.ops.multiply(inputs, factor)

        def compute_output_shape(self, shape):
            return shape

    if package is None:
        return Scale
    return keras.saving.register_keras_serializable(package)(Scale)


def test_t11_a_class_of_a_user_may_have_any_name():
    class Shared(scale(2.0)):
        pass

    twice = Shared()
    one, other = keras.Input((6, 6, 3)), keras.Input((6, 6, 3))
    convolved = L.SeparableConv2D(4, 3)(twice(one))
    model = keras.Model([one, other], [convolved, twice(other)])
    fast = convert_model(model, verify=False)
    (layer,) = [one for one in fast.layers if one.name == twice.name]
    assert type(layer) is Shared
    for one, other in zip(
        model([IMAGES, IMAGES]), fast([IMAGES, IMAGES]), strict=True
    ):
        np.testing.assert_allclose(array(other), array(one), atol=1e-6)


@pytest.mark.parametrize("packages", [(None, None), ("t11", "t11")])
def test_t11_two_classes_of_one_name_are_refused(packages):
    model = small()
    for factor, package in zip((2.0, 3.0), packages, strict=True):
        model.add(scale(factor, package)())
    with pytest.raises(ValueError, match="two things by the name '.*Scale'"):
        convert_model(model, verify=False)


def test_t11_a_class_that_was_registered_anew_is_refused():
    model = small()
    model.add(scale(2.0, "t11_anew")())
    scale(3.0, "t11_anew")
    with pytest.raises(ValueError, match="two things by the name 't11_anew>S"):
        convert_model(model, verify=False)


def test_t11_two_classes_of_two_registered_names_are_both_kept():
    model = small()
    for factor, package in ((2.0, "t11_a"), (3.0, "t11_b"), (5.0, None)):
        model.add(scale(factor, package)())
    fast = convert_model(model, verify=False)
    kinds = [type(layer) for layer in model.layers]
    assert [type(layer) for layer in fast.layers][1:] == kinds[1:]


def test_t11_two_losses_of_one_name_are_said():
    def loss(factor):
        def mine(y, p):
            return factor * keras.ops.mean(keras.ops.square(y - p))

        return mine

    model = small()
    model.compile("sgd", loss(1.0), [loss(2.0)])
    (note,) = convert_model(model, verify=False).conversion_report.notes
    assert note.startswith("Not compiled, because")
    assert "two things by the name 'mine'" in note
