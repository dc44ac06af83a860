"""The multiply-adds, compared with sums of ones and published numbers."""

import keras
import numpy as np
import pytest
from backends import array

import keras_sepconv
from keras_sepconv.layers import Conv2D
from keras_sepconv.tools.inspection.counts import (
    Counts,
    layer_counts,
    model_counts,
    multiply_adds,
    sum_counts,
)
from keras_sepconv.tools.inspection.tree import layers

stock = keras.layers


def with_kernels(layer, shape, *kernels):
    """Returns a layer that is built for a batch of one, with given weights.

    Args:
        layer: The layer, without a bias.
        shape: The shape of its input, without the batch.
        *kernels: Functions from the shape of a weight to its values.
    """
    if not layer.built:
        layer.build((1, *shape))
    layer.set_weights(
        [
            kernel(weight.shape)
            for kernel, weight in zip(kernels, layer.weights, strict=True)
        ]
    )
    return layer


def sum_for_ones(layer, shape):
    """Returns the sum of a layer's outputs for inputs of ones.

    If all kernels are ones, each multiplication adds 1 to the sum.
    """
    return float(array(layer(np.ones((1, *shape), "float32"))).sum())


def counted(layer, shape):
    shape = (None, *shape)
    return layer_counts(layer, shape, layer.compute_output_shape(shape))


def first_tap(shape):
    """A depthwise kernel that copies its input, so that ones stay ones."""
    kernel = np.zeros(shape)
    kernel[(0,) * (len(shape) - 2)] = 1
    return kernel


def first_filter(shape):
    """A pointwise kernel with one filter that is not zero."""
    kernel = np.zeros(shape)
    kernel[..., 0] = 1
    return kernel


SIZES = {1: (9,), 2: (9, 8), 3: (5, 6, 7)}


@pytest.mark.parametrize("module", [stock, keras_sepconv])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2}])
def test_separable(module, rank, options):
    kind = getattr(module, f"SeparableConv{rank}D", None)
    if kind is None:  # Keras has none for volumes.
        assert (module, rank) == (stock, 3)
        return
    shape = (*SIZES[rank], 3)
    layer = kind(5, 2, depth_multiplier=2, use_bias=False, **options)
    found = counted(layer, shape)
    with_kernels(layer, shape, np.ones, first_filter)
    assert found.depthwise == sum_for_ones(layer, shape)
    with_kernels(layer, shape, first_tap, np.ones)
    assert found.pointwise == sum_for_ones(layer, shape)
    assert found.other == 0


@pytest.mark.parametrize("module", [stock, keras_sepconv])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2}])
def test_depthwise(module, rank, options):
    kind = getattr(module, f"DepthwiseConv{rank}D", None)
    if kind is None:
        assert (module, rank) == (stock, 3)
        return
    shape = (*SIZES[rank], 3)
    layer = kind(2, depth_multiplier=2, use_bias=False, **options)
    with_kernels(layer, shape, np.ones)
    expected = Counts(depthwise=int(sum_for_ones(layer, shape)))
    assert counted(layer, shape) == expected


PLAIN = {
    "dense": (stock.Conv2D, 3, {}, "other"),
    "strided": (stock.Conv2D, 3, {"strides": 2}, "other"),
    "line": (stock.Conv1D, 3, {"dilation_rate": 2}, "other"),
    "volume": (stock.Conv3D, 2, {}, "other"),
    "grouped": (stock.Conv2D, 3, {"groups": 2}, "other"),
    "depthwise": (stock.Conv2D, 3, {"groups": 4}, "depthwise"),
    "depthwise_of_1": (stock.Conv2D, 1, {"groups": 4}, "depthwise"),
    "pointwise": (stock.Conv2D, 1, {}, "pointwise"),
    "pointwise_strided": (stock.Conv1D, 1, {"strides": 2}, "pointwise"),
    "pointwise_grouped": (stock.Conv2D, 1, {"groups": 2}, "pointwise"),
    "ours": (Conv2D, 3, {"groups": 4}, "depthwise"),
    "line_up": (stock.Conv1DTranspose, 3, {}, "other"),
    "up": (stock.Conv2DTranspose, 3, {"strides": 2}, "other"),
    "up_of_1": (stock.Conv2DTranspose, 1, {}, "other"),
    "volume_up": (stock.Conv3DTranspose, 2, {}, "other"),
}


