"""Acceleration in place: what runs after it, and what does not change.

Other files test that the operations are right. Here a layer of Keras must run
them, compute the same as before, and stay the same layer of Keras.
"""

import concurrent.futures
import contextlib
import copy
import functools
import gc
import io
import pickle
import subprocess
import sys
import warnings
import zipfile

import keras
import numpy as np
import pytest
from backends import BACKEND, HAS_GRADIENTS, array, needs_gradients
from networks import (
    MODELS,
    Block,
    Library,
    LibraryTask,
    inverted_residuals,
    sequential,
    shaken,
)

import keras_sepconv as ks
from keras_sepconv import accelerate, decelerate, kernels
from keras_sepconv.layers._call import is_accelerated
from keras_sepconv.tools.conversion import comparison
from keras_sepconv.tools.inspection.convolutions import STOCK
from keras_sepconv.tools.inspection.counts import model_counts
from keras_sepconv.tools.inspection.tree import layers

L = keras.layers


def ran(function):
    """Returns how many of our operations a function runs or traces."""
    count = 0
    choose = kernels.choose

    def counted(*args):
        nonlocal count
        count += 1
        return choose(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "choose", counted)
        function()
    return count


def fast(model):
    """Returns the names of the layers inside that are accelerated."""
    inside = [model, *(layer for _, layer in layers(model))]
    return [layer.name for layer in inside if is_accelerated(layer)]


def predicted(model, inputs):
    return [array(one) for one in keras.tree.flatten(model(inputs))]


def assert_alike(found, expected):
    for one, other in zip(found, expected, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=3e-5 * scale)


class Classifier(keras.Model):
    """A model with layers in attributes, lists and dictionaries."""

    def __init__(self):
        super().__init__(name="classifier")
        self.stem = L.DepthwiseConv2D(3, name="stem")
        self.blocks = [
            L.SeparableConv2D(4, 3, name="block0"),
            [L.Conv2D(6, 1, name="block1")],
        ]
        self.heads = {"a": L.Conv2D(6, 3, groups=6, name="head")}

    def call(self, inputs):
        x = self.blocks[0](self.stem(inputs))
        return keras.ops.mean(self.heads["a"](self.blocks[1][0](x)), (1, 2))


def classifier():
    model = Classifier()
    model(np.zeros((1, 9, 8, 3), "float32"))
    return model


def with_block():
    return keras.Sequential([keras.Input((9, 8, 3)), Block(name="block")])


