"""Which layer replaces which, with every option, and what stays."""

import copy

import keras
import numpy as np
import pytest
from backends import KERAS, array
from networks import shaken

from keras_sepconv import accelerate, convert_model, layers, restore_model
from keras_sepconv.tools.conversion import swaps
from keras_sepconv.tools.inspection import convolutions

L = keras.layers

# A value off its default for each option. Strides and dilation exclude each
# other; so does a causal padding and more than one axis.
OPTIONS = {
    "filters": 4,
    "kernel_size": 3,
    "depth_multiplier": 2,
    "padding": "same",
    "activation": "tanh",
    "use_bias": False,
    "trainable": False,
    "dtype": "mixed_bfloat16",
    "activity_regularizer": keras.regularizers.L1(0.25),
    **{
        f"{name}_{kind}": value
        for name in ("kernel", "bias", "depthwise", "pointwise")
        for kind, value in (
            ("initializer", keras.initializers.Constant(0.5)),
            ("regularizer", keras.regularizers.L2(0.25)),
            ("constraint", keras.constraints.MaxNorm(0.75)),
        )
    },
}
SPACED = {"strides": 2}, {"dilation_rate": 2}
# Where they are none of the options above: what they must be.
CHEAP = {"Conv": {"groups": 4}, "Point": {"kernel_size": 1}}
# The one that this backend supports, and the fixed rank of the class.
FIXED = {"data_format", "rank", "name"}


def every_kind():
    for rank in (1, 2, 3):
        for kind in ("SeparableConv", "DepthwiseConv", "Conv", "Point"):
            name = f"{kind.replace('Point', 'Conv')}{rank}D"
            if hasattr(L, name):
                for spaced in SPACED if kind != "Point" else SPACED[:1]:
                    yield pytest.param(
                        name,
                        {**spaced, **CHEAP.get(kind, {})},
                        id=f"{kind}{rank}D-{next(iter(spaced))}",
                    )


def off_default(name, more):
    """Returns a layer of Keras with every option off its default."""
    kind = getattr(L, name)
    taken = kind(*([2] if "Depthwise" in name else [1, 2])).get_config()
    options = {key: OPTIONS[key] for key in taken if key in OPTIONS}
    layer = kind(**{**options, **more}, name="it")
    config = layer.get_config()
    same = {key for key in config if config[key] == taken[key]}
    spaced = {"strides", "dilation_rate", "groups", "kernel_size"}
    assert same <= FIXED | (spaced - set(more)), "a new option of Keras"
    return layer


@pytest.mark.parametrize(("name", "more"), list(every_kind()))
def test_every_option_goes_through_a_conversion_a_file_and_back(
    name, more, tmp_path
):
    shape = (*(7, 6, 5)[: int(name[-2])], 4)
    model = keras.Sequential([keras.Input(shape), off_default(name, more)])
    (layer,) = shaken(model).layers
    fast = convert_model(model, implementation="portable", verify=False)
    (ours,) = fast.layers
    assert type(ours) is getattr(layers, name)
    config = layer.get_config()
    assert ours.get_config() == {**config, "implementation": "portable"}
    assert convert_model(model, verify=False).layers[0].get_config() == config
    assert ours.implementation == "portable"
    fast.save(tmp_path / "fast.keras")
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    assert loaded.layers[0].get_config() == ours.get_config()
    assert loaded.layers[0].trainable is False
    restored = restore_model(loaded, verify=False)
    assert type(restored.layers[0]) is type(layer)
    assert restored.layers[0].get_config() == config
    for one, other in zip(
        restored.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    inputs = np.random.default_rng(0).standard_normal((2, *shape), "float32")
    found, expected = (
        array(keras.ops.cast(one(inputs), "float32")) for one in (fast, model)
    )
    np.testing.assert_allclose(found, expected, atol=0.05)


def written(layer, shape=(None, 6, 6, 4)):
    """Returns what Keras writes of a layer."""
    if not layer.built and shape:
        layer.build(shape)
    return keras.saving.serialize_keras_object(layer)


@pytest.mark.parametrize(
    "layer",
    [
        L.SeparableConv2D(4, 3, name="it"),
        L.DepthwiseConv2D(3, name="it"),
        L.Conv2D(4, 1, name="it"),
        L.Conv2D(8, 3, groups=4, name="it"),
    ],
)
def test_a_config_becomes_the_one_that_keras_writes(layer):
    twin = getattr(layers, type(layer).__name__)
    ours = written(twin.from_config(layer.get_config()))
    stock = written(layer)
    before = copy.deepcopy([stock, ours])
    assert swaps.to_ours(None)(stock) == ours
    assert swaps.to_stock(ours) == stock
    found = swaps.to_ours("portable")(stock)
    assert found["config"].pop("implementation") == "portable"
    assert found == ours
    found["config"]["implementation"] = "portable"
    assert swaps.to_stock(found) == stock
    assert [stock, ours] == before
    # Each is what it shall be.
    assert swaps.to_ours(None)(ours) is None
    assert swaps.to_stock(stock) is None


@keras.saving.register_keras_serializable("test_swaps")
class SeparableConv2D(L.SeparableConv2D):
    """A user's class with the name of one of Keras's."""


@keras.saving.register_keras_serializable("keras_sepconv")
class Other(L.Layer):
    """A class of another package with our name."""


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (SeparableConv2D(4, 3), None),
        (L.ReLU(), None),
        (L.Conv2DTranspose(4, 1), None),
        (L.Conv2D(4, 3), None),
        (L.Conv2D(4, 3, groups=2), None),
        (L.Conv1D(4, 3), None),
        (L.Conv3D(4, 3), None),
        # Keras 3.6 refuses it too.
        *(
            [
                (
                    L.DepthwiseConv2D(3, strides=2, dilation_rate=2),
                    "`strides` other",
                )
            ]
            if KERAS >= (3, 15)
            else []
        ),
    ],
)
def test_what_does_not_become_ours(layer, reason):
    rank = getattr(layer, "rank", 2)
    found = swaps.to_ours(None)(written(layer, (None, *(6,) * rank, 4)))
    if reason is None:
        assert found is None
    else:
        assert reason in found


