"""`streaming_model`: a whole sequence and step by step give the same."""

import json
import pathlib

import jsonschema
import keras
import numpy as np
import pytest
import schemas
from backends import BACKEND
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import shaken
from rich.status import Status

import keras_sepconv as ks
from keras_sepconv import layers as ours
from keras_sepconv.__main__ import main
from keras_sepconv.tools.conversion import rounding
from keras_sepconv.tools.streaming import rules
from keras_sepconv.tools.streaming.model import _length
from keras_sepconv.tools.streaming.walk import Walk

L = keras.layers
EXAMPLES = settings.default.max_examples if BACKEND == "numpy" else 3


def run(step, inputs, chunk=1):
    """Returns what a step model makes of a sequence, by hand."""
    states = ks.initial_states(step, len(inputs))
    parts = []
    for start in range(0, inputs.shape[1] - chunk + 1, chunk):
        found = step.predict_on_batch(
            {"inputs": inputs[:, start : start + chunk], **states}
        )
        parts.append(np.asarray(found.pop("outputs")))
        assert found.keys() == states.keys()
        assert {n: a.shape for n, a in found.items()} == {
            n: a.shape for n, a in states.items()
        }
        states = found
    return parts


def agree(model, chunk=1, steps=24, sums_up=False, atol=2e-5, **options):
    """Checks that both models compute the same; returns the step model."""
    step = ks.streaming_model(model, chunk, **options)
    assert not step.streaming_report.notes
    shape = (2, steps, *model.inputs[0].shape[2:])
    inputs = np.random.default_rng(1).standard_normal(shape).astype("float32")
    if "int" in model.inputs[0].dtype:
        inputs = np.random.default_rng(1).integers(0, 4, shape)
    expected = np.asarray(model.predict_on_batch(inputs)).astype("float32")
    parts = run(step, inputs, chunk)
    found = parts[-1] if sums_up else np.concatenate(parts, 1)
    if not sums_up:
        expected = expected[:, : found.shape[1]]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        found.astype("float32"), expected, rtol=0, atol=atol * scale
    )
    return step


def causal(kind, filters, **options):
    if kind == "depthwise":
        return ours.DepthwiseConv1D(padding="causal", **options)
    classes = {
        "stock": L.Conv1D,
        "dense": ours.Conv1D,
        "separable": ours.SeparableConv1D,
    }
    return classes[kind](filters, padding="causal", **options)


KINDS = st.sampled_from(["stock", "dense", "separable", "depthwise"])


def network(draw):
    """Returns a causal network with branches, and a chunk that fits."""
    x = inputs = keras.Input((None, draw(st.integers(1, 4))))
    strides = 1
    for _ in range(draw(st.integers(1, 4))):
        channels = x.shape[-1]
        kernel = draw(st.integers(1, 5))
        if draw(st.booleans()) and strides < 6:
            stride = draw(st.integers(1, 3))
            strides *= stride
            options = {"kernel_size": kernel, "strides": stride}
            x = causal(draw(KINDS), 3, **options)(x)
        elif draw(st.booleans()):
            padded = L.ZeroPadding1D((kernel - 1, 0))(x)
            x = L.Conv1D(3, kernel, activation="tanh")(padded)
        else:
            branches = [x] if draw(st.booleans()) else []
            for _ in range(draw(st.integers(1, 2))):
                rate = draw(st.integers(1, 4))
                options = {"kernel_size": kernel, "dilation_rate": rate}
                branches.append(causal(draw(KINDS), channels, **options)(x))
            join = draw(st.sampled_from([L.Add, L.Concatenate, L.Multiply]))
            x = join()(branches) if len(branches) > 1 else branches[0]
            x = L.BatchNormalization()(x)
        x = L.ReLU()(x) if draw(st.booleans()) else x + 0.5
    chunk = strides * draw(st.integers(1, 3))
    return keras.Model(inputs, x), chunk


@pytest.mark.each_backend
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_drawn_networks(data):
    model, chunk = network(data.draw)
    shaken(model)
    agree(model, chunk, chunk * 8, verify=False)


def model_of(shape, *layers, dtype="float32"):
    return shaken(keras.Sequential([keras.Input(shape, dtype=dtype), *layers]))


