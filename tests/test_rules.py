"""How each kind of layer runs step by step: rules and plans, without models."""

from fractions import Fraction

import keras
import numpy as np
import pytest

from keras_sepconv import layers as ours
from keras_sepconv.tools.streaming.plan import plan
from keras_sepconv.tools.streaming.rules import (
    ELEMENTWISE,
    MERGES,
    REFUSED,
    RULES,
)
from keras_sepconv.tools.streaming.stream import (
    Plan,
    RefusedError,
    Sizes,
    Stream,
)

L = keras.layers
# After a stride of 2, with a field of 5 steps.
SHAPE = (None, 8, 6, 3)
STRIDE = Fraction(2)
SIZES = Sizes(4, 16)


def ruled(layer, shape=SHAPE, zeros=0, sizes=SIZES, field=5):
    stream = Stream(shape, "float32", STRIDE, field, zeros)
    return RULES[type(layer).__name__](layer, stream, sizes)


def refused(layer, *words, **options):
    with pytest.raises(RefusedError) as caught:
        ruled(layer, **options)
    reason, way = caught.value.args
    assert words[0] in reason
    assert words[1] in way


ALONE = Plan(STRIDE, 5)


@pytest.mark.parametrize(
    "layer",
    [
        *(L.Add(), L.Average(), L.Maximum(), L.Minimum(), L.Multiply()),
        *(L.Subtract(), L.Concatenate()),
        L.Concatenate(axis=-1),
        L.Concatenate(axis=2),
        *(
            getattr(L, name)(0.5)
            for name in (
                *("Dropout", "GaussianDropout", "GaussianNoise"),
                *("AlphaDropout", "SpatialDropout1D", "SpatialDropout2D"),
                "SpatialDropout3D",
            )
        ),
        L.ActivityRegularization(),
        L.ReLU(),
        L.LeakyReLU(),
        L.ELU(),
        L.Identity(),
        L.Activation("relu"),
        L.Dense(4),
        L.BatchNormalization(),
        L.BatchNormalization(axis=2),
        L.LayerNormalization(),
        L.LayerNormalization(axis=[2, 3]),
        L.Normalization(mean=0.0, variance=1.0),
        L.Normalization(axis=None, mean=0.0, variance=1.0),
        L.UnitNormalization(),
        # Keras 3.6 lacks this one.
        getattr(L, "RMSNormalization", L.UnitNormalization)(),
        L.Softmax(),
        L.Softmax(axis=(-1, -2)),
        L.PReLU(shared_axes=[1]),
        L.PReLU(shared_axes=[1, 2]),
        L.Permute((1, 3, 2)),
        L.Rescaling(2.0),
        L.TimeDistributed(L.Flatten()),
        L.Embedding(3, 2),
        L.Cropping2D(((0, 0), (1, 2))),
    ],
    ids=lambda layer: layer.name,
)
def test_what_treats_each_step_alone(layer):
    assert ruled(layer) == ALONE


def test_every_kind_of_keras_that_is_named_is_there():
    # By the names that the classes give themselves.
    every = (*vars(L).values(), *vars(ours).values())
    known = {kind.__name__ for kind in every if isinstance(kind, type)}
    # Keras 3.6 lacks the last one.
    assert {*RULES, *REFUSED} <= known | {"RMSNormalization"}
    assert not set(RULES) & set(REFUSED)
    assert all(hasattr(L, name) for name in MERGES)
    operations = {name.lower() for name in dir(keras.ops)}
    for name in ELEMENTWISE:
        assert name.lower() in {one.replace("_", "") for one in operations}


@pytest.mark.parametrize(
    "name",
    [
        *("AdditiveAttention", "Attention", "Bidirectional"),
        *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dot"),
        *("Flatten", "GroupNormalization", "GroupedQueryAttention", "Masking"),
        "MultiHeadAttention",
    ],
)
def test_what_is_refused_by_its_kind(name):
    reason, way = REFUSED[name]
    assert reason[0].islower()
    assert way.startswith(("Use", "Leave"))