FORMS = {
    **{make.__name__: make for make in MODELS},
    "subclassed": classifier,
    "functional subclass": lambda: Library(5),
    "task": LibraryTask,
    "block": with_block,
}
# How many convolutions run our operations, and how many there are.
NUMBERS = {
    "sequential": (4, 5),
    "inverted_residuals": (4, 4),
    "nested": (3, 3),
    "sequences": (4, 4),
    "volumes": (2, 2),
    "subclassed": (4, 4),
    "functional subclass": (2, 2),
    "task": (3, 3),
    "block": (1, 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_model_is_reached_and_computes_the_same(form):
    model = shaken(FORMS[form]())
    inputs = comparison.sample(model)
    stock = predicted(model, inputs)
    assert ran(lambda: model(inputs)) == 0
    report = accelerate(model)
    reached, number = NUMBERS[form]
    assert len(report.accelerated) == len(fast(model)) == reached
    assert len(report.left) == number - reached
    if form == "block":
        assert report.accelerated[0].layer == "block/hidden"
    assert not report.notes
    if form == "sequences":
        assert report.share is None, "an LSTM is not counted"
    else:
        assert 0.5 < report.share <= 1.0
    assert ran(lambda: model(inputs)) >= reached
    assert_alike(predicted(model, inputs), stock)
    decelerate(model)
    assert ran(lambda: model(inputs)) == 0


def test_layers_are_reached_and_not_changed(tmp_path):
    model = shaken(inverted_residuals())
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    before = facts(model, tmp_path / "before.keras")
    accelerate(model)
    assert facts(model, tmp_path / "after.keras") == before
    assert model.compiled


def facts(model, path):
    """Returns what acceleration must not change."""
    return {
        "layers": [id(layer) for _, layer in layers(model)],
        "classes": [type(layer) for _, layer in layers(model)],
        "weights": [id(one.value) for one in model.variables],
        "paths": [one.path for one in model.variables],
        "optimizer": [id(one) for one in model.optimizer.variables],
        "config": keras.saving.serialize_keras_object(model),
        "summary": summary(model),
        "file": contents(model, path),
    }


def summary(model):
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    return lines


def contents(model, path):
    """Returns the contents of a model's file without the time of writing."""
    model.save(path)
    with zipfile.ZipFile(path) as file:
        found = {name: file.read(name) for name in file.namelist()}
    del found["metadata.json"]
    return found


@pytest.mark.slow("it starts a process for each file")
def test_the_file_loads_where_this_package_is_not(tmp_path):
    model = shaken(sequential())
    accelerate(model)
    model.save(tmp_path / "fast.keras")
    inputs = comparison.sample(model)
    np.save(tmp_path / "inputs.npy", inputs)
    code = f"""
import sys
sys.modules["keras_sepconv"] = None
import keras, numpy
model = keras.saving.load_model(r"{tmp_path / "fast.keras"}")
inputs = numpy.load(r"{tmp_path / "inputs.npy"}")
outputs = keras.ops.convert_to_numpy(model(inputs))
numpy.save(r"{tmp_path / "outputs.npy"}", outputs)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    found = np.load(tmp_path / "outputs.npy")
    assert_alike([found], predicted(model, inputs))


def test_copies_are_plain():
    model = shaken(sequential())
    accelerate(model)
    stream = io.BytesIO()
    pickle.dump(model, stream)
    stream.seek(0)
    for other in (
        copy.deepcopy(model),
        keras.models.clone_model(model),
        pickle.load(stream),
        copy.deepcopy(model.layers[3]),
    ):
        assert not fast(other)
        assert accelerate(other, verify=False).accelerated


@pytest.mark.slow("it compiles a model for each change")
@pytest.mark.each_backend
def test_compiled_functions_are_made_anew():
    model = shaken(inverted_residuals())
    outer = Around(model)
    inputs = comparison.sample(model)
    stock = keras.tree.flatten(model.predict_on_batch(inputs))
    outer.predict_on_batch(inputs)
    accelerate(outer)

    def predict():
        return keras.tree.flatten(model.predict_on_batch(inputs))

    assert ran(predict) == 5, "the shared layer twice"
    assert_alike(predict(), stock)
    assert ran(lambda: outer.predict_on_batch(inputs)) == 5
    decelerate(outer)
    assert ran(predict) == 0
    assert_alike(predict(), stock)


def test_a_function_that_runs_is_made_anew():
    model = keras.Sequential([keras.Input((5, 5, 3)), L.DepthwiseConv2D(3)])

    class Accelerate(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            accelerate(self.model)

    images = np.ones((2, 5, 5, 3), "float32")
    options = {"batch_size": 1, "callbacks": [Accelerate()], "verbose": 0}
    one, other = model.predict(images, **options)
    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert fast(model)


class Around(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)["classes"]


def trainable():
    """A network with each kind of convolution that compiles quickly."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.SeparableConv2D(4, 3),
            L.DepthwiseConv2D(3, activation="relu"),
            L.Conv2D(5, 1),
            L.GlobalAveragePooling2D(),
            L.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    return model


@needs_gradients
@pytest.mark.slow("it compiles training four times")
@pytest.mark.each_backend
def test_training_goes_on_as_before(rng):
    x = rng.standard_normal((8, 8, 8, 3)).astype("float32")
    y = rng.integers(0, 4, 8)
    trained = []
    for then in (lambda model: None, accelerate):
        keras.utils.set_random_seed(1)
        model = trainable()
        model.fit(x, y, verbose=0, batch_size=4, shuffle=False)
        optimizer = model.optimizer
        then(model)
        fit = functools.partial(
            model.fit, x, y, verbose=0, batch_size=4, shuffle=False
        )
        assert bool(ran(fit)) == bool(trained)
        assert model.optimizer is optimizer
        assert int(optimizer.iterations) == 4
        trained.append(model.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


class OwnCall(L.DepthwiseConv2D):
    def call(self, inputs):
        return -super().call(inputs)


class OwnOperation(L.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, 2.0 * kernel)


class OwnKernel(L.Conv2D):
    """A user's class that computes the same as Keras's."""

    @property
    def kernel(self):
        return 3.0 * super().kernel


def test_what_is_left_says_why():
    on_the_layer = L.SeparableConv2D(4, 3, name="on_the_layer")
    model = keras.Sequential(
        [
            keras.Input((12, 12, 4)),
            OwnCall(3, name="own_call"),
            OwnOperation(4, 1, name="own_operation"),
            OwnKernel(4, 1, name="own_kernel"),
            on_the_layer,
            L.Conv2D(4, 3, name="dense[red]"),
            L.Conv2D(4, 1, groups=2, name="grouped"),
            L.Conv2DTranspose(4, 1, name="transposed"),
            ks.SeparableConv2D(4, 3, name="ours"),
        ],
        name="mixed",
    )
    plain = on_the_layer.call
    on_the_layer.call = lambda inputs: plain(2.0 * inputs)
    inputs = comparison.sample(model)
    stock = predicted(model, inputs)
    report = accelerate(model)
    assert [row.layer for row in report.accelerated] == ["own_kernel"]
    assert {row.layer: row.reason for row in report.left} == {
        "own_call": "its class OwnCall has its own `call`",
        "own_operation": "its class OwnOperation has its own `convolution_op`",
        "on_the_layer": "it has its own `call`",
        "dense[red]": "it is dense",
        "grouped": "it is dense",
        "transposed": "it is transposed",
    }
    assert_alike(predicted(model, inputs), stock)
    text = str(report)
    assert "mixed: 1 of 7 convolutions run fast, " in text
    counts = {row.path[0]: row.counts.total for row in model_counts(model)}
    ours = counts["own_kernel"] + counts["ours"]
    assert report.multiply_adds == (ours, sum(counts.values()))
    assert "1 pointwise OwnKernel" in text
    assert "1 Conv2DTranspose left, it is transposed: transposed" in text
    assert "dense[red]" in text
    decelerate(model)
    assert "call" in vars(on_the_layer)


def test_a_quantized_layer_is_left():
    layer = L.Conv2D(4, 1, name="quantized")
    model = keras.Sequential([keras.Input((8, 8, 4)), layer])
    layer._dtype_policy = keras.dtype_policies.QuantizedDTypePolicy(
        "int8", "float32"
    )
    (row,) = accelerate(model, verify=False).left
    assert row.reason == "it is quantized"


@pytest.mark.each_backend
def test_low_rank_adaptation_before_and_after(rng):
    """With LoRA, `layer.kernel` returns a sum."""
    inputs = rng.standard_normal((2, 8, 8, 4)).astype("float32")
    for first in (accelerate, lambda model: None):
        model = keras.Sequential(
            [keras.Input((8, 8, 4)), L.Conv2D(6, 1, name="pointwise")]
        )
        first(model)
        layer = model.layers[0]
        layer.enable_lora(2)
        shaken(model)
        accelerate(model)
        assert fast(model) == ["pointwise"]
        found = predicted(model, inputs)
        decelerate(model)
        assert_alike(found, predicted(model, inputs))
        plain = array(layer._kernel)
        assert np.abs(plain - array(layer.kernel)).max() > 0.1


def test_it_may_come_twice_and_go_twice():
    model = shaken(sequential())
    first, second = accelerate(model), accelerate(model)
    assert first == second
    assert second.share == first.share
    calls = [vars(layer)["call"] for layer in map(model.get_layer, fast(model))]
    assert {call.implementation for call in calls} == {None}
    accelerate(model, implementation="portable")
    calls = [vars(layer)["call"] for layer in map(model.get_layer, fast(model))]
    assert {call.implementation for call in calls} == {"portable"}
    decelerate(model)
    decelerate(model)
    assert not fast(model)
    assert not [x for _, x in layers(model) if "call" in vars(x)]


def test_a_single_layer():
    layer = L.SeparableConv1D(4, 3, name="alone")
    report = accelerate(layer)
    assert "its input's shape is not known yet" in report.notes[0]
    assert report.share is None
    inputs = np.ones((2, 9, 3), "float32")
    assert ran(lambda: layer(inputs)) == 1
    report = accelerate(layer)
    assert not report.notes
    assert report.share == 1.0
    assert str(report).startswith("alone: 1 of 1 convolutions run fast, 100.0")
    decelerate(layer)
    assert ran(lambda: layer(inputs)) == 0


def test_layers_without_weights_decide_when_they_have_some():
    model = keras.Sequential(
        [L.Conv2D(4, 3, groups=4), L.Conv2D(4, 3, groups=2), L.Conv2D(4, 3)]
    )
    report = accelerate(model)
    rows = [*report.accelerated, *report.left]
    assert [row.after for row in rows] == [*2 * ["perhaps depthwise"], None]
    inputs = np.ones((1, 9, 9, 4), "float32")
    found = predicted(model, inputs)
    assert ran(lambda: model(inputs)) == 1
    decelerate(model)
    assert_alike(found, predicted(model, inputs))


def test_a_convolution_of_two_groups_is_depthwise_for_two_channels():
    model = keras.Sequential(
        [keras.Input((9, 9, 2)), L.Conv2D(4, 3, groups=2, name="two")]
    )
    model.add(L.Conv2D(4, 3, groups=2, name="four"))
    report = accelerate(model)
    assert [row.layer for row in report.accelerated] == ["two"]
    assert [row.layer for row in report.left] == ["four"]


def wrong(monkeypatch, part):
    """Makes our operations wrong in layers with `part` in their name."""
    from keras_sepconv.layers import _call

    plain = _call.call

    def call(layer, *args):
        return plain(layer, *args) * (2.0 if part in layer.name else 1.0)

    monkeypatch.setattr(_call, "call", call)


def test_a_model_that_would_compute_something_else_stays_as_it_was(
    monkeypatch,
):
    model = shaken(inverted_residuals())
    model.predict_on_batch(comparison.sample(model))
    compiled = model.predict_function
    wrong(monkeypatch, "project")
    with pytest.raises(ValueError, match="so does layer project") as caught:
        accelerate(model)
    assert "`model` must compute the same when it is" in str(caught.value)
    assert str(caught.value).endswith(f"Received: model={model}")
    assert not fast(model)
    assert model.predict_function is compiled
    assert accelerate(model, verify=False).accelerated
    # If a second call is refused, the model stays accelerated.
    before = [vars(x)["call"] for _, x in layers(model) if is_accelerated(x)]
    with pytest.raises(ValueError, match="so does layer project"):
        accelerate(model, implementation="portable")
    after = [vars(x)["call"] for _, x in layers(model) if is_accelerated(x)]
    assert before == after


def test_a_wrong_layer_inside_another_is_named_by_its_path(monkeypatch):
    model = shaken(with_block())
    wrong(monkeypatch, "hidden")
    with pytest.raises(ValueError, match="so does layer block/hidden"):
        accelerate(model)


def test_an_interrupt_leaves_all_as_it_was(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    model = shaken(with_block())
    monkeypatch.setattr(comparison.Prediction, "differs", interrupt)
    with pytest.raises(KeyboardInterrupt):
        accelerate(model)
    assert not fast(model)


def test_every_function_that_keras_has_compiled_is_made_anew():
    model = keras.Sequential([keras.Input((5, 5, 3)), L.DepthwiseConv2D(3)])
    outer = keras.Sequential([keras.Input((5, 5, 3)), model])
    steps = ["train"] * HAS_GRADIENTS + ["test", "predict"]
    before = {}
    for one in (model, outer):
        one.compile("sgd", "mse")
        for step in steps:
            getattr(one, f"make_{step}_function")()
            before[one, step] = getattr(one, f"{step}_function")
    accelerate(outer, verify=False)
    for (one, step), function in before.items():
        assert getattr(one, f"{step}_function") is not function


def test_an_implementation_that_cannot_run_a_layer_leaves_all_as_it_was(
    monkeypatch,
):
    def why_not(call):
        return "it is an example" if call.filters else None

    picky = kernels.Kernel("picky", why_not, lambda *args: None)
    monkeypatch.setattr(kernels, "_KERNELS", (picky, *kernels._KERNELS))
    model = shaken(sequential())
    with pytest.raises(ValueError, match="it is an example"):
        accelerate(model, implementation="picky")
    assert not fast(model)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "model"}, TypeError, "`model` must be a model or a layer"),
        ({"implementation": "fastest"}, ValueError, "`implementation` must"),
        ({"verify": 1}, TypeError, "`verify` must be"),
    ],
)
def test_bad_arguments_change_nothing(arguments, error, message):
    model = sequential()
    constructors = [vars(stock)["__init__"] for stock in STOCK]
    for given in ({"model": model, **arguments}, arguments):
        with pytest.raises(error, match=message):
            accelerate(**given)
    assert not fast(model)
    assert [vars(stock)["__init__"] for stock in STOCK] == constructors
    with pytest.raises(TypeError, match="`model` must be a model or a layer"):
        decelerate("model")


