"""The symbolic inputs of models and layers, and of their graphs."""

import keras
import numpy as np
import pytest

from keras_sepconv.tools.inspection import graph, inputs

L = keras.layers


def facts(tensor):
    return tuple(tensor.shape), tensor.dtype


def test_the_input_of_a_graph_keeps_its_structure():
    a = keras.Input((5,), name="a", dtype="int32")
    b = keras.Input((None, 3), batch_size=2, name="b")
    model = keras.Model({"a": a, "b": b}, [b + 1.0])
    known = inputs.known_input(model)
    assert {name: facts(known[name]) for name in known} == {
        "a": ((None, 5), "int32"),
        "b": ((2, None, 3), "float32"),
    }
    sequential = keras.Sequential([a, L.Embedding(3, 2)])
    assert facts(inputs.known_input(sequential)) == ((None, 5), "int32")
    # A copy of it has no history.
    assert inputs.input_of(model, None)["a"] is not a
    assert facts(inputs.input_of(model, None)["a"]) == facts(a)


class Built(L.Layer):
    """A layer that knows its shape only after it was built."""

    def get_build_config(self):
        assert self.built
        return super().get_build_config()


@pytest.mark.parametrize(
    ("shape", "known"),
    [
        ((None, None, 4), True),
        ((2, 4), True),
        ((None, 4, None), False),
        (((None, 4), (None, 4)), False),
        (None, False),
    ],
)
def test_the_input_of_a_layer(shape, known):
    layer = Built(dtype="mixed_bfloat16")
    assert inputs.known_input(layer) is None
    if shape is None:
        layer.built = True
    else:
        layer.build(shape)
    found = inputs.known_input(layer)
    if known:
        assert facts(found) == (shape, "bfloat16")
    else:
        assert found is None


class OfNames(keras.Model):
    """A model with its own code and two inputs by name."""

    def call(self, batch):
        return batch["a"] + batch["b"]


def test_the_input_of_a_model_with_code_of_its_own():
    model = OfNames()
    assert inputs.known_input(model) is None
    model({"a": np.ones((2, 3)), "b": np.ones((2, 3))})
    found = inputs.known_input(model)
    assert {name: facts(found[name]) for name in found} == {
        "a": ((2, 3), "float32"),
        "b": ((2, 3), "float32"),
    }
    part = OfNames()
    part.get_build_config = lambda: {
        "input_shape": {"a": (None, 3), "b": (None, None)}
    }
    part.built = True
    assert inputs.known_input(part) is None


def test_inputs_of_given_shapes():
    a = keras.Input((None, 3), name="a", dtype="int32")
    b = keras.Input((5,), batch_size=2, name="b")
    model = keras.Model([a, b], [b + 1.0])
    found = inputs.input_of(model, [(7, 3), (5,)])
    assert [facts(one) for one in found] == [
        ((None, 7, 3), "int32"),
        ((2, 5), "float32"),
    ]
    for wrong in (
        [(7, 3)],
        [(7, 3), (5,), (5,)],
        [(7, 4), (5,)],
        [(7, 3), (6,)],
        [(7, 3), (5, 1)],
        [(3,), (5,)],
    ):
        with pytest.raises(ValueError, match=r"inputs are \(None, 3\), \(5,\)"):
            inputs.input_of(model, wrong)
    layer = L.ReLU()
    assert facts(inputs.input_of(layer, [(7, 3)]))[0] == (None, 7, 3)
    for wrong in ([], [(3,), (3,)]):
        with pytest.raises(ValueError, match="it has one input"):
            inputs.input_of(layer, wrong)


def test_a_tensor_like_another():
    one = keras.Input((3,), batch_size=2, dtype="int32")
    found = inputs.like(one)
    assert found is not one
    assert facts(found) == ((2, 3), "int32")
    for other in (None, 3, "text"):
        assert inputs.like(other) is other


def test_the_tensors_of_a_call():
    one, other = (keras.Input((3,)) for _ in range(2))
    constant = keras.ops.ones((3,))
    found = graph.tensors_of(([one, {"x": other}], 3, None), {"y": constant})
    assert [id(tensor) for tensor in found] == [
        id(tensor) for tensor in (one, other, constant)
    ]


@pytest.mark.parametrize("more", [{}, {"c": 1}])
def test_the_tensors_of_a_call_in_the_order_of_the_inputs(more):
    a, b = (keras.Input((3,), name=name) for name in "ba")
    model = keras.Model([a, b], [a + b])
    one, other = (keras.Input((3,)) for _ in range(2))
    for args in (
        ([one, other],),
        (one, other),
        ({"a": other, "b": one, **more},),
        # Names that are not those of the inputs: in the order of Keras.
        ({"x": one, "y": other},),
        ({"a": one, "y": other},),
    ):
        found = graph.ordered(model, args)
        assert [id(tensor) for tensor in found] == [id(one), id(other)]


class Joined(L.Layer):
    """A layer with two arguments."""

    def call(self, one, other=None):
        return one + other


def test_the_way_through_a_graph():
    one, other = (keras.Input((3,), name=name) for name in "ab")
    hidden = L.ReLU(name="relu")(one)
    outputs = Joined(name="joined")(hidden, other=other)
    model = keras.Model([one, other], [outputs, hidden])
    given = [keras.Input((3,), name=name) for name in "cd"]
    seen = []

    def call(layer, args, kwargs):
        assert model.get_layer(layer.name) is layer
        seen.append((layer.name, len(args), sorted(kwargs)))
        if layer.name == "relu":
            assert args[0] is given[0]
            return keras.KerasTensor((None, 4))
        assert args[0].shape == (None, 4)
        assert kwargs["other"] is given[1]
        return keras.KerasTensor((None, 5))

    # The names that Keras counts up are for the layers of the user.
    before = [keras.Model(one, hidden).name, L.ReLU().name]
    found = graph.through(model, given, call)
    after = [keras.Model(one, hidden).name, L.ReLU().name]
    assert [tensor.shape for tensor in found] == [(None, 5), (None, 4)]
    assert seen == [("relu", 1, []), ("joined", 1, ["other"])]
    for then, now in zip(before, after, strict=True):
        assert number(now) == number(then) + 1


def number(name):
    """Returns the number at the end of a name that Keras made."""
    last = name.rsplit("_", 1)[-1]
    return int(last) if last.isdigit() else 0