@pytest.mark.parametrize(
    "layer",
    [
        L.Concatenate(axis=1),
        L.Concatenate(axis=-3),
        L.BatchNormalization(axis=1),
        L.LayerNormalization(axis=[1, 2]),
        L.LayerNormalization(axis=(-3, -1)),
        L.Softmax(axis=1),
        L.UnitNormalization(axis=1),
        L.Normalization(axis=1, mean=0.0, variance=1.0),
        # Keras 3.6 lacks this one.
        getattr(L, "RMSNormalization", L.UnitNormalization)(axis=1),
    ],
    ids=lambda layer: layer.name,
)
def test_what_works_along_the_time(layer):
    refused(layer, "works along the axis of time (axis=", "the other axes")


def test_the_last_axis_may_be_the_time():
    for layer in (L.Dense(3), L.Activation("softmax")):
        along = "works along the last axis, which is the time here"
        refused(layer, along, "Reshape((-1, 1))", shape=(None, 8))
        assert ruled(layer, shape=(None, 8, 3)) == ALONE


def test_weights_and_masks_of_steps():
    for axes in (None, [2]):
        refused(L.PReLU(shared_axes=axes), "a weight for each", "[1]")
    refused(L.Embedding(3, 2, mask_zero=True), "makes a mask", "mask_zero=F")
    refused(L.Permute((2, 1, 3)), "moves the axis of time", "Leave axis 1")


def test_shapes_that_keep_the_steps():
    for size in ((8, 9, 2), (-1, 18), (8, 18, 1)):
        after = tuple(size[1:])
        assert ruled(L.Reshape(size)) == Plan(
            STRIDE, 5, changes={"target_shape": (-1, *after)}
        )
    unknown = (None, None, 6, 3)
    assert ruled(L.Reshape((-1, 18)), unknown).stride == STRIDE
    for size in ((4, 36), (16, 9), (-1, 9), (9, 16)):
        refused(L.Reshape(size), "which mixes steps", "Reshape((-1, ...))")


def test_zeros_before_the_first_step():
    line = (None, 8, 3)
    assert ruled(L.ZeroPadding1D((2, 0)), line) == Plan(
        STRIDE, 5, zeros=2, is_left_out=True
    )
    assert ruled(L.ZeroPadding2D(((2, 0), (1, 3)))) == Plan(
        STRIDE, 5, zeros=2, changes={"padding": ((0, 0), (1, 3))}
    )
    refused(L.ZeroPadding1D((1, 2)), "puts 2 zeros", ": (3, 0)", shape=line)


def test_steps_that_are_removed():
    for layer in (L.Cropping1D((1, 0)), L.Cropping1D((0, 1))):
        refused(layer, "removes steps", "Leave all steps")
    refused(L.Cropping2D(((0, 1), (0, 0))), "steps ((0, 1))", "Leave all")
    assert ruled(L.Cropping1D(0)) == ALONE


def test_steps_that_are_repeated():
    half = Plan(STRIDE / 4, 5)
    assert ruled(L.UpSampling1D(4)) == half
    assert ruled(L.UpSampling2D((4, 3))) == half
    assert ruled(L.UpSampling2D((1, 3), interpolation="bilinear")) == ALONE
    ahead = L.UpSampling2D((2, 1), interpolation="bilinear")
    refused(ahead, "it interpolates (bilinear)", '"nearest"')


@pytest.mark.parametrize("kind", [L.GRU, L.LSTM, L.SimpleRNN])
def test_recurrent_layers(kind):
    changes = {"return_state": True}
    for sequences, stride in ((True, STRIDE), (False, None)):
        layer = kind(2, return_sequences=sequences)
        assert ruled(layer) == Plan(
            stride, None, changes=changes, is_recurrent=True
        )
    refused(kind(2, go_backwards=True), "from its end", "go_backwards=False")
    for options in ({"stateful": True}, {"return_state": True}):
        refused(kind(2, **options), "state itself", "stateful=False")


LINE = (None, 8, 3)