def shared():
    """A layer and a model that are called twice."""
    inner = keras.Sequential(
        [keras.Input((None, 3)), ours.SeparableConv1D(3, 2, padding="causal")],
        name="inner",
    )
    inputs = keras.Input((None, 3))
    conv = L.Conv1D(3, 3, padding="causal", name="conv")
    x = inner(conv(inner(conv(inputs))))
    return shaken(keras.Model(inputs, x + inputs))


SAME_IN_TIME = ((2, 0), (1, 1))
RULES = {
    "conv_same_of_1": (1, (None, 3), L.Conv1D(4, 1, padding="same")),
    "patches": (4, (None, 3), L.Conv1D(4, 4, strides=4)),
    "patches_same": (4, (None, 3), L.Conv1D(4, 3, strides=4, padding="same")),
    "within_a_stride": (
        4,
        (None, 3),
        L.ZeroPadding1D((1, 0)),
        L.Conv1D(4, 3, strides=2),
    ),
    "numbers": (1, (None, 3), ours.SeparableConv1D(4, 3, padding=[(2, 0)])),
    "numbers_2d": (
        2,
        (None, 5, 3),
        ours.SeparableConv2D(4, 3, strides=(2, 1), padding=SAME_IN_TIME),
    ),
    "numbers_3d": (
        1,
        (None, 4, 4, 2),
        ours.DepthwiseConv3D(3, padding=((2, 0), (1, 1), (0, 2))),
    ),
    "dilated_2d": (
        3,
        (None, 5, 3),
        ours.DepthwiseConv2D(
            (2, 3), dilation_rate=(3, 3), padding=((3, 0), (3, 3))
        ),
    ),
    "padding_2d": (
        1,
        (None, 5, 3),
        L.ZeroPadding2D(((2, 0), (1, 1))),
        L.Conv2D(4, 3),
    ),
    "padding_and_numbers": (
        1,
        (None, 5, 3),
        L.ZeroPadding2D(((1, 0), (0, 0))),
        ours.DepthwiseConv2D(3, padding=((1, 0), (1, 1))),
    ),
    "same_across": (1, (None, 5, 3), L.Conv2D(4, (1, 3), padding="same")),
    "stock_depthwise_2d": (1, (None, 5, 3), L.DepthwiseConv2D((1, 3))),
    "pooling": (4, (None, 3), L.AveragePooling1D(2), L.MaxPooling1D(2)),
    "pooling_same": (2, (None, 3), L.MaxPooling1D(2, padding="same")),
    "pooling_over_pads": (
        1,
        (None, 3),
        L.ZeroPadding1D((2, 0)),
        L.AveragePooling1D(3, 1),
    ),
    "pooling_2d": (2, (None, 4, 3), L.MaxPooling2D(2)),
    "up": (2, (None, 3), L.MaxPooling1D(2), L.UpSampling1D(2)),
    "up_2d": (1, (None, 4, 3), L.UpSampling2D((1, 2))),
    "crop": (1, (None, 4, 3), L.Cropping2D(((0, 0), (1, 1)))),
    "dense": (1, (None, 3), L.Dense(4, "softmax"), L.Softmax()),
    "norms": (
        2,
        (None, 4, 3),
        L.LayerNormalization(axis=(-1, -2)),
        L.UnitNormalization(),
        L.Rescaling(2.0),
        L.PReLU(shared_axes=[1]),
        L.Dropout(0.5),
    ),
    "shapes": (
        3,
        (None, 4, 3),
        L.Permute((1, 3, 2)),
        L.Reshape((-1, 6, 2)),
        L.Conv2D(4, (1, 3)),
        L.TimeDistributed(L.Flatten()),
    ),
    "shapes_of_known_steps": (4, (24, 6), L.Reshape((24, 2, 3))),
    "steps_that_do_not_fill_chunks": (
        5,
        (24, 6),
        L.Conv1D(3, 3, padding="causal"),
    ),
    "raw_audio": (
        2,
        (None,),
        L.Reshape((-1, 1)),
        L.Conv1D(3, 4, padding="causal"),
    ),
    "sequence_of_networks": (
        1,
        (None, 6, 6, 2),
        L.TimeDistributed(
            keras.Sequential(
                [L.Conv2D(3, 3), L.GlobalAveragePooling2D(), L.Dense(2)]
            )
        ),
        L.Conv1D(4, 3, padding="causal"),
    ),
    "gru": (1, (None, 3), L.GRU(4, return_sequences=True)),
    "lstm": (2, (None, 3), L.LSTM(4, return_sequences=True), L.Dense(2)),
    "rnn": (3, (None, 3), L.SimpleRNN(4, return_sequences=True)),
}