@pytest.mark.parametrize(
    ("kind", "size", "options", "part"), PLAIN.values(), ids=PLAIN.keys()
)
def test_plain(kind, size, options, part):
    layer = kind(8, size, use_bias=False, **options)
    rank = 1 if "1D" in kind.__name__ else 3 if "3D" in kind.__name__ else 2
    shape = (*SIZES[rank], 4)
    with_kernels(layer, shape, np.ones)
    expected = Counts(**{part: int(sum_for_ones(layer, shape))})
    assert counted(layer, shape) == expected


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (stock.Dense(5, use_bias=False), (7,)),
        (stock.Dense(5, use_bias=False), (2, 3, 7)),
        (stock.EinsumDense("ab,bc->ac", 5), (7,)),
        (stock.EinsumDense("abc,cde->abde", (None, 2, 5)), (3, 7)),
        (stock.EinsumDense("...x,xy->...y", 5), (3, 4, 7)),
    ],
)
def test_dense(layer, shape):
    with_kernels(layer, shape, np.ones)
    assert counted(layer, shape) == Counts(
        other=int(sum_for_ones(layer, shape))
    )


def test_a_size_that_only_one_side_knows():
    layer = stock.EinsumDense("abc,cd->abd", (None, 5))
    for sizes in ((3, None), (None, 3), (3, 3)):
        inputs, outputs = (
            (None, n, m) for n, m in zip(sizes, (7, 5), strict=True)
        )
        assert layer_counts(layer, inputs, outputs) == Counts(other=105)


def test_operations_that_multiply_are_not_counted():
    inputs = keras.Input((4, 4))
    for operation, known in (
        (keras.ops.matmul, False),
        (keras.ops.dot, False),
        (lambda x, y: keras.ops.einsum("abc,acd->abd", x, y), False),
        (keras.ops.inner, False),
        (keras.ops.outer, False),
        (lambda x, y: keras.ops.conv(x, np.ones((3, 4, 2), "float32")), False),
        (keras.ops.maximum, True),
    ):
        model = keras.Model(inputs, operation(inputs, inputs))
        assert (multiply_adds(model)[1] == 0) == known
        assert sum_counts(model_counts(model)) == (Counts(), known)


def test_zeros_of_padding_count():
    shape = (9, 8, 3)
    layer = with_kernels(
        stock.DepthwiseConv2D(3, padding="same", use_bias=False), shape, np.ones
    )
    found = counted(layer, shape).total
    assert found == 9 * 8 * 3 * 9
    # The zeros count like inputs, although they add nothing to the sum.
    valid = stock.DepthwiseConv2D(3)
    assert found == counted(valid, (11, 10, 3)).total
    assert found > sum_for_ones(layer, shape)
    up = stock.Conv2DTranspose(5, 3, strides=2)
    cut = stock.Conv2DTranspose(5, 3, strides=2, padding="same")
    assert counted(up, shape) == counted(cut, shape)


@pytest.mark.parametrize(
    "kind", ["SeparableConv2D", "Conv2D", "DepthwiseConv2D"]
)
def test_channels_first(kind):
    counts = []
    for data_format in ("channels_last", "channels_first"):
        arguments = (3,) if kind.startswith("Depthwise") else (5, 3)
        layer = getattr(stock, kind)(*arguments, data_format=data_format)
        last = data_format == "channels_last"
        counts.append(counted(layer, (9, 8, 3) if last else (3, 9, 8)))
    assert counts[0] == counts[1]
    assert counts[0].total