@pytest.mark.parametrize(
    ("layer", "zeros", "plan"),
    [
        # The field grows by the steps of the input between the taps.
        (
            L.Conv1D(4, 3, padding="causal"),
            0,
            Plan(STRIDE, 9, 0, {"padding": "valid"}, 2),
        ),
        (
            ours.SeparableConv1D(4, 3, padding="causal", dilation_rate=2),
            0,
            Plan(STRIDE, 13, 0, {"padding": "valid"}, 4),
        ),
        (
            L.Conv1D(4, 3, strides=3, padding="causal"),
            0,
            Plan(3 * STRIDE, 9, 0, {"padding": "valid"}, 2),
        ),
        (L.Conv1D(4, 3), 2, Plan(STRIDE, 9, 0, {}, 2)),
        (L.Conv1D(4, 1), 0, Plan(STRIDE, 5, 0, {}, 0)),
        (L.Conv1D(4, 4, strides=4), 0, Plan(4 * STRIDE, 11, 0, {}, 0)),
        (L.Conv1D(4, 3, strides=2), 1, Plan(2 * STRIDE, 9, 0, {}, 1)),
        (
            L.Conv1D(4, 2, strides=3, padding="same"),
            0,
            Plan(3 * STRIDE, 7, 0, {}, 0),
        ),
        (L.MaxPooling1D(2), 0, Plan(2 * STRIDE, 7, 0, {}, 0)),
        (L.AveragePooling1D(3, 1), 2, Plan(STRIDE, 9, 0, {}, 2)),
        (
            ours.DepthwiseConv1D(3, padding=[(2, 0)]),
            0,
            Plan(STRIDE, 9, 0, {"padding": "valid"}, 2),
        ),
        (
            ours.DepthwiseConv1D(3, padding=[(1, 0)]),
            1,
            Plan(STRIDE, 9, 0, {"padding": "valid"}, 2),
        ),
    ],
)
def test_windows(layer, zeros, plan):
    assert ruled(layer, LINE, zeros) == plan
    unknown = ruled(layer, LINE, zeros, field=None)
    assert (unknown.field, unknown.keep) == (None, plan.keep)


def test_windows_of_more_axes():
    layer = ours.DepthwiseConv2D(3, padding=((2, 0), (1, 0)))
    changes = {"padding": ((0, 0), (1, 0))}
    assert ruled(layer) == Plan(STRIDE, 9, 0, changes, 2)
    assert ruled(L.MaxPooling2D((2, 3))) == Plan(2 * STRIDE, 7, 0, {}, 0)
    layer = L.Conv2D(4, (1, 3), padding="same")
    assert ruled(layer) == Plan(STRIDE, 5, 0, {}, 0)


@pytest.mark.parametrize(
    ("layer", "zeros", "reason"),
    [
        (L.Conv1D(4, 3, padding="same"), 0, "looks 1 step ahead (padding='sam"),
        (L.Conv1D(4, 4, padding="same"), 0, "looks 2 steps ahead"),
        (L.Conv1D(4, 4, 2, padding="same"), 0, "looks 1 step ahead"),
        (L.Conv1D(4, 3), 1, "begins with 1 zeros, not 2 (padding='valid')"),
        (L.Conv1D(4, 3), 3, "begins with 3 zeros, more than the 2 that its"),
        (L.Conv1D(4, 4, 2), 1, "begins with 1 zeros, not 3"),
        (
            ours.DepthwiseConv1D(3, padding=[(1, 1)]),
            1,
            "looks 1 step ahead (padding=((1, 1),))",
        ),
    ],
)
def test_windows_that_do_not_end_at_the_present_step(layer, zeros, reason):
    span = layer.kernel_size[0]
    way = (
        'Use padding="causal" in a convolution; or ZeroPadding1D with '
        f"{span - 1} zeros before the first step may stand before "
        'padding="valid"'
    )
    refused(layer, reason, way, shape=LINE, zeros=zeros)
    way = (
        "Pad only before: a convolution of keras_sepconv takes "
        "padding=((2, 0), ...); or ZeroPadding2D with 2 zeros before the "
        'first step may stand before padding="valid"'
    )
    refused(L.Conv2D(4, 3), "begins with 0 zeros, not 2", way)


def test_a_window_that_slides():
    # Each of its 8 steps is 2 steps of the input; 2 of them come at a time.
    for layer in (L.GlobalAveragePooling2D(), L.GlobalMaxPooling2D()):
        assert ruled(layer) == Plan(None, 5 + 7 * 2, keep=6)
        refused(layer, "is not known", "Pass `window`", sizes=Sizes(4, None))
        with pytest.raises(ValueError, match=r"of `chunk`, 4.*=18"):
            ruled(layer, sizes=Sizes(4, 18))