@pytest.mark.parametrize("name", RULES)
def test_each_rule(name):
    chunk, shape, *layers = RULES[name]
    # A layer of the table is built once for each process.
    layers = [layer.from_config(layer.get_config()) for layer in layers]
    agree(model_of(shape, *layers), chunk)


def test_recurrent_layers_and_pooling_sum_up():
    for layer in (L.GRU(4), L.LSTM(4)):
        agree(model_of((24, 3), layer, L.Dense(2)), 4, sums_up=True)
    for layer in (L.GlobalAveragePooling1D(), L.GlobalMaxPooling1D()):
        conv = ours.SeparableConv1D(4, 3, strides=2, padding="causal")
        model = model_of((None, 3), conv, layer, L.Dense(2), L.Softmax())
        step = agree(model, 2, window=24, sums_up=True)
        assert step.streaming_report.receptive_field == 3 + 2 * 11


def test_embeddings():
    conv = L.Conv1D(3, 3, padding="causal")
    agree(model_of((None,), L.Embedding(4, 3), conv, dtype="int32"))


def test_a_window_that_slides():
    """After the window is full, the first steps do not count any more."""
    model = model_of((None, 3), L.GlobalAveragePooling1D())
    inputs = np.arange(60, dtype="float32").reshape(1, 20, 3)
    found = run(ks.streaming_model(model, 2, window=6), inputs, 2)
    np.testing.assert_allclose(found[-1], inputs[:, -6:].mean(1), rtol=1e-6)


def test_states_of_shared_layers():
    model = shared()
    before = model.get_config()
    weights = model.get_weights()
    step = agree(model, 2)
    states = ks.initial_states(step, 3)
    name = model.layers[2].layers[0].name
    states_of = "conv_state", f"inner_{name}_state"
    assert set(states) == {*states_of, *(f"{one}_1" for one in states_of)}
    assert {state.shape for state in states.values()} == {(3, 2, 3), (3, 1, 3)}
    # The given model is as it was, and the weights are copies.
    assert model.get_config() == before
    step.set_weights([0 * weight for weight in step.get_weights()])
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


def test_several_inputs_and_outputs():
    left, right = (keras.Input((None, 2), name=n) for n in ("left", "right"))
    conv = ours.SeparableConv1D(2, 3, padding="causal", name="conv")
    x = L.Add()([conv(left), right])
    pooled = L.GlobalMaxPooling1D()(x)
    model = keras.Model([left, right], {"steps": x, "all": pooled})
    step = ks.streaming_model(model, 2, window=8)
    states = set(ks.initial_states(step))
    assert len(states) == 2
    assert set(step.input) == {"left", "right"} | states
    assert set(step.output) == {"steps", "all"} | states
    assert step.output["all"].shape == (None, 2)
    assert step.output["steps"].shape == (None, 2, 2)
    # The longest: of each of the 8 steps that are pooled, 3.
    assert step.streaming_report.receptive_field == 3 + 7


def test_outputs_without_names_are_numbered():
    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, [L.ReLU()(inputs), L.Conv1D(3, 1)(inputs)])
    step = ks.streaming_model(model)
    shapes = {name: tensor.shape for name, tensor in step.output.items()}
    assert shapes == {"outputs_0": (None, 1, 2), "outputs_1": (None, 1, 3)}


def test_the_batch_and_the_name_are_those_of_the_model():
    conv = L.Conv1D(2, 3, padding="causal", name="conv")
    inputs = keras.Input(batch_shape=(3, None, 2))
    model = keras.Model(inputs, conv(inputs), name="small")
    step = ks.streaming_model(model)
    assert step.name == "small_step"
    names = {layer.name for layer in step.layers}
    assert names >= {"conv", "conv_joined", "conv_next"}
    shapes = {name: tensor.shape for name, tensor in step.input.items()}
    assert shapes == {"inputs": (3, 1, 2), "conv_state": (3, 2, 2)}