def test_what_multiplies_nothing_and_what_is_not_counted():
    shape = (None, 8, 8, 4)

    class Own(stock.Layer):
        def __init__(self, axes):
            super().__init__()
            self.axes = axes

        def build(self, shape):
            self.weight = self.add_weight(shape=self.axes * shape[-1:])

    none, vector, matrix = (Own(axes) for axes in range(3))
    for layer in (none, vector, matrix):
        assert layer_counts(layer, shape, shape) is None
        layer.build(shape)
    for layer in (stock.ReLU(), stock.BatchNormalization(), none, vector):
        assert layer_counts(layer, shape, shape) == Counts()
    for layer in (
        *(matrix, stock.LSTM(3), stock.Bidirectional(stock.LSTM(3))),
        *(stock.Attention(), stock.AdditiveAttention(), stock.Dot(1)),
        *(
            stock.MultiHeadAttention(2, 3),
            stock.TimeDistributed(stock.Dense(3)),
        ),
    ):
        assert layer_counts(layer, shape, shape) is None
    unknown = (None, 8, None, 4)
    assert layer_counts(stock.Conv2D(4, 1), unknown, unknown) is None
    assert layer_counts(stock.DepthwiseConv2D(1), unknown, unknown) is None
    assert layer_counts(stock.Dense(4), unknown, unknown) is None
    for layer in (stock.Conv2D(4, 1), stock.SeparableConv2D(4, 1)):
        channels = (None, 8, 8, None)
        assert layer_counts(layer, channels, shape) is None
    normed = stock.SpectralNormalization(stock.Conv2D(6, 1))
    outputs = (None, 8, 8, 6)
    assert layer_counts(normed, shape, outputs) == Counts(pointwise=1536)


@pytest.mark.parametrize(
    ("name", "published"),
    [("MobileNetV2", 300_774_272), ("MobileNet", 568_740_352)],
)
def test_published_numbers(name, published):
    model = getattr(keras.applications, name)(weights=None)
    rows = model_counts(model)
    counts, complete = sum_counts(rows)
    assert complete
    assert counts.total == published
    assert multiply_adds(model) == (published, published)
    assert sum(row.parameters for row in rows) == model.count_params()
    # The layers of Keras that hold an input stay unnamed.
    assert len(rows) == len(model.layers) - 1
    # All but the first convolution and the last layer.
    assert {"/".join(row.path) for row in rows if row.counts.other} < {
        *("Conv1", "conv1", "predictions", "conv_preds")
    }


def paths(model, **options):
    return ["/".join(row.path) for row in model_counts(model, **options)]


@pytest.fixture
def encoder():
    """A model with an unknown size; see `PLACE`."""
    return keras.Sequential(
        [
            keras.Input((None, 8, 4)),
            stock.SeparableConv2D(8, 3, padding="same", name="separable"),
            stock.ReLU(name="relu"),
            stock.Conv2D(12, 1, name="point"),
        ],
        name="encoder",
    )


# The counts of the encoder for one position.
PLACE = Counts(depthwise=9 * 4, pointwise=4 * 8 + 8 * 12)


def test_nested_and_shared(encoder):
    left, right = keras.Input((5, 8, 4)), keras.Input((6, 8, 4))
    tensors = {"a": keras.Input((None, 8, 4), name="a")}
    tensors["b"] = keras.Input((None, 8, 4), name="b")
    inner = keras.Model(
        # Not in the order of the alphabet.
        [tensors["b"], tensors["a"]],
        {"y": encoder(tensors["b"]), "x": encoder(tensors["a"])},
        name="inner",
    )
    x, y = keras.tree.flatten(inner({"a": left, "b": right}, training=False))
    outputs = stock.Concatenate(axis=1, name="join")([x, y]) + 1.0
    model = keras.Model([left, right], [outputs, encoder(right)])
    before, weights = model.get_config(), len(model.weights)
    rows = model_counts(model)
    once = ["separable", "relu", "point"]
    found = ["/".join(row.path) for row in rows]
    assert sorted(found) == sorted(
        [
            *2 * [f"inner/encoder/{name}" for name in once],
            *[f"encoder/{name}" for name in once],
            "join",
            next(name for name in found if name.startswith("add")),
        ]
    )
    counts, complete = sum_counts(rows)
    assert complete
    assert counts == PLACE * (8 * (5 + 6 + 6))
    assert sum(row.parameters for row in rows) == model.count_params()
    assert max(row.outputs[0][1] for row in rows) == 11
    # The model is as it was.
    assert model.get_config() == before
    assert len(model.weights) == weights
    assert len(inner.get_layer("encoder").layers) == 3
    assert model.layers[-1].output is not None