def test_a_config_that_our_layer_refuses_stays():
    node = written(L.SeparableConv2D(4, 3))
    node["config"]["groups"] = 2
    assert "`groups` must be 1 or absent" in swaps.to_ours(None)(node)
    node["config"]["dtype"] = {"class_name": "QuantizedDTypePolicy"}
    assert swaps.to_ours(None)(node) == "it is quantized"


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Other(), None),
        (layers.SeparableConv3D(2, 1), "Keras has no SeparableConv3D"),
        (
            layers.DepthwiseConv2D(1, padding=1),
            "Keras's DepthwiseConv2D has no padding by numbers",
        ),
    ],
)
def test_what_does_not_become_keras_s(layer, reason):
    assert swaps.to_stock(written(layer, shape=None)) == reason


@pytest.mark.parametrize("first", [False, True])
def test_the_channels_of_a_grouped_convolution(first):
    """They decide whether it is depthwise, in the format of the layer."""
    order = "channels_first" if first else "channels_last"
    layer = L.Conv2D(8, 3, groups=4, data_format=order)
    node = written(layer, shape=None)
    assert swaps.to_ours(None)(node) is None, "they are not known yet"
    for channels, replaced in ((4, True), (8, False), (None, False)):
        # The other axes must not be taken for it.
        sizes = (5, 5)
        shape = (None, channels, *sizes) if first else (4, 4, 4, channels)
        known = {**node, "build_config": {"input_shape": shape}}
        assert (swaps.to_ours(None)(known) is not None) == replaced
        known["build_config"] = None
        assert swaps.to_ours(None)(known) is None


class Own(L.DepthwiseConv2D):
    """A user's class that runs Keras's code."""


class OwnCall(L.DepthwiseConv2D):
    def call(self, inputs):
        return inputs


def test_why_a_convolution_stays():
    fast = L.DepthwiseConv2D(3)
    accelerate(fast)
    for layer, reason in (
        (L.ReLU(), None),
        (layers.DepthwiseConv2D(3), None),
        (layers.Conv2D(4, 3), None),
        (L.DepthwiseConv2D(3), swaps.AROUND),
        (fast, swaps.AROUND),
        (Own(3), "Own is a class of its own"),
        (OwnCall(3), "its class OwnCall has its own `call`"),
        (L.Conv2D(4, 3), "it is dense"),
        (L.Conv1DTranspose(4, 3), "it is transposed"),
    ):
        assert swaps.candidate(layer) == reason


def test_a_grouped_convolution_may_turn_out_to_be_depthwise():
    for groups, channels, dense in (
        (4, None, False),
        (2, None, False),
        (1, None, True),
        (4, 4, False),
        (2, 4, True),
    ):
        layer = L.Conv2D(4, 3, groups=groups)
        if channels:
            layer.build((None, 6, 6, channels))
        found = convolutions.obstacle(layer)
        assert found == ("it is dense" if dense else None)
