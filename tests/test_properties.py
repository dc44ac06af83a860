"""Properties that every convolution of this package has.

These tests need no reference. test_kernels, test_ranks and test_ops compare
values and gradients with the reference, also for random arguments.
"""

import hashlib
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from backends import (
    BACKEND,
    EPSILON,
    array,
    needs_gradients,
    tensor,
    value_and_gradients,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Convolution

from keras_sepconv import layers, ops

# JAX compiles again for each new shape.
few = settings(max_examples=10 if BACKEND == "jax" else 20)
very_few = settings(max_examples=5 if BACKEND == "jax" else 12)

RANKS = st.sampled_from((1, 2, 3))
SIZES = (9, 8, 7)
KERNEL = (3, 2, 3)


@st.composite
def convolutions(draw, paddings=("valid", "same", "zeros")):
    """Draws the tensors and the options of a convolution."""
    rank = draw(RANKS)
    multiplier = draw(st.sampled_from((1, 2)))
    padding = draw(st.sampled_from(paddings))
    first = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    inputs = rng.standard_normal((2, *SIZES[:rank], 3))
    tensors = [
        np.moveaxis(inputs, -1, 1) if first else inputs,
        rng.standard_normal((*KERNEL[:rank], 3, multiplier)),
        rng.standard_normal((*(1,) * rank, 3 * multiplier, 4)),
    ]
    options = {
        "strides": (draw(st.integers(1, 2)),) * rank,
        "dilation_rate": (draw(st.integers(1, 2)),) * rank,
        "padding": [(2, 0)] * rank if padding == "zeros" else padding,
        "data_format": "channels_first" if first else "channels_last",
    }
    return [t.astype("float32") for t in tensors], options, rng


def bounds(tensors, options, cotangent=None):
    """Returns the errors that rounding may cause in value and gradients."""
    truth = Convolution(*tensors, **options)
    if cotangent is None:
        cotangent = np.ones_like(truth.value())
    return truth.tolerances(cotangent, EPSILON["float32"])


@few
@given(convolutions(), st.integers(0, 2))
def test_linear_in_the_inputs_and_in_each_kernel(case, which):
    tensors, options, rng = case
    other = list(tensors)
    other[which] = rng.standard_normal(tensors[which].shape).astype("float32")
    mixed = list(tensors)
    mixed[which] = 2 * tensors[which] - other[which]
    one, two, both = (
        array(ops.separable_conv(*ts, **options))
        for ts in (tensors, other, mixed)
    )
    error = np.abs(both - (2 * one - two))
    limit = bounds(mixed, options)["value"]
    limit = limit + 2 * bounds(tensors, options)["value"]
    assert np.all(error <= limit + bounds(other, options)["value"])


@few
@given(convolutions(paddings=("valid",)), st.data())
def test_a_shift_by_the_stride_is_a_shift_by_one(case, data):
    (inputs, depthwise, pointwise), options, _ = case
    rank = depthwise.ndim - 2
    axis = data.draw(st.integers(0, rank - 1))
    axis += 2 if options["data_format"] == "channels_first" else 1
    every = [slice(None)] * inputs.ndim
    later, shorter = list(every), list(every)
    later[axis] = slice(options["strides"][0], None)
    shorter[axis] = slice(1, None)
    whole = ops.separable_conv(inputs, depthwise, pointwise, **options)
    moved = ops.separable_conv(
        inputs[tuple(later)], depthwise, pointwise, **options
    )
    limit = bounds((inputs, depthwise, pointwise), options)["value"]
    error = np.abs(array(moved) - array(whole)[tuple(shorter)])
    assert np.all(error <= 2 * limit[tuple(shorter)])


@needs_gradients
@few
@given(convolutions())
def test_the_gradients_are_the_adjoints(case):
    """<dw(x, k), g> is <x, dw_k^T(g)> and <k, dw_x^T(g)>."""
    (inputs, kernel, _), options, rng = case

    def run(*tensors):
        return ops.depthwise_conv(*tensors, **options)

    tensors = [tensor(inputs), tensor(kernel)]
    shape = Convolution(inputs, kernel, **options).value().shape
    cotangent = rng.standard_normal(shape).astype("float32")
    value, found = value_and_gradients(run, tensors, tensor(cotangent))
    value = array(value).astype("float64")
    limits = bounds((inputs, kernel), options, cotangent)
    product = np.sum(value * cotangent)
    error = np.sum(limits["value"] * np.abs(cotangent))
    for name, one, gradient in zip(
        ("inputs", "depthwise"), (inputs, kernel), found, strict=True
    ):
        adjoint = np.sum(one * array(gradient).astype("float64"))
        limit = error + np.sum(limits[name] * np.abs(one))
        assert abs(product - adjoint) <= limit


@st.composite
def legal(draw):
    """Draws the class of a layer, and options of every kind."""
    rank = draw(RANKS)
    name = draw(st.sampled_from(("SeparableConv", "DepthwiseConv")))
    strides = draw(st.integers(1, 2))
    paddings = ["valid", "same", 1, [[1, 2]] * rank]
    options = {
        "kernel_size": KERNEL[:rank],
        "strides": strides,
        "padding": draw(st.sampled_from(paddings + ["causal"] * (rank == 1))),
        "data_format": draw(
            st.sampled_from((None, "channels_first", "channels_last"))
        ),
        "dilation_rate": 1 if strides > 1 else draw(st.integers(1, 2)),
        "depth_multiplier": draw(st.integers(1, 2)),
        "activation": draw(st.sampled_from((None, "relu", "gelu"))),
        "use_bias": draw(st.booleans()),
        "depthwise_initializer": draw(
            st.sampled_from(("glorot_uniform", "he_normal", "ones"))
        ),
        "depthwise_regularizer": draw(st.sampled_from((None, "l2"))),
        "bias_constraint": draw(st.sampled_from((None, "non_neg"))),
        "trainable": draw(st.booleans()),
        "implementation": draw(st.sampled_from((None, "portable"))),
    }
    if name.startswith("Separable"):
        options |= {
            "filters": 4,
            "pointwise_constraint": draw(st.sampled_from((None, "max_norm"))),
            "depthwise_use_bias": draw(st.booleans()),
        }
    return getattr(layers, f"{name}{rank}D"), options


@given(legal())
def test_a_config_makes_the_same_layer(case):
    cls, options = case
    layer = cls(**options)
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    twin = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(twin) is type(layer)
    # A name and what it stands for, JSON's lists and Python's tuples.
    assert json.dumps(twin.get_config()) == json.dumps(config)


if BACKEND in ("numpy", "torch"):  # The others compile, and ask the same.

    @very_few
    @given(legal())
    def test_a_file_makes_the_same_layer(tmp_path_factory, case):
        cls, options = case
        layer = cls(**options)
        folder = tmp_path_factory.mktemp("files")
        image = np.random.default_rng(0).random((1, *(7,) * layer.rank, 3))
        if layer.data_format == "channels_first":
            image = np.moveaxis(image, -1, 1)
        model = keras.Sequential([keras.Input(image.shape[1:]), layer])
        expected = array(model(image))
        model.save(folder / "model.keras")
        twin = keras.models.load_model(folder / "model.keras")
        np.testing.assert_array_equal(array(twin(image)), expected)
        model.save_weights(folder / "model.weights.h5")
        for weight in twin.weights:
            weight.assign(weight * 0)
        twin.load_weights(folder / "model.weights.h5")
        np.testing.assert_array_equal(array(twin(image)), expected)


TRAINED = """
import hashlib
import keras
import numpy as np
import keras_sepconv as ks

keras.utils.set_random_seed(7)
model = keras.Sequential([
    keras.Input((12, 11, 3)),
    ks.SeparableConv2D(8, 3, strides=2, activation="relu"),
    ks.DepthwiseConv2D(3, depth_multiplier=2),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(4),
])
rng = np.random.default_rng(0)
x, y = rng.random((16, 12, 11, 3)), rng.random((16, 4))
model.compile("adam", "mse")
model.fit(x, y, batch_size=8, epochs=2, verbose=0)
found = [*model.get_weights(), model.predict(x, verbose=0)]
digest = hashlib.sha256(b"".join(a.tobytes() for a in found)).hexdigest()
"""


@needs_gradients
@pytest.mark.slow("it trains in two processes")
def test_the_same_seed_gives_the_same_bits():
    """Weights and predictions, in this process and in another."""
    names = {}
    exec(TRAINED, names)
    run = subprocess.run(
        [sys.executable, "-c", f"{TRAINED}\nprint(digest)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(names["digest"]) == 2 * hashlib.sha256().digest_size
    assert run.stdout.split()[-1] == names["digest"]


@st.composite
def half(draw):
    """Draws a convolution that stock Keras supports in half precision too."""
    rank = draw(st.sampled_from((1, 2)))
    multiplier = draw(st.sampled_from((1, 2)))
    options = {
        "strides": (draw(st.integers(1, 2)),) * rank,
        "padding": draw(st.sampled_from(("valid", "same"))),
        "data_format": "channels_last",
    }
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    # There must be enough numbers for a meaningful root mean square.
    tensors = [
        rng.standard_normal((2, *((64,), (16, 16))[rank - 1], 8)),
        rng.standard_normal((*(3,) * rank, 8, multiplier)),
        rng.standard_normal((*(1,) * rank, 8 * multiplier, 16)),
        rng.standard_normal(16),
    ]
    dtype = draw(st.sampled_from(("float16", "bfloat16")))
    return tensors, options, dtype, rng


@needs_gradients
@pytest.mark.slow("each example compiles ours and stock")
@very_few
@given(half())
def test_half_precision_is_at_most_twice_as_far_off_as_stock(case):
    """The root mean square errors of value and gradients against float64."""
    values, options, dtype, rng = case
    tensors = [tensor(a, dtype) for a in values]
    truth = Convolution(*map(array, tensors), **options)
    expected = truth.value()
    cotangent = tensor(rng.standard_normal(expected.shape), dtype)
    slopes = truth.gradients(array(cotangent))

    def ours(x, d, p, b):
        return ops.separable_conv(x, d, p, bias=b, **options)

    def stock(x, d, p, b):
        return keras.ops.separable_conv(x, d, p, **options) + b

    def errors(run):
        value, slopes = value_and_gradients(run, tensors, cotangent)
        names = ("inputs", "depthwise", "pointwise", "bias")
        found = {"value": value, **dict(zip(names, slopes, strict=True))}
        return {
            name: np.sqrt(np.mean((array(one) - right[name]) ** 2))
            for name, one in found.items()
        }

    right = {"value": expected, **slopes}
    mine, theirs = errors(ours), errors(stock)
    for name, error in mine.items():
        # Stock Keras may be exact. So half a rounding is always allowed.
        size = np.sqrt(np.mean(right[name] ** 2))
        floor = EPSILON[dtype] * size / 2
        assert error <= 2 * max(theirs[name], floor), name