def test_steps(encoder):
    inputs = keras.Input((7, 5, 8, 4))
    twice = stock.TimeDistributed(encoder, name="each")
    model = keras.Model(inputs, twice(inputs))
    rows = model_counts(model)
    assert paths(model) == [
        f"each/encoder/{name}" for name in ("separable", "relu", "point")
    ]
    assert {row.steps for row in rows} == {7}
    assert sum_counts(rows) == (PLACE * (5 * 8 * 7), True)
    # Steps in steps.
    films = keras.Input((2, 7, 5, 8, 4))
    nested = keras.Model(films, stock.TimeDistributed(twice)(films))
    assert sum_counts(model_counts(nested)) == (PLACE * (5 * 8 * 14), True)
    inputs = keras.Input((None, 5, 8, 4))
    model = keras.Model(inputs, twice(inputs))
    assert multiply_adds(model)[1] is None
    rows = model_counts(model, [(2, 5, 8, 4)])
    assert sum_counts(rows) == (PLACE * (5 * 8 * 2), True)


def test_unknown_sizes(encoder):
    assert multiply_adds(encoder)[1] is None
    rows = model_counts(encoder)
    assert [row.counts for row in rows] == [None, Counts(), None]
    assert rows[0].outputs == ((None, None, 8, 8),)
    rows = model_counts(encoder, [(5, 8, 4)])
    assert sum_counts(rows) == (PLACE * (5 * 8), True)
    assert rows[0].outputs == ((None, 5, 8, 8),)


@pytest.mark.parametrize("shapes", [[], [(5, 8)], [(5, 9, 4)], [(5, 8, 4)] * 2])
def test_shapes_that_do_not_fit(encoder, shapes):
    message = r"(?s)'encoder' can take.* its inputs are \(None, 8, 4\)\. Rec"
    with pytest.raises(ValueError, match=message):
        model_counts(encoder, shapes)


def test_a_layer_that_does_not_fit():
    inputs = keras.Input((None, 3))
    outputs = keras_sepconv.DepthwiseConv1D(5)(inputs)
    model = keras.Model(inputs, outputs, name="narrow")
    message = (
        r"(?s)'narrow' can take.*input 4.* Received: input_shapes=\[\(4, 3"
    )
    with pytest.raises(ValueError, match=message) as caught:
        model_counts(model, [(4, 3)])
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_built():
    model = keras.Sequential(
        [stock.SeparableConv2D(8, 3, padding="same"), stock.Conv2D(12, 1)]
    )
    rows = model_counts(model)
    assert [row.counts for row in rows] == [None, None]
    assert [row.parameters for row in rows] == [None, None]
    assert [row.steps for row in rows] == [1, 1]
    assert multiply_adds(model)[1] is None
    rows = model_counts(model, [(5, 8, 4)])
    assert sum_counts(rows) == (PLACE * (5 * 8), True)
    assert not model.built
    with pytest.raises(ValueError, match="it has one input"):
        model_counts(model, [(5, 8, 4)] * 2)


