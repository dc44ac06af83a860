"""`streaming_model`: a whole sequence and step by step give the same."""

import keras
import numpy as np
import pytest
from backends import BACKEND
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import shaken

import keras_sepconv as ks
from keras_sepconv import layers as ours
from keras_sepconv.tools import _streaming_rules

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


@pytest.mark.each_backend
def test_recurrent_layers_and_pooling_sum_up():
    for layer in (L.GRU(4), L.LSTM(4)):
        model = model_of((24, 3), layer, L.Dense(2))
        agree(model, 4, sums_up=True)
    for layer in (L.GlobalAveragePooling1D(), L.GlobalMaxPooling1D()):
        conv = ours.SeparableConv1D(4, 3, strides=2, padding="causal")
        model = model_of((None, 3), conv, layer, L.Dense(2), L.Softmax())
        step = agree(model, 2, sums_up=True, window=24)
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
    assert sum(name.startswith("conv_state") for name in states) == 2
    assert sum(name.startswith("inner_separable") for name in states) == 2
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


@pytest.mark.each_backend
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
