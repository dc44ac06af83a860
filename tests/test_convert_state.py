"""What a conversion does not change, and which state it copies."""

import types

import keras
import numpy as np
import pytest
from backends import BACKEND, array

from keras_sepconv import convert_model, restore_model
from keras_sepconv.tools.conversion.carry import same

L = keras.layers


def small(**options):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            L.SeparableConv2D(4, 3, name="separable", **options),
        ]
    )


IMAGES = np.random.default_rng(0).standard_normal((2, 6, 6, 3), "float32")


@pytest.mark.each_backend("convert_model")
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
    """A layer with many kinds of state: calls, a seed, a metric, a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = self.add_weight(name="calls", trainable=False)
        self.seed = keras.random.SeedGenerator(3)
        self.mean = keras.metrics.Mean(name="mean")

    def call(self, inputs):
        self.calls.assign(self.calls + 1.0)
        self.mean.update_state(inputs)
        self.add_loss(keras.ops.mean(inputs))
        # Draws a number, but too small to make a difference.
        return inputs + 1e-9 * keras.random.normal((1,), seed=self.seed)


@pytest.mark.each_backend
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
    """Returns a new class with the name `Scale` at each call."""

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
    with pytest.raises(ValueError, match=r"two things by the name '.*Scale'"):
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


OPTIMIZERS = sorted(
    name
    for name, kind in vars(keras.optimizers).items()
    if isinstance(kind, type)
    and issubclass(kind, keras.optimizers.Optimizer)
    and kind is not keras.optimizers.Optimizer
)


def make_optimizer(name):
    space = keras.optimizers
    kind = getattr(space, name)
    if name == "LossScaleOptimizer":
        return kind(space.AdamW(weight_decay=0.5))
    if name == "MultiOptimizer":
        some = {".*depthwise.*": space.AdamW(weight_decay=0.5)}
        return kind(space.OptimizerMap(space.SGD(weight_decay=0.5), some))
    return kind(weight_decay=0.5, use_ema=True)


def inside(optimizer):
    """Returns an optimizer and the optimizers in its attributes."""
    wrapped = getattr(optimizer, "inner_optimizer", None)
    inner = [wrapped] if wrapped else getattr(optimizer, "optimizers", [])
    return [optimizer, *inner]


# Attributes of an optimizer that need not be copied, with the reason.
MADE_ANEW = {
    "_lock": "whether its constructor is done",
    "built": "whether it has its variables",
    "_variables": "the list of its variables",
    "_tracker": "what puts variables into that list",
    "_trainable_variables": "the weights it was built for",
    "_trainable_variables_indices": "their positions",
    "_var_to_optimizer_idx": "which inner optimizer has which of them",
    "_distribution_strategy": "that of TensorFlow when it was made",
    "_exclude_from_weight_decay_cache": "what the exclusion means",
    "_optimizer_map": "in the config by another name",
    "_inner_optimizers": "looked at one by one",
    "_loss_scale_factor": "in the config by another name",
    # `LossScaleOptimizer` and `MultiOptimizer` refuse these.
    **dict.fromkeys(
        [
            "weight_decay",
            "clipnorm",
            "global_clipnorm",
            "clipvalue",
            "use_ema",
            "ema_momentum",
            "ema_overwrite_frequency",
            "gradient_accumulation_steps",
            "loss_scale_factor",
        ],
        "None or its default, and not to be set there",
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_t9_all_that_an_optimizer_holds_is_carried(name):
    model, optimizer = small(), make_optimizer(name)
    kernel = model.get_layer("separable").depthwise_kernel
    for one in inside(optimizer):
        one.exclude_from_weight_decay([kernel], ["bias"])
    model.compile(optimizer, "mse")
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for variable in optimizer.variables:
        if "int" not in str(variable.dtype):
            variable.assign(rng.uniform(0.2, 1.0, variable.shape))
    fast = convert_model(model, verify=False)
    assert not fast.conversion_report.notes
    for one, other in zip(
        optimizer.variables, fast.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(array(other), array(one))
    pairs = zip(inside(optimizer), inside(fast.optimizer), strict=True)
    for before, after in pairs:
        assert after.get_config() == before.get_config()
        assert_nothing_else(before, optimizer.variables)
        excluded = [
            [not one._use_weight_decay(v) for v in which.trainable_variables]
            for one, which in ((before, model), (after, fast))
        ]
        assert excluded[0] == excluded[1] == [True, False, True]


def assert_nothing_else(optimizer, variables):
    known = {id(variable) for variable in variables}
    config = optimizer.get_config()
    carried = {
        "_exclude_from_weight_decay",
        "_exclude_from_weight_decay_pattern",
    }
    for name, value in vars(optimizer).items():
        if name in config or name in MADE_ANEW or name in carried:
            continue
        # TensorFlow's own, for its checkpoints.
        if BACKEND == "tensorflow" and name.startswith("_self_"):
            continue
        if name == "inner_optimizer":
            continue
        held = [one for one in keras.tree.flatten([value]) if one is not None]
        assert all(id(one) in known for one in held), name


@pytest.mark.each_backend
def test_t9_an_excluded_kernel_does_not_shrink():
    """As in the test before, but by the effect of a training step."""
    if BACKEND == "numpy":
        return
    model = small()
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(
        [model.get_layer("separable").depthwise_kernel]
    )
    model.compile(optimizer, zero)
    fast = convert_model(model, verify=False)
    before = [array(weight) for weight in fast.weights]
    fast.train_on_batch(IMAGES, np.zeros((2, 4, 4, 4)))
    after = [array(weight) for weight in fast.weights]
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_allclose(after[1], 0.95 * before[1], rtol=1e-6)


def zero(y, p):
    return 0.0 * keras.ops.mean(p)


def test_t9_an_exclusion_by_name_is_carried_before_there_are_weights():
    model = keras.Sequential([L.SeparableConv2D(4, 3)])
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["pointwise", "bias"])
    model.compile(optimizer, "mse")
    fast = convert_model(model, verify=False)
    fast.build((None, 6, 6, 3))
    uses = map(fast.optimizer._use_weight_decay, fast.trainable_variables)
    assert list(uses) == [True, False, False]


@pytest.mark.parametrize("is_built", [True, False])
def test_t9_what_cannot_be_carried_is_said(is_built):
    separable = L.SeparableConv2D(4, 3)
    model = small() if is_built else keras.Sequential([separable])
    model.compile("sgd", "mse")
    model.optimizer.temperature = 2.0
    model.optimizer.nothing = None
    model.optimizer.watch = object()
    fast = convert_model(model, verify=False)
    (note,) = fast.conversion_report.notes
    assert "`watch` is not carried" in note
    assert fast.optimizer.temperature == 2.0
    assert fast.optimizer.nothing is None


class Compiled(keras.Sequential):
    """A model that describes its own way to compile, without an optimizer."""

    def compile(self, speed):
        optimizer = keras.optimizers.SGD(speed, momentum=0.5)
        super().compile(optimizer, "mse")

    def get_compile_config(self):
        return {"speed": float(array(self.optimizer.learning_rate))}

    def compile_from_config(self, config):
        self.compile(**config)


def test_t9_a_model_with_its_own_way_to_compile_keeps_it():
    model = Compiled([keras.Input((6, 6, 3)), L.SeparableConv2D(4, 3)])
    model.compile(0.25)
    model.optimizer.build(model.trainable_variables)
    for variable in model.optimizer.variables[2:]:
        variable.assign(variable + 3.0)
    fast = convert_model(model, verify=False)
    assert not fast.conversion_report.notes
    assert float(array(fast.optimizer.learning_rate)) == 0.25
    assert array(fast.optimizer.variables[-1]).min() == 3.0
    for one, other in zip(
        model.optimizer.variables, fast.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(array(other), array(one))


def test_t9_a_model_without_an_optimizer_stays_without_one():
    # Keras itself cannot compile one with weights again.
    model = keras.Sequential([L.SeparableConv2D(4, 3)])
    model.compile(optimizer=None, loss="mse")
    fast = convert_model(model, verify=False)
    assert fast.compiled
    assert fast.optimizer is None
    assert fast.loss == "mse"
    assert not fast.conversion_report.notes
    assert not convert_model(small(), verify=False).compiled


def test_flags_and_policies_of_the_whole_model_are_carried():
    for frozen in (False, True):
        model = small()
        model.trainable = not frozen
        model.get_layer("separable").pointwise_kernel.trainable = False
        model.dtype_policy = "mixed_bfloat16"
        graph = keras.Model(model.inputs, model.outputs)
        graph.dtype_policy = "mixed_bfloat16"
        policy = convert_model(graph, verify=False).dtype_policy
        assert policy.name == "mixed_bfloat16"
        fast = convert_model(model, verify=False)
        assert fast.trainable is not frozen
        assert fast.dtype_policy.name == "mixed_bfloat16"
        flags = [[v.trainable for v in m.variables] for m in (model, fast)]
        assert flags[0] == flags[1] == [not frozen, False, not frozen]


def holder(*shapes):
    """Returns a stand-in for a layer with weights of some shapes."""
    weights = [
        types.SimpleNamespace(path=f"it/{number}", shape=shape)
        for number, shape in enumerate(shapes)
    ]
    return types.SimpleNamespace(name="it", variables=weights)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (((2,),), (), "nothing stands where there is it/0 of the shape (2,)"),
        ((), ((2,),), "it/0 of the shape (2,) stands where there is nothing"),
        (
            ((2,), (3, 4)),
            ((2,), (4, 3)),
            "it/1 of the shape (4, 3) stands where there is it/1 of the shape "
            "(3, 4)",
        ),
    ],
)
def test_weights_that_are_not_the_same_are_told(before, after, message):
    one, other = holder(*before), holder(*after)
    with pytest.raises(ValueError, match="can make again from") as caught:
        same(one, other, "variables")
    numbers = f"with {len(before)} variables, then {len(after)}"
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"Received: 'it', {numbers}")
    assert same(one, one, "variables") == one.variables


def test_t9_what_was_set_after_compiling_is_carried():
    model = small()
    model.compile(
        keras.optimizers.SGD(0.1),
        "mse",
        metrics=["mae"],
        weighted_metrics=["mse"],
        loss_weights=0.25,
        jit_compile=False,
    )
    model.optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.5)
    )
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(10)
    model.run_eagerly = True
    model.steps_per_execution = 3
    fast = convert_model(model, verify=False)
    assert not fast.conversion_report.notes
    assert fast.optimizer.get_config() == model.optimizer.get_config()
    assert float(array(fast.optimizer.learning_rate)) == 0.25
    for name in ("run_eagerly", "steps_per_execution", "jit_compile"):
        assert getattr(fast, name) == getattr(model, name)
    before, after = model.get_compile_config(), fast.get_compile_config()
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        assert after[name] == before[name]


@pytest.mark.each_backend
def test_t9_a_loss_is_scaled_where_it_was():
    for scales in (False, True):
        model = small(dtype="mixed_float16")
        model.dtype_policy = "mixed_float16"
        model.compile("sgd", "mse", auto_scale_loss=scales)
        fast = convert_model(model, verify=False)
        assert type(fast.optimizer) is type(model.optimizer)
        assert hasattr(fast.optimizer, "inner_optimizer") == scales
