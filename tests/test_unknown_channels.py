"""Inputs with an unknown number of channels, which the weights know."""

import keras
import numpy as np
import pytest
from backends import BACKEND, KERAS, array, tensor, value_and_gradients

from keras_sepconv import layers, ops

FIRST, LAST = "channels_first", "channels_last"
SIZES = {1: (9,), 2: (8, 7), 3: (6, 5, 4)}
CASES = [
    (rank, data_format, padding)
    for rank in SIZES
    for data_format in (LAST, FIRST)
    for padding in ("valid", "same", "causal" if rank == 1 else 1)
]
every_case = pytest.mark.parametrize(("rank", "data_format", "padding"), CASES)


def operations(rank, data_format, padding, rng):
    """Yields an operation, its weights and the channels of its result."""
    depthwise = rng.standard_normal((3,) * rank + (3, 2))
    pointwise = rng.standard_normal((1,) * rank + (6, 5))
    alone = rng.standard_normal((1,) * rank + (3, 4))
    options = {"padding": padding, "data_format": data_format}

    def separable(inputs, *weights, **more):
        return ops.separable_conv(inputs, *weights, **options, **more)

    def only_depthwise(inputs, *weights, **more):
        return ops.depthwise_conv(inputs, *weights, **options, **more)

    def only_pointwise(inputs, *weights, **more):
        return ops.pointwise_conv(inputs, *weights, data_format, **more)

    yield separable, list(map(tensor, (depthwise, pointwise))), 5
    yield only_depthwise, [tensor(depthwise)], 6
    yield only_pointwise, [tensor(alone)], 4


def shaped(sizes, channels, data_format):
    if data_format == FIRST:
        return (2, channels, *sizes)
    return (2, *sizes, channels)


@every_case
def test_t12_an_operation_takes_the_channels_from_its_kernel(
    rank, data_format, padding, rng
):
    sizes = SIZES[rank]
    x = tensor(rng.standard_normal(shaped(sizes, 3, data_format)))
    for function, weights, channels in operations(
        rank, data_format, padding, rng
    ):
        expected = function(x, *weights)
        shape = shaped(sizes, None, data_format)
        symbolic = keras.Input(batch_shape=shape)
        outputs = function(symbolic, *weights)
        assert outputs.shape == tuple(expected.shape)
        axis = 1 if data_format == FIRST else -1
        assert outputs.shape[axis] == channels
        model = keras.Model(symbolic, outputs)
        np.testing.assert_allclose(array(model(x)), array(expected), atol=1e-5)
        wrong = tensor(np.ones(shaped(sizes, 4, data_format)))
        with pytest.raises(ValueError, match="channels of `inputs` must be 3"):
            model(wrong)


@pytest.mark.parametrize("name", layers.__all__)
@pytest.mark.parametrize("data_format", [LAST, FIRST])
def test_t12_a_built_layer_knows_the_channels(name, data_format, rng):
    if name == "DepthwiseFans" or name.startswith("Conv"):
        return
    rank = int(name[-2])
    filters = {"filters": 5} if "Separable" in name else {}
    layer = getattr(layers, name)(
        **filters, kernel_size=3, depth_multiplier=2, data_format=data_format
    )
    known, unknown = (
        shaped(SIZES[rank], channels, data_format) for channels in (3, None)
    )
    for call in (
        lambda: layer.build(unknown),
        lambda: layer.compute_output_shape(unknown),
        lambda: layer(keras.KerasTensor(unknown)),
    ):
        with pytest.raises(ValueError, match="must be known and positive"):
            call()
    x = tensor(rng.standard_normal(known))
    expected = layer(x)
    layer.build(unknown)
    assert layer.compute_output_shape(unknown) == tuple(expected.shape)
    symbolic = keras.Input(batch_shape=unknown)
    outputs = layer(symbolic)
    assert outputs.shape == tuple(expected.shape)
    model = keras.Model(symbolic, outputs)
    np.testing.assert_allclose(array(model(x)), array(expected), atol=1e-5)