class OfItsOwn(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.last = stock.ReLU(name="last")

    def call(self, inputs):
        return self.last(self.inner(inputs))


def test_models_with_code_of_their_own(encoder):
    model = OfItsOwn(encoder)
    model(np.ones((1, 5, 8, 4), "float32"))
    names = [f"encoder/{name}" for name in ("separable", "relu", "point")]
    assert paths(model) == [*names, "last"]
    expected = sum_counts(model_counts(encoder, [(5, 8, 4)]))
    assert multiply_adds(model)[1] == expected[0].total > 0
    inputs = keras.Input((5, 8, 4))
    around = keras.Model(inputs, stock.ReLU()(model(inputs)))
    *inner, last = model_counts(around)
    assert sum_counts(inner) == expected
    assert inner[0].path == (model.name, "encoder", "separable")
    assert sum(row.parameters for row in inner) == model.count_params()
    assert last.counts == Counts()
    # What recorded the calls is gone.
    assert not [one for _, one in layers(around) if "call" in vars(one)]


class Scaled(stock.Layer):
    """Multiplies by its own matrix, and calls a layer in a list."""

    def __init__(self, weighs):
        super().__init__()
        self.rest = [stock.Dense(3, name="dense")]
        self.weighs = weighs

    def build(self, shape):
        if self.weighs:
            self.matrix = self.add_weight(shape=(3, 3))
        self.rest[0].build(shape)

    def call(self, inputs):
        outputs = self.rest[0](inputs)
        return outputs @ self.matrix if self.weighs else outputs


@pytest.mark.parametrize("weighs", [False, True])
def test_layers_inside_a_layer_and_its_own_weights(weighs):
    model = keras.Sequential([keras.Input((5,)), Scaled(weighs)])
    inner, *own = model_counts(model)
    assert (inner.path[1:], inner.counts) == (("dense",), Counts(other=15))
    assert [(row.counts, row.parameters) for row in own] == [(None, 9)][:weighs]


def test_a_layer_that_is_its_own_model():
    layer = Scaled(True)
    layer(np.ones((2, 5), "float32"))
    inner, own = model_counts(layer)
    assert (inner.path, own.path) == (("dense",), (layer.name,))
    # The batch is that of the call; an unknown one is a single example.
    assert inner.inputs == ((2, 5),)
    model = keras.Sequential([keras.Input((5,)), Scaled(True)])
    assert model_counts(model)[0].inputs == ((1, 5),)


class Two(stock.Layer):
    """Calls layers of Keras in its own code, with arguments by name."""

    def __init__(self):
        super().__init__(name="two")
        self.attention = stock.MultiHeadAttention(2, 3, name="attention")

    def call(self, one, other):
        return self.attention(one, value=other)


class Joined(stock.Layer):
    def call(self, one, other):
        return keras.ops.concatenate([one, other], 1)


def test_arguments_by_name():
    one, other = keras.Input((5, 3)), keras.Input((7, 3))
    outputs = [Two()(one, other=other), Joined(name="joined")(one, other=other)]
    for rows in (
        model_counts(keras.Model([one, other], outputs)),
        model_counts(keras.Model([one, other], outputs), [(5, 3), (7, 3)]),
    ):
        found = {"/".join(row.path): row.inputs for row in rows}
        # Keras's layer is one layer, whatever it has inside.
        assert found == {
            "two/attention": ((1, 5, 3), (1, 7, 3)),
            "joined": ((None, 5, 3), (None, 7, 3)),
        }


class Whole(stock.Layer):
    """A layer for integers only."""

    def call(self, inputs):
        return keras.ops.cast(inputs, "float32")

    def compute_output_shape(self, shape):
        return shape

    def compute_output_spec(self, inputs):
        if inputs.dtype != "int32":
            raise TypeError(inputs.dtype)
        return keras.KerasTensor(inputs.shape)


class Around(stock.Layer):
    """Calls another layer in its own code."""

    def __init__(self, inner):
        super().__init__(name="around")
        self.inner = inner

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return self.inner(inputs)

    def compute_output_spec(self, inputs):
        return self.inner.compute_output_spec(inputs)


def test_integers_stay_integers():
    inputs = keras.Input((4, 5), dtype="int32")
    one = keras.Input((4, 5), dtype="int32")
    model = keras.Model(
        inputs,
        [
            stock.TimeDistributed(Whole(name="each"), name="steps")(inputs),
            Around(Whole(name="inner"))(inputs),
            keras.Model(one, Whole(name="graph")(one), name="model")(inputs),
        ],
    )
    found = {"/".join(r.path): r.inputs for r in model_counts(model)}
    assert found == {
        "steps/each": ((None, 5),),
        "around/inner": ((1, 4, 5),),
        "model/graph": ((None, 4, 5),),
    }


class Stubborn(Around):
    """Its code works only in a call with values."""

    def call(self, inputs):
        self.inner(inputs)
        raise TypeError("not now")


def test_what_came_before_code_that_does_not_work_is_counted():
    layers = [stock.Dense(4, name="first"), Stubborn(stock.Dense(2, name="it"))]
    model = keras.Sequential([keras.Input((3,)), *layers])
    first, inner = model_counts(model)
    assert (first.path, first.counts.total) == (("first",), 12)
    assert (inner.path, inner.inputs) == (("around", "it"), ())
    assert inner.counts is None
    # What recorded the calls is gone.
    assert "call" not in vars(layers[1].inner)


def test_layers_of_keras_are_whole_before_they_are_built():
    both = stock.Bidirectional(stock.LSTM(2), name="both")
    assert paths(keras.Sequential([both])) == ["both"]


class Grumbling(stock.Layer):
    def compute_output_spec(self, inputs):
        raise ValueError("\n  It is off.\nIn many lines.")


def test_why_shapes_do_not_fit_is_told_in_one_line():
    layer = Grumbling(name="it")
    with pytest.raises(ValueError, match=r"batch: It is off\. Received"):
        model_counts(layer, [(3,)])


def test_layers_that_are_accelerated_stay_so():
    model = keras.Sequential(
        [keras.Input((5, 5, 3)), Around(stock.DepthwiseConv2D(3))]
    )
    keras_sepconv.accelerate(model, verify=False)
    before = vars(model.layers[0].inner)["call"]
    assert model_counts(model)[0].counts.total == 9 * 9 * 3
    assert vars(model.layers[0].inner)["call"] is before


class Shy(stock.Layer):
    """A layer that works only in a real call, as some in mixed precision."""

    asked = 0

    def call(self, inputs):
        return inputs

    def compute_output_spec(self, inputs):
        self.asked += 1
        if self.asked > 1:
            raise TypeError("not now")
        return keras.KerasTensor(inputs.shape)


def test_a_layer_that_cannot_be_asked():
    inputs = keras.Input((5, 8, 4))
    model = keras.Model(inputs, Shy(name="shy")(stock.Conv2D(3, 1)(inputs)))
    assert multiply_adds(model)[1] is None
    assert paths(model)[-1] == "shy"
    with pytest.raises(ValueError, match="not now"):
        model_counts(model, [(5, 8, 4)])


def test_attention_by_any_name_is_not_counted():
    x = keras.Input((5, 12))
    for layer in (
        stock.MultiHeadAttention(2, 3, name="it"),
        stock.GroupQueryAttention(3, 2, 1, name="it"),
    ):
        model = keras.Model(x, layer(x, x))
        assert paths(model) == ["it"]
        assert multiply_adds(model)[1] is None


def test_what_is_known_of_some_layers():
    recurrent = [stock.Conv1D(2, 1), stock.LSTM(3)]
    model = keras.Sequential([keras.Input((5, 4)), *recurrent])
    found = multiply_adds(model, lambda layer: layer is recurrent[0])
    assert found == (5 * 4 * 2, None)


def test_sums():
    assert Counts(1, 2, 3) + Counts(4, 5, 6) == Counts(5, 7, 9)
    assert (Counts(1, 2, 3) * 2).total == 12
