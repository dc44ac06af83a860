"""Whether two models compute the same: what is compared, and how far."""

import keras
import numpy as np
import pytest
from backends import KERAS

from keras_sepconv.tools.conversion import comparison, rounding

L = keras.layers


@pytest.mark.parametrize("unit", [2.0**-24, 2.0**-11, 2.0**-8])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_how_far_off_rounding_goes(unit, sign):
    """Up to the last bit.

    2**14 roundoffs of the difference between examples, but a quarter of it at
    most; 64 of the output; and 64 times what one rounding of the inputs does.
    """
    # Either the examples differ or what is inside the only one does.
    for one, spread in (([[0.0, 4.0], [1.0, 4.0]], 1.0), ([[0.0, 4.0]], 4.0)):
        one = sign * np.array(one)
        for moved in (0.0, -(2.0**-5), 2.0**-5):
            bound = min(2.0**14 * unit, 0.25) * spread + 64 * unit * 4
            bound += 64 * abs(moved)
            near = None if moved == 0.0 else [one + moved]
            for far in (bound, -bound):
                found = one.copy()
                found[0, 0] = far
                assert rounding.disagreement([one], [found], unit, near) is None
                found[0, 0] = np.nextafter(far, 2 * far)
                said = rounding.disagreement([one], [found], unit, near)
                assert said == (
                    f"its output is off by {abs(found[0, 0]):.2g}, and "
                    f"rounding explains {bound:.2g}"
                )


def test_without_a_unit_that_of_float32_is_meant():
    ones = np.ones((1, 1))
    assert rounding.disagreement([ones], [ones + 2.0**-18]) is None
    assert rounding.disagreement([ones], [ones + 2.0**-17]) is not None


@pytest.mark.parametrize(
    ("dtype", "unit"),
    [
        ("float64", 2.0**-24),
        ("float32", 2.0**-24),
        ("float16", 2.0**-11),
        ("mixed_bfloat16", 2.0**-8),
    ],
)
def test_the_least_precise_layer_counts(dtype, unit):
    layers = [keras.Input((3,)), L.ReLU(dtype=dtype), L.ReLU()]
    assert rounding.epsilon(keras.Sequential(layers)) == unit


def test_every_output_is_compared():
    ones, none = np.ones((2, 3)), np.ones((0, 3))
    said = rounding.disagreement([ones], [np.ones((2, 1))])
    assert said == "its output has the shape (2, 1), not (2, 3)"
    assert rounding.disagreement([none, ones], [none, ones]) is None
    assert rounding.disagreement([none, ones], [none, 2 * ones]) is not None


def test_a_nan_is_a_difference_unless_both_are():
    ones, nan = np.ones((2, 3)), np.array([[1.0, 1.0, np.nan], [1.0] * 3])
    assert rounding.disagreement([ones], [nan]) is not None
    assert rounding.disagreement([nan], [ones]) is not None
    assert rounding.disagreement([nan], [nan]) is None
    both = np.array([[np.inf, 1.0]])
    assert rounding.disagreement([both], [both]) is None
    assert rounding.disagreement([both], [-both]) is not None


def test_outputs_are_compared_in_float32_or_wider():
    tensors = [np.ones(2, dtype) for dtype in ("float16", "float64", "int32")]
    found = [one.dtype for one in rounding.arrays(tensors)]
    assert found == ["float32", "float64", "float32"]


def test_the_sizes_that_are_tried():
    def tried(least):
        stack = [keras.Input((None, None, 1)), L.AveragePooling2D(least)]
        return comparison.sample(keras.Sequential(stack)).shape

    assert tried(1) == (2, 32, 32, 1)
    # Keras 3.6 takes an image that is too small.
    if KERAS >= (3, 15):
        assert tried(33) == (2, 64, 64, 1)
        assert tried(65) == (2, 128, 128, 1)
        assert tried(129) == (2, 224, 224, 1)
        # The last one, even if it is too small.
        assert tried(225) == (2, 224, 224, 1)


def test_what_is_compared():
    whole = keras.Input((3, 3), dtype="int32")
    parts = [keras.Input((3, 3), dtype=f"float{n}") for n in (64, 32)]
    truth = keras.Input((3, 3), dtype="bool")
    pixels = keras.Input((3, 3), dtype="uint8")
    inputs = [whole, pixels, truth, *parts]
    model = keras.Model(inputs, [keras.ops.cast(whole, "float32")])
    *wholes, truths, double, single = comparison.sample(model)
    assert [one.dtype for one in wholes] == ["int32", "uint8"]
    for integers in wholes:
        assert np.unique(integers).tolist() == [0, 1]
    assert truths.dtype == bool
    assert np.unique(truths).tolist() == [False, True]
    for drawn, dtype in ((double, "float64"), (single, "float32")):
        assert drawn.dtype == dtype
        assert drawn.shape == (2, 3, 3)
        assert drawn.min() < -0.5 < 0.5 < drawn.max()