if BACKEND == "tensorflow":
    import tensorflow as tf

    def traced(function, rank, xla=False):
        anything = tf.TensorSpec([None] * (rank + 2))
        return tf.function(function, [anything], jit_compile=xla)

    @pytest.mark.slow("it traces each operation with each implementation")
    @pytest.mark.parametrize(
        ("rank", "data_format", "padding"),
        [(1, LAST, "causal"), (2, FIRST, "valid"), (3, LAST, 1)],
    )
    def test_t12_every_implementation_runs_where_no_size_is_known(
        rank, data_format, padding, rng
    ):
        shape = shaped(SIZES[rank], 3, data_format)
        x = tensor(rng.standard_normal(shape))
        for function, weights, channels in operations(
            rank, data_format, padding, rng
        ):
            for name in ops.implementations():

                def run(x, function=function, weights=weights, name=name):
                    return function(x, *weights, implementation=name)

                graph = traced(run, rank)
                (output,) = graph.get_concrete_function().outputs
                axis = 1 if data_format == FIRST else -1
                assert output.shape[axis] == channels
                ones = tf.ones_like(run(x))
                expected = value_and_gradients(run, [x], ones)
                found = value_and_gradients(graph, [x], ones)
                for one, other in zip(
                    keras.tree.flatten(found),
                    keras.tree.flatten(expected),
                    strict=True,
                ):
                    np.testing.assert_allclose(one, other, atol=1e-4)
                # One channel would broadcast; six could be two images of three.
                for count in (1, 6):
                    wrong = shaped(SIZES[rank], count, data_format)
                    with pytest.raises(tf.errors.InvalidArgumentError):
                        graph(tf.ones(wrong))

    @pytest.mark.parametrize("xla", [False, True])
    def test_t12_a_built_layer_runs_where_no_size_is_known(xla, rng):
        layer = layers.SeparableConv2D(5, 3, depthwise_use_bias=True)
        x = tensor(rng.standard_normal((2, 8, 7, 3)))
        expected = layer(x)
        found = traced(layer, 2, xla)(x)
        np.testing.assert_allclose(found, expected, atol=1e-5)


if BACKEND == "jax":
    import jax
    from jax import export

    @pytest.mark.parametrize("count", [1, 3, 6])
    def test_t12_an_export_of_unknown_channels_takes_those_of_the_weights(
        count, rng
    ):
        symbols = export.symbolic_shape("b, h, w, c")
        kernel = rng.standard_normal((3, 3, 3, 1)).astype("float32")

        def run(x):
            return ops.depthwise_conv(x, kernel)

        make = export.export(jax.jit(run))
        inputs = jax.ShapeDtypeStruct(symbols, "float32")
        if KERAS < (3, 15):
            # JAX 0.4.33 refuses sizes that it cannot compare.
            with pytest.raises(TypeError, match="total size must be"):
                make(inputs)
            return
        exported = make(inputs)
        x = rng.standard_normal((2, 8, 7, count)).astype("float32")
        if count == 3:
            np.testing.assert_allclose(exported.call(x), run(x), atol=1e-5)
            return
        with pytest.raises(ValueError, match="refining shapes"):
            exported.call(x)


if BACKEND == "torch":
    import torch

    def test_t12_a_size_that_torch_does_not_know_becomes_that_of_the_weights():
        kernel = torch.ones(3, 3, 3, 1)

        class Module(torch.nn.Module):
            def forward(self, x):
                return ops.depthwise_conv(x, kernel)

        sizes = dict.fromkeys(range(4), torch.export.Dim.AUTO)
        x = torch.ones(2, 8, 7, 3)
        program = torch.export.export(Module(), (x,), dynamic_shapes=[sizes])
        np.testing.assert_allclose(program.module()(x), Module()(x))
        with pytest.raises((RuntimeError, AssertionError)):
            program.module()(torch.ones(2, 8, 7, 6))