def planned(layer, *streams, constants=()):
    return plan(layer, list(streams), list(constants), SIZES)


def of(shape=SHAPE, stride=STRIDE, field=5, zeros=0):
    return Stream(shape, "float32", stride, field, zeros)


def not_planned(layer, *streams, reason, constants=()):
    with pytest.raises(RefusedError) as caught:
        planned(layer, *streams, constants=constants)
    assert reason in caught.value.args[0]
    assert caught.value.args[1]


class Dense(L.Dense):
    """A user's class with the name of one of Keras's."""


class Relu(keras.Operation):
    """A user's operation with the name of one of Keras's."""


def addition():
    """Returns the operation of Keras that adds."""
    inputs = keras.Input((3,))
    return keras.Model(inputs, inputs + 1.0).operations[-1]


ADD = addition()


def test_without_steps_each_layer_is_right():
    whole = of((None, 3), None, 7)
    for layer in (L.Flatten(), L.Conv2DTranspose(2, 2), Dense(3), Relu()):
        assert planned(layer, whole) == Plan(None, 7)
    assert planned(L.Add(), whole, of((None, 3), None, 9)) == Plan(None, 9)
    assert planned(L.Add(), whole, of((None, 3), None, None)) == Plan(
        None, None
    )


def test_what_is_known_of_a_kind():
    assert planned(L.ReLU(), of()) == ALONE
    assert planned(ADD, of()) == ALONE
    assert planned(ours.DepthwiseConv2D(1), of()) == Plan(STRIDE, 5)
    not_planned(L.Flatten(), of(), reason="joins all steps")
    not_planned(Dense(3), of(), reason="is of a kind that is not known")
    not_planned(L.RandomFlip(), of(), reason="is of a kind that is not known")
    operation = "is an operation that is not known"
    not_planned(Relu(), of(), reason=operation)
    low = L.Dense(3, lora_rank=2)
    low.build((None, 3))
    not_planned(low, of(), reason="is quantized or has LoRA")


def test_streams_that_do_not_join():
    summary = "joins steps with a summary of steps"
    not_planned(L.Add(), of(), of(stride=None), reason=summary)
    rates = "a step for every 2 and 4 steps of the input"
    not_planned(L.Add(), of(stride=Fraction(4)), of(), reason=rates)
    padded = "gets zeros from a padding layer"
    not_planned(L.ReLU(), of(zeros=2), reason=padded)
    not_planned(L.Add(), of(), of(zeros=2), reason=padded)
    assert planned(L.Conv2D(4, (3, 1)), of(zeros=2)).keep == 2
    first = L.MaxPooling2D(2, data_format="channels_first")
    not_planned(first, of(), reason="has its channels on axis 1")
    several = "gets more than one tensor"
    not_planned(L.ReLU(), of(), of(), reason=several)
    not_planned(L.ReLU(), of(), constants=[np.ones(3)], reason=several)
    assert planned(L.ReLU(), of(), constants=[3.0, None, True]) == ALONE


def test_what_merges_has_the_longest_field():
    for layer in (L.Add(), ADD):
        assert planned(layer, of(field=3), of()) == ALONE
        assert planned(layer, of(), of(field=3)) == ALONE
        assert planned(layer, of(field=None), of()) == Plan(STRIDE, None)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((None, 8, 6, 3), True),
        ((None, 8, 1, 1), True),
        ((None, None, 6, 3), True),
        ((None, 4, 6, 3), False),
        ((None, 8, 6), False),
    ],
)
def test_shapes_that_join(shape, fits):
    if fits:
        assert planned(L.Add(), of(), of(shape)) == ALONE
    else:
        shapes = f"of the shapes {SHAPE} and {shape}, which differ"
        not_planned(L.Add(), of(), of(shape), reason=shapes)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((), True), ((3,), True), ((6, 3), True), ((8, 6, 3), False)],
)
def test_constants_that_are_the_same_at_each_step(shape, fits):
    constants = [np.ones(shape, "float32"), 2.0]
    if fits:
        assert planned(ADD, of(), constants=constants) == ALONE
    else:
        shapes = f"of the shapes {SHAPE} and {shape}, which differ"
        not_planned(ADD, of(), constants=constants, reason=shapes)