def test_what_cannot_be_guessed_is_said():
    inputs = {
        "text": keras.Input((), dtype="string", name="text"),
        "image": keras.Input((8, 8, 3), name="image"),
    }
    outputs = L.SeparableConv2D(4, 3)(inputs["image"])
    report = accelerate(keras.Model(inputs, outputs))
    (note,) = report.notes
    assert note.startswith("Not verified, because")
    assert len(report.accelerated) == 1


def test_rounding_that_the_model_amplifies_is_no_fault():
    """One rounding of the input changes the output as much as we do."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(4, 1, name="pointwise"),
            L.Rescaling(1e8),
            L.Activation(keras.ops.sin),
        ]
    )
    (note,) = accelerate(shaken(model)).notes
    assert "the model is ill-conditioned" in note


# Everywhere.


@contextlib.contextmanager
def everywhere(**options):
    """Runs `accelerate()`; checks that the classes of Keras are restored."""
    constructors = [vars(stock)["__init__"] for stock in STOCK]
    try:
        with accelerate(**options):
            yield
        assert [vars(stock)["__init__"] for stock in STOCK] == constructors
    finally:
        decelerate()


def test_layers_to_come_are_fast(tmp_path):
    before = shaken(sequential())
    path = tmp_path / "model.keras"
    before.save(path)
    with everywhere():
        models = [
            sequential(),
            keras.saving.load_model(path),
            keras.models.clone_model(before),
            Library.from_config({"width": 3}),
        ]
        # It is of the class of Keras to whoever asks.
        assert type(models[0].layers[3]) is L.SeparableConv2D
    assert not fast(before)
    assert [len(fast(model)) for model in models] == [4, 4, 4, 2]
    inputs = comparison.sample(before)
    loaded = models[1]
    assert ran(lambda: loaded.predict_on_batch(inputs)) == 4
    assert_alike(predicted(loaded, inputs), predicted(before, inputs))
    assert not fast(sequential()), "the block has ended"


@needs_gradients
@pytest.mark.each_backend
def test_layers_to_come_train_in_mixed_precision(rng):
    x = rng.standard_normal((8, 8, 8, 3)).astype("float32")
    y = rng.integers(0, 4, 8)
    losses = []
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for context in (contextlib.nullcontext(), everywhere()):
            keras.utils.set_random_seed(1)
            with context:
                model = trainable()
                history = model.fit(x, y, epochs=2, verbose=0, shuffle=False)
            losses.append(history.history["loss"])
    finally:
        keras.config.set_dtype_policy("float32")
    assert len(fast(model)) == 3
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


def on_jax(function):
    """Leaves a test out where Keras has no `keras.distribution`."""
    return function if BACKEND == "jax" else None


@on_jax
@pytest.mark.each_backend
def test_layers_to_come_train_on_several_devices(rng):
    x = rng.standard_normal((8, 8, 8, 3)).astype("float32")
    y = rng.integers(0, 4, 8)
    trained = []
    distribution = keras.distribution.DataParallel(
        devices=keras.distribution.list_devices()[:2]
    )
    for context in (contextlib.nullcontext(), everywhere()):
        keras.utils.set_random_seed(1)
        with distribution.scope(), context:
            model = trainable()
            operations = ran(functools.partial(model.fit, x, y, verbose=0))
            assert bool(operations) == bool(trained)
        trained.append(model.get_weights())
    assert len(model.layers[1].kernel.value.devices()) == 2
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def test_blocks_in_blocks_and_without_a_block():
    with everywhere(implementation="portable"):
        with accelerate():
            inner = L.DepthwiseConv2D(3)
        outer = L.DepthwiseConv2D(3)
    assert vars(inner)["call"].implementation is None
    assert vars(outer)["call"].implementation == "portable"
    accelerate()
    accelerate()
    with accelerate() as context:
        assert repr(context) == "<keras_sepconv.accelerate() is active>"
    assert repr(context) == "<keras_sepconv.accelerate() has ended>"
    assert is_accelerated(L.DepthwiseConv2D(3))
    decelerate()
    decelerate()
    assert not is_accelerated(L.DepthwiseConv2D(3))


def test_what_others_change_later_stays(monkeypatch):
    with accelerate():
        pass

    def theirs(layer, *args, **options):
        raise AssertionError

    monkeypatch.setattr(L.DepthwiseConv2D, "__init__", theirs)
    decelerate()
    assert L.DepthwiseConv2D.__init__ is theirs


def test_what_is_not_reached_anywhere():
    with everywhere():
        found = [
            ks.SeparableConv2D(4, 3),
            ks.layers.Conv2D(4, 1),
            L.Conv2D(4, 3),
            L.Conv2DTranspose(4, 1),
            OwnCall(3),
        ]
    assert not any(map(is_accelerated, found))
    with everywhere(), pytest.raises(ValueError, match="kernel_size"):
        L.Conv2D(4, 0)


def in_threads(work, number):
    """Calls a function with 0, 1, ... in threads; raises their exceptions."""
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        list(pool.map(work, range(number)))


def test_many_threads_begin_and_end():
    constructors = [vars(stock)["__init__"] for stock in STOCK]

    def work(_):
        for _ in range(20):
            with accelerate():
                assert is_accelerated(L.DepthwiseConv2D(3))

    in_threads(work, 8)
    assert [vars(stock)["__init__"] for stock in STOCK] == constructors


def test_many_threads_on_one_model():
    model = shaken(sequential())
    inputs = comparison.sample(model)
    stock = predicted(model, inputs)

    def work(number):
        for _ in range(3):
            (accelerate if number % 2 else decelerate)(model)
            assert_alike(predicted(model, inputs), stock)

    in_threads(work, 4)
    decelerate(model)
    assert not [x for _, x in layers(model) if "call" in vars(x)]


def test_models_are_freed():
    model = sequential()
    accelerate(model)
    gone = []
    import weakref

    weakref.finalize(model.get_layer("separable"), gone.append, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del model
        keras.utils.clear_session(free_memory=False)
        gc.collect()
    assert gone or BACKEND == "tensorflow"