def test_as_many_chunks_are_compared_as_reach_all_taps():
    conv = L.Conv1D(2, 9, padding="causal")
    walk = Walk(model_of((None, 2), conv), 2, None)
    assert _length(walk) == 2 * (9 // 2 + 4)


@pytest.mark.each_backend
def test_half_precision():
    first, second = (
        ours.SeparableConv1D(4, 3, padding="causal", dtype="mixed_float16")
        for _ in range(2)
    )
    step = agree(model_of((None, 3), first, second), atol=5e-3)
    # A state has the dtype of the inputs that it keeps.
    dtypes = [str(state.dtype) for state in ks.initial_states(step).values()]
    assert dtypes == ["float32", "float16"]
    gru = L.GRU(2, return_sequences=True, dtype="mixed_float16")
    step = ks.streaming_model(model_of((None, 3), gru), verify=False)
    (state,) = ks.initial_states(step).values()
    assert str(state.dtype) == "float16"


def test_double_precision(double_precision):
    conv = ours.SeparableConv1D(4, 3, padding="causal", dtype="float64")
    inputs = np.random.default_rng(0).standard_normal((1, 9, 3))
    model = model_of((None, 3), conv, dtype="float64")
    found = np.concatenate(run(ks.streaming_model(model), inputs), 1)
    expected = model.predict_on_batch(inputs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_a_file_of_a_step_model(tmp_path):
    step = ks.streaming_model(shared())
    step.save(tmp_path / "step.keras")
    loaded = keras.models.load_model(tmp_path / "step.keras")
    inputs = np.ones((1, 6, 3), "float32")
    for one, other in zip(run(step, inputs), run(loaded, inputs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.each_backend
def test_10_000_steps_without_drift():
    model = model_of(
        (None, 2),
        ours.SeparableConv1D(4, 3, padding="causal", activation="tanh"),
        ours.SeparableConv1D(
            4, 3, padding="causal", dilation_rate=2, activation="tanh"
        ),
        L.Dense(2),
    )
    inputs = np.random.default_rng(0).standard_normal((1, 10_000, 2))
    inputs = inputs.astype("float32")
    chunk = 1 if BACKEND == "jax" else 50
    step = ks.streaming_model(model, chunk)
    if BACKEND == "jax":
        import jax

        weights = [v.value for v in step.variables]

        def call(states, now):
            pairs = zip(step.variables, weights, strict=True)
            with keras.StatelessScope(state_mapping=pairs):
                found = step({"inputs": now, **states})
            return {n: found[n] for n in states}, found["outputs"]

        steps = inputs.reshape(-1, 1, 1, 2)
        _, found = jax.lax.scan(call, ks.initial_states(step), steps)
        found = np.asarray(found).reshape(1, -1, 2)
    else:
        found = np.concatenate(run(step, inputs, chunk), 1)
    error = np.abs(found - np.asarray(model.predict_on_batch(inputs)))
    assert error[:, :100].max() < 1e-5
    assert error[:, -100:].max() < 1e-5


def functional(function, shape=(None, 3)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, function(inputs))


def two_rates():
    dense = L.Dense(3, name="shared")

    def function(x):
        return dense(L.MaxPooling1D(2)(dense(x)))

    return functional(function)


class Own(L.Layer):
    def call(self, x):
        return x


class OwnModel(keras.Model):
    def call(self, x):
        return x


def two_lengths():
    one, other = keras.Input((8, 3)), keras.Input((None, 3))
    return keras.Model([one, other], [one + 1, other + 1])


def clash():
    left, right = (keras.Input((None, 3), name=n) for n in ("left", "right"))
    outputs = {"other": left + 1.0, "right": right + 1.0}
    return keras.Model({"left": left, "right": right}, outputs)


def one(layer, shape=(None, 3)):
    return lambda: keras.Sequential([keras.Input(shape), layer])


# Models that cannot run step by step: the layer, the reason, the way out.
REFUSED = {
    "same": (
        one(ours.SeparableConv1D(2, 3, padding="same", name="it")),
        "layer 'it' (SeparableConv1D) looks 1 step ahead (padding='same')",
        'Use padding="causal"',
    ),
    "valid": (
        one(L.Conv1D(2, 3, name="it")),
        "layer 'it' (Conv1D) has fewer outputs than inputs, because it begins "
        "with 0 zeros, not 2 (padding='valid')",
        "ZeroPadding1D with 2 zeros before the first step may stand before",
    ),
    "same_2d": (
        one(L.Conv2D(2, 5, padding="same", name="it"), (None, 8, 3)),
        "layer 'it' (Conv2D) looks 2 steps ahead",
        "takes padding=((4, 0), ...); or ZeroPadding2D with 4 zeros",
    ),
    "numbers_after": (
        one(ours.DepthwiseConv2D(3, padding=((2, 1), (1, 1))), (None, 8, 3)),
        "looks 1 step ahead (padding=((2, 1), (1, 1)))",
        "Pad only before",
    ),
    "too_many_zeros": (
        one(ours.DepthwiseConv1D(3, padding=[(5, 0)])),
        "begins with 5 zeros, more than the 2 that its kernel reads",
        'Use padding="causal"',
    ),
    "overlapping_pooling": (
        one(L.MaxPooling1D(3, 2)),
        "(MaxPooling1D) has fewer outputs than inputs",
        "ZeroPadding1D with 2 zeros",
    ),
    "channels_first": (
        one(L.MaxPooling1D(2, data_format="channels_first"), (3, 8)),
        "has its channels on axis 1, where the time must be",
        'Use data_format="channels_last"',
    ),
    "flatten": (
        one(L.Flatten(name="it"), (8, 3)),
        "layer 'it' (Flatten) joins all steps into one vector",
        "TimeDistributed(Flatten())",
    ),
    "nested": (
        lambda: keras.Sequential(
            [
                keras.Input((8, 3)),
                keras.Sequential(
                    [keras.Input((8, 3)), L.Flatten(name="it")], name="inner"
                ),
            ]
        ),
        "layer 'inner/it' (Flatten) joins all",
        "TimeDistributed(Flatten())",
    ),
    "attention": (
        lambda: functional(lambda x: L.MultiHeadAttention(1, 2)(x, x)),
        "(MultiHeadAttention) reads the whole sequence at each step",
        "Use causal convolutions, a GRU or an LSTM",
    ),
    "attention_of_groups": (
        lambda: functional(
            lambda x: L.GroupQueryAttention(3, 2, 1)(x, x), (8, 12)
        ),
        "(GroupedQueryAttention) reads the whole sequence at each step",
        "Use causal convolutions, a GRU or an LSTM",
    ),
    "group_normalization": (
        one(L.GroupNormalization(3)),
        "(GroupNormalization) normalizes over time",
        "Use BatchNormalization or LayerNormalization",
    ),
    "layer_normalization": (
        one(L.LayerNormalization(axis=[1, 2]), (8, 3)),
        "works along the axis of time (axis=[1, 2])",
        "Let it work along the other axes",
    ),
    "concatenate": (
        lambda: functional(lambda x: L.Concatenate(1)([x, x]), (8, 3)),
        "(Concatenate) works along the axis of time (axis=1)",
        "Let it work along the other axes",
    ),
    "dense_over_time": (
        one(L.Dense(3), (8,)),
        "(Dense) works along the last axis, which is the time here",
        "Put an axis of channels behind, by Reshape((-1, 1))",
    ),
    "prelu": (
        one(L.PReLU(), (8, 3)),
        "has a weight for each step of the sequence",
        "shared_axes=[1]",
    ),
    "permute": (
        one(L.Permute((2, 1)), (8, 3)),
        "moves the axis of time",
        "Leave axis 1",
    ),
    "the_first_of_two": (
        lambda: keras.Sequential(
            [
                keras.Input((8, 3)),
                L.Permute((2, 1), name="first"),
                L.Permute((2, 1), name="second"),
            ]
        ),
        "layer 'first' (Permute) moves the axis of time",
        "Leave axis 1",
    ),
    "softmax": (
        lambda: functional(lambda x: keras.ops.softmax(x, 1)),
        "(Softmax) is an operation that is not known to act on each step alone",
        "Replace it by a layer of Keras",
    ),
    "reshape": (
        one(L.Reshape((4, 6)), (8, 3)),
        "makes (4, 6) of (8, 3), which mixes steps",
        "Leave axis 1 as it is, by Reshape((-1, ...))",
    ),
    "zeros_after": (
        one(L.ZeroPadding1D((1, 2))),
        "puts 2 zeros after the last step, so later layers look ahead",
        "Put all zeros before: (3, 0)",
    ),
    "zeros_before_another": (
        lambda: functional(lambda x: L.ReLU()(L.ZeroPadding1D((2, 0))(x))),
        "(ReLU) gets zeros from a padding layer",
        'padding="causal"',
    ),
    "zeros_at_the_end": (
        one(L.ZeroPadding1D((2, 0))),
        "it returns 2 more steps than it takes",
        "Leave out the padding",
    ),
    "cropping": (
        one(L.Cropping1D((1, 0))),
        "removes steps ((1, 0))",
        "Leave all steps",
    ),
    "interpolation": (
        one(L.UpSampling2D(2, interpolation="bilinear"), (None, 4, 3)),
        "looks ahead, because it interpolates (bilinear)",
        'interpolation="nearest"',
    ),
    "bidirectional": (
        one(L.Bidirectional(L.GRU(2))),
        "looks ahead, because it also reads the sequence from its end",
        "Use the layer inside without it",
    ),
    "backwards": (
        one(L.GRU(2, go_backwards=True)),
        "reads the sequence from its end",
        "go_backwards=False",
    ),
    "state_of_its_own": (
        lambda: functional(lambda x: L.GRU(2, return_state=True)(x)),
        "keeps or returns its state itself",
        "return_state=False",
    ),
    "first_state": (
        lambda: functional(
            lambda x: L.GRU(2)(x, initial_state=L.GRU(2, name="before")(x))
        ),
        "joins steps with a summary of steps",
        "Sum up the steps only at the end",
    ),
    "masking": (
        one(L.Masking()),
        "makes a mask of steps",
        "Leave it out, or use mask_zero=False",
    ),
    "embedding_with_a_mask": (
        one(L.Embedding(3, 2, mask_zero=True), (None,)),
        "makes a mask of steps",
        "mask_zero=False",
    ),
    "transposed": (
        one(L.Conv1DTranspose(2, 3)),
        "adds to several later steps",
        "Use UpSampling, and a causal convolution",
    ),
    "squeeze_and_excite": (
        lambda: functional(
            lambda x: (
                x * L.GlobalAveragePooling1D(keepdims=True, name="mean")(x)
            ),
            (8, 3),
        ),
        "joins steps with a summary of steps",
        "Sum up the steps only at the end",
    ),
    "two_rates_join": (
        lambda: functional(
            lambda x: L.Add()([x, L.MaxPooling1D(2)(x)]), (None, 3)
        ),
        "joins branches of different rates: one has a step for every 1 and 2 "
        "steps of the input",
        "Give the branches equal strides along time",
    ),
    "shared_between_rates": (
        two_rates,
        "layer 'shared' (Dense) is shared between two rates: it is called for "
        "a step of every 1 and of every 2 steps",
        "Give each branch a layer of its own",
    ),
    "constant_of_steps": (
        lambda: functional(lambda x: x + np.ones((8, 3), "float32"), (8, 3)),
        "joins tensors of the shapes (None, 8, 3) and (8, 3)",
        "the same steps",
    ),
    "operation": (
        lambda: functional(lambda x: keras.ops.cumsum(x, 1)),
        "(Cumsum) is an operation that is not known to act on each step alone",
        "Replace it by a layer of Keras",
    ),
    "last_step": (
        lambda: functional(lambda x: x[:, -1], (8, 3)),
        "(GetItem) is an operation that is not known",
        "Replace it by a layer",
    ),
    "own_layer": (
        one(Own(name="it")),
        "layer 'it' (Own) is of a kind that is not known to act on each step",
        "say so by `keras.layers.TimeDistributed`",
    ),
    "own_model": (
        OwnModel,
        "it is no graph of layers with known inputs",
        "functional API",
    ),
    "not_built": (
        lambda: keras.Sequential([L.ReLU()]),
        "it is no graph of layers with known inputs",
        "call it once if it is a Sequential",
    ),
    "unknown_sizes": (
        one(L.ReLU(), (None, None, 3)),
        "has the shape (None, None, None, 3)",
        "no unknown size after it",
    ),
    "two_lengths": (
        two_lengths,
        "its inputs have the shapes [(None, 8, 3), (None, None, 3)]",
        "All inputs must have the same steps",
    ),
    "clash": (
        clash,
        "an input and an output have the name 'right'",
        "Give one of them another name",
    ),
    "pooling_of_unknown_steps": (
        one(L.GlobalMaxPooling1D()),
        "is a global pooling, and the number of steps is not known",
        "Pass `window`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, monkeypatch):
    make, reason, way = REFUSED[name]
    model = make()
    # Nothing is built before.
    monkeypatch.setattr("keras_sepconv.tools.streaming.model.Builder", None)
    with pytest.raises(ValueError, match="Received: model=") as caught:
        ks.streaming_model(model)
    message = str(caught.value)
    assert message.endswith(f"Received: model={model}")
    assert message.startswith("`model` must be causal along time, axis 1, but ")
    assert reason in message
    assert way in message.split(reason)[1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"chunk": 3, "window": 9}, ValueError, "`chunk` must be a multiple "
         "of the strides along time, 4. Received: chunk=3"),
        ({"chunk": 0}, ValueError, "`chunk` must be a positive whole number"),
        ({"chunk": "a"}, TypeError, "`chunk` must be a positive whole number"),
        ({"window": 0}, ValueError, "`window` must be a positive whole number"),
        ({"chunk": 4, "window": 6}, ValueError, "`window` must be a multiple "
         "of `chunk`, 4. Received: window=6"),
        ({"verify": 1}, TypeError, "`verify` must be True or False"),
    ],
)  # fmt: skip
def test_bad_arguments(options, error, message):
    conv = ours.SeparableConv1D(3, 2, strides=4, padding="causal")
    model = model_of((None, 3), conv, L.GlobalMaxPooling1D())
    with pytest.raises(error) as caught:
        ks.streaming_model(model, **{"window": 8, **options})
    assert message in str(caught.value)


def test_bad_arguments_of_the_states():
    with pytest.raises(ValueError, match="`step_model` must be from"):
        ks.initial_states(model_of((None, 3), L.ReLU()))
    x = keras.Input((None, 3), name="inputs")
    with pytest.raises(ValueError, match="`step_model` must be from"):
        ks.initial_states(keras.Model(x, {"outputs": L.ReLU()(x)}))
    with pytest.raises(ValueError, match="`step_model` must be from"):
        ks.initial_states(keras.Model({"inputs": x}, L.ReLU()(x)))
    with pytest.raises(TypeError, match="`model` must be a keras"):
        ks.streaming_model(L.ReLU())
    with pytest.raises(TypeError, match="`step_model` must be from"):
        ks.initial_states(L.ReLU())
    step = ks.streaming_model(model_of((None, 3), L.ReLU()))
    assert ks.initial_states(step) == {}
    with pytest.raises(ValueError, match="`batch_size` must be"):
        ks.initial_states(step, 0)


def test_a_wrong_step_model_is_noticed(monkeypatch):
    monkeypatch.setitem(rules.RULES, "GRU", rules.alone)
    model = model_of((None, 3), L.GRU(3, return_sequences=True))
    with pytest.raises(ValueError, match="same step by step, but") as caught:
        ks.streaming_model(model)
    assert str(caught.value).endswith(f"Received: model={model}")
    ks.streaming_model(model, verify=False)


def test_the_report():
    model = model_of(
        (None, 3),
        L.Conv1D(4, 5, strides=2, padding="causal"),
        ours.DepthwiseConv1D(3, padding="causal", dilation_rate=2),
    )
    report = ks.streaming_model(model, 4).streaming_report
    assert report.receptive_field == 5 + 2 * (2 * 2)
    assert (report.chunk, report.delay) == (4, 3)
    assert report.state_bytes == 4 * (4 * 3 + 4 * 4)
    # Of the chunk there are 2 steps behind the stride, of 16 steps there are 8.
    assert report.window == 16
    assert report.multiply_adds == (2 * (60 + 12), 8 * (60 + 12))
    text = str(report)
    assert ": 4 steps at a time, 4.0 times fewer multiply-adds." in text
    assert "receptive field: 13 steps\n  delay: 3 steps\n" in text
    assert "multiply-adds: 144, of the whole window of 16 steps 576" in text


def test_what_cannot_be_verified_is_said():
    model = model_of((24, 3), L.GlobalMaxPooling1D())
    step = ks.streaming_model(model, window=8)
    (note,) = step.streaming_report.notes
    assert note.startswith("Not verified, because the model takes 24 steps")
    assert "(window=8, chunk=1)" in note
    assert str(step.streaming_report).endswith(note)
    assert not ks.streaming_model(model).streaming_report.notes
    # The last chunk of 5 would not be whole.
    step = ks.streaming_model(model_of((24, 3), L.GRU(3)), 5)
    (note,) = step.streaming_report.notes
    assert note.startswith("Not verified, because the model takes 24 steps")


def twice(x):
    return 2.0 * x


def test_arguments_by_name_and_a_function_of_a_user():
    x = inputs = keras.Input((None, 3))
    x = L.ZeroPadding1D((2, 0))(inputs=x)
    x = L.Conv1D(3, 3, activation=twice)(inputs=x)
    x = L.GRU(3, return_sequences=True)(sequences=x)
    agree(shaken(keras.Model(inputs, L.Add()(inputs=[x, inputs]))))


def their_loss(wanted, found):
    return found - wanted


@pytest.fixture
def saved(tmp_path):
    conv = ours.SeparableConv1D(3, 2, strides=4, padding="causal")
    model = model_of((None, 3), conv, L.GlobalMaxPooling1D())
    model.name = "small"
    # The loss is not in the file, and no step needs it.
    model.compile(loss=their_loss)
    model.save(tmp_path / "in.keras")
    return str(tmp_path / "in.keras"), str(tmp_path / "out.keras")


def test_the_command(saved, capsys, monkeypatch):
    source, target = saved
    sizes = ["--chunk", "4", "--window", "8"]
    said = []
    monkeypatch.setattr(Status, "update", lambda _, text: said.append(text))
    assert main(["stream", source, target, *sizes]) == 0
    printed = capsys.readouterr()
    assert "small: 4 steps at a time, 2.0 times" in printed.out
    assert "loss" not in printed.err
    assert said == ["making small run step by step", f"writing {target}"]
    step = keras.models.load_model(target)
    assert run(step, np.ones((1, 8, 3), "float32"), 4)[-1].shape == (1, 3)
    assert main(["stream", source, target, *sizes, "--force", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    schemas.check("stream", report)
    assert (report["chunk"], report["delay"], report["window"]) == (4, 3, 8)
    with pytest.raises(jsonschema.ValidationError):
        schemas.check("stream", {**report, "more": 1})
    with pytest.raises(SystemExit):
        main(["stream", source, target, *sizes])
    assert "--force" in capsys.readouterr().err
    wrong = [source, target, *sizes, "--force"]
    monkeypatch.setattr(rounding, "disagreement", lambda *_: "it is off")
    assert main(["stream", *wrong]) == 1
    assert "must compute the same" in capsys.readouterr().err
    assert main(["stream", *wrong, "--no-verify"]) == 0


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([], "Pass --window, the number of steps"),
        (["--chunk", "3", "--window", "9"], "--chunk must be a multiple of"),
        (["--chunk", "4", "--window", "9"], "--window must be a multiple of"),
        (["--chunk", "0"], "--chunk: must be a positive whole number"),
    ],
)
def test_the_command_refuses(saved, capsys, sizes, message):
    source, target = saved
    if "0" in sizes:
        with pytest.raises(SystemExit):
            main(["stream", source, target, *sizes])
    else:
        assert main(["stream", source, target, *sizes]) == 1
    assert message in capsys.readouterr().err
    assert not pathlib.Path(target).exists()