def test_the_shapes_of_a_batch():
    fixed = keras.Sequential([keras.Input(batch_shape=(3, 5)), L.ReLU()])
    assert comparison.sample(fixed).shape == (3, 5)
    inputs = {
        "b": keras.Input((None, 2), name="b"),
        "a": keras.Input((None, 3), name="a"),
    }
    model = keras.Model(inputs, [inputs["a"] + 1.0, inputs["b"] + 1.0])
    names = [tensor.name for tensor in model.inputs]
    shapes = [(7, 2 if name == "b" else 3) for name in names]
    found = comparison.sample(model, 4, shapes)
    assert {name: one.shape for name, one in found.items()} == {
        "a": (4, 7, 3),
        "b": (4, 7, 2),
    }
    seen = comparison.predict(model, shapes)
    assert {one.shape for one in seen.outputs} == {(2, 7, 3), (2, 7, 2)}
    unbuilt = keras.Sequential([L.ReLU()])
    assert comparison.sample(unbuilt, 1, [(4, 6)]).shape == (1, 4, 6)
    with pytest.raises(comparison.CannotPredictError, match="not known yet"):
        comparison.sample(unbuilt)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_a_batch_and_one_beside_it(dtype):
    """The second differs by one rounding; a model of its inputs shows both."""
    whole = keras.Input((3,), dtype=dtype, name="whole")
    inputs = [keras.Input((3,), name="single"), whole]
    model = keras.Model(inputs, [L.ReLU()(-1.0 * inputs[0]), inputs[1]])
    seen = comparison.predict(model)
    for batch, outputs in (
        (seen.inputs, seen.outputs),
        (seen.nearby, seen.moved),
    ):
        single, integers = batch
        np.testing.assert_array_equal(outputs[0], np.maximum(-single, 0.0))
        np.testing.assert_array_equal(outputs[1], integers)
        assert integers.dtype == dtype
    single, moved = seen.inputs[0], seen.nearby[0]
    assert single.dtype == moved.dtype == "float32"
    np.testing.assert_array_equal(moved, single * np.float32(1 + 2.0**-23))
    np.testing.assert_array_equal(seen.inputs[1], seen.nearby[1])
    assert seen.epsilon == 2.0**-24


class Trains(L.Layer):
    """A layer that trains unless it is told otherwise."""

    def call(self, inputs, training=True):
        return 2.0 * inputs if training else inputs


def test_models_are_compared_as_they_predict():
    seen = comparison.predict(keras.Sequential([keras.Input((3,)), Trains()]))
    np.testing.assert_array_equal(seen.outputs[0], seen.inputs)


def test_when_a_comparison_is_loose():
    """The note tells it, by the outputs for the batch itself."""
    near = [np.array([[0.0], [1.6]])]
    wide = [np.array([[0.0], [1.0]])]
    for outputs, moved, loose in (
        (wide, near, True),
        (near, wide, False),
        (wide, wide, False),
    ):
        seen = comparison.Prediction(None, None, outputs, moved, 2.0**-8)
        assert len(seen.notes) == loose
        assert all(note.startswith("Compared loosely") for note in seen.notes)


def scaled(*factors):
    """Returns a model that multiplies by one factor after the other."""
    layers = [
        L.Rescaling(factor, name=name)
        for factor, name in zip(factors, "abc", strict=False)
    ]
    return keras.Sequential([keras.Input((3,)), *layers], name="net")


@pytest.mark.parametrize(
    ("factors", "changed", "where"),
    [
        ((1.0, 1.0, 1.0), (), None),
        ((1.0, 0.0, 1.0), (), "layer 'b'"),
        ((0.0, 1.0, 1.0), (), "layer 'a'"),
        ((0.0, 1.0, 1.0), ("a",), "layer 'b'"),
        ((1.0, 1.0, 0.0), ["c"], "model 'net'"),
        ((0.0, 1.0, 1.0), "abc", "model 'net'"),
        # A layer that the model does not have is not the first one.
        ((0.0, 1.0, 1.0), "new", "layer 'b'"),
    ],
)
def test_the_first_layer_that_differs_is_named(factors, changed, where):
    model, other = scaled(1.0, 1.0, 1.0), scaled(*factors)
    if changed == "new":
        other.layers[0].name, changed = changed, ()
    said, notes = comparison.difference(model, other, changed)
    inputs = comparison.sample(model)
    unit, most = 2.0**-24, np.abs(inputs).max()
    # The last part is what one rounding of the inputs does.
    bound = 2.0**14 * unit * np.ptp(inputs, axis=0).max()
    bound += 64 * unit * most + 64 * 2 * unit * most
    expected = (
        f"{where}: its output is off by {most:.2g}, and rounding explains "
        f"{bound:.2g}"
    )
    assert said == (where and expected)
    assert notes == []


def test_a_batch_that_a_model_refuses_is_told():
    class Refusing(L.Layer):
        def call(self, inputs):
            if not isinstance(inputs, keras.KerasTensor):
                raise TypeError("not this batch.")
            return inputs

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape)

    model = keras.Sequential([keras.Input((3,)), Refusing()])
    with pytest.raises(comparison.CannotPredictError) as caught:
        comparison.predict(model)
    said = str(caught.value)
    assert said.startswith("Not verified, because the model cannot predict a ")
    assert "not this batch." in said


def test_the_whole_model_is_named_if_no_layer_can_be():
    def model(factor):
        inputs = keras.Input((4, 3))
        outputs, _ = L.GRU(2, return_state=True, name="gru")(inputs)
        return keras.Model(inputs, L.Rescaling(factor)(outputs), name="net")

    one, other = model(1.0), model(0.0)
    other.set_weights(one.get_weights())
    said, _ = comparison.difference(one, other)
    assert said.startswith("model 'net': its output is off by")
    # An inner model has an output that belongs to another graph.
    one, other = (
        keras.Sequential([keras.Input((3,)), scaled(factor)], name="outer")
        for factor in (1.0, 0.0)
    )
    assert comparison.difference(one, other)[0].startswith("model 'outer': its")


def test_other_shapes_are_told():
    seen = comparison.predict(scaled(1.0))
    other = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    assert seen.differs(other) == "its output has the shape (2, 1), not (2, 3)"
